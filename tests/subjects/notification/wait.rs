//! Waiting for one notification by its capability, whoever it is bound to.

use postern_tests::protocol::PRIORITY;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorNumber, Notification, Rights, Slot, Tag, Timeout, Timeouts,
    clock, ipc, utcb,
};
use postern_tests::{
    Body, Ctx, Failure, Partner, Verdict, board, check, check_eq, patience, received, sent, tell,
    tests, told,
};

tests! {
    g07_wait_by_name,
    g07_wait_takes_what_is_there,
    g07_wait_needs_r,
    g07_wait_timeouts,
    g07_wait_is_cancelled_and_stopped,
    g07_wait_takes_no_messages,
    g07_waiters_by_priority_then_arrival,
    g07_waiter_that_becomes_more_urgent,
    g07_one_signal_wakes_one_thread,
    g07_bound_thread_before_waiters,
    g07_wait_outlives_rebinding,
    g07_wait_in_another_task,
    g07_destroyed_with_many_waiters,
    g07_destroyed_waiter_takes_nothing,
    g07_last_capability_ends_the_waits,
    g07_wait_between_calls,
    g07_no_wake_up_is_lost,
}

/// First word of a log on the board.
const LOG: usize = 16;

fn named(slot: u64) -> Notification {
    Notification::new(Slot::new(slot as u32))
}

/// Waits once; the bits, or the error.
fn wait(slot: u64) -> u64 {
    match named(slot).wait(Timeout::NEVER) {
        Ok(bits) => bits,
        Err(error) => tell::<()>(Err(error)),
    }
}

/// Waits once and logs the bits and its number.
fn wait_and_log(argument: u64) -> u64 {
    let bits = wait(argument & 0xffff_ffff);
    board::push(LOG, bits << 8 | argument >> 32);
    0
}

/// A thread that waits, seen waiting.
fn waiter(ctx: &Ctx, priority: u8, body: Body, argument: u64) -> Result<Partner, Failure> {
    let partner = ctx.spawn_at(priority, body, argument)?;
    partner.await_state(ctx, ThreadState::Receiving)?;
    Ok(partner)
}

fn g07_wait_by_name(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    for bits in [1, 0x8000_0000_0000_0000, 0xff] {
        let partner = waiter(ctx, PRIORITY, wait, notification.slot().word())?;
        notification.signal(0)?;
        partner.give_time();
        check_eq!(partner.info()?.state, Some(ThreadState::Receiving), "no bit, no end");
        notification.signal(bits)?;
        check_eq!(partner.join()?, bits);
        check_eq!(notification.poll()?, 0, "taken");
    }
    Ok(())
}

fn g07_wait_takes_what_is_there(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.signal(1)?;
    notification.signal(4)?;
    let delivery = ipc::receive_from(notification.slot(), Timeout::ZERO)?;
    check_eq!((delivery.kind, delivery.label), (DeliveryKind::Notification, 0));
    check_eq!((delivery.tag, delivery.words), (Tag::new(0, 1), [5, 0, 0, 0]));
    check_eq!(notification.wait(Timeout::ZERO), Err(received(ErrorNumber::Timeout)));
    Ok(())
}

fn g07_wait_needs_r(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.bind(ctx.thread)?;
    notification.signal(1)?;
    let weak = ctx.derive(notification, Rights::all() - Rights::R)?;
    check_eq!(weak.wait(patience()), Err(received(ErrorNumber::Perm)));
    check_eq!(notification.wait(Timeout::ZERO)?, 1);
    let only = ctx.derive(notification, Rights::R)?;
    notification.signal(2)?;
    check_eq!(only.wait(Timeout::ZERO)?, 2);
    let wrong = ipc::receive_from(ctx.factory.slot(), Timeout::ZERO).map(drop);
    check_eq!(wrong, Err(received(ErrorNumber::WrongKind)));
    let empty = ipc::receive_from(ctx.slot()?, Timeout::ZERO).map(drop);
    check_eq!(empty, Err(received(ErrorNumber::NotExistent)));
    Ok(())
}

fn g07_wait_timeouts(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let timeout = Err(received(ErrorNumber::Timeout));
    check_eq!(notification.wait(Timeout::ZERO), timeout);
    for ns in [1_000, 500_000, 5_000_000] {
        let before = clock::now();
        check_eq!(notification.wait(Timeout::from_ns(ns)), timeout);
        check!(clock::now() - before >= ns);
    }
    let until = clock::now() + 3_000_001;
    utcb::set_deadlines(0, until);
    check_eq!(notification.wait(Timeout::ABSOLUTE), timeout);
    check!(clock::now() >= until);
    // Nobody waits any more: a signal stays.
    notification.signal(1)?;
    check_eq!(notification.poll()?, 1);
    Ok(())
}

