//! What a guest does, its monitor sees, and can answer.

use postern_tests::bare::float::{Float, SAME, compare};
use postern_tests::bare::guest;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::vcpu::{Segment, register, resume, segment};
use postern_tests::syscall::{Capability, ErrorNumber, Rights};
use postern_tests::{Ctx, Verdict, check, check_eq, op, tests};

use crate::machine::{MEMORY, STACK, code, expect, machine, run, skip_over};

tests! {
    a10_guest_halts,
    a10_guest_ports,
    a10_guest_memory_on_demand,
    a10_guest_memory_is_taken_away,
    a10_guest_interrupts,
    a10_guest_exception_is_injected,
    a10_guest_system_registers,
    a10_guest_floating_point_is_its_own,
    a10_guest_operations_and_errors,
}

fn a10_guest_halts(ctx: &Ctx) -> Verdict {
    let _machine = run(ctx, guest::halt(), 1, 2)?;
    for _ in 0..3 {
        let exit = expect(code::HLT)?;
        check_eq!((exit.registers[register::RIP], exit.next), (0, 1));
        check_eq!(exit.registers[5..7], [2, 1], "rsi and rdi");
        check_eq!((exit.level, exit.interruptible, exit.pending), (0, false, false));
        skip_over(&exit)?;
    }
    Ok(())
}

fn a10_guest_ports(ctx: &Ctx) -> Verdict {
    let _machine = run(ctx, guest::ports(), 0, 0)?;
    // Port, whether it is read, bytes, value.
    for (port, read, bytes, value) in [
        (0x3f8, 0, 1, 0x41),
        (0x3f8, 1, 1, 0),
        (0x80, 0, 2, 0x1234),
        (0xcf8, 0, 4, 0x8000_0000),
        (0xcf8, 1, 4, 0),
        (0xf4, 0, 1, 0),
    ] {
        let exit = expect(code::PORT)?;
        let info = exit.info[0];
        check_eq!((info >> 16, info & 1, info >> 4 & 7), (port, read, bytes));
        let rax = exit.registers[register::RAX];
        if read == 0 && port != 0xf4 {
            check_eq!(rax & (u64::MAX >> (64 - 8 * bytes)), value);
        }
        resume(&[exit.next, 0x5a])?;
    }
    check_eq!(expect(code::HLT)?.registers[register::RAX], 0x5a);
    Ok(())
}

fn a10_guest_memory_on_demand(ctx: &Ctx) -> Verdict {
    let at = 0x10_0000;
    let machine = run(ctx, guest::touch(), at + 8, 5)?;
    let exit = expect(code::NESTED_FAULT)?;
    check_eq!((exit.info[1], exit.registers[register::RIP]), (at + 8, 0));
    let memory = ctx.memory(1)?;
    machine.space.map(memory, at, 0, PAGE, Rights::R)?;
    resume(&[])?;
    // Read-only is not enough: it is the write that faults now.
    let exit = expect(code::NESTED_FAULT)?;
    check_eq!((exit.info[1], exit.info[0] & 3), (at + 8, 3));
    machine.space.protect(at, PAGE, Rights::R | Rights::W)?;
    resume(&[])?;
    check_eq!(expect(code::HLT)?.registers[register::RAX], 5);
    Ok(())
}

fn a10_guest_memory_is_taken_away(ctx: &Ctx) -> Verdict {
    let at = 0x10_0000;
    let machine = run(ctx, guest::touch(), at, 5)?;
    let memory = ctx.memory(2)?;
    for round in 1..4 {
        let exit = expect(code::NESTED_FAULT)?;
        check_eq!(exit.info[1], at);
        // Each time another page, and never the stale one.
        machine.space.map(memory, at, (round % 2) * PAGE, PAGE, Rights::R | Rights::W)?;
        resume(&[])?;
        let exit = expect(code::HLT)?;
        check_eq!(exit.registers[register::RAX], 5 * round.div_ceil(2));
        machine.space.unmap(at, PAGE)?;
        resume(&[0])?;
    }
    Ok(())
}

