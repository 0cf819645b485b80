//! Scheduling state is the caller's, the activation the callee's.

use postern_tests::handler::{answer, fault};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::fault::{GIVE_UP, RESUME};
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorNumber, Gate, Registers, Rights, Slot, control, ipc,
};
use postern_tests::{Ctx, Verdict, board, check, check_eq, op, patience, received, tests};

use crate::obey::{ask, asks, asks_for_answer, command, obey, order};
use crate::server::Server;

tests! {
    x24_the_callee_runs_at_its_callers_priority,
    x24_the_floor_lifts_a_caller,
    x24_time_is_charged_to_the_caller,
    x24_preempted_and_resumed_inside_the_callee,
    x24_sleeping_inside_the_callee_lets_others_run,
    x24_a_priority_change_reaches_who_is_abroad,
    x24_a_page_fault_in_the_callee_goes_to_its_entrys_handler,
    x24_a_fault_handler_that_gives_up_ends_the_crossing,
    x24_a_fault_gate_that_is_bound_to_an_entry_tells_nobody,
    x24_registers_of_a_thread_abroad,
    x24_stop_takes_effect_on_return,
    x24_resume_takes_a_stop_back,
    x24_signals_wait_until_the_thread_is_home,
    x24_a_handler_waits_for_a_notification_that_it_names,
}

/// The log of who ran.
const LOG: u64 = 70;
/// Counters of those who spin.
const SPINS: [u64; 2] = [31, 32];
/// Lets handlers go on that await it.
const GO: u64 = 30;

/// A partner's body: logs 9.
fn rival(_: u64) -> u64 {
    board::push(LOG as usize, 9);
    0
}

/// A partner's body: has the handler log 1 and 2, with a chance for others
/// between.
fn log_twice(slot: u64) -> u64 {
    let words = [command::LOG_TWICE, 1, 2, LOG];
    postern_tests::tell(ask(Gate::new(Slot::new(slot as u32)), words))
}

fn x24_the_callee_runs_at_its_callers_priority(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let low = ctx.spawn_at(50, rival, 0)?;
    let high = ctx.spawn_at(60, log_twice, gate.slot().word())?;
    check_eq!((high.join()?, low.join()?), (0, 0));
    check_eq!(board::entries::<3>(LOG as usize), [1, 2, 9]);
    Ok(())
}

fn x24_the_floor_lifts_a_caller(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let lifted = postern_tests::syscall::EntryInfo { floor: 80, ..server.entry.info()? };
    server.entry.set(&lifted, None)?;
    let partner = ctx.spawn_at(50, asks, order(gate, command::AWAIT, GO))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    let other = ctx.spawn_at(60, rival, 0)?;
    let start = ctx.spawn_at(50, log_twice, gate.slot().word())?;
    board::set(GO as usize, 1);
    check_eq!((partner.join()?, other.join()?, start.join()?), (0, 0, 0));
    // The rival at 60 came before the second caller at 50 called at all, but
    // not between the two entries of its handler.
    check_eq!(board::entries::<3>(LOG as usize), [9, 1, 2]);
    check_eq!(partner.info()?.priority, 50);
    Ok(())
}

fn x24_time_is_charged_to_the_caller(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn_at(50, asks, order(gate, command::SPIN, SPINS[0]))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    let before = partner.info()?.cpu_time;
    // It is preempted by this thread many times meanwhile.
    for _ in 0..20 {
        control::sleep_until(control::clock() + 1_000_000)?;
    }
    let spent = partner.info()?.cpu_time - before;
    check!(spent > 15_000_000, "{spent} ns of 20 ms that it spun");
    Ok(())
}

