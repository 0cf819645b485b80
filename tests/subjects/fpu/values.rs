//! What is in the registers at first, and that they work.

use postern_tests::bare::float::{Float, NEEDING, OFF, SAME, compare, mark, roots};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::reason::EXCEPTION;
use postern_tests::{Ctx, Verdict, check_eq, tests};

tests! {
    fpu_x24_instructions_work,
    fpu_x24_every_first_use_goes_on,
    fpu_x24_wider_registers_are_off,
    fpu_x24_registers_begin_clean,
    fpu_x24_no_value_of_another_thread_is_left,
}

fn fpu_x24_instructions_work(_: &Ctx) -> Verdict {
    for number in [0_u64, 1, 2, 144, 1_000_000, 99_980_001] {
        // x87 rounds to the nearest.
        let root = number.isqrt();
        check_eq!(roots(number).0, root, "of {number}");
        check_eq!(roots(root * root).1, root, "of {number}");
    }
    Ok(())
}

fn fpu_x24_every_first_use_goes_on(ctx: &Ctx) -> Verdict {
    for (name, body) in NEEDING {
        let before = ctx.charged()?;
        let partner = ctx.spawn(body, 0)?;
        let cost = ctx.charged()? - before;
        check_eq!(partner.join()?, 7, "{name}");
        // None of them comes by without the exception.
        check_eq!(ctx.charged()? - before, cost + PAGE, "{name}");
    }
    Ok(())
}

fn fpu_x24_wider_registers_are_off(ctx: &Ctx) -> Verdict {
    for (name, body) in OFF {
        let end = ctx.spawn(body, 0)?.end()?;
        check_eq!(end.reason, EXCEPTION + 6, "{name}");
    }
    // Programs that ask, ask the CPU.
    check_eq!(core::arch::x86_64::__cpuid(1).ecx & 1 << 27, 0, "OSXSAVE");
    Ok(())
}

/// The first word that is not as after a reset; [`SAME`] if all are.
fn look(_: u64) -> u64 {
    compare(&Float::clean())
}

fn fpu_x24_registers_begin_clean(ctx: &Ctx) -> Verdict {
    check_eq!(compare(&Float::clean()), SAME);
    check_eq!(ctx.spawn(look, 0)?.join()?, SAME);
    Ok(())
}

/// Fills all registers, and ends, sleeps or waits for others with them full.
fn fill(argument: u64) -> u64 {
    Float::patterned(argument).load();
    match argument % 3 {
        0 => postern_tests::syscall::control::yield_now(),
        1 => postern_tests::runtime::time::sleep(core::time::Duration::from_micros(50)),
        _ => {}
    }
    compare(&Float::patterned(argument))
}

fn fpu_x24_no_value_of_another_thread_is_left(ctx: &Ctx) -> Verdict {
    for turn in 0..12 {
        let filler = ctx.spawn(fill, turn)?;
        let mut stranger = ctx.peer()?;
        stranger.start(look, 0)?;
        check_eq!(ctx.spawn(look, 0)?.join()?, SAME, "turn {turn}, same task");
        check_eq!(stranger.join()?, SAME, "turn {turn}, other task");
        check_eq!(filler.join()?, SAME, "turn {turn}");
        // And what this thread has itself is not theirs.
        mark(turn);
    }
    Ok(())
}
