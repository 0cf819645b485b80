//! Guests that spoil nothing but themselves, and monitors that die.

use core::time::Duration;

use postern_tests::bare::guest;
use postern_tests::runtime::time;
use postern_tests::syscall::abi::op::reason;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::abi::tag::protocol::{EXIT, HYPERCALL};
use postern_tests::syscall::vcpu::{register, resume};
use postern_tests::syscall::{Capability, ErrorNumber, Message, Tag, Timeout, ipc};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, sent, tests};

use crate::machine::{
    Machine, STACK, code, delivery, exit, expect, machine, machine_with, run, skip_over,
};

tests! {
    a10_guest_that_spins_is_preempted,
    a10_guest_triple_fault,
    a10_guest_invalid_state,
    a10_guest_outside_of_its_memory,
    a10_guest_host_instructions,
    a10_guest_every_msr,
    a10_guest_every_port,
    a10_guest_floods_hypercalls,
    a10_guest_whose_monitor_dies,
    a10_guest_that_runs_when_its_monitor_dies,
    a10_guest_goes_with_its_factory_while_it_runs,
    a10_guest_whose_monitor_gives_up,
    a10_guest_is_killed_while_it_is_answered,
    a10_guest_memory_is_destroyed_while_it_runs,
    a10_guest_gives_everything_back,
}

fn a10_guest_that_spins_is_preempted(ctx: &Ctx) -> Verdict {
    let machine = run(ctx, guest::spin(), 0, 0)?;
    // This thread has its priority; both get on.
    let before = machine.thread.info()?.cpu_time;
    let mut rounds = 0;
    while machine.thread.info()?.cpu_time < before + 30_000_000 {
        rounds += 1;
        check!(rounds < 10_000_000, "the guest does not run");
    }
    machine.thread.stop()?;
    let first = machine.thread.registers()?.general[0];
    check!(first > 1000, "{first} rounds");
    time::sleep(Duration::from_millis(1));
    check_eq!(machine.thread.registers()?.general[0], first, "it is stopped");
    machine.thread.resume()?;
    time::sleep(Duration::from_millis(30));
    machine.thread.stop()?;
    check!(machine.thread.registers()?.general[0] > first, "it goes on where it was");
    // One of lower priority runs only when nobody else does.
    ctx.scheduler.set_priority(machine.thread, 1)?;
    machine.thread.resume()?;
    check_eq!(machine.thread.info()?.state, Some(ThreadState::Ready));
    ctx.task.destroy(machine.thread.slot())?;
    Ok(())
}

fn a10_guest_triple_fault(ctx: &Ctx) -> Verdict {
    let _machine = run(ctx, guest::triple(), 0, 0)?;
    expect(code::SHUTDOWN)?;
    Ok(())
}

fn a10_guest_invalid_state(ctx: &Ctx) -> Verdict {
    let machine = machine(ctx, guest::halt())?;
    let good = machine.vcpu.system()?;
    // Paging without protected mode; cache flags that contradict each other;
    // long mode without the address extension; high bits.
    let mut bad = [good; 4];
    bad[0].cr[0] = 0x8000_0010;
    bad[1].cr[0] |= 1 << 29;
    bad[2].cr[3] = 0;
    bad[3].cr[0] |= 1 << 40;
    machine.vcpu.set_system(&bad[1])?;
    machine.thread.start(0, STACK, 0, 0)?;
    for system in &bad {
        // Some emulations refuse less than the CPU; then the guest faults in
        // its own way.
        let exit = exit()?;
        check!(
            [code::INVALID, code::SHUTDOWN, code::HLT, code::NESTED_FAULT].contains(&exit.code),
            "{exit:x?}"
        );
        machine.vcpu.set_system(system)?;
        resume(&[0])?;
    }
    exit()?;
    // And it works again afterwards.
    machine.vcpu.set_system(&good)?;
    resume(&[0])?;
    expect(code::HLT)?;
    Ok(())
}

fn a10_guest_outside_of_its_memory(ctx: &Ctx) -> Verdict {
    // Where nothing is mapped: behind its memory; where its own tables lead
    // to an address that cannot be.
    let machine = run(ctx, guest::touch(), 0x1_0000, 1)?;
    check_eq!(expect(code::NESTED_FAULT)?.info[1], 0x1_0000);
    for (entry, address) in [(0x80_0000_0083_u64, 0x80_0000_0000), (0xf_ffff_c000_0083, 0)] {
        let mut registers = [0; 7];
        registers[6] = 0x20_0000;
        // The second large page of the guest.
        let mut memory = postern_tests::runtime::memory::Mapping::new(
            machine.memory.memory(),
            crate::machine::MEMORY,
            postern_tests::syscall::Rights::R | postern_tests::syscall::Rights::W,
        )?;
        memory.write(0x3008, &entry.to_le_bytes());
        resume(&registers)?;
        let exit = exit()?;
        if address != 0 {
            check_eq!((exit.code, exit.info[1]), (code::NESTED_FAULT, address));
        }
    }
    Ok(())
}

