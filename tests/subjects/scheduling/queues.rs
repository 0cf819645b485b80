//! Priorities in every queue, and changed in every state.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorNumber, Slot, Tag, Timeout, Timeouts, clock, control, ipc,
};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, tell, tests};

use crate::{log_it, spin, word};

tests! {
    g08_every_priority_in_order = 60,
    g08_round_robin_in_order,
    g08_waiting_senders_follow_their_priority,
    g08_senders_at_an_unbound_gate_follow_their_priority,
    g08_priority_changes_in_every_state,
    g08_priority_of_a_server_that_is_called,
    g08_scheduler_maximum_bounds_all,
    g08_busy_equals_do_not_starve_a_waker,
}

fn g08_every_priority_in_order(ctx: &Ctx) -> Verdict {
    // All but the runner's: 0 to 253 below a test that runs at 254.
    const TOP: u8 = 254;
    ctx.scheduler.set_priority(ctx.thread, TOP)?;
    // Every second one at a time, for that is how many the table has room for.
    for half in 0..2 {
        board::set(word::LOG, 0);
        let mut partners = alloc::vec::Vec::new();
        for index in 0..TOP / 2 {
            // Scattered: 77 and 127 have no common divisor.
            let priority = (u32::from(index) * 77 % 127) as u8 * 2 + half;
            partners.push(ctx.spawn_at(priority, log_it, priority.into())?);
        }
        for partner in &partners {
            check_eq!(partner.join()?, 0);
        }
        let log = board::entries::<127>(word::LOG);
        let expected = (0..127).rev().map(|index| index * 2 + u64::from(half));
        check!(log.iter().copied().eq(expected), "ran in the order {log:?}");
    }
    check_eq!(ctx.thread.info()?.priority, TOP);
    Ok(())
}

fn g08_round_robin_in_order(ctx: &Ctx) -> Verdict {
    // Each logs itself when it gets the CPU, and keeps it to its slice's end.
    let body: Body = |number| {
        while board::get(word::STOP) == 0 {
            if board::get(word::COUNT) != number {
                board::set(word::COUNT, number);
                if board::get(word::LOG) < 100 {
                    board::push(word::LOG, number);
                }
            }
        }
        0
    };
    let mut partners = alloc::vec::Vec::new();
    for number in 1..=4 {
        partners.push(ctx.spawn_at(50, body, number)?);
    }
    for partner in &partners {
        ctx.scheduler.set_slice(partner.thread(), 500_000)?;
    }
    control::sleep_until(clock::now() + 45_000_000)?;
    board::set(word::STOP, 1);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    let log = board::entries::<16>(word::LOG);
    for (index, number) in log.iter().enumerate() {
        check_eq!(*number, index as u64 % 4 + 1, "{log:?}");
    }
    Ok(())
}

/// Sends its number through the gate in its slot.
fn send_number(argument: u64) -> u64 {
    let slot = Slot::new(argument as u32);
    tell(ipc::send(slot, Tag::new(7, 1), [argument >> 32, 0, 0, 0], Timeout::NEVER))
}

