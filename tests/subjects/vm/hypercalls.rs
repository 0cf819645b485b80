//! Hypercalls of guests: the same calls through the same kind of gate as those
//! of programs.

use postern_tests::bare::guest;
use postern_tests::hypercall::code_word;
use postern_tests::syscall::abi::tag::protocol::HYPERCALL;
use postern_tests::syscall::vcpu::{register, resume, segment};
use postern_tests::syscall::{Capability, DeliveryKind, Message, Tag, ipc};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, patience, tests};

use crate::machine::{Machine, STACK, code, delivery, expect, machine, run, skip_over};

tests! {
    a02_guest_arguments_and_outputs,
    a03_guest_carry_both_ways,
    a04_guest_name_spaces,
    a05_guest_detects_its_monitor,
    a10_guest_vmcall_across_a_page,
    a10_guest_without_a_gate,
    a10_guest_user_mode_may_not,
    a10_guest_instruction_count,
}

/// What both programs send, with `first` in `rdi`.
fn sent(first: u64) -> [u64; 7] {
    [code_word(0x100), first, 12, 13, 14, 15, 16]
}

/// Receives a hypercall of a guest.
fn call() -> Result<Message, Failure> {
    let delivery = delivery()?;
    check_eq!((delivery.kind, delivery.label), (DeliveryKind::Call, 0x80));
    check_eq!(delivery.tag, Tag::new(HYPERCALL, 7));
    Ok(Message::from_delivery(&delivery))
}

/// A running machine whose hypercalls come here.
fn served(ctx: &Ctx, program: [u8; guest::BYTES], rdi: u64) -> Result<Machine, Failure> {
    let machine = machine(ctx, program)?;
    machine.space.set_hypercall_gate(Some(ctx.gate(0x80)?))?;
    machine.thread.start(0, STACK, rdi, 0)?;
    Ok(machine)
}

/// One call of `program`, answered with `label`; the registers at the HLT.
fn one_call(ctx: &Ctx, program: [u8; guest::BYTES], label: u64) -> Result<[u64; 18], Failure> {
    let machine = served(ctx, program, 11)?;
    check_eq!(call()?.words(), sent(11));
    Message::with_words(0, &[30, 31, 32, 33, 34, 35, 36]).reply(label)?;
    let exit = expect(code::HLT)?;
    ctx.task.destroy(machine.thread.slot())?;
    Ok(exit.registers)
}

fn a02_guest_arguments_and_outputs(ctx: &Ctx) -> Verdict {
    for program in [guest::vmmcall(), guest::vmcall()] {
        let registers = one_call(ctx, program, 0)?;
        // rax rbx rcx rdx rsi rdi rbp rsp, then r8 to r10, and r15.
        check_eq!(registers[1..9], [30, 0, 34, 33, 32, 31, 11, STACK]);
        check_eq!(registers[10..13], [35, 36, 20]);
        check_eq!(registers[17], 25);
    }
    Ok(())
}

fn a03_guest_carry_both_ways(ctx: &Ctx) -> Verdict {
    for program in [guest::vmmcall(), guest::vmcall()] {
        for carry in [1, 0] {
            check_eq!(one_call(ctx, program, carry)?[register::RBX], carry);
        }
    }
    Ok(())
}

fn a04_guest_name_spaces(ctx: &Ctx) -> Verdict {
    // The kernel passes every code word on: `timed` uses another one.
    let _machine = served(ctx, guest::flood(), 0)?;
    check_eq!(call()?.word(0), code_word(0x102));
    Ok(())
}

fn a05_guest_detects_its_monitor(ctx: &Ctx) -> Verdict {
    let leaf = |leaf| match leaf {
        1 => [0, 0, 1 << 31, 0],
        0x4000_0100 => [0x4000_0103, 0x6c70_7061, 0x7670_2d65, 0x756e_782d],
        0x4000_0101 => [0x3123_4841, 0, 0, 0],
        0x4000_0102 => [0, 0, 0, 8],
        _ => [0; 4],
    };
    for offered in [true, false] {
        let _machine = served(ctx, guest::detect(), 0)?;
        loop {
            let delivery = delivery()?;
            if delivery.tag.protocol() == HYPERCALL {
                check_eq!(delivery.words[0], code_word(4));
                Message::with_words(0, &[0x77]).reply(0)?;
                continue;
            }
            let exit = postern_tests::syscall::vcpu::Exit::from_delivery(&delivery);
            let Some(exit) = exit else { postern_tests::fail!("{delivery:?}") };
            if exit.code == code::HLT {
                let expected = if offered { 0x77 } else { 0xbad };
                check_eq!(exit.registers[register::RAX], expected);
                break;
            }
            check_eq!(exit.code, code::CPUID);
            let asked = exit.registers[register::RAX];
            let [a, b, c, d] = if offered || asked == 1 { leaf(asked) } else { [0; 4] };
            resume(&[exit.next, a, b, c, d])?;
        }
    }
    Ok(())
}

