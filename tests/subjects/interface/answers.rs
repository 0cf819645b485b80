//! Answers that come at once, later, too late, or never.

use core::time::Duration;

use postern_tests::runtime::interface::CallError;
use postern_tests::runtime::time;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Capability, Timeouts};
use postern_tests::{Ctx, Verdict, check, check_eq, tests};

use crate::zoo::{ZooClient, ZooError};
use crate::{ABORTED, TIMED_OUT, client, free_slots, word, zoo};

tests! {
    interface_answer_before_the_method_ends,
    interface_kept_answers,
    interface_dropped_answers,
    interface_answer_after_the_client_timed_out,
    interface_answer_after_the_client_died,
    interface_slow_server,
    interface_zero_timeout,
    interface_no_slot_to_keep_an_answer,
}

/// Calls `keep` and tells what it brought.
fn keep(argument: u64) -> u64 {
    word(client::<ZooClient>(argument).keep())
}

fn short() -> Timeouts {
    Timeouts::receive(time::timeout(Duration::from_millis(3)))
}

/// The same, but waits a moment only.
fn keep_shortly(argument: u64) -> u64 {
    word(client::<ZooClient>(argument).with_timeouts(short()).keep())
}

fn interface_answer_before_the_method_ends(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    for number in 1..50 {
        check_eq!(zoo.at_once(number), Ok(2 * number));
    }
    check_eq!(zoo.at_once(0), Err(CallError::Server(ZooError::Unknown)));
    Ok(())
}

fn interface_kept_answers(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let free = free_slots();
    for round in 0..5 {
        let clients = [
            ctx.spawn(keep, zoo.gate().slot().word())?,
            ctx.spawn(keep, zoo.gate().slot().word())?,
        ];
        check!(ctx.wait_until(|| zoo.kept() == Ok(2)), "two answers are kept");
        for client in &clients {
            check_eq!(client.info()?.state, Some(ThreadState::Calling));
        }
        check_eq!(zoo.release(round), Ok(Some(true)));
        check_eq!(zoo.release(round), Ok(Some(true)));
        check_eq!(zoo.release(round), Ok(None));
        for client in &clients {
            check_eq!(client.join()?, round);
        }
    }
    check_eq!(free_slots(), free);
    Ok(())
}

fn interface_dropped_answers(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    check_eq!(zoo.ignore(), Err(CallError::Aborted), "dropped in the method");
    let client = ctx.spawn(keep, zoo.gate().slot().word())?;
    check!(ctx.wait_until(|| zoo.kept() == Ok(1)), "the answer is kept");
    check_eq!(zoo.forget(), Ok(()));
    check_eq!(client.join()?, ABORTED, "dropped later");
    check_eq!(zoo.ping(), Ok(()));
    Ok(())
}

fn interface_answer_after_the_client_timed_out(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let free = free_slots();
    let client = ctx.spawn(keep_shortly, zoo.gate().slot().word())?;
    check_eq!(client.join()?, TIMED_OUT);
    check_eq!(zoo.kept(), Ok(1));
    check_eq!(zoo.release(5), Ok(Some(false)));
    drop(client);
    check_eq!(free_slots(), free);
    // The same client, with a call that waits: the late answer is not its.
    check_eq!(zoo.with_timeouts(short()).keep(), Err(CallError::TimedOut));
    check_eq!(zoo.release(6), Ok(Some(false)));
    check_eq!(zoo.two(1, 1), Ok((2, false)));
    Ok(())
}

fn interface_answer_after_the_client_died(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let free = free_slots();
    let client = ctx.spawn(keep, zoo.gate().slot().word())?;
    check!(ctx.wait_until(|| zoo.kept() == Ok(1)), "the answer is kept");
    drop(client);
    check_eq!(zoo.release(5), Ok(Some(false)));
    check_eq!(zoo.ping(), Ok(()));
    check_eq!(free_slots(), free);
    Ok(())
}

fn interface_slow_server(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let hasty = zoo.with_timeouts(short());
    for _ in 0..3 {
        check_eq!(hasty.sleep(30), Err(CallError::TimedOut));
        // Its late answer is nobody's; this one waits for it.
        check_eq!(zoo.two(3, 4), Ok((7, false)));
    }
    check_eq!(zoo.sleep(1), Ok(1));
    Ok(())
}

fn interface_zero_timeout(ctx: &Ctx) -> Verdict {
    let (server, zoo) = zoo(ctx)?;
    check_eq!(zoo.ping(), Ok(()));
    server.await_state(ctx, ThreadState::Receiving)?;
    let client = ctx.spawn(keep, zoo.gate().slot().word())?;
    check!(ctx.wait_until(|| zoo.kept() == Ok(1)), "the answer is kept");
    // It is there, but an answer takes time.
    check_eq!(zoo.with_timeouts(Timeouts::ZERO).keep(), Err(CallError::TimedOut));
    check!(ctx.wait_until(|| zoo.kept() == Ok(2)), "both are kept");
    check_eq!(zoo.release(1), Ok(Some(true)));
    check_eq!(client.join()?, 1);
    Ok(())
}

fn interface_no_slot_to_keep_an_answer(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let slots: alloc::vec::Vec<_> =
        core::iter::from_fn(postern_tests::syscall::slots::allocate).collect();
    check_eq!(zoo.keep(), Err(CallError::Aborted));
    check_eq!(zoo.get().map(drop), Err(CallError::NoSlots));
    check_eq!(zoo.ping(), Ok(()));
    slots.iter().for_each(|slot| postern_tests::syscall::slots::release(*slot));
    Ok(())
}