fn x24_preempted_and_resumed_inside_the_callee(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 2, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partners = [
        ctx.spawn_at(50, asks, order(gate, command::SPIN, SPINS[0]))?,
        ctx.spawn_at(50, asks, order(gate, command::SPIN, SPINS[1]))?,
    ];
    let mut seen = [0; 2];
    for round in 0..3 {
        control::sleep_until(control::clock() + 50_000_000)?;
        let now = SPINS.map(|word| board::get(word as usize));
        check!(now[0] > seen[0] && now[1] > seen[1], "{seen:?}, then {now:?} in round {round}");
        seen = now;
    }
    // Both had about the same: the slices are those of the callers.
    check!(seen[0].abs_diff(seen[1]) < seen[0] / 2, "{seen:?}");
    for partner in &partners {
        partner.thread().cancel()?;
        check_eq!(partner.join()?, received(ErrorNumber::Cancelled).encode());
    }
    Ok(())
}

fn x24_sleeping_inside_the_callee_lets_others_run(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let other = ctx.spawn_at(50, rival, 0)?;
    let started = control::clock();
    check_eq!(ask(gate, [command::SLEEP, 3_000_000, 0, 0])?, 0);
    check!(control::clock() - started >= 3_000_000);
    check_eq!(board::entries::<1>(LOG as usize), [9], "the other one ran meanwhile");
    check_eq!(other.join()?, 0);
    Ok(())
}

fn x24_a_priority_change_reaches_who_is_abroad(ctx: &Ctx) -> Verdict {
    let mut inner = Server::new(ctx, 2, obey)?;
    let to_inner = inner.gate(ctx, 0)?;
    inner.give(to_inner)?;
    let partner = ctx.spawn_at(50, asks, order(to_inner, command::SPIN, SPINS[0]))?;
    let rival = ctx.spawn_at(60, asks, order(to_inner, command::SPIN, SPINS[1]))?;
    let turn = || control::sleep_until(control::clock() + 20_000_000);
    let counts = || SPINS.map(|word| board::get(word as usize));
    turn()?;
    let before = counts();
    turn()?;
    let then = counts();
    check!(then[0] == before[0] && then[1] > before[1], "the rival has the CPU: {then:?}");
    ctx.scheduler.set_priority(partner.thread(), 70)?;
    turn()?;
    let now = counts();
    check!(now[0] > then[0] && now[1] == then[1], "now the other one: {then:?}, {now:?}");
    ctx.scheduler.set_priority(partner.thread(), 40)?;
    turn()?;
    let last = counts();
    check!(last[0] == now[0] && last[1] > now[1], "and back: {now:?}, {last:?}");
    drop(rival);
    Ok(())
}

/// An address where nothing is mapped in a server.
const HOLE: u64 = 0x2_0000;

fn x24_a_page_fault_in_the_callee_goes_to_its_entrys_handler(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let pager = ctx.gate(0x880)?;
    server.entry.set_fault_gate(Some(pager))?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.helper(100)?;
    let own = ctx.gate(0x990)?;
    partner.thread().set_fault_gate(Some(own))?;
    let mut partner = partner;
    partner.start(asks_for_answer, order(gate, command::READ, HOLE))?;
    let told = fault()?;
    check_eq!(told.label, 0x880, "the handler of the entry, not that of the thread");
    check_eq!((told.words[0], told.words[1]), (14, HOLE));
    let memory = ctx.memory(1)?;
    server.task.map(memory, HOLE, 0, PAGE, Rights::R)?;
    answer(RESUME)?;
    check_eq!(partner.join()?, 0, "it read zeroed memory and came back");
    check_eq!(server.entry.info()?.free, 1);
    Ok(())
}

fn x24_a_fault_handler_that_gives_up_ends_the_crossing(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    server.entry.set_fault_gate(Some(ctx.gate(0x880)?))?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn(asks, order(gate, command::READ, 16))?;
    let told = fault()?;
    check_eq!(told.words[1], 16);
    check_eq!(partner.info()?.state, Some(ThreadState::Abroad));
    answer(GIVE_UP)?;
    check_eq!(partner.join()?, received(ErrorNumber::Aborted).encode());
    check_eq!(server.entry.info()?.quarantined, 1);
    Ok(())
}

