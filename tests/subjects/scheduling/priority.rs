//! Who runs: the most urgent, at once.

use postern_tests::protocol::PRIORITY;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Capability, ErrorCode, ErrorNumber, Item, Rights, control, operate};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, op, tests};

use crate::{log_it, spin, word};

tests! {
    g08_more_urgent_runs_at_once,
    g08_less_urgent_waits,
    g08_order_of_start_within_a_priority,
    g08_raising_a_ready_thread_preempts,
    g08_lowering_oneself_gives_way,
    g08_spinning_thread_is_preempted_by_a_sleeper,
    g08_spinning_thread_starves_less_urgent_ones,
    g08_priority_at_most_the_creators,
    g08_set_priority_errors,
}

fn gate(ctx: &Ctx) -> Verdict {
    // Nothing of an earlier part may still be in the log.
    board::set(word::LOG, 0);
    check_eq!(ctx.thread.info()?.priority, PRIORITY);
    Ok(())
}

fn g08_more_urgent_runs_at_once(ctx: &Ctx) -> Verdict {
    gate(ctx)?;
    for number in 1..=3 {
        let partner = ctx.spawn_at(PRIORITY + 1, log_it, number)?;
        board::push(word::LOG, 100 + number);
        check_eq!(partner.join()?, 0);
    }
    check_eq!(board::entries::<6>(word::LOG), [1, 101, 2, 102, 3, 103]);
    Ok(())
}

fn g08_less_urgent_waits(ctx: &Ctx) -> Verdict {
    gate(ctx)?;
    let partners =
        [ctx.spawn_at(10, log_it, 1)?, ctx.spawn_at(99, log_it, 2)?, ctx.spawn_at(50, log_it, 3)?];
    let start = control::clock();
    while control::clock() < start + 30_000_000 {
        control::yield_now();
    }
    board::push(word::LOG, 100);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(board::entries::<4>(word::LOG), [100, 2, 3, 1]);
    Ok(())
}

fn g08_order_of_start_within_a_priority(ctx: &Ctx) -> Verdict {
    gate(ctx)?;
    let mut partners = alloc::vec::Vec::new();
    for number in 1..=6 {
        partners.push(ctx.spawn_at(50, log_it, number)?);
    }
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(board::entries::<6>(word::LOG), [1, 2, 3, 4, 5, 6]);
    Ok(())
}

fn g08_raising_a_ready_thread_preempts(ctx: &Ctx) -> Verdict {
    gate(ctx)?;
    let partner = ctx.spawn_at(50, log_it, 1)?;
    board::push(word::LOG, 100);
    ctx.scheduler.set_priority(partner.thread(), PRIORITY + 1)?;
    board::push(word::LOG, 101);
    check_eq!(board::entries::<3>(word::LOG), [100, 1, 101]);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn g08_lowering_oneself_gives_way(ctx: &Ctx) -> Verdict {
    gate(ctx)?;
    let partner = ctx.spawn_at(50, log_it, 1)?;
    board::push(word::LOG, 100);
    ctx.scheduler.set_priority(ctx.thread, 40)?;
    board::push(word::LOG, 101);
    check_eq!(ctx.thread.info()?.priority, 40);
    check_eq!(board::entries::<3>(word::LOG), [100, 1, 101]);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn g08_spinning_thread_is_preempted_by_a_sleeper(ctx: &Ctx) -> Verdict {
    let spinner = ctx.spawn_at(50, spin, 0)?;
    // This thread sleeps; when it wakes, the spinner is in the way.
    let mut last = 0;
    for _ in 0..5 {
        control::sleep_until(control::clock() + 3_000_000)?;
        let now = board::get(word::COUNT);
        check!(now > last, "the spinner did not run while the test slept");
        last = now;
    }
    board::set(word::STOP, 1);
    check_eq!(spinner.join()?, 0);
    Ok(())
}

fn g08_spinning_thread_starves_less_urgent_ones(ctx: &Ctx) -> Verdict {
    let low = ctx.spawn_at(30, spin, 1)?;
    control::sleep_until(control::clock() + 2_000_000)?;
    check!(board::get(word::COUNT + 1) > 0, "nobody else ran, and it did not");
    let high = ctx.spawn_at(60, spin, 0)?;
    let before = board::get(word::COUNT + 1);
    for _ in 0..10 {
        control::sleep_until(control::clock() + 5_000_000)?;
    }
    check_eq!(board::get(word::COUNT + 1), before, "the less urgent one ran meanwhile");
    check!(board::get(word::COUNT) > 0);
    board::set(word::STOP, 1);
    check_eq!(high.join()?, 0);
    check_eq!(low.join()?, 0);
    Ok(())
}

fn g08_priority_at_most_the_creators(ctx: &Ctx) -> Verdict {
    let slot = ctx.slot()?;
    let above = ctx.factory.create_thread(slot, PRIORITY + 1);
    check_eq!(above, Err(op(ErrorNumber::Perm, 3)));
    let words = [0x101, 3, slot.word(), 256];
    let error = operate(ctx.factory.slot(), &words, &[]).map(drop);
    check_eq!(error, Err(op(ErrorNumber::Inval, 3)), "priority 256");
    let thread = ctx.factory.create_thread(slot, PRIORITY)?;
    let info = thread.info()?;
    check_eq!((info.priority, info.state), (PRIORITY, Some(ThreadState::New)));
    // Being called does not make a server's own children more urgent.
    let body: Body = |_| 0;
    let partner = ctx.spawn_at(PRIORITY, body, 0)?;
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn g08_set_priority_errors(ctx: &Ctx) -> Verdict {
    const ITEM: u8 = ErrorCode::ITEM;
    let set = |scheduler: postern_tests::syscall::Slot, priority: u64, items: &[Item]| {
        operate(scheduler, &[0x901, priority], items).map(drop)
    };
    let thread = ctx.new_thread()?;
    let item = [Item::all(thread.slot())];
    let scheduler = ctx.scheduler.slot();
    check_eq!(set(scheduler, 256, &item), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(set(scheduler, u64::MAX, &item), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(set(scheduler, 5, &[Item::all(ctx.task.slot())]), Err(op(ErrorNumber::Inval, ITEM)));
    let weak = ctx.derive(thread, Rights::all() - Rights::W)?;
    check_eq!(set(scheduler, 5, &[Item::all(weak.slot())]), Err(op(ErrorNumber::Perm, ITEM)));
    let powerless = ctx.derive(ctx.scheduler, Rights::R)?;
    check_eq!(set(powerless.slot(), 5, &item), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(operate(scheduler, &[0x901], &item).map(drop), Err(op(ErrorNumber::TooShort, 1)));
    check_eq!(thread.info()?.priority, PRIORITY);
    set(scheduler, 255, &item)?;
    check_eq!(thread.info()?.priority, 255);
    set(scheduler, 0, &item)?;
    check_eq!(thread.info()?.priority, 0);
    Ok(())
}
