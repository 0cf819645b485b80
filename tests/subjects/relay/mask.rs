//! Masks: they narrow, and nothing else (X10).

use postern_tests::bare::memory::{read, write};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::window::{self, ADDRESS};
use postern_tests::syscall::{Capability, ErrorNumber, Rights};
use postern_tests::{Ctx, Verdict, check, check_eq, op, received, tests};

use crate::server::{Server, WAYS, Way, ask, segment};

tests! {
    x10_a_part_keeps_its_address,
    x10_outside_of_the_segment,
    x10_beyond_the_mask_the_callee_faults,
    x10_read_only_the_callee_faults,
    x10_nested_masks_intersect,
    x10_masks_are_paid_for_and_given_back,
    x10_the_mask_goes_with_what_it_masks,
}

const DATA: Rights = Rights::R.union(Rights::W);
/// So many pages that a part crosses page tables, and large pages.
const BYTES: u64 = 5 << 20;

fn x10_a_part_keeps_its_address(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let server = Server::new(ctx, way)?;
        let relay = segment(ctx, BYTES, 7)?;
        let physical = window::shown()?.physical;
        for (offset, bytes) in [
            (0, PAGE),
            (PAGE, PAGE),
            (511 * PAGE, 2 * PAGE),
            (PAGE, BYTES - PAGE),
            (300 * PAGE, 800 * PAGE),
            (2 << 20, 2 << 20),
            (0, BYTES),
        ] {
            window::mask(offset, bytes, DATA | Rights::PHYS)?;
            let [address, length, there, _] = server.lend([ask::SHOWN, 0, 0, 0])?;
            check_eq!((address, length, there), (ADDRESS + offset, bytes, physical + offset));
            for at in [ADDRESS + offset, ADDRESS + offset + bytes - PAGE] {
                check_eq!(server.lend([ask::READ, at, 0, 0])?[0], read(at));
                let value = at | 1;
                check_eq!(server.lend([ask::WRITE, at, value, 0])?[0], value);
                check_eq!(read(at), value);
            }
            // The lender itself sees all of it.
            check_eq!(window::shown()?.bytes, BYTES);
        }
        window::release()?;
        ctx.task.destroy(relay.slot())?;
    }
    Ok(())
}

fn x10_outside_of_the_segment(ctx: &Ctx) -> Verdict {
    let bad = |argument| Err(op(ErrorNumber::InvalidMask, argument));
    check_eq!(window::mask(0, PAGE, Rights::R), bad(0));
    let relay = segment(ctx, 4 * PAGE, 7)?;
    check_eq!(window::mask(1, PAGE, Rights::R), bad(1));
    check_eq!(window::mask(4 * PAGE, PAGE, Rights::R), bad(1));
    check_eq!(window::mask(u64::MAX - PAGE + 1, PAGE, Rights::R), bad(1));
    for bytes in [0, 8, PAGE - 1, 5 * PAGE, u64::MAX, u64::MAX - PAGE + 1] {
        check_eq!(window::mask(0, bytes, Rights::R), bad(2), "{bytes} bytes");
    }
    check_eq!(window::mask(3 * PAGE, 2 * PAGE, Rights::R), bad(2));
    for rights in [Rights::empty(), Rights::W, Rights::R | Rights::X, Rights::all()] {
        check_eq!(window::mask(0, PAGE, rights), bad(3));
    }
    // More than a read-only view has.
    window::release()?;
    let reader = ctx.derive(relay, Rights::R)?;
    reader.activate()?;
    check_eq!(window::mask(0, PAGE, DATA), bad(3));
    check_eq!(window::mask(0, PAGE, Rights::R | Rights::PHYS), bad(3));
    window::mask(0, PAGE, Rights::R)?;
    window::unmask()?;
    window::unmask()?;
    Ok(())
}

