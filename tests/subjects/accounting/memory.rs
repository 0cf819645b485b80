//! Memory (row G5): rights of mappings, guard pages, large pages, physical
//! addresses, and zeroes.

use postern_tests::bare::memory::{read, write};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{Capability, ErrorNumber, Rights};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, op, tests};

tests! {
    accounting_g05_protect_both_ways_within_the_limit,
    accounting_g05_guard_pages,
    accounting_g05_large_pages_are_changed_whole,
    accounting_g05_physical_address_needs_its_right,
    accounting_g05_zeroed_before_reuse = 60,
}

const AT: u64 = 0xc_0000_0000;
const LARGE: u64 = 2 << 20;
const DATA: Rights = Rights::R.union(Rights::W);

fn accounting_g05_protect_both_ways_within_the_limit(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    let writes: Body = |address| {
        write(address, 1);
        0
    };
    for limit in [Rights::R, DATA, Rights::R | Rights::X, DATA | Rights::X] {
        let weak = ctx.derive(memory, limit)?;
        ctx.task.map(weak, AT, 0, PAGE, Rights::R)?;
        for rights in [Rights::R, DATA, Rights::R | Rights::X, Rights::R] {
            let changed = ctx.task.protect(AT, PAGE, rights);
            if limit.contains(rights) {
                check_eq!(changed, Ok(PAGE), "{rights:?} of {limit:?}");
            } else {
                check_eq!(changed, Err(op(ErrorNumber::Perm, 3)), "{rights:?} of {limit:?}");
            }
            let can_write = limit.contains(rights) && rights.contains(Rights::W);
            let partner = ctx.spawn(writes, AT)?;
            if can_write {
                check_eq!(partner.join()?, 0);
            } else {
                partner.expect_fault(14, Some(AT))?;
            }
            ctx.task.protect(AT, PAGE, Rights::R)?;
        }
        for wrong in
            [DATA | Rights::X, Rights::W, Rights::X, Rights::empty(), Rights::R | Rights::S]
        {
            let changed = ctx.task.protect(AT, PAGE, wrong);
            check_eq!(changed, Err(op(ErrorNumber::Inval, 3)), "{wrong:?}");
        }
        ctx.task.unmap(AT, PAGE)?;
    }
    Ok(())
}

fn accounting_g05_guard_pages(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(4)?;
    ctx.task.map(memory, AT, 0, 2 * PAGE, DATA)?;
    ctx.task.map(memory, AT + 3 * PAGE, 2 * PAGE, 2 * PAGE, DATA)?;
    let body: Body = |address| read(address);
    for address in [AT - 8, AT + 2 * PAGE, AT + 3 * PAGE - 8, AT + 5 * PAGE] {
        ctx.spawn(body, address)?.expect_fault(14, Some(address))?;
    }
    for address in [AT, AT + 2 * PAGE - 8, AT + 3 * PAGE, AT + 5 * PAGE - 8] {
        check_eq!(ctx.spawn(body, address)?.join()?, 0);
    }
    // An access across the edge is about the first byte that is missing.
    ctx.spawn(body, AT + 2 * PAGE - 4)?.expect_fault(14, Some(AT + 2 * PAGE))?;
    Ok(())
}

fn accounting_g05_large_pages_are_changed_whole(ctx: &Ctx) -> Verdict {
    let memory = ctx.factory.create_memory(ctx.slot()?, 2 * LARGE)?;
    ctx.task.map(memory, AT, 0, 2 * LARGE, DATA)?;
    for offset in (0..2 * LARGE).step_by(LARGE as usize / 4) {
        write(AT + offset, offset + 1);
    }
    check_eq!(ctx.task.protect(AT, 2 * LARGE, Rights::R)?, 2 * LARGE);
    let writes: Body = |address| {
        write(address, 0);
        0
    };
    for address in [AT, AT + LARGE - 8, AT + LARGE, AT + 2 * LARGE - 8] {
        ctx.spawn(writes, address)?.expect_fault(14, Some(address))?;
    }
    // A part of a mapping is refused, and nothing has changed.
    for (address, bytes) in [(AT, LARGE), (AT + LARGE, LARGE), (AT, PAGE)] {
        let cut = ctx.task.protect(address, bytes, DATA);
        check_eq!(cut, Err(op(ErrorNumber::Inval, 1)));
    }
    ctx.task.protect(AT, 2 * LARGE, DATA)?;
    for offset in (0..2 * LARGE).step_by(LARGE as usize / 4) {
        check_eq!(read(AT + offset), offset + 1);
        write(AT + offset, 0);
    }
    check_eq!(ctx.task.unmap(AT, 2 * LARGE)?, 2 * LARGE);
    ctx.spawn(read, AT + LARGE)?.expect_fault(14, Some(AT + LARGE))?;
    Ok(())
}

fn accounting_g05_physical_address_needs_its_right(ctx: &Ctx) -> Verdict {
    let (one, other) = (ctx.memory(4)?, ctx.memory(4)?);
    let (first, second) = (one.physical_address()?, other.physical_address()?);
    check!(first.is_multiple_of(PAGE) && second.is_multiple_of(PAGE));
    check!(first.abs_diff(second) >= 4 * PAGE, "{first:#x} and {second:#x} overlap");
    let weak = ctx.derive(one, Rights::all() - Rights::PHYS)?;
    check_eq!(weak.physical_address(), Err(op(ErrorNumber::Perm, 0)));
    let only = ctx.derive(one, Rights::PHYS)?;
    check_eq!(only.physical_address()?, first);
    // The second half lies behind the first.
    let rest = other.split(2 * PAGE, ctx.slot()?)?;
    check_eq!(rest.physical_address()?, second + 2 * PAGE);
    check_eq!(other.physical_address()?, second);
    Ok(())
}

fn accounting_g05_zeroed_before_reuse(ctx: &Ctx) -> Verdict {
    // Filled, freed, made again in other sizes: whoever gets the frames finds
    // nothing of it. The frames are known by their physical addresses.
    let place = ctx.slot()?;
    let mut met_again = 0;
    let mut dirty: [(u64, u64); 8] = [(0, 0); 8];
    for (round, pages) in [600, 1, 300, 16, 17, 512, 3, 100, 1, 600].into_iter().enumerate() {
        let bytes = pages * PAGE;
        let memory = ctx.factory.create_memory(place, bytes)?;
        let start = memory.physical_address()?;
        ctx.task.map(memory, AT, 0, bytes, DATA)?;
        for offset in (0..bytes).step_by(8) {
            check_eq!(read(AT + offset), 0, "round {round}, offset {offset:#x}");
            write(AT + offset, !offset);
        }
        let overlaps = |range: &(u64, u64)| range.0 < start + bytes && start < range.1;
        met_again += u64::from(dirty.iter().any(overlaps));
        dirty[round % 8] = (start, start + bytes);
        // Freed by its last capability, or by its destruction.
        if round % 2 == 0 {
            ctx.task.unmap(AT, bytes)?;
            ctx.task.delete(memory.slot())?;
        } else {
            ctx.task.destroy(memory.slot())?;
        }
    }
    check!(met_again > 0, "the same frames came back only {met_again} times");
    Ok(())
}
