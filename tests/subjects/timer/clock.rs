//! The clock that programs read without a system call.

use postern_tests::bare::call::Registers;
use postern_tests::syscall::abi::utcb::{CLOCK_FACTOR, CLOCK_START};
use postern_tests::syscall::{Code, PortWidth, clock, control, raw, utcb};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, tests};

tests! {
    g09_user_clock_is_the_kernels,
    g09_user_clock_never_goes_back,
    g09_user_clock_in_every_thread_and_task,
    g09_user_clock_makes_no_system_call,
    g09_clock_keeps_time_with_another_device,
    g09_clock_runs_on_while_all_sleep,
    g09_scribbled_clock_fools_nobody_else,
}

fn g09_user_clock_is_the_kernels(_ctx: &Ctx) -> Verdict {
    check!(clock::parameters().factor != 0, "the counter tells no time here");
    for _ in 0..2000 {
        let before = control::clock();
        let here = clock::now();
        let after = control::clock();
        check!(before <= here && here <= after, "{before}, {here}, {after}");
    }
    Ok(())
}

fn g09_user_clock_never_goes_back(ctx: &Ctx) -> Verdict {
    // Two threads take turns at the end of their slices; each must find the time
    // that the other has seen, or a later one.
    let body: Body = |_| {
        let until = clock::now() + 30_000_000;
        loop {
            let seen = board::get(0);
            let now = clock::now();
            if now < seen {
                return 1;
            }
            board::set(0, now);
            if now > until {
                return 0;
            }
        }
    };
    let partners = [ctx.spawn_at(50, body, 0)?, ctx.spawn_at(50, body, 0)?];
    for partner in &partners {
        ctx.scheduler.set_slice(partner.thread(), 100_000)?;
    }
    for partner in &partners {
        check_eq!(partner.join()?, 0, "the clock went back");
    }
    Ok(())
}

fn g09_user_clock_in_every_thread_and_task(ctx: &Ctx) -> Verdict {
    let mut peer = ctx.peer()?;
    let mut helper = ctx.helper(100)?;
    for partner in [&mut peer, &mut helper] {
        let before = clock::now();
        partner.start(|_| clock::now(), 0)?;
        let theirs = partner.join()?;
        let after = clock::now();
        check!(before <= theirs && theirs <= after, "{before}, {theirs}, {after}");
    }
    Ok(())
}

fn g09_user_clock_makes_no_system_call(_ctx: &Ctx) -> Verdict {
    // A system call destroys these; reading the clock does not enter the kernel,
    // so it is much cheaper than the cheapest entry.
    let cost = |read: fn() -> u64| {
        (0..50)
            .map(|_| {
                let before = raw::time_stamp();
                read();
                raw::time_stamp() - before
            })
            .min()
    };
    let (here, kernel) = (cost(clock::now), cost(control::clock));
    check!(
        here.zip(kernel).is_some_and(|(here, kernel)| here * 2 < kernel),
        "{here:?}, {kernel:?}"
    );
    let after = Registers::patterned(Code::Clock.plain()).call();
    check!(after.rax <= clock::now(), "the kernel's time as a bare output");
    Ok(())
}

/// The timer of power management: 24 bits at 3.579545 MHz.
const POWER_TIMER: u16 = 0x608;

fn g09_clock_keeps_time_with_another_device(ctx: &Ctx) -> Verdict {
    const TIME: u64 = 500_000_000;
    let read = || ctx.power.read(POWER_TIMER, PortWidth::Long);
    let (ticks, before) = (read()?, clock::now());
    control::sleep_until(before + TIME)?;
    let (ticks, passed) = (read()?.wrapping_sub(ticks) & 0xff_ffff, clock::now() - before);
    let device = u64::from(ticks) * 1_000_000_000 / 3_579_545;
    // One in a thousand: the clock was measured against yet another device.
    check!(device.abs_diff(passed) < TIME / 1000, "{passed} ns, {device} ns by the device");
    Ok(())
}

fn g09_clock_runs_on_while_all_sleep(_ctx: &Ctx) -> Verdict {
    for ns in [1_000, 100_000, 10_000_000, 1_000_000_000] {
        let before = clock::now();
        control::sleep_until(before + ns)?;
        let passed = clock::now() - before;
        check!(passed >= ns, "{passed} ns of a sleep of {ns}");
        check!(passed < ns + 500_000, "woken {} ns late", passed - ns);
    }
    Ok(())
}

fn g09_scribbled_clock_fools_nobody_else(ctx: &Ctx) -> Verdict {
    let body: Body = |_| {
        let until = control::clock() + 2_000_000;
        utcb::write(CLOCK_START, 12345);
        utcb::write(CLOCK_FACTOR, u64::MAX);
        board::set(0, clock::now());
        let slept = control::sleep_until(until);
        u64::from(slept.is_err() || control::clock() < until)
    };
    let before = clock::now();
    let partner = ctx.spawn(body, 0)?;
    check_eq!(partner.join()?, 0, "its sleep was another one");
    check!(board::get(0) > control::clock(), "it did not even fool itself");
    let (here, kernel) = (clock::now(), control::clock());
    check!(before <= here && here <= kernel);
    Ok(())
}
