//! Handlers that repair: by mapping, by changing rights, by exchanging a page,
//! by changing registers.

use postern_tests::bare::memory::{execute, read, write};
use postern_tests::bare::privileged;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::fault::{GIVE_UP, RESUME};
use postern_tests::syscall::{Memory, Rights};
use postern_tests::{Body, Ctx, Failure, Verdict, board, check, check_eq, tests};

use crate::{answer, fault, handled};

tests! {
    handler_g06_demand_paging_of_two_clients,
    handler_g06_protect_repairs_a_write,
    handler_g06_copy_on_write_of_many_pages,
    handler_g06_stack_that_grows,
    handler_g06_exceptions_one_by_one,
    handler_g06_returns_a_value_for_an_instruction,
    handler_g06_sends_it_somewhere_else,
    handler_g06_execute_fault_repaired_by_protect,
    handler_g06_wrong_repair_faults_again,
    handler_g06_single_steps,
}

const AT: u64 = 0xc_0000_0000;
const DATA: Rights = Rights::R.union(Rights::W);

/// Touches 40 pages in an order of its own (by `argument`), and sums them up.
fn touch(argument: u64) -> u64 {
    (0..40).fold(0, |sum, index| {
        let at = AT + (index * argument + argument) % 40 * PAGE;
        write(at, read(at) + index);
        sum + read(at)
    })
}

fn handler_g06_demand_paging_of_two_clients(ctx: &Ctx) -> Verdict {
    // Two peers fault in turns; labels tell them apart, and each has memory of
    // its own at the same addresses.
    let mut clients = [ctx.peer()?, ctx.peer()?];
    let memories = [ctx.memory(40)?, ctx.memory(40)?];
    for ((client, label), step) in clients.iter_mut().zip([0x40, 0x80]).zip([7, 3]) {
        client.thread().set_fault_gate(Some(ctx.gate(label)?))?;
        client.start(touch, step)?;
    }
    let mut counts = [0; 2];
    while counts != [40, 40] {
        let delivery = fault()?;
        let which = usize::from(delivery.label == 0x80);
        let [vector, address, ..] = delivery.words;
        check_eq!(vector, 14);
        check_eq!(address % PAGE, 0, "what it touched, exactly");
        let Some(task) = clients[which].task() else { return Ok(()) };
        // Mapped twice is a mistake of the kernel: the page faults once.
        task.map(memories[which], address, address - AT, PAGE, DATA)?;
        counts[which] += 1;
        answer(RESUME)?;
    }
    for client in clients {
        check_eq!(client.join()?, (0..40).sum::<u64>());
    }
    Ok(())
}

fn handler_g06_protect_repairs_a_write(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(4)?;
    for page in 0..4 {
        ctx.task.map(memory, AT + page * PAGE, page * PAGE, PAGE, Rights::R)?;
    }
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    let body: Body = |_| {
        for page in 0..4 {
            write(AT + page * PAGE, page + read(AT + page * PAGE) + 5);
        }
        (0..4).map(|page| read(AT + page * PAGE)).sum()
    };
    partner.start(body, 0)?;
    for page in 0..4 {
        let [_, address, _, error] = fault()?.words;
        // Present, a write, by a user.
        check_eq!((address, error), (AT + page * PAGE, 7));
        check_eq!(ctx.task.protect(address, PAGE, DATA)?, PAGE);
        answer(RESUME)?;
    }
    check_eq!(partner.join()?, 26);
    Ok(())
}

/// Exchanges the page at `address` of `task` for a copy in `copy`.
fn exchange(
    ctx: &Ctx,
    task: postern_tests::syscall::Task,
    original: Memory,
    page: u64,
    copy: Memory,
) -> Result<(), Failure> {
    let (from, to) = (AT + (1 << 30), AT + (2 << 30));
    ctx.task.map(original, from, page * PAGE, PAGE, Rights::R)?;
    ctx.task.map(copy, to, page * PAGE, PAGE, DATA)?;
    for word in (0..PAGE).step_by(8) {
        write(to + word, read(from + word));
    }
    ctx.task.unmap(from, PAGE)?;
    ctx.task.unmap(to, PAGE)?;
    task.unmap(AT + page * PAGE, PAGE)?;
    task.map(copy, AT + page * PAGE, page * PAGE, PAGE, DATA)?;
    Ok(())
}

