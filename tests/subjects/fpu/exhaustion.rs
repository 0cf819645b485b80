//! What the registers cost, what happens when it cannot be paid, and that it
//! comes back.

use postern_tests::bare::float::{mark, marked, spin};
use postern_tests::handler::{answer, fault};
use postern_tests::random::Random;
use postern_tests::runtime::time;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::fault::RESUME;
use postern_tests::syscall::{Capability, ErrorCode, ErrorNumber, Thread};
use postern_tests::{Ctx, Failure, Partner, Verdict, bare, board, check, check_eq, op, tests};

tests! {
    fpu_g04_first_use_costs_a_page_once,
    fpu_g04_no_memory_is_a_fault_that_says_so,
    fpu_g04_no_memory_is_repaired_by_the_handler,
    fpu_g04_killed_at_any_moment,
}

/// Marks, and waits for the board's word 1.
fn mark_and_wait(argument: u64) -> u64 {
    while board::get(1) == 0 {
        time::sleep(core::time::Duration::from_micros(20));
    }
    mark(argument);
    board::set(2, 1);
    while board::get(1) == 1 {
        time::sleep(core::time::Duration::from_micros(20));
    }
    marked()
}

fn fpu_g04_first_use_costs_a_page_once(ctx: &Ctx) -> Verdict {
    let start = ctx.charged()?;
    let partner = ctx.spawn(mark_and_wait, 6)?;
    let before = ctx.charged()?;
    board::set(1, 1);
    check!(ctx.wait_until(|| board::get(2) == 1));
    check_eq!(ctx.charged()?, before + PAGE);
    board::set(1, 2);
    check_eq!(partner.join()?, 6);
    // A thread that has ended keeps what it has until it goes.
    check_eq!(ctx.charged()?, before + PAGE);
    drop(partner);
    check_eq!(ctx.charged()?, start);
    // This thread's own.
    mark(1);
    mark(2);
    check_eq!(ctx.charged()?, start + PAGE);
    Ok(())
}

/// A thread of a factory that has `spare` bytes beyond it, on a stack of a
/// partner that is not started.
fn poor(
    ctx: &Ctx,
    stack: &Partner,
    spare: u64,
) -> Result<(Thread, postern_tests::syscall::Factory), Failure> {
    let slot = ctx.slot()?;
    let measured = ctx.sub_factory(64 * 1024)?;
    let probe = measured.create_thread(slot, postern_tests::protocol::PRIORITY)?;
    probe.bind(ctx.task)?;
    let cost = measured.info()?.charged;
    ctx.task.destroy(slot)?;
    let factory = ctx.sub_factory(cost + spare)?;
    let thread = factory.create_thread(slot, postern_tests::protocol::PRIORITY)?;
    thread.bind(ctx.task)?;
    let entry = bare::memory::entry(false);
    let body: postern_tests::Body = |argument| {
        mark(argument);
        board::set(5, marked());
        0
    };
    thread.set_fault_gate(Some(ctx.gate(0x40)?))?;
    thread.start(entry, stack.stack_top() - 8, body as *const () as u64, 0x99)?;
    Ok((thread, factory))
}

/// What a refusal says: the quota is used up.
const FULL: ErrorCode = op(ErrorNumber::NoMem, 0);

fn fpu_g04_no_memory_is_a_fault_that_says_so(ctx: &Ctx) -> Verdict {
    let stack = ctx.helper(postern_tests::protocol::PRIORITY)?;
    let (thread, factory) = poor(ctx, &stack, PAGE - 1)?;
    let charged = factory.info()?.charged;
    let [vector, detail, _, error] = fault()?.words;
    check_eq!((vector, ErrorCode::decode(detail)), (7, Some(FULL)));
    check_eq!(error, detail);
    check_eq!(factory.info()?.charged, charged, "nothing is kept of it");
    // Again and again, as long as nothing changes.
    for _ in 0..3 {
        answer(RESUME)?;
        check_eq!(fault()?.words[..2], [7, detail]);
    }
    answer(postern_tests::syscall::abi::op::fault::GIVE_UP)?;
    check!(ctx.wait_until(|| thread.info().is_ok_and(|info| info.reason == 0x107)));
    check_eq!(thread.info()?.detail, detail);
    Ok(())
}

fn fpu_g04_no_memory_is_repaired_by_the_handler(ctx: &Ctx) -> Verdict {
    let stack = ctx.helper(postern_tests::protocol::PRIORITY)?;
    let (thread, factory) = poor(ctx, &stack, PAGE)?;
    // Something else takes the bytes first.
    let slot = ctx.slot()?;
    factory.create_memory(slot, PAGE).map(drop).err();
    let taken = factory.create_notification(slot).is_ok();
    check!(taken, "room for a notification");
    check_eq!(fault()?.words[0], 7);
    ctx.task.destroy(slot)?;
    answer(RESUME)?;
    check!(ctx.wait_until(|| board::get(5) == 0x99), "{:#x}", board::get(5));
    ctx.task.destroy(thread.slot())?;
    check_eq!(factory.info()?.charged, 0);
    Ok(())
}

fn fpu_g04_killed_at_any_moment(ctx: &Ctx) -> Verdict {
    let mut random = Random::new(24);
    mark(4711);
    let start = ctx.charged()?;
    for turn in 0..100 {
        let mut victims = [ctx.helper(postern_tests::protocol::PRIORITY)?, ctx.peer()?];
        for victim in &mut victims {
            victim.start(
                |argument| loop {
                    mark(argument);
                    spin(500);
                    if marked() != argument {
                        board::set(7, argument);
                    }
                },
                turn,
            )?;
        }
        spin(random.below(300_000));
        time::sleep(core::time::Duration::from_micros(random.below(60)));
        drop(victims);
        check_eq!(ctx.charged()?, start, "turn {turn}");
        check_eq!(marked(), 4711, "turn {turn}");
    }
    check_eq!(board::get(7), 0, "a victim saw others' registers");
    Ok(())
}
