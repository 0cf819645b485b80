//! Lending and getting back (X9, X12, X17, X27).

use postern_tests::bare::memory::{read, write};
use postern_tests::handler::{answer, fault, handled};
use postern_tests::runtime::slots;
use postern_tests::syscall::abi::code::Held;
use postern_tests::syscall::abi::op::fault::{GIVE_UP, RESUME};
use postern_tests::syscall::abi::op::relay::Owner;
use postern_tests::syscall::abi::{ErrorCode, PAGE};
use postern_tests::syscall::window::{self, ADDRESS};
use postern_tests::syscall::{
    Capability, ErrorNumber, Phase, Rights, Slot, Tag, Timeouts, ipc, raw,
};
use postern_tests::{Ctx, Verdict, board, check, check_eq, op, patience, tests};

use crate::server::{FOUR, LENT, Server, WAYS, Way, ask, fill, segment, sum};

tests! {
    x09_same_address_everywhere,
    x09_sizes,
    x09_hand_over_does_not_depend_on_size,
    x09_nothing_else_fits_into_the_window,
    x09_without_the_flag_nobody_sees_it,
    x09_what_cannot_be_lent,
    x09_read_only_capability,
    x09_nothing_in_it_is_executed,
    x12_a_sibling_thread_cannot_write,
    x17_sizes_come_from_the_entry,
    x27_scattered,
}

fn no_segment(number: ErrorNumber) -> ErrorCode {
    ErrorCode { number, phase: Phase::Send, argument: ErrorCode::SEGMENT }
}

fn x09_same_address_everywhere(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let server = Server::new(ctx, way)?;
        let relay = segment(ctx, 4 * PAGE, 5)?;
        let before = sum(ADDRESS, 4 * PAGE);
        let mine = window::shown()?;
        check_eq!((mine.address, mine.bytes, mine.held), (ADDRESS, 4 * PAGE, Some(Held::Own)));
        check!(mine.physical != 0);
        let [address, bytes, physical, flags] = server.lend([ask::SHOWN, 0, 0, 0])?;
        check_eq!((address, bytes, physical), (ADDRESS, 4 * PAGE, mine.physical));
        check_eq!(flags & 0xffff, Held::Borrowed as u64 | 1 << 8);
        check_eq!(server.lend([ask::SUM, ADDRESS, 4 * PAGE, 0])?[0], before);
        // Both see what the other writes.
        let answer =
            ipc::call(server.gate.slot(), LENT, [ask::WRITE, ADDRESS, 77, 0], Timeouts::NEVER)?;
        check_eq!(answer.words[0], 77);
        check!(answer.tag.has_relay(), "the answer does not say that the segment is back");
        check_eq!(read(ADDRESS), 77);
        check_eq!(window::shown()?, mine);
        check_eq!(relay.info()?.owner, Some(Owner::Active));
        window::release()?;
        check_eq!(relay.info()?.owner, Some(Owner::Idle));
        ctx.task.destroy(relay.slot())?;
    }
    Ok(())
}

/// Largest segment that the test can have, a power of two.
fn largest(ctx: &Ctx) -> Result<u64, postern_tests::Failure> {
    let mut bytes = 1 << 40;
    loop {
        let slot = ctx.slot()?;
        match ctx.factory.create_relay(slot, bytes, false) {
            Ok(relay) => {
                ctx.task.destroy(relay.slot())?;
                slots::release(slot);
                return Ok(bytes);
            }
            Err(error) if bytes > PAGE && error.number != ErrorNumber::Exists => bytes /= 2,
            Err(error) => return Err(error.into()),
        }
        slots::release(slot);
    }
}

fn x09_sizes(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let server = Server::new(ctx, way)?;
        for bytes in [PAGE, 2 << 20, 3 * PAGE, 64 << 20, largest(ctx)?] {
            let relay = ctx.factory.create_relay(ctx.slot()?, bytes, false)?;
            relay.activate()?;
            // Zeroed, and there to its last byte.
            let last = ADDRESS + bytes - 8;
            check_eq!((read(ADDRESS), read(last)), (0, 0));
            write(last, bytes);
            check_eq!(server.lend([ask::READ, last, 0, 0])?[0], bytes);
            check_eq!(server.lend([ask::WRITE, ADDRESS, 3, 0])?[0], 3);
            check_eq!(read(ADDRESS), 3);
            window::release()?;
            ctx.task.destroy(relay.slot())?;
        }
    }
    Ok(())
}

fn x09_hand_over_does_not_depend_on_size(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let server = Server::new(ctx, way)?;
        let mut costs = [0; 3];
        for (bytes, cost) in [PAGE, 1 << 20, 64 << 20].into_iter().zip(&mut costs) {
            let relay = ctx.factory.create_relay(ctx.slot()?, bytes, false)?;
            relay.activate()?;
            let once = || {
                let start = raw::time_stamp();
                let lent = server.lend([ask::READ, ADDRESS, 0, 0]);
                let end = raw::time_stamp();
                lent.map(|_| end - start)
            };
            // The least of some: no interrupt in between.
            let mut least = u64::MAX;
            for _ in 0..50 {
                least = least.min(once()?);
            }
            *cost = least;
            window::release()?;
            ctx.task.destroy(relay.slot())?;
        }
        check!(costs.iter().all(|cost| *cost == costs[0]), "{way:?}: {costs:?} instructions");
    }
    Ok(())
}

