//! Fault gates (row G6): a fault becomes a call to the handler. The first steps;
//! what handlers can do is the subject `handler`.

use postern_tests::bare::memory::{read, write};
use postern_tests::bare::privileged::undefined;
use postern_tests::handler::{answer, fault, handled};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::fault::{GIVE_UP, RESUME};
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Item, Rights, Slot, Tag, ipc, operate, raw,
};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, op, tests};

tests! {
    fault_g06_message_to_the_handler,
    fault_g06_demand_paging,
    fault_g06_handler_gives_up,
    fault_g06_gate_that_is_not_bound,
    fault_g06_handler_cannot_be_shortened,
    fault_g06_set_fault_gate_errors,
}

const AT: u64 = 0xc_0000_0000;

fn fault_g06_message_to_the_handler(ctx: &Ctx) -> Verdict {
    // W and S of the capability do not show: the kernel sends.
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(|address| u64::from(raw::peek(address)), 0x123)?;
    let delivery = fault()?;
    check_eq!(delivery.label, 0x40);
    check_eq!((delivery.words[0], delivery.words[1], delivery.words[3]), (14, 0x123, 4));
    check!((0x40_0000..0x80_0000).contains(&delivery.words[2]), "at {:#x}", delivery.words[2]);
    answer(GIVE_UP)?;
    let mut partner = handled(ctx, ctx.gate(0x80)?)?;
    partner.start(undefined, 0)?;
    let delivery = fault()?;
    check_eq!((delivery.label, delivery.words[0], delivery.words[1]), (0x80, 6, 0));
    answer(GIVE_UP)?;
    partner.expect_fault(6, None)?;
    Ok(())
}

fn fault_g06_demand_paging(ctx: &Ctx) -> Verdict {
    const PAGES: u64 = 24;
    let memory = ctx.memory(PAGES)?;
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    let body: Body = |_| {
        // Backwards and forwards; each page faults once.
        for page in (0..PAGES).rev().chain(0..PAGES) {
            let at = AT + page * PAGE;
            write(at, read(at) + page);
        }
        (0..PAGES).map(|page| read(AT + page * PAGE)).sum()
    };
    partner.start(body, 0)?;
    for page in (0..PAGES).rev() {
        let [vector, address, ..] = fault()?.words;
        check_eq!((vector, address), (14, AT + page * PAGE));
        ctx.task.map(memory, address, page * PAGE, PAGE, Rights::R | Rights::W)?;
        answer(RESUME)?;
    }
    check_eq!(partner.join()?, PAGES * (PAGES - 1));
    Ok(())
}

fn fault_g06_handler_gives_up(ctx: &Ctx) -> Verdict {
    for what in [GIVE_UP, 2, u64::MAX] {
        let mut partner = handled(ctx, ctx.gate(0x40)?)?;
        partner.start(|_| u64::from(raw::peek(8)), 0)?;
        fault()?;
        answer(what)?;
        partner.expect_fault(14, Some(8))?;
        check_eq!(partner.info()?.state, Some(ThreadState::Faulted));
    }
    // An answer without words lets it go on: into the same fault.
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(|_| u64::from(raw::peek(8)), 0)?;
    fault()?;
    ipc::reply(0, Tag::new(0, 0), [9; 4])?;
    fault()?;
    answer(GIVE_UP)?;
    partner.expect_fault(14, Some(8))?;
    Ok(())
}

fn fault_g06_gate_that_is_not_bound(ctx: &Ctx) -> Verdict {
    // Fault gates deliver only while bound; a thread must not hang in a fault.
    let unbound = ctx.unbound()?;
    let gone = ctx.gate(0x40)?;
    let mut partners = [handled(ctx, unbound)?, handled(ctx, gone)?, ctx.helper(100)?];
    ctx.task.destroy(gone.slot())?;
    partners[2].thread().set_fault_gate(Some(unbound))?;
    partners[2].thread().set_fault_gate(None)?;
    for partner in &mut partners {
        partner.start(|_| u64::from(raw::peek(8)), 0)?;
        partner.expect_fault(14, Some(8))?;
    }
    Ok(())
}

fn fault_g06_handler_cannot_be_shortened(ctx: &Ctx) -> Verdict {
    // Cancel and stop do not let a thread out of its fault as if nothing had
    // happened.
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(|_| u64::from(raw::peek(8)), 0)?;
    fault()?;
    let _ = partner.thread().cancel();
    check_eq!(partner.thread().stop(), Err(op(ErrorNumber::Busy, 0)));
    partner.give_time();
    check!(partner.thread().registers().is_ok(), "it runs: {:?}", partner.info()?.state);
    answer(GIVE_UP)?;
    partner.expect_fault(14, Some(8))?;
    Ok(())
}

fn fault_g06_set_fault_gate_errors(ctx: &Ctx) -> Verdict {
    use postern_tests::syscall::abi::op::thread::SET_FAULT_GATE;
    let partner = ctx.helper(100)?;
    let set = |slot: Slot| {
        operate(partner.thread().slot(), &[SET_FAULT_GATE], &[Item::all(slot)]).map(drop)
    };
    let inval = Err(op(ErrorNumber::Inval, ErrorCode::ITEM));
    for slot in [ctx.slot()?, Slot::NULL, ctx.task.slot(), partner.thread().slot()] {
        check_eq!(set(slot), inval, "{slot}");
    }
    let weak = ctx.derive(partner.thread(), Rights::all() - Rights::W)?;
    check_eq!(weak.set_fault_gate(None), Err(op(ErrorNumber::Perm, 0)));
    Ok(())
}