fn senders(ctx: &Ctx, bound: bool) -> Verdict {
    let gate = if bound { ctx.gate(0)? } else { ctx.unbound()? };
    let mut partners = alloc::vec::Vec::new();
    for (number, priority) in (0..).zip([40, 50, 60, 50]) {
        let partner = ctx.spawn_at(priority, send_number, gate.slot().word() | number << 32)?;
        partner.await_state(ctx, ThreadState::Sending)?;
        partners.push(partner);
    }
    // The last becomes the first, the first the last of its equals.
    ctx.scheduler.set_priority(partners[0].thread(), 50)?;
    ctx.scheduler.set_priority(partners[3].thread(), 70)?;
    ctx.scheduler.set_priority(partners[2].thread(), 30)?;
    if !bound {
        gate.bind(ctx.thread, 0)?;
    }
    let mut order = [0; 4];
    for place in &mut order {
        *place = ipc::receive_from(gate.slot(), Timeout::ZERO)?.words[0];
    }
    check_eq!(order, [3, 1, 0, 2]);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn g08_waiting_senders_follow_their_priority(ctx: &Ctx) -> Verdict {
    senders(ctx, true)
}

fn g08_senders_at_an_unbound_gate_follow_their_priority(ctx: &Ctx) -> Verdict {
    senders(ctx, false)
}

fn g08_priority_changes_in_every_state(ctx: &Ctx) -> Verdict {
    let (gate, notification) = (ctx.unbound()?, ctx.notification()?);
    let server = ctx.spawn_at(
        120,
        |_| {
            let _ = ipc::receive(Timeout::NEVER);
            tell(control::sleep_until(u64::MAX))
        },
        0,
    )?;
    let bound = ctx.gate_to(server.thread(), 0)?;
    let bodies: [(ThreadState, Body, u64); 5] = [
        (ThreadState::Receiving, |_| tell(ipc::receive(Timeout::NEVER)), 0),
        (
            ThreadState::Receiving,
            |slot| tell(ipc::receive_from(Slot::new(slot as u32), Timeout::NEVER)),
            notification.slot().word(),
        ),
        (ThreadState::Sending, send_number, gate.slot().word()),
        (
            ThreadState::Calling,
            |slot| {
                let tag = Tag::new(7, 0);
                tell(ipc::call(Slot::new(slot as u32), tag, [0; 4], Timeouts::NEVER))
            },
            bound.slot().word(),
        ),
        (ThreadState::Sleeping, |_| tell(control::sleep_until(u64::MAX)), 0),
    ];
    let change = |thread| {
        for priority in [0, 255, 99, 1, 100, 40] {
            ctx.scheduler.set_priority(thread, priority)?;
        }
        Ok::<(), postern_tests::Failure>(())
    };
    for (state, body, argument) in bodies {
        let partner = ctx.spawn(body, argument)?;
        partner.await_state(ctx, state)?;
        change(partner.thread())?;
        let info = partner.info()?;
        check_eq!((info.state, info.priority), (Some(state), 40));
        partner.thread().cancel()?;
        check!(partner.join()? != 0, "{state:?}: it was cancelled");
    }
    let new = ctx.new_thread()?;
    change(new)?;
    let exited = ctx.spawn(|_| 0, 0)?;
    check_eq!(exited.join()?, 0);
    change(exited.thread())?;
    check_eq!(exited.info()?.state, Some(ThreadState::Exited));
    let stopped = ctx.spawn_at(50, spin, 0)?;
    stopped.thread().stop()?;
    change(stopped.thread())?;
    check_eq!(stopped.info()?.state, Some(ThreadState::Stopped));
    check_eq!(board::get(word::COUNT), 0, "a stopped thread ran");
    Ok(())
}

fn g08_priority_of_a_server_that_is_called(ctx: &Ctx) -> Verdict {
    // Lowered while it serves, it goes on at its caller's, and falls to its own
    // new one with the answer.
    let body: Body = |_| {
        let Ok(_) = ipc::receive(Timeout::NEVER) else { return 1 };
        let until = clock::now() + 4_000_000;
        while clock::now() < until {}
        board::push(word::LOG, 1);
        let answered = ipc::reply(0, Tag::new(7, 0), [0; 4]);
        board::push(word::LOG, 3);
        tell(answered)
    };
    let server = ctx.spawn_at(90, body, 0)?;
    let gate = ctx.gate_to(server.thread(), 0)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    board::set(200, server.thread().slot().word());
    board::set(201, ctx.scheduler.slot().word());
    let lower: Body = |_| {
        use postern_tests::syscall::{Scheduler, Thread};
        let _ = control::sleep_until(clock::now() + 1_000_000);
        let thread = Thread::new(Slot::new(board::get(200) as u32));
        tell(Scheduler::new(Slot::new(board::get(201) as u32)).set_priority(thread, 20))
    };
    let lower = ctx.spawn_at(110, lower, 0)?;
    let rival = ctx.spawn_at(60, log_it, 2)?;
    ipc::call(gate.slot(), Tag::new(7, 0), [0; 4], Timeouts::NEVER)?;
    for partner in [&lower, &rival, &server] {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(board::entries::<3>(word::LOG), [1, 2, 3]);
    Ok(())
}

fn g08_scheduler_maximum_bounds_all(ctx: &Ctx) -> Verdict {
    let small = ctx.factory.create_scheduler(ctx.slot()?, ctx.scheduler, 60)?;
    let perm = op(ErrorNumber::Perm, 1);
    let other = ctx.spawn_at(50, spin, 0)?;
    for priority in [61, 100, 255] {
        check_eq!(small.set_priority(other.thread(), priority), Err(perm), "another's");
        check_eq!(small.set_priority(ctx.thread, priority), Err(perm), "its own");
    }
    check_eq!(other.info()?.priority, 50, "after refusals");
    small.set_priority(other.thread(), 60)?;
    check_eq!(other.info()?.priority, 60);
    let above = ctx.factory.create_scheduler(ctx.slot()?, small, 61);
    check_eq!(above.map(drop), Err(op(ErrorNumber::Perm, 3)));
    board::set(word::STOP, 1);
    check_eq!(other.join()?, 0);
    // Down, and with this one not up again.
    small.set_priority(ctx.thread, 60)?;
    check_eq!(small.set_priority(ctx.thread, 100), Err(perm));
    Ok(())
}

fn g08_busy_equals_do_not_starve_a_waker(ctx: &Ctx) -> Verdict {
    // Among three that never wait, one that wakes often gets its turn each time.
    let mut partners = alloc::vec::Vec::new();
    for index in 0..3 {
        partners.push(ctx.spawn_at(50, spin, index)?);
    }
    let waker: Body = |_| {
        for _ in 0..10 {
            let _ = control::sleep_until(clock::now() + 1_000_000);
            board::push(word::LOG, clock::now());
        }
        0
    };
    let waker = ctx.spawn_at(50, waker, 0)?;
    check_eq!(waker.join()?, 0);
    let log = board::entries::<10>(word::LOG);
    for pair in log.windows(2) {
        let late = pair[1] - pair[0];
        check!(late < 50_000_000, "{late} ns for 1 ms of sleep and three slices");
    }
    board::set(word::STOP, 1);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}
