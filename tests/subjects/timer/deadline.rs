//! Deadlines to the nanosecond: order, zero, the far future, many at once.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorNumber, Gate, Slot, Tag, Timeout, Timeouts, clock, control, ipc, utcb,
};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, received, sent, tell, tests};

use crate::LOG;

tests! {
    g09_relative_and_absolute_timeouts_in_order,
    g09_deadlines_a_nanosecond_apart,
    g09_passed_deadlines_do_not_wait,
    g09_far_future_waits,
    g09_hundreds_of_sleepers_of_one_deadline = 60,
    g09_timeouts_of_both_phases,
    g09_sleep_of_a_duration,
    g09_earlier_deadline_replaces_a_later_one,
}

/// Receives until the absolute time in its argument, and logs that.
fn receive_until(deadline: u64) -> u64 {
    utcb::set_deadlines(0, deadline);
    let ended = ipc::receive(Timeout::ABSOLUTE).map(drop);
    board::push(LOG, deadline);
    if clock::now() < deadline { 1 } else { tell(ended) }
}

fn g09_relative_and_absolute_timeouts_in_order(ctx: &Ctx) -> Verdict {
    // The same moments, asked for in three ways.
    let relative: Body = |ns| {
        let before = clock::now();
        let ended = ipc::receive(Timeout::from_ns(ns)).map(drop);
        board::push(LOG, ns);
        if clock::now() < before + ns { 1 } else { tell(ended) }
    };
    let sleep: Body = |ns| {
        let slept = control::sleep_until(clock::now() + ns);
        board::push(LOG, ns);
        tell(slept)
    };
    let absolute: Body = |ns| {
        utcb::set_deadlines(0, clock::now() + ns);
        let ended = ipc::receive(Timeout::ABSOLUTE).map(drop);
        board::push(LOG, ns);
        tell(ended)
    };
    let mut partners = alloc::vec::Vec::new();
    for place in [6, 2, 8, 0, 4, 1, 7, 3, 5_u64] {
        let body = [relative, sleep, absolute][(place % 3) as usize];
        let slept = place % 3 == 1;
        partners.push((ctx.spawn(body, 20_000_000 + place * 4_000_000)?, slept));
    }
    for (partner, slept) in &partners {
        let expected = if *slept { 0 } else { received(ErrorNumber::Timeout).encode() };
        check_eq!(partner.join()?, expected);
    }
    let log = board::entries::<9>(LOG);
    check!(log.is_sorted(), "woken in the order {log:?}");
    check_eq!(board::get(LOG), 9);
    Ok(())
}

fn g09_deadlines_a_nanosecond_apart(ctx: &Ctx) -> Verdict {
    let base = clock::now() + 10_000_000;
    let mut partners = alloc::vec::Vec::new();
    for place in [3, 0, 4, 1, 2] {
        partners.push(ctx.spawn(receive_until, base + place)?);
    }
    for partner in &partners {
        check_eq!(partner.join()?, received(ErrorNumber::Timeout).encode());
    }
    check_eq!(board::entries::<5>(LOG), [0, 1, 2, 3, 4].map(|place| base + place));
    Ok(())
}

fn g09_passed_deadlines_do_not_wait(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let tag = Tag::new(7, 0);
    let start = clock::now();
    for deadline in [0, 1, start / 2, start] {
        utcb::set_deadlines(deadline, deadline);
        let refused = ipc::send(gate.slot(), tag, [0; 4], Timeout::ABSOLUTE);
        check_eq!(refused, Err(sent(ErrorNumber::Timeout)));
        let ended = ipc::receive(Timeout::ABSOLUTE).map(drop);
        check_eq!(ended, Err(received(ErrorNumber::Timeout)));
        control::sleep_until(deadline)?;
    }
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    check!(clock::now() - start < 500_000, "it waited all the same");
    // A message that is there is taken, however late it is.
    let body: Body =
        |slot| tell(ipc::send(Slot::new(slot as u32), Tag::new(7, 0), [0; 4], Timeout::NEVER));
    gate.bind(ctx.thread, 0)?;
    let sender = ctx.spawn(body, gate.slot().word())?;
    sender.await_state(ctx, ThreadState::Sending)?;
    utcb::set_deadlines(0, 1);
    ipc::receive(Timeout::ABSOLUTE)?;
    check_eq!(sender.join()?, 0);
    Ok(())
}

