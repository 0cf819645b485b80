//! Row G8, the part that messages play: a priority is lent with a call, copied
//! when it is delivered, and given back at the answer, when the right to answer
//! is saved or lost, and when the caller gives up.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Capability, Gate, Slot, Timeouts, control, ipc};
use postern_tests::{Ctx, Failure, Partner, Verdict, board, check_eq, patience, tell, tests};

use crate::{ONE, answer, arguments, call_it, receive, slot_of, waiting};

tests! {
    g08_lent_priority_ends_when_the_right_is_saved,
    g08_lent_priority_ends_with_the_right,
    g08_lent_priority_ends_when_the_caller_is_cancelled,
    g08_lent_priority_is_copied_at_delivery,
    g08_waiting_senders_lend_nothing,
    g08_priority_is_lent_along_a_chain,
    g08_callers_own_rank_decides_the_order,
}

/// Words of the board.
mod word {
    /// Spinning servers go on when it is set.
    pub const GO_ON: usize = 0;
    /// The server has come so far.
    pub const STAGE: usize = 1;
    /// What the server does: see the constants below.
    pub const MODE: usize = 2;
    /// The log.
    pub const LOG: usize = 8;
}

/// Saves the right to answer before it spins.
const SAVE: u64 = 1;
/// Takes a second call before it spins.
const SECOND: u64 = 2;
/// Spins first, then receives.
const BUSY: u64 = 3;

fn spin(stage: u64) {
    board::set(word::STAGE, stage);
    while board::get(word::GO_ON) == 0 {
        core::hint::spin_loop();
    }
}

/// A server that spins while it owes an answer, or as the mode says.
fn server(slot: u64) -> u64 {
    let mode = board::get(word::MODE);
    if mode == BUSY {
        spin(1);
    }
    let Ok(_) = receive() else { return 1 };
    if mode == SAVE && control::save_reply(slot_of(slot)).is_err() {
        return 2;
    }
    if mode == SECOND && receive().is_err() {
        return 3;
    }
    if mode != BUSY {
        spin(2);
    }
    match mode {
        SAVE => tell(ipc::reply_saved(slot_of(slot), 0, ONE, [0; 4])),
        _ => tell(answer(0, 0)),
    }
}

/// A server of priority 30 in this mode, and its gate.
fn serving(ctx: &Ctx, mode: u64) -> Result<(Partner, Gate), Failure> {
    board::set(word::MODE, mode);
    let server = ctx.spawn_at(30, server, ctx.slot()?.word())?;
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    if mode != BUSY {
        server.await_state(ctx, ThreadState::Receiving)?;
    }
    Ok((server, gate))
}

/// A thread of this priority must run although the server spins.
#[track_caller]
fn runs_beside(ctx: &Ctx, priority: u8) -> Verdict {
    let rival = ctx.spawn_at(priority, |_| 9, 0)?;
    check_eq!(rival.join()?, 9, "a rival of priority {priority}");
    Ok(())
}

/// The server spins.
fn spins(ctx: &Ctx, stage: u64) -> Verdict {
    let there = ctx.wait_until(|| board::get(word::STAGE) == stage);
    postern_tests::check!(there, "the server is at {}", board::get(word::STAGE));
    Ok(())
}

fn g08_lent_priority_ends_when_the_right_is_saved(ctx: &Ctx) -> Verdict {
    let (server, gate) = serving(ctx, SAVE)?;
    let caller = ctx.spawn_at(90, call_it, arguments(gate, 0))?;
    spins(ctx, 2)?;
    runs_beside(ctx, 60)?;
    board::set(word::GO_ON, 1);
    check_eq!([caller.join()?, server.join()?], [0, 0]);
    Ok(())
}

fn g08_lent_priority_ends_with_the_right(ctx: &Ctx) -> Verdict {
    // The second call, of priority 40, takes the place of the first, of 90.
    let (server, gate) = serving(ctx, SECOND)?;
    let first = ctx.spawn_at(90, call_it, arguments(gate, 0))?;
    first.await_state(ctx, ThreadState::Calling)?;
    let second = ctx.spawn_at(40, call_it, arguments(gate, 0))?;
    spins(ctx, 2)?;
    runs_beside(ctx, 60)?;
    board::set(word::GO_ON, 1);
    check_eq!([second.join()?, server.join()?], [0, 0]);
    check_eq!(first.join()? != 0, true, "the first caller's error");
    Ok(())
}