/// The server does something that is a fault of its own, and its caller is
/// told and has its segment back.
fn faults(
    ctx: &Ctx,
    way: Way,
    words: [u64; 4],
    prepare: fn() -> postern_tests::syscall::Result<()>,
) -> Verdict {
    let server = Server::new(ctx, way)?;
    let relay = segment(ctx, 4 * PAGE, 7)?;
    prepare()?;
    check_eq!(server.lend(words), Err(received(ErrorNumber::Aborted)));
    check_eq!(window::shown()?.bytes, 4 * PAGE);
    check_eq!(read(ADDRESS + PAGE), 8);
    write(ADDRESS, 3);
    if way == Way::Thread {
        server.partner.expect_fault(14, Some(words[1]))?;
    }
    window::release()?;
    ctx.task.destroy(relay.slot())?;
    Ok(())
}

fn x10_beyond_the_mask_the_callee_faults(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        for at in [ADDRESS, ADDRESS + 2 * PAGE, ADDRESS + 4 * PAGE] {
            faults(ctx, way, [ask::READ, at, 0, 0], || window::mask(PAGE, PAGE, DATA))?;
        }
    }
    Ok(())
}

fn x10_read_only_the_callee_faults(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let at = ADDRESS + PAGE;
        faults(ctx, way, [ask::WRITE, at, 1, 0], || window::mask(PAGE, PAGE, Rights::R))?;
        faults(ctx, way, [ask::WRITE, at, 1, 0], || window::mask(0, 4 * PAGE, Rights::R))?;
    }
    Ok(())
}

fn x10_nested_masks_intersect(ctx: &Ctx) -> Verdict {
    let bad = |argument| op(ErrorNumber::InvalidMask, argument).encode();
    for way in WAYS {
        let server = Server::new(ctx, way)?;
        let relay = segment(ctx, 8 * PAGE, 7)?;
        window::mask(2 * PAGE, 4 * PAGE, Rights::R)?;
        let inner = |offset: u64, bytes: u64, rights: Rights| {
            let words = [ask::MASK, offset * PAGE, bytes * PAGE, rights.bits().into()];
            server.lend(words).map(|answer| answer[0])
        };
        check_eq!(inner(3, 1, Rights::R)?, 0);
        check_eq!(inner(2, 4, Rights::R)?, 0);
        check_eq!(inner(1, 2, Rights::R)?, bad(1));
        check_eq!(inner(6, 1, Rights::R)?, bad(1));
        check_eq!(inner(2, 5, Rights::R)?, bad(2));
        check_eq!(inner(5, 2, Rights::R)?, bad(2));
        check_eq!(inner(3, 1, DATA)?, bad(3));
        // Masks of one's own replace each other.
        window::mask(PAGE, 7 * PAGE, DATA)?;
        check_eq!(inner(1, 2, DATA)?, 0);
        window::release()?;
        ctx.task.destroy(relay.slot())?;
    }
    Ok(())
}

fn x10_masks_are_paid_for_and_given_back(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, Way::Entry)?;
    segment(ctx, BYTES, 7)?;
    server.lend([ask::SHOWN, 0, 0, 0])?;
    let before = ctx.charged()?;
    for (offset, bytes, tables) in [(0, 2 << 20, 2), (PAGE, PAGE, 3), (PAGE, BYTES - 2 * PAGE, 4)] {
        window::mask(offset, bytes, DATA)?;
        let cost = ctx.charged()? - before;
        check!(cost / PAGE == tables && cost % PAGE < 512, "{cost} bytes for {tables} tables");
        server.lend([ask::SHOWN, 0, 0, 0])?;
        check_eq!(ctx.charged()? - before, cost);
    }
    // The same range with fewer rights needs no tables.
    window::mask(0, BYTES, Rights::R)?;
    check_eq!(ctx.charged()?, before);
    // What a callee masks goes when its activation ends.
    let words = [ask::MASK, PAGE, PAGE, Rights::R.bits().into()];
    check_eq!(server.lend(words)?[0], 0);
    check_eq!(ctx.charged()?, before);
    Ok(())
}

fn x10_the_mask_goes_with_what_it_masks(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, Way::Entry)?;
    segment(ctx, 4 * PAGE, 7)?;
    let before = ctx.charged()?;
    window::mask(PAGE, PAGE, Rights::R)?;
    window::park(0)?;
    check_eq!(ctx.charged()?, before);
    window::swap(0)?;
    check_eq!(server.lend([ask::SHOWN, 0, 0, 0])?[1], 4 * PAGE);
    Ok(())
}
