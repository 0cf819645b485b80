//! Large pages, and operations on much memory, which others must not feel.

use postern_tests::bare::memory::{read, write};
use postern_tests::protocol::PRIORITY;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{Capability, ErrorNumber, Rights, control};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, tests};

use crate::{AT, DATA, LARGE, unmapped};

tests! {
    memory_g05_large_pages_need_few_tables,
    memory_g05_large_page_is_unmapped_whole,
    memory_g05_parts_of_large_memory,
    memory_g05_large_and_small_side_by_side,
    memory_g05_long_operations_let_others_run,
    memory_g05_destroyed_while_being_zeroed,
}

/// An address that is good for large pages.
const BIG: u64 = AT + (1 << 30);

fn memory_g05_large_pages_need_few_tables(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(2 * LARGE / PAGE)?;
    // The tables above are there before.
    let small = ctx.memory(1)?;
    ctx.task.map(small, BIG, 0, PAGE, Rights::R)?;
    let before = ctx.charged()?;
    ctx.task.map(memory, BIG + LARGE, 0, 2 * LARGE, DATA)?;
    let cost = ctx.charged()? - before;
    if memory.physical_address()?.is_multiple_of(LARGE) {
        check!(cost < PAGE, "mapping two large pages cost {cost} bytes");
    }
    for at in [0, 8, LARGE - 8, LARGE, 2 * LARGE - 8] {
        write(BIG + LARGE + at, at + 1);
    }
    for at in [0, 8, LARGE - 8, LARGE, 2 * LARGE - 8] {
        check_eq!(read(BIG + LARGE + at), at + 1);
    }
    unmapped(ctx, BIG + 3 * LARGE)?;
    unmapped(ctx, BIG + LARGE - 8)
}

fn memory_g05_large_page_is_unmapped_whole(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(LARGE / PAGE)?;
    ctx.task.map(memory, BIG, 0, LARGE, DATA)?;
    write(BIG, 1);
    check_eq!(ctx.task.unmap(BIG, PAGE), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(ctx.task.unmap(BIG, LARGE)?, LARGE);
    for at in [0, PAGE, LARGE - 8] {
        unmapped(ctx, BIG + at)?;
    }
    // Small pages in the same place.
    ctx.task.map(memory, BIG + PAGE, 0, PAGE, DATA)?;
    check_eq!(read(BIG + PAGE), 1);
    unmapped(ctx, BIG)?;
    unmapped(ctx, BIG + 2 * PAGE)
}

fn memory_g05_parts_of_large_memory(ctx: &Ctx) -> Verdict {
    // Offsets and addresses that do not fit large pages.
    let memory = ctx.memory(2 * LARGE / PAGE)?;
    ctx.task.map(memory, BIG, 0, 2 * LARGE, DATA)?;
    for page in (0..2 * LARGE / PAGE).step_by(37) {
        write(BIG + page * PAGE, page);
    }
    let odd = BIG + (1 << 30) + PAGE;
    ctx.task.map(memory, odd, 0, 2 * LARGE, Rights::R)?;
    for page in (0..2 * LARGE / PAGE).step_by(37) {
        check_eq!(read(odd + page * PAGE), page);
    }
    ctx.task.unmap(odd, 2 * LARGE)?;
    ctx.task.map(memory, odd, 37 * PAGE, LARGE, Rights::R)?;
    check_eq!(read(odd), 37);
    check_eq!(read(odd + 37 * 13 * PAGE), 37 * 14);
    unmapped(ctx, odd + LARGE)
}

fn memory_g05_large_and_small_side_by_side(ctx: &Ctx) -> Verdict {
    let (large, small) = (ctx.memory(LARGE / PAGE)?, ctx.memory(1)?);
    ctx.task.map(small, BIG - PAGE, 0, PAGE, DATA)?;
    ctx.task.map(large, BIG, 0, LARGE, DATA)?;
    ctx.task.map(small, BIG + LARGE, 0, PAGE, DATA)?;
    write(BIG - PAGE, 3);
    write(BIG, 4);
    check_eq!((read(BIG - PAGE), read(BIG), read(BIG + LARGE)), (3, 4, 3));
    let overlaps = ctx.task.map(small, BIG + 5 * PAGE, 0, PAGE, DATA);
    check_eq!(overlaps, Err(op(ErrorNumber::Exists, 1)));
    check_eq!(ctx.task.unmap(BIG, LARGE)?, LARGE);
    check_eq!((read(BIG - PAGE), read(BIG + LARGE)), (3, 3));
    unmapped(ctx, BIG)
}

/// A body: sleeps in short steps until word 1 is set; word 2 counts them.
fn tick(_: u64) -> u64 {
    while board::get(1) == 0 {
        let _ = control::sleep_until(control::clock() + 50_000);
        board::add(2, 1);
    }
    0
}

fn memory_g05_long_operations_let_others_run(ctx: &Ctx) -> Verdict {
    // Eight MiB are zeroed in 128 steps; a more urgent thread wakes up in
    // between.
    let other = ctx.spawn_at(PRIORITY + 50, tick, 0)?;
    let before = board::get(2);
    let memory = ctx.memory(4 * LARGE / PAGE)?;
    let zeroing = board::get(2) - before;
    ctx.task.map(memory, BIG + PAGE, 0, 4 * LARGE, DATA)?;
    ctx.task.unmap(BIG + PAGE, 4 * LARGE)?;
    ctx.task.destroy(memory.slot())?;
    board::set(1, 1);
    check_eq!(other.join()?, 0);
    check!(zeroing >= 2, "the other thread woke {zeroing} times");
    Ok(())
}

fn memory_g05_destroyed_while_being_zeroed(ctx: &Ctx) -> Verdict {
    // A thread that dies in the middle of a long operation.
    let before = ctx.charged()?;
    let body: Body = |slot| {
        let slot = postern_tests::syscall::Slot::new(slot as u32);
        let factory = postern_tests::runtime::own::factory();
        board::set(0, 1);
        let made = factory.map(|factory| factory.create_memory(slot, 4 * LARGE));
        board::set(0, 2);
        u64::from(made.is_ok())
    };
    let slot = ctx.slot()?;
    let mut interrupted = 0;
    for _ in 0..10 {
        board::set(0, 0);
        let partner = ctx.spawn_at(50, body, slot.word())?;
        while board::get(0) == 0 {
            control::sleep_until(control::clock() + 20_000)?;
        }
        if board::get(0) == 1 {
            interrupted += 1;
        }
        drop(partner);
        let _ = ctx.task.destroy(slot);
    }
    check!(interrupted > 0, "the zeroing was never interrupted");
    let reached = ctx
        .wait_until(|| ctx.charged().is_ok_and(|charged| charged.saturating_sub(before) < LARGE));
    check!(reached, "{} bytes stay charged", ctx.charged()? - before);
    check_eq!(ctx.task.delete(slot), Err(op(ErrorNumber::NotExistent, 1)));
    Ok(())
}
