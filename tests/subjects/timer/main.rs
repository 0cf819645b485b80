//! Clock, sleep and timeouts (row G9). The tests run under a counted clock, so
//! that upper bounds are no wall-clock.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod clock;
mod deadline;

use postern_tests::protocol::PRIORITY;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorNumber, Tag, Timeout, Timeouts, control, ipc, raw, utcb,
};
use postern_tests::{
    Body, Ctx, Verdict, board, check, check_eq, op, received, sent, tell, tests, told,
};

postern_tests::runtime::main!(postern_subject);

fn postern_subject(env: postern_tests::runtime::Env) -> i32 {
    postern_tests::registry::run(env, &[TESTS, clock::TESTS, deadline::TESTS])
}

tests! {
    g09_clock_never_goes_back,
    g09_clock_agrees_between_tasks,
    g09_sleep_is_never_shorter,
    g09_sleep_in_the_past_returns,
    g09_sleepers_wake_in_order,
    g09_many_sleepers,
    g09_sleepers_of_one_deadline,
    g09_sleep_is_cancelled,
    g09_long_sleep_does_not_wrap,
    g09_more_urgent_sleeper_runs_first,
    g09_send_and_call_timeouts,
    g09_absolute_deadlines,
    g09_timeout_and_message_race,
    g09_destroyed_sleepers_leave_no_deadline,
}

/// First word of a log on the board.
const LOG: usize = 16;

fn g09_clock_never_goes_back(_ctx: &Ctx) -> Verdict {
    let mut last = control::clock();
    let ticks = raw::time_stamp();
    for _ in 0..20_000 {
        let now = control::clock();
        check!(now >= last, "{now} after {last}");
        last = now;
    }
    check!(raw::time_stamp() > ticks);
    check!(last > 0);
    Ok(())
}

fn g09_clock_agrees_between_tasks(ctx: &Ctx) -> Verdict {
    let before = control::clock();
    let mut peer = ctx.peer()?;
    peer.start(|_| control::clock(), 0)?;
    let theirs = peer.join()?;
    let after = control::clock();
    check!(before <= theirs && theirs <= after, "{before}, {theirs}, {after}");
    Ok(())
}

fn g09_sleep_is_never_shorter(_ctx: &Ctx) -> Verdict {
    for ns in [1, 10_000, 100_000, 1_000_000, 20_000_000] {
        for _ in 0..5 {
            let until = control::clock() + ns;
            control::sleep_until(until)?;
            let now = control::clock();
            check!(now >= until, "woken {} ns early", until - now);
        }
    }
    Ok(())
}

fn g09_sleep_in_the_past_returns(_ctx: &Ctx) -> Verdict {
    for until in [0, 1, control::clock() / 2, control::clock()] {
        control::sleep_until(until)?;
    }
    Ok(())
}

/// Sleeps until the time in its argument, in microseconds, and logs that.
fn sleep_and_log(microseconds: u64) -> u64 {
    let slept = control::sleep_until(microseconds * 1000);
    board::push(LOG, microseconds);
    if control::clock() < microseconds * 1000 { 1 } else { tell(slept) }
}

fn g09_sleepers_wake_in_order(ctx: &Ctx) -> Verdict {
    let start = control::clock() / 1000 + 20_000;
    let order = [5, 1, 4, 2, 3, 7, 6];
    let mut partners = alloc::vec::Vec::new();
    for place in order {
        partners.push(ctx.spawn(sleep_and_log, start + place * 3000)?);
    }
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(board::entries::<7>(LOG), [1, 2, 3, 4, 5, 6, 7].map(|place| start + place * 3000));
    Ok(())
}

fn g09_many_sleepers(ctx: &Ctx) -> Verdict {
    const COUNT: usize = 40;
    let start = control::clock() / 1000 + 60_000;
    let mut partners = alloc::vec::Vec::new();
    for index in 0..COUNT as u64 {
        // Scattered, all different.
        partners.push(ctx.spawn(sleep_and_log, start + index * 17 % 40 * 500)?);
    }
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    let log = board::entries::<COUNT>(LOG);
    check!(log.is_sorted(), "woken in the order {log:?}");
    check_eq!(board::get(LOG), COUNT as u64);
    Ok(())
}

fn g09_sleepers_of_one_deadline(ctx: &Ctx) -> Verdict {
    let at = control::clock() / 1000 + 30_000;
    let mut partners = alloc::vec::Vec::new();
    for _ in 0..20 {
        partners.push(ctx.spawn(sleep_and_log, at)?);
    }
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(board::get(LOG), 20);
    Ok(())
}

fn g09_sleep_is_cancelled(ctx: &Ctx) -> Verdict {
    let body: Body = |_| tell(control::sleep_until(u64::MAX));
    let partner = ctx.spawn(body, 0)?;
    partner.await_state(ctx, ThreadState::Sleeping)?;
    partner.thread().cancel()?;
    check_eq!(told(partner.join()?), Err(op(ErrorNumber::Cancelled, 0)));
    Ok(())
}

