//! Nothing to do: the CPU waits, and the timer is quiet.

use postern_tests::syscall::{SchedulerInfo, clock, control};
use postern_tests::{Ctx, Verdict, board, check, check_eq, tests};

use crate::{spin, word};

tests! {
    g08_idle_really_halts,
    g08_no_tick_while_one_thread_runs,
    g08_no_tick_for_a_less_urgent_rival,
    g08_ticks_while_equals_compete,
    g08_no_tick_while_all_sleep,
}

/// Timer interrupts that others may need meanwhile: the deadline of the test's
/// own runner, which is further away than the timer can count.
const OTHERS: u64 = 1;

/// What the scheduler counted from `before` on: timer interrupts and halts.
fn since(ctx: &Ctx, before: SchedulerInfo) -> Result<(u64, u64), postern_tests::Failure> {
    let after = ctx.scheduler.info()?;
    Ok((after.timer_interrupts - before.timer_interrupts, after.halts - before.halts))
}

fn g08_idle_really_halts(ctx: &Ctx) -> Verdict {
    const TIME: u64 = 100_000_000;
    let before = ctx.scheduler.info()?;
    control::sleep_until(before.now + TIME)?;
    let (_, halts) = since(ctx, before)?;
    let idle = ctx.scheduler.info()?.idle - before.idle;
    check!(idle > TIME - 1_000_000, "only {idle} ns idle of {TIME}");
    // A loop that only looks busy would go round some million times. The CPU
    // was told to wait once, and once more for an interrupt of another's.
    check!((1..=1 + OTHERS).contains(&halts), "{halts} times told to wait");
    Ok(())
}

fn spin_for(time: u64) {
    let until = clock::now() + time;
    while clock::now() < until {}
}

fn g08_no_tick_while_one_thread_runs(ctx: &Ctx) -> Verdict {
    let before = ctx.scheduler.info()?;
    spin_for(200_000_000);
    let (ticks, halts) = since(ctx, before)?;
    check!(ticks <= OTHERS, "{ticks} timer interrupts in 20 slices");
    check_eq!(halts, 0);
    Ok(())
}

fn g08_no_tick_for_a_less_urgent_rival(ctx: &Ctx) -> Verdict {
    let rival = ctx.spawn_at(50, spin, 0)?;
    let before = ctx.scheduler.info()?;
    spin_for(100_000_000);
    let (ticks, _) = since(ctx, before)?;
    check!(ticks <= OTHERS, "{ticks} timer interrupts");
    check_eq!(board::get(word::COUNT), 0);
    board::set(word::STOP, 1);
    check_eq!(rival.join()?, 0);
    Ok(())
}

fn g08_ticks_while_equals_compete(ctx: &Ctx) -> Verdict {
    let rival = ctx.spawn(spin, 0)?;
    let before = ctx.scheduler.info()?;
    spin_for(200_000_000);
    let (ticks, _) = since(ctx, before)?;
    // Slices of 10 ms.
    check!((18..=22).contains(&ticks), "{ticks} timer interrupts in 20 slices");
    check!(board::get(word::COUNT) > 0, "the rival never ran");
    board::set(word::STOP, 1);
    check_eq!(rival.join()?, 0);
    Ok(())
}

fn g08_no_tick_while_all_sleep(ctx: &Ctx) -> Verdict {
    let before = ctx.scheduler.info()?;
    for _ in 0..10 {
        control::sleep_until(clock::now() + 30_000_000)?;
    }
    let (ticks, halts) = since(ctx, before)?;
    check!((10..=20 + OTHERS).contains(&ticks), "{ticks} timer interrupts for 10 sleeps");
    check!((10..=20 + OTHERS).contains(&halts), "{halts} halts for 10 sleeps");
    Ok(())
}
