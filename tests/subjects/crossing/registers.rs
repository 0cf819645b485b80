//! What registers carry across the border, and what they must not.

use postern_tests::bare::call::Registers;
use postern_tests::bare::crossing::{LABEL, arrived, entry_point};
use postern_tests::syscall::{Capability, Code, DeliveryKind, Slot, Tag, Timeouts, utcb};
use postern_tests::{Ctx, Verdict, check, check_eq, tests};

use crate::obey::{ask, command, obey};
use crate::server::{FLOOR, FOUR, GRACE, Server};

tests! {
    x04_registers_leak_in_neither_direction,
    x04_flags_are_cleared_in_both_directions,
    x07_a_handler_that_trashes_everything_hurts_nobody,
    x04_utcb_and_stack_are_those_of_the_context,
}

/// A server whose handler is the probe, and a gate to it.
fn probed(ctx: &Ctx) -> Result<(Server, Slot), postern_tests::Failure> {
    let mut server = Server::new(ctx, 0, obey)?;
    let entry = ctx.factory.create_entry(ctx.slot()?, server.task, entry_point(), FLOOR, GRACE)?;
    let stack = server.stack(ctx, obey)?;
    entry.add_context(stack)?;
    let gate = ctx.factory.create_entry_gate(ctx.slot()?, entry, 0x40, 0)?;
    Ok((server, gate.slot()))
}

/// The registers of a call of the probe, every other one filled.
fn calling(gate: Slot) -> Registers {
    let mut registers = Registers::patterned(Code::Call.plain());
    registers.rdi = gate.word();
    registers.rsi = FOUR.bits();
    registers
}

fn x04_registers_leak_in_neither_direction(ctx: &Ctx) -> Verdict {
    let (_server, gate) = probed(ctx)?;
    let sent = calling(gate);
    let back = sent.call();
    let seen = arrived();
    // The callee sees the delivery and nothing else.
    check_eq!(seen.rax, DeliveryKind::Call as u64);
    check_eq!((seen.rdi, seen.rsi), (0x43, FOUR.bits()));
    check_eq!([seen.rdx, seen.r10, seen.r8, seen.r9], [sent.rdx, sent.r10, sent.r8, sent.r9]);
    check_eq!([seen.rbx, seen.rbp, seen.r12, seen.r13, seen.r14, seen.r15], [0; 6]);
    check_eq!((seen.rcx, seen.r11), (entry_point(), 0x202), "where it begins, and its flags");
    // The caller gets the answer and nothing else.
    check_eq!(back.rax, DeliveryKind::Reply as u64);
    check_eq!((back.rdi, back.rsi), (LABEL, Tag::new(0, 4).bits()));
    let words = [LABEL + 1, LABEL + 2, LABEL + 3, LABEL + 4];
    check_eq!([back.rdx, back.r10, back.r8, back.r9], words);
    check_eq!([back.rbx, back.rbp, back.r12, back.r13, back.r14, back.r15], [0; 6]);
    check_eq!((back.r11, back.rsp), (0x202, 0));
    Ok(())
}

fn x04_flags_are_cleared_in_both_directions(ctx: &Ctx) -> Verdict {
    let (_server, gate) = probed(ctx)?;
    for flags in [0x400, 0x4_0000, 0x4_0cd7] {
        let back = Registers { flags: 0x202 | flags, ..calling(gate) }.call();
        check_eq!(arrived().flags, 0x202, "at the handler, called with {flags:#x}");
        check_eq!(back.flags, 0x202, "back from a handler that had DF and AC set");
    }
    Ok(())
}

fn x07_a_handler_that_trashes_everything_hurts_nobody(ctx: &Ctx) -> Verdict {
    let (_server, gate) = probed(ctx)?;
    // The stub saves what the compiler keeps in registers.
    let mut numbers: [u64; 12] = core::array::from_fn(|index| index as u64 * 7);
    for turn in 0..50 {
        postern_tests::syscall::ipc::call(gate, FOUR, [turn; 4], Timeouts::NEVER)?;
        numbers.iter_mut().for_each(|number| *number += turn);
    }
    for (index, number) in numbers.into_iter().enumerate() {
        check_eq!(number, index as u64 * 7 + 49 * 50 / 2);
    }
    Ok(())
}

fn x04_utcb_and_stack_are_those_of_the_context(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, |_| crate::server::one(utcb::address()))?;
    let gate = server.gate(ctx, 0)?;
    let context = server.entry.context(server.contexts[0])?;
    check_eq!(crate::server::call(gate, 0)?, context.utcb);
    check!(context.utcb != utcb::address());
    check_eq!(context.fs_base, context.utcb);
    let other = Server::new(ctx, 1, obey)?;
    let at = ask(other.gate(ctx, 0)?, [command::STACK, 0, 0, 0])?;
    let stack = Server::stack_start(0)..Server::stack_top(0);
    check!(stack.contains(&at), "{at:#x} is not in {stack:#x?}");
    Ok(())
}