fn g09_far_future_waits(ctx: &Ctx) -> Verdict {
    let relative: Body = |_| tell(ipc::receive(Timeout::from_ns(u64::MAX)));
    let mut partners = alloc::vec::Vec::new();
    partners.push(ctx.spawn(relative, 0)?);
    for deadline in [u64::MAX, u64::MAX - 1, 1 << 63, i64::MAX as u64] {
        partners.push(ctx.spawn(receive_until, deadline)?);
    }
    // Time passes: more than the timer can count in one go.
    control::sleep_until(clock::now() + 10_000_000_000)?;
    for partner in &partners {
        check_eq!(partner.info()?.state, Some(ThreadState::Receiving));
        partner.thread().cancel()?;
        let code = partner.join()?;
        // The ones with a deadline say 1: it had not come.
        check!(code == 1 || code == received(ErrorNumber::Cancelled).encode(), "{code:#x}");
    }
    Ok(())
}

fn g09_hundreds_of_sleepers_of_one_deadline(ctx: &Ctx) -> Verdict {
    const COUNT: u64 = 150;
    let at = clock::now() + 400_000_000;
    let body: Body = |until| {
        let slept = control::sleep_until(until);
        board::add(0, 1);
        if clock::now() < until { 1 } else { tell(slept) }
    };
    let mut partners = alloc::vec::Vec::new();
    for _ in 0..COUNT {
        partners.push(ctx.spawn(body, at)?);
    }
    check!(clock::now() < at, "making threads took too long");
    check_eq!(board::get(0), 0, "somebody woke early");
    control::sleep_until(at + 20_000_000)?;
    check_eq!(board::get(0), COUNT, "sleepers woken");
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn g09_timeouts_of_both_phases(ctx: &Ctx) -> Verdict {
    // Each phase has its own; the second begins with the delivery.
    let tag = Tag::new(7, 0);
    let server: Body = |_| {
        let _ = control::sleep_until(clock::now() + 5_000_000);
        let _ = ipc::receive(Timeout::NEVER);
        let _ = control::sleep_until(clock::now() + 60_000_000_000);
        0
    };
    let partner = ctx.spawn_at(101, server, 0)?;
    let gate = ctx.gate_to(partner.thread(), 0)?;
    let call = |gate: Gate, send, receive| {
        let before = clock::now();
        let timeouts =
            Timeouts { send: Timeout::from_ns(send), receive: Timeout::from_ns(receive) };
        let ended = ipc::call(gate.slot(), tag, [0; 4], timeouts).map(drop);
        (ended, clock::now() - before)
    };
    let (ended, passed) = call(gate, 1_000_000, 1_000_000_000);
    check_eq!(ended, Err(sent(ErrorNumber::Timeout)));
    check!((1_000_000..4_000_000).contains(&passed), "{passed} ns");
    let (ended, passed) = call(gate, 1_000_000_000, 3_000_000);
    check_eq!(ended, Err(received(ErrorNumber::Timeout)));
    // Some 4 ms until it receives, and 3 after that.
    check!((5_000_000..9_000_000).contains(&passed), "{passed} ns");
    Ok(())
}

fn g09_sleep_of_a_duration(_ctx: &Ctx) -> Verdict {
    use core::time::Duration;
    use postern_tests::runtime::time;
    for ns in [0, 1, 999, 1001, 123_456, 7_000_000] {
        let before = time::now();
        time::sleep(Duration::from_nanos(ns));
        let passed = time::now() - before;
        check!(passed >= Duration::from_nanos(ns), "{passed:?} of {ns} ns");
        check!(passed < Duration::from_nanos(ns + 500_000), "{passed:?} of {ns} ns");
    }
    // So far away that the sum does not fit: not at once, so not tried here; but
    // the timeout that stands for it is the longest one.
    check_eq!(time::timeout(Duration::MAX), Timeout::from_ns(u64::MAX));
    Ok(())
}

fn g09_earlier_deadline_replaces_a_later_one(ctx: &Ctx) -> Verdict {
    // The timer is armed for the first of them, whoever asked last.
    let base = clock::now() + 50_000_000;
    let late = ctx.spawn(receive_until, base)?;
    late.await_state(ctx, ThreadState::Receiving)?;
    let early = ctx.spawn(receive_until, base - 30_000_000)?;
    early.await_state(ctx, ThreadState::Receiving)?;
    // Taken back: the later one must not be forgotten.
    let never = ctx.spawn(receive_until, base - 20_000_000)?;
    never.await_state(ctx, ThreadState::Receiving)?;
    drop(never);
    check_eq!(early.join()?, received(ErrorNumber::Timeout).encode());
    check_eq!(late.join()?, received(ErrorNumber::Timeout).encode());
    check!(clock::now() < base + 500_000, "the later one was late");
    check_eq!(board::entries::<2>(LOG), [base - 30_000_000, base]);
    Ok(())
}