fn g08_lent_priority_ends_when_the_caller_is_cancelled(ctx: &Ctx) -> Verdict {
    let (server, gate) = serving(ctx, 0)?;
    let caller = ctx.spawn_at(90, call_it, arguments(gate, 0))?;
    spins(ctx, 2)?;
    caller.thread().cancel()?;
    runs_beside(ctx, 60)?;
    board::set(word::GO_ON, 1);
    check_eq!(caller.join()? != 0, true, "the caller's error");
    check_eq!(server.join()? != 0, true, "the late answer");
    Ok(())
}

fn g08_lent_priority_is_copied_at_delivery(ctx: &Ctx) -> Verdict {
    let (server, gate) = serving(ctx, 0)?;
    let caller = ctx.spawn_at(40, call_it, arguments(gate, 0))?;
    spins(ctx, 2)?;
    // Raised afterwards: the server keeps what it was lent.
    ctx.scheduler.set_priority(caller.thread(), 90)?;
    runs_beside(ctx, 60)?;
    board::set(word::GO_ON, 1);
    check_eq!([caller.join()?, server.join()?], [0, 0]);
    Ok(())
}

fn g08_waiting_senders_lend_nothing(ctx: &Ctx) -> Verdict {
    let (server, gate) = serving(ctx, BUSY)?;
    spins(ctx, 1)?;
    let caller = waiting(ctx, 90, call_it, arguments(gate, 0))?;
    runs_beside(ctx, 60)?;
    board::set(word::GO_ON, 1);
    check_eq!([caller.join()?, server.join()?], [0, 0]);
    Ok(())
}

/// A server that logs its argument's upper half, calls on through the gate of
/// the lower half (if any), yields, logs again and answers.
fn link(argument: u64) -> u64 {
    let Ok(_) = ipc::receive(patience()) else { return 1 };
    board::push(word::LOG, argument >> 32);
    if argument as u32 != 0 {
        let called = ipc::call(Slot::new(argument as u32), ONE, [0; 4], Timeouts::NEVER);
        if called.is_err() {
            return 2;
        }
    }
    control::yield_now();
    board::push(word::LOG, argument >> 32);
    tell(answer(0, 0))
}

fn g08_priority_is_lent_along_a_chain(ctx: &Ctx) -> Verdict {
    let last = ctx.spawn_at(20, link, 3 << 32)?;
    let to_last = ctx.gate_to(last.thread(), 0)?;
    let middle = ctx.spawn_at(30, link, to_last.slot().word() | 2 << 32)?;
    let to_middle = ctx.gate_to(middle.thread(), 0)?;
    for server in [&last, &middle] {
        server.await_state(ctx, ThreadState::Receiving)?;
    }
    // The rival is above both servers and below this thread, which calls.
    let rival = ctx.spawn_at(
        60,
        |_| {
            board::push(word::LOG, 9);
            0
        },
        0,
    )?;
    ipc::call(to_middle.slot(), ONE, [0; 4], Timeouts::NEVER)?;
    check_eq!(rival.join()?, 0);
    check_eq!([last.join()?, middle.join()?], [0, 0]);
    check_eq!(board::entries::<5>(word::LOG), [2, 3, 3, 2, 9]);
    Ok(())
}

fn g08_callers_own_rank_decides_the_order(ctx: &Ctx) -> Verdict {
    // A server that runs on a lent priority queues with that, not its own.
    let gate = ctx.gate(0x40)?;
    let low = ctx.spawn_at(
        20,
        |argument| {
            let Ok(_) = ipc::receive(patience()) else { return 1 };
            let called = call_it(argument);
            called | tell(answer(0, 0))
        },
        arguments(gate, 1),
    )?;
    low.await_state(ctx, ThreadState::Receiving)?;
    let to_low = ctx.gate_to(low.thread(), 0x80)?;
    let middle = waiting(ctx, 60, call_it, arguments(gate, 2))?;
    let client = ctx.spawn_at(90, call_it, arguments(to_low, 0))?;
    low.await_state(ctx, ThreadState::Sending)?;
    for number in [1, 2] {
        check_eq!(receive()?.words[0], number);
        answer(0, 0)?;
    }
    check_eq!([low.join()?, middle.join()?, client.join()?], [0, 0, 0]);
    Ok(())
}
