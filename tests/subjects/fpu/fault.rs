//! Faults of users, faults that these registers cause, and handlers that use
//! them, too.

use postern_tests::bare::float::{Float, SAME, compare, divide_by_zero, mark, marked};
use postern_tests::bare::memory::read;
use postern_tests::handler::{answer, fault, handled};
use postern_tests::syscall::Rights;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::fault::{GIVE_UP, RESUME};
use postern_tests::{Ctx, Verdict, check, check_eq, tests};

tests! {
    fpu_x24_page_faults_of_a_user,
    fpu_x24_x87_error_is_a_fault,
    fpu_x24_x87_error_is_repaired,
    fpu_x24_unhandled_fault_of_a_user,
}

const AT: u64 = 0xc_0000_0000;

fn fpu_x24_page_faults_of_a_user(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(4)?;
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(
        |argument| {
            let pattern = Float::patterned(argument);
            pattern.load();
            let read: u64 = (0..4).map(|page| read(AT + page * PAGE)).sum();
            compare(&pattern) + read
        },
        55,
    )?;
    for page in 0..4 {
        let [vector, address, ..] = fault()?.words;
        check_eq!((vector, address), (14, AT + page * PAGE));
        Float::patterned(page).load();
        ctx.task.map(memory, address, page * PAGE, PAGE, Rights::R)?;
        answer(RESUME)?;
        check_eq!(compare(&Float::patterned(page)), SAME, "the handler's own");
    }
    check_eq!(partner.join()?, SAME);
    Ok(())
}

fn fpu_x24_x87_error_is_a_fault(ctx: &Ctx) -> Verdict {
    // With it the status word, which nobody else can look at: a division by
    // zero, unmasked.
    let end = ctx.spawn(divide_by_zero, 0)?.expect_fault(16, None)?;
    check_eq!(end.error & 0xff, 0x84, "status {:#x}", end.error);
    check_eq!(end.detail, end.error);
    // At a `fwait`.
    check_eq!(read(end.instruction) & 0xff, 0x9b);
    Ok(())
}

fn fpu_x24_x87_error_is_repaired(ctx: &Ctx) -> Verdict {
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(divide_by_zero, 0)?;
    let [vector, status, rip, _] = fault()?.words;
    check_eq!((vector, status & 0xff), (16, 0x84));
    // Over the `fwait`; what comes next clears the exception.
    let mut registers = partner.thread().registers()?;
    registers.rip = rip + 1;
    partner.thread().set_registers(&registers)?;
    answer(RESUME)?;
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn fpu_x24_unhandled_fault_of_a_user(ctx: &Ctx) -> Verdict {
    mark(3);
    for _ in 0..20 {
        let body = |argument| {
            mark(argument);
            u64::from(postern_tests::syscall::raw::peek(0x10))
        };
        ctx.spawn(body, 9)?.expect_fault(14, Some(0x10))?;
        check_eq!(marked(), 3);
        let mut partner = handled(ctx, ctx.gate(0x40)?)?;
        partner.start(body, 9)?;
        fault()?;
        answer(GIVE_UP)?;
        partner.expect_fault(14, Some(0x10))?;
    }
    check!(marked() == 3);
    Ok(())
}