fn g09_long_sleep_does_not_wrap(ctx: &Ctx) -> Verdict {
    let mut partners = alloc::vec::Vec::new();
    for until in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 40] {
        partners.push(ctx.spawn(|until| tell(control::sleep_until(until)), until)?);
    }
    for partner in &partners {
        partner.await_state(ctx, ThreadState::Sleeping)?;
        partner.give_time();
        check_eq!(partner.info()?.state, Some(ThreadState::Sleeping));
    }
    Ok(())
}

fn g09_more_urgent_sleeper_runs_first(ctx: &Ctx) -> Verdict {
    // All deadlines pass while this thread keeps the CPU.
    let at = control::clock() / 1000 + 3_000;
    let mut partners = alloc::vec::Vec::new();
    for place in 0..4 {
        partners.push(ctx.spawn_at(60 + place as u8, sleep_and_log, at + place)?);
    }
    for partner in &partners {
        partner.await_state(ctx, ThreadState::Sleeping)?;
    }
    while control::clock() / 1000 < at + 5_000 {}
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    let mut expected = [0, 1, 2, 3].map(|place| at + place);
    if board::entries::<4>(LOG) != expected {
        expected.reverse();
    }
    check_eq!(board::entries::<4>(LOG), expected, "the most urgent first");
    Ok(())
}

fn g09_send_and_call_timeouts(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let tag = Tag::new(7, 0);
    for ns in [1_000, 1_000_000, 1_023_000, 1_024_000, 7_777_777] {
        let timeout = Timeout::from_ns(ns);
        let before = control::clock();
        let called = ipc::call(gate.slot(), tag, [0; 4], Timeouts::send(timeout)).map(drop);
        check_eq!(called, Err(sent(ErrorNumber::Timeout)));
        check_eq!(ipc::receive(timeout).map(drop), Err(received(ErrorNumber::Timeout)));
        let passed = control::clock() - before;
        check!(passed >= 2 * ns, "{passed} ns passed instead of twice {ns}");
    }
    Ok(())
}

fn g09_absolute_deadlines(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let tag = Tag::new(7, 0);
    let until = control::clock() + 5_000_000;
    utcb::set_deadlines(until, until + 5_000_000);
    let timed_out = ipc::send(gate.slot(), tag, [0; 4], Timeout::ABSOLUTE);
    check_eq!(timed_out, Err(sent(ErrorNumber::Timeout)));
    check!(control::clock() >= until);
    let timed_out = ipc::receive(Timeout::ABSOLUTE).map(drop);
    check_eq!(timed_out, Err(received(ErrorNumber::Timeout)));
    check!(control::clock() >= until + 5_000_000);
    Ok(())
}

fn g09_timeout_and_message_race(ctx: &Ctx) -> Verdict {
    // Whatever comes first: never both, never neither.
    let gate = ctx.gate(0x40)?;
    let body: Body = |slot| {
        let slot = postern_tests::syscall::Slot::new(slot as u32);
        let mut delivered = 0;
        for round in 0..200_u64 {
            let timeout = Timeout::from_ns(1_000 * (round % 50 + 1));
            match ipc::send(slot, Tag::new(7, 1), [delivered, 0, 0, 0], timeout) {
                Ok(()) => delivered += 1,
                Err(error) if error == sent(ErrorNumber::Timeout) => {}
                Err(error) => return error.encode() << 32,
            }
        }
        delivered
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    let mut seen = 0;
    let mut idle = 0;
    while idle < 400 {
        match ipc::receive(Timeout::from_ns(37_000)) {
            Ok(delivery) => {
                check_eq!(delivery.words[0], seen, "a message was lost or came twice");
                seen += 1;
                idle = 0;
            }
            Err(error) => {
                check_eq!(error, received(ErrorNumber::Timeout));
                idle += 1;
            }
        }
    }
    check_eq!(partner.join()?, seen);
    Ok(())
}

fn g09_destroyed_sleepers_leave_no_deadline(ctx: &Ctx) -> Verdict {
    let until = control::clock() + 20_000_000;
    for _ in 0..10 {
        let partner = ctx.spawn_at(PRIORITY, |until| tell(control::sleep_until(until)), until)?;
        partner.await_state(ctx, ThreadState::Sleeping)?;
        drop(partner);
    }
    // Threads that were made since use the same places.
    let partners = [ctx.spawn(|_| tell(ipc::receive(Timeout::NEVER)), 0)?];
    control::sleep_until(until + 1_000_000)?;
    for partner in &partners {
        check_eq!(partner.info()?.state, Some(ThreadState::Receiving));
    }
    Ok(())
}