fn a10_guest_host_instructions(ctx: &Ctx) -> Verdict {
    let _machine = run(ctx, guest::forbidden(), 0, 0)?;
    for code in [code::VMRUN, code::VMLOAD, code::VMSAVE, code::STGI, code::CLGI] {
        skip_over(&expect(code)?)?;
    }
    // QEMU's emulation gives INVD the code of WBINVD.
    let exit = exit()?;
    check!([code::INVD, code::WBINVD].contains(&exit.code), "{exit:x?}");
    skip_over(&exit)?;
    skip_over(&expect(code::WBINVD)?)?;
    // The length of these is not told; both have three bytes.
    for code in [code::WRITE_DR0, code::READ_DR7] {
        let exit = expect(code)?;
        resume(&[exit.registers[register::RIP] + 3])?;
    }
    expect(code::HLT)?;
    Ok(())
}

/// Answers exits of one kind until the guest halts; their number.
fn answer_all(code: u64) -> Result<u64, Failure> {
    let mut count = 0;
    loop {
        let exit = exit()?;
        if exit.code == code::HLT {
            return Ok(count);
        }
        check_eq!(exit.code, code);
        count += 1;
        skip_over(&exit)?;
    }
}

fn a10_guest_every_msr(ctx: &Ctx) -> Verdict {
    // The third number: how many of them are the guest's own.
    for (first, end, own) in [
        (0, 0x400, 0),
        (0x800, 0x880, 0),
        (0xc000_0080, 0xc000_0110, 3),
        (0xc001_0010, 0xc001_0140, 0),
    ] {
        let machine = run(ctx, guest::msrs(), first, end)?;
        check_eq!(answer_all(code::MSR)?, 2 * (end - first - own), "from {first:#x}");
        // The guest has written ones to them, to its own and to nobody else's.
        let system = machine.vcpu.system()?;
        let wanted = if own > 0 { u64::MAX } else { 0 };
        let bases = [system.segments[4].base, system.segments[5].base, system.calls[4]];
        check_eq!(bases, [wanted; 3]);
        ctx.task.destroy(machine.thread.slot())?;
    }
    Ok(())
}

fn a10_guest_every_port(ctx: &Ctx) -> Verdict {
    for (first, end) in [(0, 0x500), (0xcf0, 0xd00), (0xff00, 0x1_0000)] {
        let machine = run(ctx, guest::all_ports(), first, end)?;
        check_eq!(answer_all(code::PORT)?, 2 * (end - first), "from {first:#x}");
        ctx.task.destroy(machine.thread.slot())?;
    }
    Ok(())
}

fn a10_guest_floods_hypercalls(ctx: &Ctx) -> Verdict {
    const CALLS: u64 = 3000;
    let machine = machine(ctx, guest::flood())?;
    machine.space.set_hypercall_gate(Some(ctx.gate(0x80)?))?;
    machine.thread.start(0, STACK, 0, 0)?;
    for _ in 0..CALLS {
        check_eq!(delivery()?.tag.protocol(), HYPERCALL);
        ipc::reply(0, Tag::new(0, 1), [0; 4])?;
    }
    check_eq!(delivery()?.tag.protocol(), HYPERCALL);
    check_eq!(machine.thread.registers()?.general[1], CALLS);
    // Nobody answers any more: it goes on, and is preempted all the same.
    machine.space.set_hypercall_gate(None)?;
    ipc::reply(0, Tag::new(0, 1), [0; 4])?;
    time::sleep(Duration::from_millis(5));
    machine.thread.stop()?;
    check!(machine.thread.registers()?.general[1] > CALLS, "it goes on");
    Ok(())
}

/// The message of the end of a guest.
fn end_of(machine: &Machine) -> Result<[u64; 4], Failure> {
    let end = delivery()?;
    check_eq!((end.label, end.tag), (0xc0, Tag::new(EXIT, 4)));
    check_eq!(machine.thread.info()?.state, Some(ThreadState::Faulted));
    Ok(end.words)
}

fn a10_guest_whose_monitor_dies(ctx: &Ctx) -> Verdict {
    for received in [true, false] {
        let mut monitor = ctx.helper(100)?;
        let exits = ctx.gate_to(monitor.thread(), 0x40)?;
        let machine = machine_with(ctx, guest::halt(), exits)?;
        machine.thread.set_exit_gate(Some(ctx.gate(0xc0)?))?;
        if received {
            monitor.start(|_| ipc::receive(Timeout::NEVER).map_or(1, |_| 2), 0)?;
        }
        machine.thread.start(0, STACK, 0, 0)?;
        if received {
            check_eq!(monitor.join()?, 2);
        } else {
            ctx.await_state(machine.thread, ThreadState::Faulting)?;
        }
        drop(monitor);
        let [why, detail, rip, _] = end_of(&machine)?;
        check_eq!((why, detail, rip), (reason::GUEST, code::HLT, 0));
    }
    Ok(())
}

