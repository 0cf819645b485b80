//! A called server runs at the higher of its own and its caller's priority.

use postern_tests::protocol::PRIORITY;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Capability, Slot, Tag, Timeout, Timeouts, control, ipc};
use postern_tests::{Body, Ctx, Verdict, board, check_eq, patience, tell, tests};

use crate::word;

tests! {
    g08_call_lends_the_priority,
    g08_priority_falls_back_with_the_answer,
    g08_priority_falls_back_with_the_timeout,
    g08_priority_falls_back_with_the_callers_death,
    g08_woken_caller_preempts_its_server,
}

const TAG: Tag = Tag::new(7, 1);

/// A server: logs 1 at the start of each request, yields to rivals, logs 2,
/// answers, logs 3.
fn serve(_: u64) -> u64 {
    let Ok(_) = ipc::receive(patience()) else { return 1 };
    board::push(word::LOG, 1);
    control::yield_now();
    board::push(word::LOG, 2);
    let answered = ipc::reply(0, TAG, [0; 4]);
    board::push(word::LOG, 3);
    tell(answered)
}

/// A rival: logs 9.
fn rival(_: u64) -> u64 {
    board::push(word::LOG, 9);
    0
}

fn g08_call_lends_the_priority(ctx: &Ctx) -> Verdict {
    let server = ctx.spawn_at(30, serve, 0)?;
    let gate = ctx.gate_to(server.thread(), 0)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    // Between the server's own and the caller's priority.
    let between = ctx.spawn_at(60, rival, 0)?;
    ipc::call(gate.slot(), TAG, [0; 4], Timeouts::NEVER)?;
    check_eq!(between.join()?, 0);
    check_eq!(server.join()?, 0);
    check_eq!(board::entries::<4>(word::LOG), [1, 2, 9, 3]);
    Ok(())
}

fn g08_priority_falls_back_with_the_answer(ctx: &Ctx) -> Verdict {
    let server = ctx.spawn_at(30, serve, 0)?;
    let gate = ctx.gate_to(server.thread(), 0)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    check_eq!(server.info()?.priority, 30);
    ipc::call(gate.slot(), TAG, [0; 4], Timeouts::NEVER)?;
    // The answer has come; the server is not more urgent than this one now.
    let between = ctx.spawn_at(31, rival, 0)?;
    check_eq!(between.join()?, 0);
    check_eq!(server.join()?, 0);
    check_eq!(board::entries::<4>(word::LOG), [1, 2, 9, 3]);
    check_eq!(server.info()?.priority, 30);
    Ok(())
}

/// A server that takes a call and then spins until word STOP is set.
fn take_and_spin(_: u64) -> u64 {
    let Ok(_) = ipc::receive(patience()) else { return 1 };
    board::push(word::LOG, 1);
    crate::spin(0)
}

fn g08_priority_falls_back_with_the_timeout(ctx: &Ctx) -> Verdict {
    let server = ctx.spawn_at(30, take_and_spin, 0)?;
    let gate = ctx.gate_to(server.thread(), 0)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    let timeouts = Timeouts::receive(Timeout::from_ns(3_000_000));
    check_eq!(ipc::call(gate.slot(), TAG, [0; 4], timeouts).is_err(), true);
    let between = ctx.spawn_at(60, rival, 0)?;
    check_eq!(between.join()?, 0, "a thread above the server's own priority");
    board::set(word::STOP, 1);
    check_eq!(server.join()?, 0);
    Ok(())
}

fn g08_priority_falls_back_with_the_callers_death(ctx: &Ctx) -> Verdict {
    let server = ctx.spawn_at(30, take_and_spin, 0)?;
    let gate = ctx.gate_to(server.thread(), 0)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    let caller: Body = |slot| tell(ipc::call(Slot::new(slot as u32), TAG, [0; 4], Timeouts::NEVER));
    let caller = ctx.spawn_at(90, caller, gate.slot().word())?;
    caller.await_state(ctx, ThreadState::Calling)?;
    ctx.task.destroy(caller.thread().slot())?;
    let between = ctx.spawn_at(60, rival, 0)?;
    check_eq!(between.join()?, 0, "a thread above the server's own priority");
    board::set(word::STOP, 1);
    check_eq!(server.join()?, 0);
    Ok(())
}

fn g08_woken_caller_preempts_its_server(ctx: &Ctx) -> Verdict {
    let server = ctx.spawn_at(PRIORITY - 1, serve, 0)?;
    let gate = ctx.gate_to(server.thread(), 0)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    ipc::call(gate.slot(), TAG, [0; 4], Timeouts::NEVER)?;
    board::push(word::LOG, 100);
    check_eq!(server.join()?, 0);
    check_eq!(board::entries::<4>(word::LOG), [1, 2, 100, 3]);
    Ok(())
}
