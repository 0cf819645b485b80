//! Registers and flags across the border: nothing of the kernel's, nothing of
//! another task's comes back.

use postern_tests::bare::call::{Registers, pushing_entry};
use postern_tests::bare::memory::{read, write};
use postern_tests::syscall::abi::ABI_VERSION;
use postern_tests::syscall::abi::tag::protocol::KOBJECT;
use postern_tests::syscall::{
    Capability, Code, ErrorCode, ErrorNumber, Memory, Rights, Tag, Timeout, control, ipc, utcb,
};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, tests};

tests! {
    abi_registers_after_every_quick_call,
    abi_registers_after_errors,
    abi_registers_after_an_operation,
    abi_registers_after_waiting,
    abi_registers_of_a_new_thread,
    abi_flags_after_a_call,
    abi_direction_flag_does_not_reach_the_kernel,
    abi_stack_pointer_is_kept,
    abi_fs_base_arguments,
    abi_fs_base_is_kept,
}

/// What must hold after every call: registers that carry nothing are zero,
/// or the caller's own instruction pointer and flags.
fn nothing_leaks(before: Registers, after: &Registers, what: &str) -> Verdict {
    let zero = [after.rbx, after.rbp, after.r12, after.r13, after.r14, after.r15];
    check_eq!(zero, [0; 6], "rbx rbp r12-r15 after {what}");
    check!(after.rcx < 1 << 39, "rcx after {what}: {:#x}", after.rcx);
    check!(after.r11 & !0x203 == 0, "r11 after {what}: {:#x}", after.r11);
    check_eq!(after.flags & !1, 0x202, "flags after {what}");
    check_eq!(after.rsp, 0, "stack pointer after {what}");
    check!(before.rax != after.rax || before.rax == 0, "rax after {what}");
    Ok(())
}

fn outputs(after: &Registers) -> [u64; 6] {
    [after.rdi, after.rsi, after.rdx, after.r10, after.r8, after.r9]
}

fn abi_registers_after_every_quick_call(_ctx: &Ctx) -> Verdict {
    for (code, argument, output) in [
        (Code::Null, 5, Some(u64::from(ABI_VERSION))),
        (Code::Yield, 5, Some(0)),
        (Code::Sleep, 5, Some(0)),
        (Code::Clock, 5, None),
        (Code::SetFsBase, utcb::address(), Some(0)),
    ] {
        let mut registers = Registers::patterned(code.plain());
        registers.rdi = argument;
        let after = registers.call();
        check_eq!(after.flags & 1, 0, "{code:?} failed with {:#x}", after.rax);
        if let Some(output) = output {
            check_eq!(after.rax, output, "{code:?}");
        }
        check_eq!(outputs(&after), [0; 6], "outputs 1 to 6 of {code:?}");
        check_eq!(after.flags & !1, 0x202, "{code:?}");
        let zero = [after.rbx, after.rbp, after.r12, after.r13, after.r14, after.r15];
        check_eq!(zero, [0; 6], "{code:?}");
    }
    Ok(())
}

fn abi_registers_after_errors(_ctx: &Ctx) -> Verdict {
    let timed_out = Timeout::ZERO;
    let none = postern_tests::syscall::abi::code::IpcFlags::empty();
    for rax in [
        0,
        Code::Null.plain() | 0x77,
        Code::Call.plain(),
        Code::Send.plain(),
        Code::Receive.encode(none, timed_out, timed_out),
        Code::Reply.plain(),
        Code::ReplyReceive.plain(),
        Code::SaveReply.plain(),
        Code::SetFsBase.plain(),
    ] {
        let registers = Registers::patterned(rax);
        let after = registers.call();
        check_eq!(after.flags & 1, 1, "{rax:#x} did not fail");
        check!(ErrorCode::decode(after.rax).is_some(), "{rax:#x}: {:#x} is no error", after.rax);
        check_eq!(outputs(&after), [0; 6], "outputs 1 to 6 of {rax:#x}");
        nothing_leaks(registers, &after, "an error")?;
    }
    Ok(())
}