fn x09_nothing_else_fits_into_the_window(ctx: &Ctx) -> Verdict {
    let relay = segment(ctx, PAGE, 1)?;
    let memory = ctx.memory(1)?;
    for at in [ADDRESS, ADDRESS + PAGE, ADDRESS + (1 << 39) - PAGE] {
        let mapped = ctx.task.map(memory, at, 0, PAGE, Rights::R);
        check_eq!(mapped, Err(op(ErrorNumber::Inval, 1)));
        check_eq!(ctx.task.unmap(at, PAGE), Err(op(ErrorNumber::Inval, 1)));
        check_eq!(ctx.task.protect(at, PAGE, Rights::R).map(drop), Err(op(ErrorNumber::Inval, 1)));
    }
    check_eq!(read(ADDRESS), 1);
    window::release()?;
    ctx.task.destroy(relay.slot())?;
    // Nothing is shown past a segment, or without one.
    ctx.spawn(read, ADDRESS)?.expect_fault(14, Some(ADDRESS))?;
    Ok(())
}

fn x09_without_the_flag_nobody_sees_it(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let server = Server::new(ctx, way)?;
        let relay = segment(ctx, PAGE, 1)?;
        let shown = server.call(FOUR, [ask::SHOWN, 0, 0, 0], Timeouts::NEVER)?;
        check_eq!(shown, [0, 0, 0, Held::Nothing as u64]);
        check_eq!(read(ADDRESS), 1);
        window::release()?;
        ctx.task.destroy(relay.slot())?;
    }
    Ok(())
}

fn x09_what_cannot_be_lent(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let server = Server::new(ctx, way)?;
        check_eq!(server.lend([0; 4]), Err(no_segment(ErrorNumber::Inval)));
        let relay = segment(ctx, PAGE, 1)?;
        // What is sent without waiting for an answer would be lost.
        let only = ipc::send(server.gate.slot(), LENT, [0; 4], patience());
        check_eq!(only, Err(no_segment(ErrorNumber::Inval)));
        check_eq!(relay.activate(), Err(op(ErrorNumber::Exists, 0)));
        window::release()?;
        ctx.task.destroy(relay.slot())?;
    }
    // Other flags do not exist.
    let relay = segment(ctx, PAGE, 1)?;
    let server = Server::new(ctx, Way::Thread)?;
    for bit in 13..16 {
        let odd = Tag::from_bits(FOUR.bits() | 1 << bit);
        let refused = server.call(odd, [0; 4], Timeouts::NEVER);
        check_eq!(refused, Err(postern_tests::sent(ErrorNumber::Inval)));
    }
    check_eq!(relay.info()?.owner, Some(Owner::Active));
    Ok(())
}

fn x09_read_only_capability(ctx: &Ctx) -> Verdict {
    let relay = segment(ctx, PAGE, 9)?;
    window::release()?;
    let none = ctx.derive(relay, Rights::W)?;
    check_eq!(none.activate(), Err(op(ErrorNumber::Perm, 0)));
    let reader = ctx.derive(relay, Rights::R)?;
    check_eq!(reader.info()?.physical, 0);
    let partner = ctx.spawn(
        |slot| {
            let relay = postern_tests::syscall::Relay::new(Slot::new(slot as u32));
            if relay.activate().is_err() || read(ADDRESS) != 9 {
                return 1;
            }
            write(ADDRESS, 1);
            2
        },
        reader.slot().word(),
    )?;
    partner.expect_fault(14, Some(ADDRESS))?;
    // The thread has ended: its segment is nobody's.
    check_eq!(relay.info()?.owner, Some(Owner::Idle));
    Ok(())
}

fn x09_nothing_in_it_is_executed(ctx: &Ctx) -> Verdict {
    let relay = ctx.factory.create_relay(ctx.slot()?, PAGE, false)?;
    let partner = ctx.spawn(
        |slot| {
            let relay = postern_tests::syscall::Relay::new(Slot::new(slot as u32));
            if relay.activate().is_err() {
                return 1;
            }
            // `ret`: whoever could execute it would come back.
            write(ADDRESS, 0xc3c3_c3c3_c3c3_c3c3);
            postern_tests::bare::memory::execute(ADDRESS)
        },
        relay.slot().word(),
    )?;
    let end = partner.expect_fault(14, Some(ADDRESS))?;
    check!(end.error & 0x10 != 0, "no instruction fetch: error code {:#x}", end.error);
    Ok(())
}