/// An interrupt table with one handler, at 0x1c0.
fn with_handler(ctx: &Ctx, vector: u64) -> Result<crate::machine::Machine, postern_tests::Failure> {
    const TABLE: u64 = 0x6000;
    const SEGMENTS: u64 = 0x5000;
    let mut machine = machine(ctx, guest::interrupts())?;
    // Selector 8 is 64-bit code; the gate is an interrupt gate.
    machine.memory.write(SEGMENTS + 8, &0x0020_9b00_0000_0000_u64.to_le_bytes());
    machine.memory.write(SEGMENTS + 16, &0x0000_9300_0000_0000_u64.to_le_bytes());
    machine.memory.write(TABLE + 16 * vector, &0x0000_8e00_0008_01c0_u64.to_le_bytes());
    let mut system = machine.vcpu.system()?;
    let table = |base| Segment { limit: 0xfff, base, ..Segment::default() };
    system.segments[segment::IDTR] = table(TABLE);
    system.segments[segment::GDTR] = table(SEGMENTS);
    system.segments[segment::CS].selector = 8;
    system.segments[segment::SS].selector = 16;
    machine.vcpu.set_system(&system)?;
    machine.thread.start(0, STACK, 0, 0)?;
    Ok(machine)
}

fn a10_guest_interrupts(ctx: &Ctx) -> Verdict {
    let machine = with_handler(ctx, 0x31)?;
    let exit = expect(code::HLT)?;
    check_eq!((exit.registers[register::RBX], exit.interruptible), (0, true));
    machine.vcpu.interrupt(0x31)?;
    check_eq!(machine.vcpu.interrupt(0x31), Err(op(ErrorNumber::Busy, 0)));
    skip_over(&exit)?;
    let exit = expect(code::HLT)?;
    check_eq!((exit.registers[register::RBX], exit.pending), (1, false));
    // It waits while the guest lets none in.
    machine.vcpu.interrupt(0x31)?;
    let mut registers = exit.registers;
    registers[register::RFLAGS] &= !0x200;
    registers[register::RIP] = exit.registers[register::RIP];
    resume(&registers)?;
    let exit = expect(code::HLT)?;
    check_eq!((exit.registers[register::RBX], exit.pending), (1, true));
    let mut registers = exit.registers;
    registers[register::RFLAGS] |= 0x200;
    registers[register::RIP] = exit.next;
    resume(&registers)?;
    check_eq!(expect(code::HLT)?.registers[register::RBX], 2);
    Ok(())
}

fn a10_guest_exception_is_injected(ctx: &Ctx) -> Verdict {
    let machine = with_handler(ctx, 6)?;
    let exit = expect(code::HLT)?;
    machine.vcpu.inject(6, None)?;
    skip_over(&exit)?;
    check_eq!(expect(code::HLT)?.registers[register::RBX], 1);
    check_eq!(machine.vcpu.inject(32, None), Err(op(ErrorNumber::Inval, 1)));
    Ok(())
}

fn a10_guest_system_registers(ctx: &Ctx) -> Verdict {
    let machine = machine(ctx, guest::halt())?;
    let mut system = machine.vcpu.system()?;
    system.calls = [1, 2, 3, 4, 5, 6, 7, 8];
    system.tsc_offset = 9;
    system.segments[4].base = 0x1_0000;
    machine.vcpu.set_system(&system)?;
    check_eq!(machine.vcpu.system()?, system);
    // Emulations do not say that the task state is busy.
    let mut available = system;
    available.segments[segment::TR].attributes = 0x89;
    machine.vcpu.set_system(&available)?;
    check_eq!(machine.vcpu.system()?, available);
    machine.vcpu.set_system(&system)?;
    // What no guest can have: SVM of its own, or a task state that is none.
    let mut wrong = system;
    wrong.efer |= 1 << 12;
    check_eq!(machine.vcpu.set_system(&wrong), Err(op(ErrorNumber::Inval, 5)));
    let mut wrong = system;
    wrong.segments[segment::TR].attributes = 0;
    check_eq!(machine.vcpu.set_system(&wrong), Err(op(ErrorNumber::Inval, 35)));
    check_eq!(machine.vcpu.system()?, system);
    // They survive a run.
    machine.thread.start(0, STACK, 0, 0)?;
    let exit = expect(code::HLT)?;
    check_eq!(machine.vcpu.system()?.calls, system.calls);
    skip_over(&exit)?;
    Ok(())
}

