//! Sharing the CPU among equals, yielding, registers over preemption, idle.

use postern_tests::syscall::control;
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, tests};

use crate::{hold_registers, spin, word};

tests! {
    g08_equals_share_the_cpu,
    g08_yield_alternates,
    g08_yield_alone_returns,
    g08_preemption_keeps_registers,
    g08_cpu_time_is_charged,
    g08_idle_time_grows_while_all_sleep,
    g08_switches_are_counted,
}

fn g08_equals_share_the_cpu(ctx: &Ctx) -> Verdict {
    let mut partners = alloc::vec::Vec::new();
    for index in 0..3 {
        partners.push(ctx.spawn_at(50, spin, index)?);
    }
    control::sleep_until(control::clock() + 300_000_000)?;
    board::set(word::STOP, 1);
    let mut times = [0; 3];
    for (partner, time) in partners.iter().zip(&mut times) {
        check_eq!(partner.join()?, 0);
        *time = partner.info()?.cpu_time;
    }
    let (least, most) =
        times.iter().fold((u64::MAX, 0), |(least, most), time| (least.min(*time), most.max(*time)));
    // A slice more or less, out of ten each.
    check!(least * 2 > most, "CPU time of three equals: {times:?}");
    Ok(())
}

/// Appends its number to the log five times, yielding in between.
fn log_and_yield(number: u64) -> u64 {
    for _ in 0..5 {
        board::push(word::LOG, number);
        control::yield_now();
    }
    0
}

fn g08_yield_alternates(ctx: &Ctx) -> Verdict {
    let partners = [ctx.spawn_at(50, log_and_yield, 1)?, ctx.spawn_at(50, log_and_yield, 2)?];
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(board::entries::<10>(word::LOG), [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    Ok(())
}

fn g08_yield_alone_returns(ctx: &Ctx) -> Verdict {
    // A less urgent thread does not get the CPU by that.
    let low = ctx.spawn_at(50, spin, 0)?;
    for _ in 0..1000 {
        control::yield_now();
    }
    check_eq!(board::get(word::COUNT), 0, "rounds of a less urgent thread");
    board::set(word::STOP, 1);
    check_eq!(low.join()?, 0);
    Ok(())
}

fn g08_preemption_keeps_registers(ctx: &Ctx) -> Verdict {
    let mut peers = [ctx.peer()?, ctx.peer()?];
    for (peer, seed) in peers.iter_mut().zip(1..) {
        peer.start(hold_registers, seed)?;
    }
    let helper = ctx.spawn(hold_registers, 7)?;
    let switches = ctx.scheduler.info()?.switches;
    check_eq!(helper.join()?, 12, "registers kept");
    for peer in &peers {
        check_eq!(peer.join()?, 12, "registers kept");
    }
    let switches = ctx.scheduler.info()?.switches - switches;
    check!(switches > 3, "only {switches} switches: nobody was preempted");
    Ok(())
}

fn g08_cpu_time_is_charged(ctx: &Ctx) -> Verdict {
    let worker = ctx.spawn_at(50, spin, 0)?;
    let idler = ctx.spawn_at(
        60,
        |_| {
            let _ = control::sleep_until(control::clock() + 40_000_000);
            0
        },
        0,
    )?;
    check_eq!(idler.join()?, 0);
    board::set(word::STOP, 1);
    check_eq!(worker.join()?, 0);
    let (worked, idled) = (worker.info()?.cpu_time, idler.info()?.cpu_time);
    check!(worked > idled, "{worked} ns of work, {idled} ns of sleep");
    check!(worked > 1_000_000, "only {worked} ns of work in 40 ms");
    Ok(())
}

fn g08_idle_time_grows_while_all_sleep(ctx: &Ctx) -> Verdict {
    const TIME: u64 = 50_000_000;
    let before = ctx.scheduler.info()?;
    control::sleep_until(control::clock() + TIME)?;
    let after = ctx.scheduler.info()?;
    let (passed, idle) = (after.now - before.now, after.idle - before.idle);
    check!(passed >= TIME);
    check!(idle > TIME / 2 && idle <= passed, "{idle} ns idle of {passed}");
    // And does not while somebody works.
    let body: Body = |_| {
        let start = control::clock();
        while control::clock() < start + 30_000_000 {}
        0
    };
    let before = ctx.scheduler.info()?;
    let partner = ctx.spawn_at(50, body, 0)?;
    check_eq!(partner.join()?, 0);
    let after = ctx.scheduler.info()?;
    let (passed, idle) = (after.now - before.now, after.idle - before.idle);
    check!(idle * 4 < passed, "{idle} ns idle of {passed}, while a thread was working");
    Ok(())
}

fn g08_switches_are_counted(ctx: &Ctx) -> Verdict {
    let before = ctx.scheduler.info()?.switches;
    let partner = ctx.spawn_at(100, |_| 0, 0)?;
    check_eq!(partner.join()?, 0);
    check!(ctx.scheduler.info()?.switches >= before + 2);
    Ok(())
}