fn abi_registers_after_an_operation(ctx: &Ctx) -> Verdict {
    // INFO of ports: two words; the others and the label are zero.
    let mut registers = Registers::patterned(Code::Call.plain());
    registers.rdi = ctx.ports.slot().word();
    registers.rsi = Tag::new(KOBJECT, 1).bits();
    registers.rdx = 0x804;
    let after = registers.call();
    check_eq!(after.flags & 1, 0);
    check_eq!(outputs(&after), [0, Tag::new(0, 2).bits(), 0x70, 2, 0, 0]);
    nothing_leaks(registers, &after, "an operation")?;
    // One that makes the kernel work in steps.
    let slot = ctx.slot()?;
    let mut registers = Registers::patterned(Code::Call.plain());
    registers.rdi = ctx.factory.slot().word();
    registers.rsi = Tag::new(KOBJECT, 4).bits();
    [registers.rdx, registers.r10, registers.r8, registers.r9] = [0x101, 5, slot.word(), 1 << 20];
    let after = registers.call();
    check_eq!(after.flags & 1, 0, "creating memory: {:#x}", after.rax);
    check_eq!(outputs(&after), [0; 6], "after creating memory");
    nothing_leaks(registers, &after, "creating memory")
}

/// Spins with every register full, so that there is something to leak.
fn fill_registers(_: u64) -> u64 {
    while board::get(0) == 0 {
        let _ = postern_tests::bare::call::kept_registers(0xbad0_bad0_bad0_0000, 20_000);
        control::yield_now();
    }
    0
}

fn abi_registers_after_waiting(ctx: &Ctx) -> Verdict {
    // While this thread waits, others run.
    let (gate, mut other) = (ctx.gate(0x40)?, ctx.peer()?);
    other.start(fill_registers, 0)?;
    let none = postern_tests::syscall::abi::code::IpcFlags::empty();
    for _ in 0..10 {
        let timeout = Timeout::from_ns(1_000_000);
        let registers = Registers::patterned(Code::Receive.encode(none, timeout, timeout));
        let after = registers.call();
        check_eq!(ErrorCode::decode(after.rax).map(|e| e.number), Some(ErrorNumber::Timeout));
        check_eq!(outputs(&after), [0; 6], "after a timeout");
        nothing_leaks(registers, &after, "a timeout")?;
    }
    let mut sender = ctx.peer()?;
    let there = sender.give(gate.item(Rights::empty()))?;
    let body: Body = |slot| {
        let slot = postern_tests::syscall::Slot::new(slot as u32);
        postern_tests::tell(ipc::send(slot, Tag::new(7, 2), [3, 4, 5, 6], Timeout::NEVER))
    };
    sender.start(body, there.word())?;
    let registers = Registers::patterned(Code::Receive.plain());
    let after = registers.call();
    check_eq!(after.rax, 1, "the kind of the delivery");
    check_eq!(outputs(&after), [0x40, Tag::new(7, 2).bits(), 3, 4, 5, 6]);
    nothing_leaks(registers, &after, "a message")?;
    board::set(0, 1);
    check_eq!((sender.join()?, other.join()?), (0, 0));
    Ok(())
}

fn abi_registers_of_a_new_thread(ctx: &Ctx) -> Verdict {
    // It pushes its registers onto the board, which is its stack.
    const TOP: usize = 100;
    let thread = ctx.helper(postern_tests::protocol::PRIORITY)?;
    let (entry, stack) = (pushing_entry(), board::ADDRESS + 8 * TOP as u64);
    thread.thread().start(entry, stack, 0x1111, 0x2222)?;
    check_eq!(thread.join()?, 0);
    let pushed: [u64; 16] = core::array::from_fn(|index| board::get(TOP - 1 - index));
    let mut expected = [0; 16];
    (expected[4], expected[5], expected[15]) = (0x2222, 0x1111, 0x202);
    check_eq!(pushed, expected, "rax rbx rcx rdx rsi rdi rbp r8-r15 flags");
    Ok(())
}

