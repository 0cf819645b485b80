//! Section E: when one of the two gives up or dies.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Phase, Slot, Timeout, Timeouts, control, ipc, raw,
};
use postern_tests::{
    Body, Ctx, Failure, Partner, Verdict, board, check, check_eq, received, sent, tell, tests, told,
};

use crate::{ONE, answer, arguments, call_it, receive, send_it};

tests! {
    gate_c65_receiver_exits,
    gate_c65_receiver_crashes,
    gate_c65_receiver_is_destroyed,
    gate_c65_task_of_the_receiver_is_destroyed,
    gate_c65_gate_of_a_dead_thread,
    gate_c66_answer_after_the_timeout,
    gate_c66_late_answer_answers_no_later_call,
    gate_c66_receive_timeout_of_zero,
    gate_c67_answer_after_the_cancellation,
    gate_c67_caller_that_is_destroyed,
}

/// A server that took one call, which it has not answered, and has two senders
/// in its queue; all of them are partners.
struct Scene {
    server: Partner,
    answered: Partner,
    queued: [Partner; 2],
}

/// Serves one call, then sleeps until word 1 of the board is set. Word 2 says
/// how it ends: 1 by a crash.
fn serve(_: u64) -> u64 {
    let taken = receive();
    board::set(0, 1);
    while board::get(1) == 0 {
        let _ = control::sleep_until(control::clock() + 200_000);
    }
    if board::get(2) == 1 {
        return u64::from(raw::peek(0x10));
    }
    tell(taken)
}

fn scene(ctx: &Ctx, mut server: Partner) -> Result<Scene, Failure> {
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    server.start(serve, 0)?;
    let answered = ctx.spawn(call_it, arguments(gate, 0))?;
    check!(ctx.wait_until(|| board::get(0) == 1), "the server took nothing");
    answered.await_state(ctx, ThreadState::Calling)?;
    let queued = [ctx.spawn(send_it, arguments(gate, 0))?, ctx.spawn(call_it, arguments(gate, 0))?];
    for partner in &queued {
        partner.await_state(ctx, ThreadState::Sending)?;
    }
    Ok(Scene { server, answered, queued })
}

/// All who had to do with the server must be told.
fn all_are_told(scene: &Scene) -> Verdict {
    let died = ErrorCode { number: ErrorNumber::Aborted, phase: Phase::Receive, argument: 0 };
    check_eq!(told(scene.answered.join()?), Err(died), "who waited for the answer");
    for partner in &scene.queued {
        check_eq!(told(partner.join()?), Err(sent(ErrorNumber::Aborted)), "who was in the queue");
    }
    Ok(())
}

fn gate_c65_receiver_exits(ctx: &Ctx) -> Verdict {
    let scene = scene(ctx, ctx.helper(100)?)?;
    board::set(1, 1);
    check_eq!(scene.server.join()?, 0);
    all_are_told(&scene)
}

fn gate_c65_receiver_crashes(ctx: &Ctx) -> Verdict {
    let scene = scene(ctx, ctx.peer()?)?;
    board::set(2, 1);
    board::set(1, 1);
    scene.server.expect_fault(14, Some(0x10))?;
    all_are_told(&scene)
}

fn gate_c65_receiver_is_destroyed(ctx: &Ctx) -> Verdict {
    let scene = scene(ctx, ctx.helper(100)?)?;
    ctx.task.destroy(scene.server.thread().slot())?;
    all_are_told(&scene)
}

fn gate_c65_task_of_the_receiver_is_destroyed(ctx: &Ctx) -> Verdict {
    let scene = scene(ctx, ctx.peer()?)?;
    if let Some(task) = scene.server.task() {
        ctx.task.destroy(task.slot())?;
    }
    all_are_told(&scene)
}

fn gate_c65_gate_of_a_dead_thread(ctx: &Ctx) -> Verdict {
    let server = ctx.spawn(|_| 0, 0)?;
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    check_eq!(server.join()?, 0);
    let missing = Err(sent(ErrorNumber::NotExistent));
    check_eq!(ipc::call(gate.slot(), ONE, [0; 4], Timeouts::NEVER).map(drop), missing, "exited");
    ctx.task.destroy(server.thread().slot())?;
    check_eq!(ipc::call(gate.slot(), ONE, [0; 4], Timeouts::NEVER).map(drop), missing, "gone");
    // Binding it again repairs it.
    gate.bind(ctx.thread, 0x80)?;
    let partner = ctx.spawn(send_it, arguments(gate, 9))?;
    check_eq!(receive()?.words[0], 9);
    check_eq!(partner.join()?, 0);
    Ok(())
}