fn a10_guest_vmcall_across_a_page(ctx: &Ctx) -> Verdict {
    // The instruction lies on both sides of the border of two pages of which
    // the guest's own tables say that they lie elsewhere.
    let mut machine = machine(ctx, guest::halt())?;
    machine.space.set_hypercall_gate(Some(ctx.gate(0x80)?))?;
    // A small-page table for the second 2 MiB: pages 0 and 1 are at 0xa000 and
    // 0x9000.
    machine.memory.write(0x3008, &0x5003_u64.to_le_bytes());
    machine.memory.write(0x5000, &0xa003_u64.to_le_bytes());
    machine.memory.write(0x5008, &0x9003_u64.to_le_bytes());
    for first in [1, 2] {
        let bytes = [0x0f, 0x01, 0xc1];
        machine.memory.write(0xb000 - first, &bytes[..first as usize]);
        machine.memory.write(0x9000, &bytes[first as usize..]);
        machine.memory.write(0x9000 + 3 - first, &[0xf4]);
        let rip = 0x20_1000 - first;
        if first == 1 {
            machine.thread.start(rip, STACK, 5, 0)?;
        } else {
            resume(&[rip])?;
        }
        check_eq!(call()?.word(1), 5);
        Message::with_words(0, &[9, 5]).reply(0)?;
        check_eq!(expect(code::HLT)?.registers[register::RAX], 9);
    }
    Ok(())
}

fn a10_guest_without_a_gate(ctx: &Ctx) -> Verdict {
    for program in [guest::vmmcall(), guest::vmcall()] {
        let machine = run(ctx, program, 11, 0)?;
        let registers = expect(code::HLT)?.registers;
        check_eq!(registers[1..9], [2, 1, 0, 0, 0, 0, 11, STACK]);
        ctx.task.destroy(machine.thread.slot())?;
    }
    Ok(())
}

fn a10_guest_user_mode_may_not(ctx: &Ctx) -> Verdict {
    // At level 3 both are invalid instructions, which this guest has no table
    // for: it shuts down.
    for bytes in [[0x0f, 0x01, 0xd9], [0x0f, 0x01, 0xc1]] {
        let mut program = [0xf4; guest::BYTES];
        program[..3].copy_from_slice(&bytes);
        let mut machine = machine(ctx, program)?;
        machine.space.set_hypercall_gate(Some(ctx.gate(0x80)?))?;
        // The guest's tables must let its user code in.
        for (at, entry) in [(0x1000, 0x2007_u64), (0x2000, 0x3007), (0x3000, 0x87)] {
            machine.memory.write(at, &entry.to_le_bytes());
        }
        let mut system = machine.vcpu.system()?;
        system.segments[segment::CS].attributes = 0xafb;
        system.segments[segment::SS].attributes = 0xcf3;
        machine.vcpu.set_system(&system)?;
        machine.thread.start(0, STACK, 0, 0)?;
        let exit = expect(code::SHUTDOWN)?;
        check!(exit.registers[register::RIP] < 4, "it went on: {exit:x?}");
        ctx.task.destroy(machine.thread.slot())?;
    }
    Ok(())
}

fn a10_guest_instruction_count(ctx: &Ctx) -> Verdict {
    let _machine = served(ctx, guest::timed(), 0)?;
    for _ in 0..8 {
        // The shortest answer there is.
        let delivery = ipc::receive(patience())?;
        check_eq!(delivery.words[0], code_word(0x102));
        ipc::reply(0, Tag::new(0, 1), [1, 0, 0, 0])?;
    }
    let exit = expect(code::HLT)?;
    let count = exit.registers[register::RAX];
    postern_tests::runtime::println!(
        "@@ note VMMCALL to the monitor and back: {count} instructions"
    );
    check!(count > 100, "{count} instructions cannot be");
    skip_over(&exit)?;
    Ok(())
}