fn abi_flags_after_a_call(_ctx: &Ctx) -> Verdict {
    // Arithmetic flags, direction, nested task, alignment check, ID: all gone.
    for flags in [0x202, 0x2d7, 0x602, 0x4202, 0x4_0202, 0x20_0202, 0x4ed7] {
        for (rax, carry) in [(Code::Null.plain(), 0), (0, 1)] {
            let mut registers = Registers::patterned(rax);
            registers.flags = flags;
            let after = registers.call();
            check_eq!(after.flags, 0x202 | carry, "from flags {flags:#x}");
        }
    }
    Ok(())
}

fn abi_direction_flag_does_not_reach_the_kernel(ctx: &Ctx) -> Verdict {
    // What zeroes and copies in the kernel must not go backwards.
    const BYTES: u64 = 1 << 18;
    const AT: u64 = 0xc_0000_0000;
    let slot = ctx.slot()?;
    let mut registers = Registers::patterned(Code::Call.plain());
    registers.flags = 0x602;
    registers.rdi = ctx.factory.slot().word();
    registers.rsi = Tag::new(KOBJECT, 4).bits();
    [registers.rdx, registers.r10, registers.r8, registers.r9] = [0x101, 5, slot.word(), BYTES];
    for _ in 0..4 {
        let after = registers.call();
        check_eq!(after.flags, 0x202, "creating memory: {:#x}", after.rax);
        let memory = Memory::new(slot);
        ctx.task.map(memory, AT, 0, BYTES, Rights::R | Rights::W)?;
        for at in (AT..AT + BYTES).step_by(8) {
            check!(read(at) == 0, "{:#x} at {at:#x}", read(at));
            write(at, u64::MAX);
        }
        ctx.task.destroy(slot)?;
    }
    Ok(())
}

fn abi_stack_pointer_is_kept(_ctx: &Ctx) -> Verdict {
    for code in [Code::Null, Code::Yield, Code::Clock] {
        let after = Registers::patterned(code.plain()).call();
        check_eq!(after.rsp, 0, "{code:?}");
    }
    Ok(())
}

fn abi_fs_base_arguments(_ctx: &Ctx) -> Verdict {
    let wrong = [
        0x7fff_ffff_f000,
        0x8000_0000_0000,
        0xffff_7fff_ffff_ffff,
        0xffff_8000_0000_0000,
        u64::MAX,
    ];
    for address in wrong {
        let mut registers = Registers::patterned(Code::SetFsBase.plain());
        registers.rdi = address;
        let after = registers.call();
        check_eq!(ErrorCode::decode(after.rax), Some(op(ErrorNumber::Inval, 1)), "{address:#x}");
        check_eq!(after.flags & 1, 1);
    }
    check!(utcb::address() != 0);
    Ok(())
}

fn abi_fs_base_is_kept(ctx: &Ctx) -> Verdict {
    // Threads of one task, threads of others: each finds its own UTCB, over
    // switches in every direction.
    let body: Body = |_| {
        let own = utcb::address();
        for _ in 0..200 {
            control::yield_now();
            if utcb::address() != own {
                return 0;
            }
        }
        own
    };
    let mut peers = [ctx.peer()?, ctx.peer()?];
    for peer in &mut peers {
        peer.start(body, 0)?;
    }
    let helpers = [ctx.spawn(body, 0)?, ctx.spawn(body, 0)?];
    let mut seen = alloc::vec::Vec::from([utcb::address()]);
    for partner in peers.iter().chain(&helpers) {
        let found = partner.join()?;
        check!(found != 0 && !seen.contains(&found), "UTCB {found:#x} among {seen:x?}");
        seen.push(found);
    }
    Ok(())
}