fn handler_g06_copy_on_write_of_many_pages(ctx: &Ctx) -> Verdict {
    const PAGES: u64 = 12;
    let (original, copy) = (ctx.memory(PAGES)?, ctx.memory(PAGES)?);
    ctx.task.map(original, AT, 0, PAGES * PAGE, DATA)?;
    (0..PAGES).for_each(|page| write(AT + page * PAGE + 8, 100 + page));
    let mut client = ctx.peer()?;
    let Some(task) = client.task() else { return Ok(()) };
    for page in 0..PAGES {
        task.map(original, AT + page * PAGE, page * PAGE, PAGE, Rights::R)?;
    }
    client.thread().set_fault_gate(Some(ctx.gate(0x40)?))?;
    // Writes to every third page, reads all.
    let body: Body = |_| {
        (0..PAGES).step_by(3).for_each(|page| write(AT + page * PAGE, 1000));
        (0..PAGES).map(|page| read(AT + page * PAGE) + read(AT + page * PAGE + 8)).sum()
    };
    client.start(body, 0)?;
    for page in (0..PAGES).step_by(3) {
        let [_, address, _, error] = fault()?.words;
        check_eq!((address, error), (AT + page * PAGE, 7));
        exchange(ctx, task, original, page, copy)?;
        answer(RESUME)?;
    }
    check_eq!(client.join()?, 4 * 1000 + (0..PAGES).map(|page| 100 + page).sum::<u64>());
    check!((0..PAGES).all(|page| read(AT + page * PAGE) == 0), "the original was written");
    Ok(())
}

fn handler_g06_stack_that_grows(ctx: &Ctx) -> Verdict {
    // The thread cannot go on without its stack, and the kernel does not touch
    // it: the handler maps page after page downwards.
    const PAGES: u64 = 8;
    let memory = ctx.memory(PAGES)?;
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    let body: Body = |stack| {
        let rounds = postern_tests::bare::call::null_with_stack(stack);
        postern_tests::bare::call::spin_with_stack(stack, 1000);
        (1..8 * 512).for_each(|word| write(stack - word * 8, word));
        rounds + read(stack - 8 * 512)
    };
    partner.start(body, AT + PAGES * PAGE)?;
    for page in (0..PAGES).rev() {
        let [vector, address, ..] = fault()?.words;
        check_eq!((vector, address), (14, AT + page * PAGE + PAGE - 8));
        ctx.task.map(memory, address & !(PAGE - 1), page * PAGE, PAGE, DATA)?;
        answer(RESUME)?;
    }
    check_eq!(partner.join()?, 1 + 512);
    Ok(())
}

fn handler_g06_exceptions_one_by_one(ctx: &Ctx) -> Verdict {
    // (what, vector, how long the instruction is); a breakpoint stops behind
    // itself.
    let cases: [(&str, Body, u64, u64); 6] = [
        ("div", privileged::divide, 0, 2),
        ("ud2", privileged::undefined, 6, 2),
        ("hlt", privileged::hlt, 13, 1),
        ("cli", privileged::cli, 13, 1),
        ("in", privileged::port_in, 13, 1),
        ("int3", privileged::breakpoint, 3, 0),
    ];
    let gate = ctx.gate(0x40)?;
    for (name, body, vector, length) in cases {
        let mut partner = handled(ctx, gate)?;
        partner.start(body, 0)?;
        let delivery = fault()?;
        check_eq!(delivery.words[0], vector, "{name}");
        let mut registers = partner.thread().registers()?;
        check_eq!(registers.rip, delivery.words[2], "{name}");
        registers.rip += length;
        partner.thread().set_registers(&registers)?;
        answer(RESUME)?;
        check_eq!(partner.join()?, 0, "{name}: it goes on behind");
        // And the other way: it ends, and its exit gate is told.
        let mut partner = handled(ctx, gate)?;
        partner.start(body, 0)?;
        let delivery = fault()?;
        answer(GIVE_UP)?;
        let end = partner.expect_fault(vector as u8, None)?;
        check_eq!(end.instruction, delivery.words[2], "{name}");
        check_eq!(end.error, delivery.words[3], "{name}");
    }
    Ok(())
}