fn a10_guest_floating_point_is_its_own(ctx: &Ctx) -> Verdict {
    // Two guests hold different values; each exit lets the other one run.
    let gate = ctx.gate(0x80)?;
    for value in [0x1111, 0x2222] {
        let machine = machine(ctx, guest::float())?;
        machine.space.set_hypercall_gate(Some(gate))?;
        machine.thread.start(0, STACK, value, 0)?;
    }
    // The monitor has others again.
    let mine = Float::patterned(3);
    mine.load();
    let mut rounds = 0;
    while rounds < 20 {
        check_eq!(compare(&mine), SAME, "the monitor's, round {rounds}");
        let delivery = crate::machine::delivery()?;
        let exit = postern_tests::syscall::vcpu::Exit::from_delivery(&delivery);
        if let Some(exit) = exit {
            postern_tests::fail!("the value has changed: {exit:x?}");
        }
        // The answer gives back what the call brought in rdi.
        let rdi = delivery.words[1];
        check!([0x1111, 0x2222].contains(&rdi), "{rdi:#x}");
        postern_tests::syscall::Message::with_words(0, &[0, rdi]).reply(0)?;
        rounds += 1;
    }
    // And who comes new finds none of them.
    check_eq!(ctx.spawn(|_| compare(&Float::clean()), 0)?.join()?, SAME);
    Ok(())
}

fn a10_guest_operations_and_errors(ctx: &Ctx) -> Verdict {
    let machine = machine(ctx, guest::spin())?;
    let ordinary = ctx.new_thread()?;
    let not_one = postern_tests::syscall::vcpu::Vcpu(ordinary);
    check_eq!(not_one.system().map(drop), Err(op(ErrorNumber::WrongKind, 0)));
    check_eq!(not_one.interrupt(1), Err(op(ErrorNumber::WrongKind, 0)));
    check_eq!(machine.thread.bind(ctx.task).map(drop), Err(op(ErrorNumber::Exists, 0)));
    let registers = machine.thread.registers()?;
    check_eq!(machine.thread.set_registers(&registers), Err(op(ErrorNumber::Unsupported, 0)));
    let weak = postern_tests::syscall::vcpu::Vcpu(ctx.derive(machine.thread, Rights::R)?);
    check!(weak.system().is_ok(), "R is enough to look");
    check_eq!(weak.interrupt(1), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(weak.inject(1, None), Err(op(ErrorNumber::Perm, 0)));
    // W and X exclude each other in the memory of programs only.
    let memory = ctx.memory(1)?;
    let all = Rights::R | Rights::W | Rights::X;
    check_eq!(ctx.task.map(memory, 0xc_0000_0000, 0, PAGE, all), Err(op(ErrorNumber::Inval, 4)));
    machine.space.map(memory, MEMORY, 0, PAGE, all)?;
    check_eq!(ctx.task.map(memory, 0, 0, PAGE, Rights::R), Err(op(ErrorNumber::Inval, 1)));
    // Nothing is shown of a guest that may run.
    machine.thread.start(0, STACK, 0, 0)?;
    check_eq!(machine.vcpu.system().map(drop), Err(op(ErrorNumber::Busy, 0)));
    machine.thread.stop()?;
    check!(machine.vcpu.system().is_ok(), "stopped");
    ctx.task.destroy(machine.thread.slot())?;
    Ok(())
}
