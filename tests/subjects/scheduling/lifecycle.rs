//! Threads started, stopped, resumed, cancelled and destroyed, in each state.

use postern_tests::protocol::PRIORITY;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Gate, Phase, Slot, Tag, Timeout, Timeouts, control, ipc,
};
use postern_tests::{
    Body, Ctx, Failure, Partner, Verdict, board, check, check_eq, op, tell, tests, told,
};

use crate::{spin, word};

tests! {
    g08_stop_and_resume,
    g08_stop_cancels_an_ipc,
    g08_stop_errors,
    g08_stop_oneself,
    g08_start_errors,
    g08_destroy_in_every_state,
    g08_destroy_oneself,
    g08_destroy_own_task,
    g08_cancel_what_does_not_wait,
    g08_bind_errors,
}

fn g08_stop_and_resume(ctx: &Ctx) -> Verdict {
    let partner = ctx.spawn_at(50, spin, 0)?;
    check!(ctx.wait_until(|| board::get(word::COUNT) > 0), "it never ran");
    for _ in 0..3 {
        partner.thread().stop()?;
        check_eq!(partner.info()?.state, Some(ThreadState::Stopped));
        let before = board::get(word::COUNT);
        partner.give_time();
        check_eq!(board::get(word::COUNT), before, "rounds of a stopped thread");
        partner.thread().stop()?;
        partner.thread().resume()?;
        let reached = ctx.wait_until(|| board::get(word::COUNT) > before);
        check!(reached, "it did not go on");
    }
    board::set(word::STOP, 1);
    check_eq!(partner.join()?, 0);
    Ok(())
}

/// How a thread can wait.
const WAITS: [(ThreadState, Phase, Body); 4] = [
    (ThreadState::Receiving, Phase::Receive, |_| tell(ipc::receive(Timeout::NEVER))),
    (ThreadState::Sending, Phase::Send, |slot| {
        tell(ipc::send(Slot::new(slot as u32), Tag::new(7, 0), [0; 4], Timeout::NEVER))
    }),
    (ThreadState::Calling, Phase::Receive, |slot| {
        tell(ipc::call(Slot::new(slot as u32), Tag::new(7, 0), [0; 4], Timeouts::NEVER))
    }),
    (ThreadState::Sleeping, Phase::Operation, |_| {
        tell(control::sleep_until(control::clock() + 3_600_000_000_000))
    }),
];