fn g07_wait_is_cancelled_and_stopped(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    for stop in [false, true] {
        let partner = waiter(ctx, PRIORITY, wait, notification.slot().word())?;
        if stop {
            partner.thread().stop()?;
            notification.signal(2)?;
            check_eq!(notification.poll()?, 2, "a stopped thread takes nothing");
            partner.thread().resume()?;
        } else {
            partner.thread().cancel()?;
        }
        check_eq!(told(partner.join()?), Err(received(ErrorNumber::Cancelled)));
    }
    Ok(())
}

fn g07_wait_takes_no_messages(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let partner = waiter(ctx, PRIORITY, wait, notification.slot().word())?;
    let gate = ctx.gate_to(partner.thread(), 0)?;
    let refused = ipc::send(gate.slot(), Tag::new(7, 0), [0; 4], Timeout::from_ns(1_000_000));
    check_eq!(refused, Err(sent(ErrorNumber::Timeout)));
    // Nor signals of the notification that is bound to it.
    let bound = ctx.notification()?;
    bound.bind(partner.thread())?;
    bound.signal(1)?;
    check_eq!(bound.poll()?, 1);
    notification.signal(8)?;
    check_eq!(partner.join()?, 8);
    Ok(())
}

fn g07_waiters_by_priority_then_arrival(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let mut partners = alloc::vec::Vec::new();
    for (number, priority) in (1..).zip([20, 60, 40, 60, 20, 40]) {
        let argument = notification.slot().word() | number << 32;
        partners.push(waiter(ctx, priority, wait_and_log, argument)?);
    }
    for bit in 0..6 {
        notification.signal(1 << bit)?;
        // Each is let run before the next signal.
        check!(ctx.wait_until(|| board::get(LOG) == bit + 1));
    }
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    let expected = [2, 4, 3, 6, 1, 5];
    let log = board::entries::<6>(LOG);
    for (bit, (entry, number)) in log.iter().zip(expected).enumerate() {
        check_eq!(*entry, 1 << bit << 8 | number, "signal {bit}; {log:x?}");
    }
    Ok(())
}

fn g07_waiter_that_becomes_more_urgent(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let argument = |number: u64| notification.slot().word() | number << 32;
    let first = waiter(ctx, 50, wait_and_log, argument(1))?;
    let second = waiter(ctx, 40, wait_and_log, argument(2))?;
    ctx.scheduler.set_priority(second.thread(), 60)?;
    notification.signal(1)?;
    check_eq!(second.join()?, 0);
    notification.signal(2)?;
    check_eq!(first.join()?, 0);
    check_eq!(board::entries::<2>(LOG), [0x102, 0x201]);
    Ok(())
}

fn g07_one_signal_wakes_one_thread(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let one = waiter(ctx, PRIORITY, wait, notification.slot().word())?;
    let other = waiter(ctx, PRIORITY, wait, notification.slot().word())?;
    notification.signal(0b1011)?;
    check_eq!(one.join()?, 0b1011, "all bits for the first");
    other.give_time();
    check_eq!(other.info()?.state, Some(ThreadState::Receiving));
    notification.signal(0b0100)?;
    check_eq!(other.join()?, 0b0100);
    Ok(())
}

fn g07_bound_thread_before_waiters(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let open: Body = |_| ipc::receive(Timeout::NEVER).map_or(0, |delivery| delivery.words[0]);
    // The waiter is more urgent and came first.
    let other = waiter(ctx, PRIORITY + 5, wait, notification.slot().word())?;
    let bound = waiter(ctx, PRIORITY, open, 0)?;
    notification.bind(bound.thread())?;
    notification.signal(3)?;
    check_eq!(bound.join()?, 3);
    // A bound thread that does not wait leaves them to the waiter.
    notification.signal(4)?;
    check_eq!(other.join()?, 4);
    Ok(())
}

fn g07_wait_outlives_rebinding(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let partner = waiter(ctx, PRIORITY, wait, notification.slot().word())?;
    for _ in 0..3 {
        notification.bind(partner.thread())?;
        notification.bind(ctx.thread)?;
        notification.unbind()?;
    }
    check_eq!(partner.info()?.state, Some(ThreadState::Receiving));
    notification.signal(16)?;
    check_eq!(partner.join()?, 16);
    Ok(())
}

