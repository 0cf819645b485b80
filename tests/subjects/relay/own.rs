//! Lists, swapping, and what a callee must give back (X11, X13, X30).

use postern_tests::bare::memory::read;
use postern_tests::syscall::abi::code::Held;
use postern_tests::syscall::abi::op::relay::Owner;
use postern_tests::syscall::abi::{ErrorCode, PAGE};
use postern_tests::syscall::window::{self, ADDRESS};
use postern_tests::syscall::{Capability, ErrorNumber, Phase, Relay, Slot, Timeouts, ipc};
use postern_tests::{Ctx, Verdict, board, check, check_eq, op, tests};

use crate::server::{LENT, Server, WAYS, Way, ask, segment};

tests! {
    x11_swap_exchanges,
    x11_bad_swaps,
    x11_the_list_is_the_tasks,
    x11_swap_in_a_nested_call,
    x13_the_callee_must_give_back_what_was_lent,
    x30_two_threads_two_segments,
}

fn x11_swap_exchanges(ctx: &Ctx) -> Verdict {
    let a = segment(ctx, PAGE, 1)?;
    window::park(0)?;
    check_eq!(a.info()?.owner, Some(Owner::Parked));
    check_eq!(window::shown()?.held, Some(Held::Nothing));
    let b = segment(ctx, 2 * PAGE, 2)?;
    window::swap(0)?;
    check_eq!((read(ADDRESS), window::shown()?.bytes), (1, PAGE));
    check_eq!((a.info()?.owner, b.info()?.owner), (Some(Owner::Active), Some(Owner::Parked)));
    window::swap(0)?;
    check_eq!((read(ADDRESS), window::shown()?.bytes), (2, 2 * PAGE));
    // An empty place takes what is active.
    window::swap(15)?;
    check_eq!(window::shown()?.bytes, 0);
    window::swap(0)?;
    check_eq!(read(ADDRESS), 1);
    // A deleted one is out of its place, and out of the window.
    ctx.task.destroy(b.slot())?;
    check_eq!(window::park(15), Ok(()));
    window::swap(15)?;
    ctx.task.destroy(a.slot())?;
    check_eq!(window::shown()?.held, Some(Held::Nothing));
    ctx.spawn(read, ADDRESS)?.expect_fault(14, Some(ADDRESS))?;
    Ok(())
}

fn x11_bad_swaps(ctx: &Ctx) -> Verdict {
    let bad = |argument| Err(op(ErrorNumber::InvalidSwap, argument));
    for index in [window::PLACES, window::PLACES + 1, usize::MAX] {
        check_eq!(window::swap(index), bad(1));
        check_eq!(window::park(index), bad(1));
    }
    check_eq!(window::swap(3), bad(0));
    check_eq!(window::park(3), bad(0));
    check_eq!(window::release(), Err(op(ErrorNumber::NotExistent, 0)));
    let relay = segment(ctx, PAGE, 1)?;
    check_eq!(window::swap(window::PLACES), bad(1));
    window::park(3)?;
    check_eq!(relay.activate(), Err(op(ErrorNumber::Busy, 0)));
    segment(ctx, PAGE, 2)?;
    check_eq!(window::park(3), Err(op(ErrorNumber::Exists, 1)));
    check_eq!(read(ADDRESS), 2);
    Ok(())
}

fn x11_the_list_is_the_tasks(ctx: &Ctx) -> Verdict {
    let relay = segment(ctx, PAGE, 6)?;
    window::park(2)?;
    // Another thread of the task takes it, and ends with it.
    let partner =
        ctx.spawn(|place| window::swap(place as usize).map_or(0, |()| read(ADDRESS)), 2)?;
    check_eq!(partner.join()?, 6);
    check_eq!(relay.info()?.owner, Some(Owner::Idle));
    check_eq!(window::swap(2), Err(op(ErrorNumber::InvalidSwap, 0)));
    // What a dead task had parked is nobody's.
    let mut server = Server::idle(ctx, Way::Thread)?;
    server.give(relay)?;
    server.start()?;
    let parked = server.call(crate::server::FOUR, [ask::OWN, 0, 5, 7], Timeouts::NEVER)?;
    check_eq!(parked[..2], [0, 0]);
    check_eq!(relay.info()?.owner, Some(Owner::Parked));
    drop(server);
    check!(ctx.wait_until(|| relay.info().is_ok_and(|it| it.owner == Some(Owner::Idle))));
    Ok(())
}