fn handler_g06_returns_a_value_for_an_instruction(ctx: &Ctx) -> Verdict {
    // The handler plays a device: every read from an address that is never
    // mapped gets a value, by `rip` behind it and the value in its register.
    // `read` is compiled to one `mov r64, [r64]` of three bytes.
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    let body: Body = |_| {
        let before = board::get(0);
        let found = read(0x2000);
        board::set(0, before + 1);
        found
    };
    partner.start(body, 0)?;
    let [vector, address, ..] = fault()?.words;
    check_eq!((vector, address), (14, 0x2000));
    let mut registers = partner.thread().registers()?;
    // One of these is what the instruction loads; the address is in another.
    let code = read(registers.rip) & 0xff_ffff;
    check_eq!(code & 0xfff8, 0x8b48, "not a mov: {code:#x}");
    let loads = (code >> 19 & 7) as usize;
    // Numbers of the CPU: rax rcx rdx rbx rsp rbp rsi rdi; of `general`: rax
    // rbx rcx rdx rsi rdi rbp.
    let index = [0, 2, 3, 1, 7, 6, 4, 5][loads];
    registers.general[index] = 0x5eed;
    registers.rip += 3;
    partner.thread().set_registers(&registers)?;
    answer(RESUME)?;
    check_eq!(partner.join()?, 0x5eed);
    check_eq!(board::get(0), 1);
    Ok(())
}

fn handler_g06_sends_it_somewhere_else(ctx: &Ctx) -> Verdict {
    // The handler lets the thread call another function: rip, rsp, rdi, rsi.
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    let elsewhere: Body = |argument| argument + 1;
    partner.start(privileged::undefined, 0)?;
    fault()?;
    let mut registers = partner.thread().registers()?;
    registers.rip = postern_tests::bare::memory::entry(false);
    registers.rsp = partner.stack_top() - 8;
    registers.general[5] = elsewhere as *const () as u64;
    registers.general[4] = 41;
    partner.thread().set_registers(&registers)?;
    answer(RESUME)?;
    check_eq!(partner.join()?, 42);
    Ok(())
}

fn handler_g06_execute_fault_repaired_by_protect(ctx: &Ctx) -> Verdict {
    // Code is written, then run: the handler turns W into X.
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    // mov eax, 0x1234; ret
    write(AT, 0xc300_0012_34b8);
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(execute, AT)?;
    let [vector, address, rip, error] = fault()?.words;
    check_eq!((vector, address, rip), (14, AT, AT));
    // Present, by a user, fetching an instruction.
    check_eq!(error, 0x15);
    ctx.task.protect(AT, PAGE, Rights::R | Rights::X)?;
    answer(RESUME)?;
    check_eq!(partner.join()?, 0x1234);
    Ok(())
}

fn handler_g06_wrong_repair_faults_again(ctx: &Ctx) -> Verdict {
    // Mapped read-only where a write is wanted; then nothing at all.
    let memory = ctx.memory(1)?;
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    let body: Body = |_| {
        write(AT, 9);
        read(AT)
    };
    partner.start(body, 0)?;
    check_eq!(fault()?.words[3], 6, "not present, a write");
    answer(RESUME)?;
    check_eq!(fault()?.words[3], 6, "the same again");
    ctx.task.map(memory, AT, 0, PAGE, Rights::R)?;
    answer(RESUME)?;
    check_eq!(fault()?.words[3], 7, "present now");
    ctx.task.unmap(AT, PAGE)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    answer(RESUME)?;
    check_eq!(partner.join()?, 9);
    check_eq!(memory.info()?.mappings, 1);
    check!(partner.info()?.reason != 0);
    Ok(())
}

fn handler_g06_single_steps(ctx: &Ctx) -> Verdict {
    // A debugger: the trap flag makes every instruction a fault, vector 1.
    let mut partner = handled(ctx, ctx.gate(0x40)?)?;
    partner.start(privileged::undefined, 0)?;
    let delivery = fault()?;
    let mut registers = partner.thread().registers()?;
    registers.rip = delivery.words[2] + 2;
    registers.rflags |= 0x100;
    partner.thread().set_registers(&registers)?;
    answer(RESUME)?;
    let mut last = registers.rip;
    for step in 0..3 {
        let delivery = fault()?;
        check_eq!(delivery.words[0], 1, "step {step}");
        let mut registers = partner.thread().registers()?;
        check!(registers.rip != last, "step {step} went nowhere");
        last = registers.rip;
        if step == 2 {
            registers.rflags &= !0x100;
            partner.thread().set_registers(&registers)?;
        }
        answer(RESUME)?;
    }
    check_eq!(partner.join()?, 0);
    Ok(())
}