fn g07_wait_in_another_task(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let mut peer = ctx.peer()?;
    let given = peer.give(notification.item(Rights::R))?;
    peer.start(wait, given.word())?;
    peer.await_state(ctx, ThreadState::Receiving)?;
    notification.signal(0x11)?;
    check_eq!(peer.join()?, 0x11);
    Ok(())
}

fn g07_destroyed_with_many_waiters(ctx: &Ctx) -> Verdict {
    // More than one step of a destruction deals with.
    let notification = ctx.notification()?;
    let mut partners = alloc::vec::Vec::new();
    for index in 0..70 {
        partners.push(ctx.spawn_at(20 + index % 7, wait, notification.slot().word())?);
    }
    for partner in &partners {
        partner.await_state(ctx, ThreadState::Receiving)?;
    }
    ctx.task.destroy(notification.slot())?;
    for partner in &partners {
        check_eq!(told(partner.join()?), Err(received(ErrorNumber::NotExistent)));
    }
    Ok(())
}

fn g07_destroyed_waiter_takes_nothing(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let first = waiter(ctx, 60, wait, notification.slot().word())?;
    let second = waiter(ctx, 50, wait, notification.slot().word())?;
    ctx.task.destroy(first.thread().slot())?;
    notification.signal(2)?;
    check_eq!(second.join()?, 2);
    // The last one goes, too: the bits stay.
    let last = waiter(ctx, 60, wait, notification.slot().word())?;
    drop(last);
    notification.signal(4)?;
    check_eq!(notification.poll()?, 4);
    Ok(())
}

fn g07_last_capability_ends_the_waits(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let partner = waiter(ctx, PRIORITY, wait, notification.slot().word())?;
    let copy = ctx.derive(notification, Rights::R)?;
    ctx.task.delete(notification.slot())?;
    partner.give_time();
    check_eq!(partner.info()?.state, Some(ThreadState::Receiving), "there is another one");
    ctx.task.delete(copy.slot())?;
    check_eq!(told(partner.join()?), Err(received(ErrorNumber::NotExistent)));
    Ok(())
}

fn g07_wait_between_calls(ctx: &Ctx) -> Verdict {
    // A server that waits for a device while it owes an answer.
    let notification = ctx.notification()?;
    let body: Body = |slot| {
        let Ok(request) = ipc::receive(patience()) else { return 1 };
        let bits = wait(slot);
        tell(ipc::reply(0, Tag::new(7, 1), [bits | request.words[0], 0, 0, 0]))
    };
    let server = waiter(ctx, PRIORITY + 1, body, notification.slot().word())?;
    let gate = ctx.gate_to(server.thread(), 0)?;
    let signaller: Body = |slot| tell(named(slot).signal(0xf0));
    let other = ctx.spawn_at(50, signaller, notification.slot().word())?;
    let answer = ipc::call(gate.slot(), Tag::new(7, 1), [1, 0, 0, 0], Timeouts::NEVER)?;
    check_eq!(answer.words[0], 0xf1);
    check_eq!(other.join()?, 0);
    check_eq!(server.join()?, 0);
    Ok(())
}

fn g07_no_wake_up_is_lost(ctx: &Ctx) -> Verdict {
    // Work is announced on the board, then signalled; consumers take all that
    // is announced before they wait again. Who waits with work undone waits for
    // ever. Slices end everywhere in between.
    const ROUNDS: u64 = 3000;
    let notification = ctx.notification()?;
    let consume: Body = |slot| {
        while board::get(1) < ROUNDS {
            while board::get(1) < board::get(0) {
                board::add(1, 1);
            }
            if board::get(1) < ROUNDS && named(slot).wait(patience()).is_err() {
                return 1;
            }
        }
        0
    };
    let produce: Body = |slot| {
        for round in 0..ROUNDS {
            board::add(0, 1);
            if named(slot).signal(1 << (round % 64)).is_err() {
                return 1;
            }
            if round % 7 == 0 {
                postern_tests::syscall::control::yield_now();
            }
        }
        0
    };
    let consumer = ctx.spawn_at(50, consume, notification.slot().word())?;
    ctx.scheduler.set_slice(consumer.thread(), 100_000)?;
    let producer = ctx.spawn_at(50, produce, notification.slot().word())?;
    ctx.scheduler.set_slice(producer.thread(), 100_000)?;
    check_eq!(producer.join()?, 0);
    check_eq!(consumer.join()?, 0);
    check_eq!(board::get(1), ROUNDS);
    Ok(())
}