/// Calls with a receive timeout of 2 ms.
fn call_shortly(slot: u64) -> u64 {
    let timeouts = Timeouts::receive(Timeout::from_ns(2_000_000));
    let before = control::clock();
    let answer = ipc::call(Slot::new(slot as u32), ONE, [0; 4], timeouts);
    if control::clock() - before < 2_000_000 {
        return 1;
    }
    tell(answer)
}

fn gate_c66_answer_after_the_timeout(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let partner = ctx.spawn(call_shortly, gate.slot().word())?;
    receive()?;
    check_eq!(told(partner.join()?), Err(received(ErrorNumber::Timeout)));
    check_eq!(answer(0, 0), Err(sent(ErrorNumber::NotExistent)), "the late answer");
    Ok(())
}

fn gate_c66_late_answer_answers_no_later_call(ctx: &Ctx) -> Verdict {
    // The caller gives up and calls again; the right to answer its first call
    // is still there, and must not answer the second.
    let gate = ctx.gate(0x40)?;
    let body: Body = |slot| {
        let slot = Slot::new(slot as u32);
        let short = Timeouts::receive(Timeout::from_ns(1_000_000));
        let first = ipc::call(slot, ONE, [1, 0, 0, 0], short);
        if first.is_ok() {
            return 1;
        }
        match ipc::call(slot, ONE, [2, 0, 0, 0], Timeouts::NEVER) {
            Ok(answer) => answer.label,
            Err(error) => error.encode(),
        }
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    let (first, second) = (ctx.slot()?, ctx.slot()?);
    check_eq!(receive()?.words[0], 1);
    control::save_reply(first)?;
    check_eq!(receive()?.words[0], 2);
    control::save_reply(second)?;
    let late = ipc::reply_saved(first, 0x111, ONE, [0; 4]);
    check_eq!(late, Err(sent(ErrorNumber::NotExistent)));
    check_eq!(partner.info()?.state, Some(ThreadState::Calling));
    ipc::reply_saved(second, 0x222, ONE, [0; 4])?;
    check_eq!(partner.join()?, 0x222);
    Ok(())
}

fn gate_c66_receive_timeout_of_zero(ctx: &Ctx) -> Verdict {
    // Delivered, and given up at once.
    let gate = ctx.gate(0x40)?;
    let body: Body = |slot| {
        let timeouts = Timeouts::receive(Timeout::ZERO);
        tell(ipc::call(Slot::new(slot as u32), ONE, [3, 0, 0, 0], timeouts))
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    check_eq!(receive()?.words[0], 3);
    check_eq!(told(partner.join()?), Err(received(ErrorNumber::Timeout)));
    check_eq!(answer(0, 0), Err(sent(ErrorNumber::NotExistent)), "the late answer");
    Ok(())
}

fn gate_c67_answer_after_the_cancellation(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let partner = ctx.spawn(call_it, gate.slot().word())?;
    receive()?;
    partner.await_state(ctx, ThreadState::Calling)?;
    partner.thread().cancel()?;
    check_eq!(told(partner.join()?), Err(received(ErrorNumber::Cancelled)));
    check_eq!(answer(0, 0), Err(sent(ErrorNumber::NotExistent)), "the late answer");
    Ok(())
}

fn gate_c67_caller_that_is_destroyed(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let partner = ctx.spawn(call_it, gate.slot().word())?;
    receive()?;
    ctx.task.destroy(partner.thread().slot())?;
    check_eq!(answer(0, 0), Err(sent(ErrorNumber::NotExistent)), "the late answer");
    // A call of the same thread number is another call.
    let partner = ctx.spawn(call_it, gate.slot().word())?;
    receive()?;
    answer(0, 0)?;
    check_eq!(partner.join()?, 0);
    Ok(())
}