/// A body: activates the segment, lends it to a server that keeps it for a
/// while, with `argument` the slots of both.
fn lender(argument: u64) -> u64 {
    let relay = postern_tests::syscall::Relay::new(Slot::new(argument as u32 & 0xffff));
    let gate = Slot::new((argument >> 16) as u32);
    if relay.activate().is_err() {
        return 1;
    }
    fill(ADDRESS, 4 * PAGE, 3);
    let expected = sum(ADDRESS, 4 * PAGE);
    let words = [ask::READ_ALL_UNTIL, ADDRESS, 4 * PAGE, expected];
    match ipc::call(gate, LENT, words, Timeouts::NEVER) {
        // The same at the end, and in every round.
        Ok(answer) if answer.words[1] == 0 && answer.words[0] == expected => {
            u64::from(sum(ADDRESS, 4 * PAGE) != expected)
        }
        Ok(_) => 3,
        Err(_) => 2,
    }
}

/// A body: writes to the window in a loop; each write faults.
fn attacker(_: u64) -> u64 {
    for attempt in 0..50 {
        write(ADDRESS, 0xbad);
        board::set(3, attempt);
    }
    0
}

fn x12_a_sibling_thread_cannot_write(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        board::set(crate::server::BEGUN, 0);
        board::set(crate::server::STOP, 0);
        board::set(crate::server::ROUNDS, 0);
        let server = Server::new(ctx, way)?;
        let relay = ctx.factory.create_relay(ctx.slot()?, 4 * PAGE, false)?;
        let argument = relay.slot().word() | server.gate.slot().word() << 16;
        let caller = ctx.spawn(lender, argument)?;
        check!(ctx.wait_until(|| board::get(crate::server::BEGUN) == 1));
        check_eq!(relay.info()?.owner, Some(Owner::Lent));
        check_eq!(relay.activate(), Err(op(ErrorNumber::Lent, 0)));
        // Sixteen attempts, each a fault that its handler sees; it is let on
        // without effect by stepping over nothing: it tries again.
        let gate = ctx.gate(0x80)?;
        let mut sibling = handled(ctx, gate)?;
        sibling.start(attacker, 0)?;
        for attempt in 0..16 {
            let told = fault()?;
            check_eq!((told.words[0], told.words[1]), (14, ADDRESS));
            let rounds = board::get(crate::server::ROUNDS);
            check!(ctx.wait_until(|| board::get(crate::server::ROUNDS) > rounds));
            answer(if attempt < 15 { RESUME } else { GIVE_UP })?;
        }
        sibling.expect_fault(14, Some(ADDRESS))?;
        board::set(crate::server::STOP, 1);
        check_eq!(caller.join()?, 0, "what the server read, each time, is what was lent");
        check_eq!(relay.info()?.owner, Some(Owner::Idle));
        ctx.task.destroy(relay.slot())?;
    }
    Ok(())
}

fn x17_sizes_come_from_the_entry(ctx: &Ctx) -> Verdict {
    // The client reserves what the chain needs, and B adds its header in place.
    let server = Server::new(ctx, Way::Entry)?;
    let Some(entry) = server.entry else { postern_tests::fail!("it has an entry") };
    let mut info = entry.info()?;
    check_eq!((info.size_self, info.size_all), (0, 0));
    (info.size_self, info.size_all) = (PAGE, 3 * PAGE);
    entry.set(&info, None)?;
    let told = entry.info()?;
    check_eq!((told.size_self, told.size_all), (PAGE, 3 * PAGE));
    let relay = segment(ctx, told.size_all + PAGE, 1)?;
    check_eq!(server.lend([ask::WRITE, ADDRESS + told.size_all, 12, 0])?[0], 12);
    check_eq!(read(ADDRESS + told.size_all), 12);
    check_eq!(relay.info()?.bytes, 4 * PAGE);
    Ok(())
}

fn x27_scattered(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let before = ctx.charged()?;
        let server = Server::new(ctx, way)?;
        let slot = ctx.slot()?;
        let bytes = 600 * PAGE;
        let relay = ctx.factory.create_relay(slot, bytes, true)?;
        relay.activate()?;
        check_eq!(window::shown()?.physical, 0);
        check_eq!(sum(ADDRESS, bytes), 0, "not zeroed");
        fill(ADDRESS, bytes, 17);
        let mine = sum(ADDRESS, bytes);
        check_eq!(server.lend([ask::SUM, ADDRESS, bytes, 0])?[0], mine);
        // A part of it, across a table's border.
        window::mask(500 * PAGE, 20 * PAGE, Rights::R)?;
        let part = sum(ADDRESS + 500 * PAGE, 20 * PAGE);
        check_eq!(server.lend([ask::SUM, ADDRESS + 500 * PAGE, 20 * PAGE, 0])?[0], part);
        window::release()?;
        drop(server);
        ctx.task.destroy(relay.slot())?;
        slots::release(slot);
        let after = ctx.charged()?;
        check!(after < before + bytes / 4, "{} bytes stay charged", after - before);
    }
    let odd = ctx.factory.create_relay(ctx.slot()?, 0, true);
    check_eq!(odd.map(drop), Err(op(ErrorNumber::Inval, 3)));
    Ok(())
}
