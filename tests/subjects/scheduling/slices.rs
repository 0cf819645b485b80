//! Time slices: how long one of several equals runs.

use postern_tests::syscall::abi::op::scheduler::{SET_SLICE, SLICE_MAX, SLICE_MIN};
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Item, Rights, Tag, Timeouts, clock, control, ipc, operate,
};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, patience, tests};

use crate::{spin, word};

tests! {
    g08_longer_slices_get_more_time,
    g08_short_slices_alternate_often,
    g08_yielding_gives_the_rest_away,
    g08_slice_errors,
    g08_server_runs_on_its_callers_time,
}

fn g08_longer_slices_get_more_time(ctx: &Ctx) -> Verdict {
    let partners = [ctx.spawn_at(50, spin, 0)?, ctx.spawn_at(50, spin, 1)?];
    ctx.scheduler.set_slice(partners[0].thread(), 1_000_000)?;
    ctx.scheduler.set_slice(partners[1].thread(), 4_000_000)?;
    control::sleep_until(clock::now() + 200_000_000)?;
    board::set(word::STOP, 1);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    let [one, four] = [&partners[0], &partners[1]].map(|partner| partner.info());
    let (one, four) = (one?.cpu_time, four?.cpu_time);
    check!(four > 3 * one && four < 5 * one, "{one} ns and {four} ns with slices of 1 and 4 ms");
    Ok(())
}

fn g08_short_slices_alternate_often(ctx: &Ctx) -> Verdict {
    let partners = [ctx.spawn_at(50, spin, 0)?, ctx.spawn_at(50, spin, 1)?];
    for partner in &partners {
        ctx.scheduler.set_slice(partner.thread(), SLICE_MIN)?;
    }
    let before = ctx.scheduler.info()?.switches;
    control::sleep_until(clock::now() + 20_000_000)?;
    let switches = ctx.scheduler.info()?.switches - before;
    board::set(word::STOP, 1);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    check!((150..=250).contains(&switches), "{switches} switches in 200 slices");
    Ok(())
}

fn g08_yielding_gives_the_rest_away(ctx: &Ctx) -> Verdict {
    // One uses its slices, the other gives nearly all of each away.
    let polite: Body = |_| {
        while board::get(word::STOP) == 0 {
            control::yield_now();
        }
        0
    };
    let greedy = ctx.spawn_at(50, spin, 0)?;
    let polite = ctx.spawn_at(50, polite, 0)?;
    control::sleep_until(clock::now() + 100_000_000)?;
    board::set(word::STOP, 1);
    check_eq!(greedy.join()?, 0);
    check_eq!(polite.join()?, 0);
    let (greedy, polite) = (greedy.info()?.cpu_time, polite.info()?.cpu_time);
    check!(greedy > 20 * polite, "{greedy} ns and {polite} ns");
    Ok(())
}

fn g08_slice_errors(ctx: &Ctx) -> Verdict {
    const ITEM: u8 = ErrorCode::ITEM;
    let thread = ctx.new_thread()?;
    let item = [Item::all(thread.slot())];
    let scheduler = ctx.scheduler.slot();
    for ns in [0, 1, SLICE_MIN - 1, SLICE_MAX + 1, u64::MAX] {
        check_eq!(ctx.scheduler.set_slice(thread, ns), Err(op(ErrorNumber::Inval, 1)), "{ns} ns");
    }
    ctx.scheduler.set_slice(thread, SLICE_MIN)?;
    ctx.scheduler.set_slice(thread, SLICE_MAX)?;
    let set = |items: &[Item]| operate(scheduler, &[SET_SLICE, SLICE_MAX], items).map(drop);
    check_eq!(set(&[]), Err(op(ErrorNumber::Inval, ITEM)));
    check_eq!(set(&[Item::all(ctx.task.slot())]), Err(op(ErrorNumber::Inval, ITEM)));
    let weak = ctx.derive(thread, Rights::all() - Rights::W)?;
    check_eq!(set(&[Item::all(weak.slot())]), Err(op(ErrorNumber::Perm, ITEM)));
    check_eq!(operate(scheduler, &[SET_SLICE], &item).map(drop), Err(op(ErrorNumber::TooShort, 1)));
    let powerless = ctx.derive(ctx.scheduler, Rights::R)?;
    check_eq!(powerless.set_slice(thread, SLICE_MAX), Err(op(ErrorNumber::Perm, 0)));
    Ok(())
}

fn g08_server_runs_on_its_callers_time(ctx: &Ctx) -> Verdict {
    const WORK: u64 = 20_000_000;
    let server: Body = |_| {
        let Ok(_) = ipc::receive(patience()) else { return 1 };
        let until = clock::now() + WORK;
        while clock::now() < until {}
        u64::from(ipc::reply(0, Tag::new(7, 0), [0; 4]).is_err())
    };
    let server = ctx.spawn_at(50, server, 0)?;
    let gate = ctx.gate_to(server.thread(), 0)?;
    server.await_state(ctx, postern_tests::syscall::abi::op::thread::ThreadState::Receiving)?;
    let (mine, its) = (ctx.thread.info()?.cpu_time, server.info()?.cpu_time);
    ipc::call(gate.slot(), Tag::new(7, 0), [0; 4], Timeouts::NEVER)?;
    let (mine, its) = (ctx.thread.info()?.cpu_time - mine, server.info()?.cpu_time - its);
    check!(mine >= WORK, "the caller paid {mine} ns for {WORK}");
    check!(its < WORK / 10, "the server paid {its} ns itself");
    check_eq!(server.join()?, 0);
    Ok(())
}