fn x11_swap_in_a_nested_call(ctx: &Ctx) -> Verdict {
    let lent = op(ErrorNumber::Lent, 0).encode();
    for way in WAYS {
        let own = ctx.factory.create_relay(ctx.slot()?, PAGE, false)?;
        let mut server = Server::idle(ctx, way)?;
        server.give(own)?;
        server.start()?;
        let plain = crate::server::FOUR;
        let parked = server.call(plain, [ask::OWN, 0, 99, 1], Timeouts::NEVER)?;
        check_eq!(parked[..2], [0, 0]);
        let relay = segment(ctx, PAGE, 5)?;
        // There and back: twice the same place changes nothing.
        check_eq!(server.lend([ask::SWAP, 1, 1, 0])?[..2], [0, 0]);
        check_eq!(server.lend([ask::SWAP, 9, 9, 0])?[..2], [0, 0]);
        check_eq!(read(ADDRESS), 5);
        check_eq!(own.info()?.owner, Some(Owner::Parked));
        // What is borrowed is not put into the list.
        let again = server.lend([ask::OWN, 0, 1, 1])?;
        check_eq!(again[0], op(ErrorNumber::Exists, 0).encode());
        check_eq!(again[1], lent);
        window::release()?;
        ctx.task.destroy(relay.slot())?;
    }
    Ok(())
}

fn x13_the_callee_must_give_back_what_was_lent(ctx: &Ctx) -> Verdict {
    let argument = ErrorCode::SEGMENT;
    let mismatch = ErrorCode { number: ErrorNumber::SegMismatch, phase: Phase::Send, argument };
    for way in WAYS {
        let own = ctx.factory.create_relay(ctx.slot()?, PAGE, false)?;
        let mut server = Server::idle(ctx, way)?;
        server.give(own)?;
        server.start()?;
        server.call(crate::server::FOUR, [ask::OWN, 0, 99, 1], Timeouts::NEVER)?;
        let relay = segment(ctx, PAGE, 5)?;
        for place in [1, 4] {
            // It swaps, tries to return, is refused, swaps back, returns.
            let kind = u64::from(way == Way::Entry);
            let answer = server.lend([ask::RETURN_SWAPPED, place, kind, 0])?;
            check_eq!(answer[..3], [0, mismatch.encode(), 0]);
            check_eq!((read(ADDRESS), relay.info()?.owner), (5, Some(Owner::Active)));
            check_eq!(own.info()?.owner, Some(Owner::Parked));
        }
        window::release()?;
        ctx.task.destroy(relay.slot())?;
    }
    Ok(())
}

/// A body: lends one segment and tries to get hold of the other one, which the
/// other thread has lent; never waits.
fn opposite(argument: u64) -> u64 {
    let slot = |index: u64| Slot::new((argument >> (16 * index)) as u32 & 0xffff);
    let (mine, other, me) = (Relay::new(slot(0)), Relay::new(slot(1)), (argument >> 48) as usize);
    if mine.activate().is_err() {
        return 1;
    }
    board::set(40 + me, 1);
    while board::get(41 - me) == 0 {
        postern_tests::syscall::control::yield_now();
    }
    for _ in 0..100 {
        match other.activate().map_err(|error| error.number) {
            Err(ErrorNumber::Exists) => {}
            _ => return 2,
        }
        if window::park(me).is_err() {
            return 3;
        }
        match other.activate().map_err(|error| error.number) {
            Err(ErrorNumber::Busy | ErrorNumber::Lent) => {}
            _ => return 4,
        }
        if window::swap(me).is_err() || ipc::call(slot(2), LENT, [0; 4], Timeouts::NEVER).is_err() {
            return 5;
        }
    }
    board::set(42 + me, 1);
    while board::get(43 - me) == 0 {
        postern_tests::syscall::control::yield_now();
    }
    0
}

fn x30_two_threads_two_segments(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        (40..44).for_each(|word| board::set(word, 0));
        let servers = [Server::new(ctx, way)?, Server::new(ctx, way)?];
        let a = ctx.factory.create_relay(ctx.slot()?, PAGE, false)?;
        let b = ctx.factory.create_relay(ctx.slot()?, PAGE, false)?;
        let argument = |mine: Relay, other: Relay, me: u64| {
            let gate = servers[me as usize].gate.slot().word();
            mine.slot().word() | other.slot().word() << 16 | gate << 32 | me << 48
        };
        let first = ctx.spawn(opposite, argument(a, b, 0))?;
        let second = ctx.spawn(opposite, argument(b, a, 1))?;
        check_eq!((first.join()?, second.join()?), (0, 0));
        check_eq!((a.info()?.owner, b.info()?.owner), (Some(Owner::Idle), Some(Owner::Idle)));
    }
    Ok(())
}