fn x24_a_fault_gate_that_is_bound_to_an_entry_tells_nobody(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 2, obey)?;
    let gate = server.gate(ctx, 0)?;
    server.entry.set_fault_gate(Some(gate))?;
    check_eq!(ask(gate, [command::READ, 16, 0, 0]), Err(received(ErrorNumber::Aborted)));
    let partner = ctx.helper(100)?;
    partner.thread().set_fault_gate(Some(gate))?;
    partner.thread().set_exit_gate(Some(gate))?;
    let mut partner = partner;
    partner.start(|_| postern_tests::syscall::raw::peek(16).into(), 0)?;
    partner.await_state(ctx, ThreadState::Faulted)?;
    let info = server.entry.info()?;
    check_eq!((info.free, info.active, info.waiting), (1, 0, 0), "nobody crossed in its name");
    Ok(())
}

fn x24_registers_of_a_thread_abroad(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn(asks, order(gate, command::AWAIT, GO))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    let abroad = op(ErrorNumber::Abroad, 0);
    check_eq!(partner.thread().registers().map(drop), Err(abroad));
    let registers = Registers { rip: 0x40_0000, ..Registers::default() };
    check_eq!(partner.thread().set_registers(&registers), Err(abroad));
    // The callee cannot see them either, of whoever it is.
    board::set(GO as usize, 1);
    check_eq!(partner.join()?, 0);
    let here = Server::here(ctx, 1, obey)?;
    let own = [command::REGISTERS, ctx.thread.slot().word(), 0, 0];
    check_eq!(ask(here.gate(ctx, 0)?, own)?, abroad.encode());
    Ok(())
}

fn x24_stop_takes_effect_on_return(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn(asks, order(gate, command::AWAIT, GO))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    partner.thread().stop()?;
    check_eq!(partner.info()?.state, Some(ThreadState::Abroad), "no server is torn open");
    board::set(GO as usize, 1);
    partner.await_state(ctx, ThreadState::Stopped)?;
    check_eq!(server.entry.info()?.free, 1);
    partner.thread().resume()?;
    check_eq!(partner.join()?, 0, "its answer is there");
    // The same when the way back is an error.
    board::set(GO as usize, 0);
    let partner = ctx.spawn(asks, order(gate, command::AWAIT, GO))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    partner.thread().stop()?;
    partner.thread().cancel()?;
    partner.await_state(ctx, ThreadState::Stopped)?;
    partner.thread().resume()?;
    check_eq!(partner.join()?, received(ErrorNumber::Cancelled).encode());
    board::set(GO as usize, 1);
    Ok(())
}

fn x24_resume_takes_a_stop_back(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn(asks, order(gate, command::AWAIT, GO))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    partner.thread().stop()?;
    partner.thread().resume()?;
    board::set(GO as usize, 1);
    check_eq!(partner.join()?, 0);
    Ok(())
}

/// A partner's body: asks, then receives; the bits that came.
fn asks_then_receives(argument: u64) -> u64 {
    asks(argument);
    match ipc::receive(patience()) {
        Ok(signals) if signals.kind == DeliveryKind::Notification => signals.words[0],
        _ => u64::MAX,
    }
}

fn x24_signals_wait_until_the_thread_is_home(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn(asks_then_receives, order(gate, command::AWAIT, GO))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    let notification = ctx.notification()?;
    notification.bind(partner.thread())?;
    notification.signal(5)?;
    check_eq!(partner.info()?.state, Some(ThreadState::Abroad));
    board::set(GO as usize, 1);
    check_eq!(partner.join()?, 5);
    Ok(())
}

fn x24_a_handler_waits_for_a_notification_that_it_names(ctx: &Ctx) -> Verdict {
    let mut server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let notification = ctx.notification()?;
    let theirs = server.give(notification)?;
    let partner = ctx.spawn(asks_for_answer, order(gate, command::SIGNALS, theirs.word()))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    notification.signal(6)?;
    check_eq!(partner.join()?, 6);
    Ok(())
}