fn a10_guest_that_runs_when_its_monitor_dies(ctx: &Ctx) -> Verdict {
    // It notices when it needs its monitor, and not before.
    let mut monitor = ctx.helper(100)?;
    let exits = ctx.gate_to(monitor.thread(), 0x40)?;
    let machine = machine_with(ctx, guest::spin(), exits)?;
    machine.thread.set_exit_gate(Some(ctx.gate(0xc0)?))?;
    monitor.start(|_| ipc::receive(Timeout::NEVER).map_or(1, |_| 2), 0)?;
    machine.thread.start(0, STACK, 0, 0)?;
    time::sleep(Duration::from_millis(1));
    drop(monitor);
    time::sleep(Duration::from_millis(1));
    machine.thread.stop()?;
    let first = machine.thread.registers()?.general[0];
    check!(first > 1000, "{first} rounds");
    machine.thread.resume()?;
    time::sleep(Duration::from_millis(1));
    check_eq!(machine.thread.info()?.state, Some(ThreadState::Ready));
    // Its memory goes: an exit, and nobody there.
    ctx.task.destroy(machine.memory.memory().slot())?;
    check_eq!(end_of(&machine)?[..2], [reason::GUEST, code::NESTED_FAULT]);
    Ok(())
}

fn a10_guest_goes_with_its_factory_while_it_runs(ctx: &Ctx) -> Verdict {
    // What happens when a monitor is killed by whoever started it.
    let before = ctx.charged()?;
    let machine = machine(ctx, guest::spin())?;
    let factory = ctx.sub_factory(1 << 20)?;
    let thread = factory.create_thread(ctx.slot()?, 100)?;
    thread.bind(machine.space)?;
    let vcpu = postern_tests::syscall::vcpu::Vcpu(thread);
    vcpu.set_system(&machine.vcpu.system()?)?;
    thread.start(0, STACK, 0, 0)?;
    time::sleep(Duration::from_millis(1));
    check_eq!(thread.info()?.state, Some(ThreadState::Ready));
    factory.empty()?;
    check!(thread.info().is_err(), "it is gone");
    ctx.task.destroy(factory.slot())?;
    ctx.task.destroy(machine.space.slot())?;
    ctx.task.destroy(machine.exits.slot())?;
    ctx.task.destroy(machine.memory.memory().slot())?;
    check_eq!(ctx.charged()?, before);
    Ok(())
}

fn a10_guest_whose_monitor_gives_up(ctx: &Ctx) -> Verdict {
    let first = run(ctx, guest::halt(), 0, 0)?;
    first.thread.set_exit_gate(Some(ctx.gate(0xc0)?))?;
    expect(code::HLT)?;
    ipc::reply(0, Tag::new(0, 1), [1, 0, 0, 0])?;
    check_eq!(end_of(&first)?[0], reason::GUEST);
    // No monitor at all.
    let second = machine_with(ctx, guest::triple(), ctx.unbound()?)?;
    second.thread.set_exit_gate(Some(ctx.gate(0xc0)?))?;
    second.thread.start(0, STACK, 0, 0)?;
    check_eq!(end_of(&second)?[..2], [reason::GUEST, code::SHUTDOWN]);
    Ok(())
}

fn a10_guest_is_killed_while_it_is_answered(ctx: &Ctx) -> Verdict {
    for whole in [false, true] {
        let machine = run(ctx, guest::halt(), 0, 0)?;
        expect(code::HLT)?;
        ctx.task.destroy(if whole { machine.space.slot() } else { machine.thread.slot() })?;
        check_eq!(resume(&[1]), Err(sent(ErrorNumber::NotExistent)));
    }
    // And while its hypercall is.
    let machine = machine(ctx, guest::flood())?;
    machine.space.set_hypercall_gate(Some(ctx.gate(0x80)?))?;
    machine.thread.start(0, STACK, 0, 0)?;
    delivery()?;
    ctx.task.destroy(machine.space.slot())?;
    let late = Message::with_words(0, &[1]).reply(0);
    check_eq!(late, Err(sent(ErrorNumber::NotExistent)));
    Ok(())
}

fn a10_guest_memory_is_destroyed_while_it_runs(ctx: &Ctx) -> Verdict {
    let machine = run(ctx, guest::spin(), 0, 0)?;
    time::sleep(Duration::from_millis(1));
    // The memory itself: the guest faults, and its monitor hears of it.
    ctx.task.destroy(machine.memory.memory().slot())?;
    expect(code::NESTED_FAULT)?;
    // Its address space: the virtual CPU goes with it.
    let machine = run(ctx, guest::spin(), 0, 0)?;
    time::sleep(Duration::from_millis(1));
    ctx.task.destroy(machine.space.slot())?;
    check!(machine.thread.info().is_err(), "it is gone");
    Ok(())
}

fn a10_guest_gives_everything_back(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    for _ in 0..20 {
        let machine = run(ctx, guest::halt(), 0, 0)?;
        expect(code::HLT)?;
        ctx.task.destroy(machine.space.slot())?;
        ctx.task.destroy(machine.exits.slot())?;
        ctx.task.destroy(machine.memory.memory().slot())?;
    }
    check_eq!(ctx.charged()?, before);
    Ok(())
}