/// A partner that waits in one of these ways, the server that takes its calls,
/// and the gate between them.
fn waiting(ctx: &Ctx, state: ThreadState, body: Body) -> Result<(Partner, Partner, Gate), Failure> {
    let server = ctx.spawn(
        |_| {
            let _ = ipc::receive(Timeout::NEVER);
            let _ = control::sleep_until(control::clock() + 3_600_000_000_000);
            0
        },
        0,
    )?;
    let gate = match state {
        ThreadState::Sending => ctx.unbound()?,
        _ => ctx.gate_to(server.thread(), 0)?,
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    partner.await_state(ctx, state)?;
    Ok((partner, server, gate))
}

fn g08_stop_cancels_an_ipc(ctx: &Ctx) -> Verdict {
    for (state, phase, body) in WAITS {
        let (partner, _server, _gate) = waiting(ctx, state, body)?;
        partner.thread().stop()?;
        check_eq!(partner.info()?.state, Some(ThreadState::Stopped), "{state:?}");
        partner.thread().resume()?;
        let cancelled = ErrorCode { number: ErrorNumber::Cancelled, phase, argument: 0 };
        check_eq!(told(partner.join()?), Err(cancelled), "{state:?}");
    }
    Ok(())
}

fn g08_stop_errors(ctx: &Ctx) -> Verdict {
    let inval = Err(op(ErrorNumber::Inval, 0));
    let new = ctx.new_thread()?;
    check_eq!(new.stop(), inval, "a thread that never ran");
    check_eq!(new.resume(), inval, "a thread that never ran");
    let partner = ctx.spawn(|_| 0, 0)?;
    check_eq!(partner.join()?, 0);
    check_eq!(partner.thread().stop(), inval, "a thread that has exited");
    check_eq!(partner.thread().resume(), inval, "a thread that has exited");
    let partner = ctx.spawn(spin, 0)?;
    check_eq!(partner.thread().resume(), inval, "a thread that runs");
    board::set(word::STOP, 1);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn g08_stop_oneself(ctx: &Ctx) -> Verdict {
    let mut partner = ctx.helper(PRIORITY)?;
    partner.start(
        |slot| {
            let thread = postern_tests::syscall::Thread::new(Slot::new(slot as u32));
            board::set(20, 1);
            let stopped = tell(thread.stop());
            board::set(20, 2);
            stopped
        },
        partner.thread().slot().word(),
    )?;
    partner.await_state(ctx, ThreadState::Stopped)?;
    check_eq!(board::get(20), 1);
    partner.thread().resume()?;
    check_eq!(partner.join()?, 0);
    check_eq!(board::get(20), 2);
    Ok(())
}

fn g08_start_errors(ctx: &Ctx) -> Verdict {
    let inval = |argument| Err(op(ErrorNumber::Inval, argument));
    let thread = ctx.new_thread()?;
    check_eq!(thread.start(0x1000, 0x1000, 0, 0), inval(0), "a thread without a task");
    thread.bind(ctx.task)?;
    for address in [0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX] {
        check_eq!(thread.start(address, 0x1000, 0, 0), inval(1), "rip {address:#x}");
        check_eq!(thread.start(0x1000, address, 0, 0), inval(2), "rsp {address:#x}");
    }
    check_eq!(thread.info()?.state, Some(ThreadState::New));
    // Where nothing is mapped, it may start, and faults there.
    thread.start(0x7fff_ffff_e000, 0x7fff_ffff_eff8, 0, 0)?;
    ctx.await_state(thread, ThreadState::Faulted)?;
    check_eq!(thread.info()?.detail, 0x7fff_ffff_e000);
    check_eq!(thread.start(0x1000, 0x1000, 0, 0), inval(0), "a second time");
    Ok(())
}

/// Makes a thread for each state and destroys it there.
fn destroy_everywhere(ctx: &Ctx) -> Verdict {
    for (state, _, body) in WAITS {
        let (partner, server, gate) = waiting(ctx, state, body)?;
        ctx.task.destroy(partner.thread().slot())?;
        let gone = partner.thread().info().map(drop).map_err(|error| error.number);
        check_eq!(gone, Err(ErrorNumber::NotExistent), "{state:?}");
        drop((server, partner));
        postern_tests::runtime::slots::destroy(gate.slot())?;
    }
    let new = ctx.helper(PRIORITY)?;
    ctx.task.destroy(new.thread().slot())?;
    let ready = ctx.spawn_at(20, spin, 0)?;
    ctx.task.destroy(ready.thread().slot())?;
    let stopped = ctx.spawn_at(20, spin, 0)?;
    stopped.thread().stop()?;
    ctx.task.destroy(stopped.thread().slot())?;
    let faulted = ctx.spawn(|_| u64::from(postern_tests::syscall::raw::peek(0)), 0)?;
    faulted.await_state(ctx, ThreadState::Faulted)?;
    ctx.task.destroy(faulted.thread().slot())?;
    let exited = ctx.spawn(|_| 0, 0)?;
    exited.await_state(ctx, ThreadState::Exited)?;
    ctx.task.destroy(exited.thread().slot())?;
    Ok(())
}

fn g08_destroy_in_every_state(ctx: &Ctx) -> Verdict {
    let charged = ctx.charged()?;
    for round in 0..5 {
        destroy_everywhere(ctx)?;
        check_eq!(ctx.charged()?, charged, "bytes charged after round {round}");
    }
    check_eq!(board::get(word::COUNT), 0, "a thread ran that could not");
    Ok(())
}

fn g08_destroy_oneself(ctx: &Ctx) -> Verdict {
    let mut partner = ctx.helper(PRIORITY)?;
    partner.start(
        |slot| {
            let task = postern_tests::runtime::own::task();
            let destroyed = task.map(|task| task.destroy(Slot::new(slot as u32)));
            board::set(20, 1);
            u64::from(destroyed.is_ok())
        },
        partner.thread().slot().word(),
    )?;
    let thread = partner.thread();
    check!(ctx.wait_until(|| thread.info().is_err()), "it is still there");
    check_eq!(board::get(20), 0, "it came back");
    Ok(())
}

fn g08_destroy_own_task(ctx: &Ctx) -> Verdict {
    let mut peer = ctx.peer()?;
    let Some(task) = peer.task() else { return Ok(()) };
    let own = peer.give(postern_tests::syscall::Item::all(task.slot()))?;
    peer.start(
        |slot| {
            let task = postern_tests::syscall::Task::new(Slot::new(slot as u32));
            let destroyed = task.destroy(Slot::new(slot as u32));
            board::set(20, 1);
            tell(destroyed)
        },
        own.word(),
    )?;
    check!(ctx.wait_until(|| task.info().is_err()), "the task is still there");
    check!(ctx.wait_until(|| peer.thread().info().is_err()), "its thread is still there");
    check_eq!(board::get(20), 0, "it came back");
    Ok(())
}

fn g08_cancel_what_does_not_wait(ctx: &Ctx) -> Verdict {
    let partner = ctx.spawn_at(50, spin, 0)?;
    check!(ctx.wait_until(|| board::get(word::COUNT) > 0), "it never ran");
    partner.thread().cancel()?;
    let before = board::get(word::COUNT);
    check!(ctx.wait_until(|| board::get(word::COUNT) > before), "it stopped");
    board::set(word::STOP, 1);
    check_eq!(partner.join()?, 0);
    partner.thread().cancel()?;
    ctx.new_thread()?.cancel()?;
    ctx.thread.cancel()?;
    Ok(())
}

fn g08_bind_errors(ctx: &Ctx) -> Verdict {
    use postern_tests::syscall::{Rights, Task};
    let thread = ctx.new_thread()?;
    let inval = Err(op(ErrorNumber::Inval, ErrorCode::ITEM));
    check_eq!(thread.bind(Task::new(ctx.log.slot())).map(drop), inval);
    check_eq!(thread.bind(Task::new(Slot::NULL)).map(drop), inval);
    let weak = ctx.derive(ctx.task, Rights::all() - Rights::W)?;
    check_eq!(thread.bind(weak).map(drop), Err(op(ErrorNumber::Perm, ErrorCode::ITEM)));
    let read_only = ctx.derive(thread, Rights::all() - Rights::W)?;
    check_eq!(read_only.bind(ctx.task).map(drop), Err(op(ErrorNumber::Perm, 0)));
    let at = thread.bind(ctx.task)?;
    check_eq!(at % 4096, 0);
    check_eq!(thread.bind(ctx.task).map(drop), Err(op(ErrorNumber::Exists, 0)));
    Ok(())
}
