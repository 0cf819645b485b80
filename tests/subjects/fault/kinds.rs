//! Each kind of exception, and what the exit message says about it.

use postern_tests::bare::memory::{execute, read, write};
use postern_tests::bare::privileged::{
    breakpoint, crash_with_frame, crash_with_stack, divide, hlt, int_0x80, single_step,
    unaligned_with_check, undefined,
};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::reason::EXCEPTION;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Rights, raw};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, tests};

tests! {
    fault_divide_error,
    fault_undefined_instruction,
    fault_breakpoint,
    fault_single_step,
    fault_general_protection,
    fault_page_fault_details,
    fault_info_tells_why,
    fault_alignment_check_is_off,
    fault_broken_frame_pointers,
    fault_broken_stack_pointers,
    fault_hundred_in_a_row,
    fault_other_threads_go_on,
    fault_other_tasks_go_on,
    fault_with_everything_held,
}

const AT: u64 = 0xc_0000_0000;

/// Where the text of the subject is.
const TEXT: core::ops::Range<u64> = 0x40_0000..0x80_0000;

fn fault_divide_error(ctx: &Ctx) -> Verdict {
    let end = ctx.spawn(divide, 0)?.expect_fault(0, Some(0))?;
    check!(TEXT.contains(&end.instruction), "at {:#x}", end.instruction);
    check_eq!(end.error, 0);
    Ok(())
}

fn fault_undefined_instruction(ctx: &Ctx) -> Verdict {
    for _ in 0..2 {
        let end = ctx.spawn(undefined, 0)?.expect_fault(6, Some(0))?;
        // `ud2` is still there.
        check_eq!(read(end.instruction) & 0xffff, 0x0b0f);
    }
    Ok(())
}

fn fault_breakpoint(ctx: &Ctx) -> Verdict {
    // A trap: the instruction pointer is behind it.
    let end = ctx.spawn(breakpoint, 0)?.expect_fault(3, Some(0))?;
    check_eq!(read(end.instruction - 1) & 0xff, 0xcc);
    Ok(())
}

fn fault_single_step(ctx: &Ctx) -> Verdict {
    let end = ctx.spawn(single_step, 0)?.expect_fault(1, Some(0))?;
    check!(TEXT.contains(&end.instruction), "at {:#x}", end.instruction);
    Ok(())
}

fn fault_general_protection(ctx: &Ctx) -> Verdict {
    ctx.spawn(hlt, 0)?.expect_fault(13, Some(0))?;
    // The error code names the vector that is not the user's: index, IDT.
    // (QEMU's emulation counts in halves of an entry.)
    let end = ctx.spawn(int_0x80, 0)?.expect_fault(13, None)?;
    check!([0x80 << 3 | 2, 0x80 << 4 | 2].contains(&end.error), "error code {:#x}", end.error);
    check_eq!(end.detail, end.error);
    Ok(())
}

fn fault_page_fault_details(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, Rights::R)?;
    let (reads, writes): (Body, Body) = (read, |address| {
        write(address, 0);
        0
    });
    let executes: Body = |address| execute(address);
    let cases = [
        ("reading nothing", reads, AT + PAGE + 5, 4),
        ("writing nothing", writes, AT + PAGE + 8, 6),
        ("executing nothing", executes, AT + PAGE, 0x14),
        ("writing what is read-only", writes, AT + 16, 7),
        ("executing data", executes, AT + 32, 0x15),
        ("reading the kernel", reads, 0xffff_8000_0000_1000, 4),
    ];
    for (what, body, address, error) in cases {
        let end = ctx.spawn(body, address)?.expect_fault(14, Some(address))?;
        // Whether the kernel's pages count as present is its own business.
        let bits = if address >> 63 == 1 { end.error & !1 } else { end.error };
        check_eq!(bits, error, "{what}");
        let at_target = error & 0x10 != 0;
        check_eq!(end.instruction == address, at_target, "{what}, at {:#x}", end.instruction);
    }
    Ok(())
}

fn fault_info_tells_why(ctx: &Ctx) -> Verdict {
    let crashed = ctx.spawn(|address| u64::from(raw::peek(address)), 0x123)?;
    crashed.await_state(ctx, ThreadState::Faulted)?;
    let info = crashed.info()?;
    check_eq!((info.reason, info.detail), (EXCEPTION + 14, 0x123));
    check_eq!(crashed.thread().resume().is_err(), true, "a crashed thread goes on");
    let ended = ctx.spawn(|code| code, 77)?;
    ended.await_state(ctx, ThreadState::Exited)?;
    let info = ended.info()?;
    check_eq!((info.reason, info.detail), (1, 77));
    let running = ctx.thread.info()?;
    check_eq!((running.reason, running.detail), (0, 0));
    Ok(())
}

fn fault_alignment_check_is_off(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, Rights::R | Rights::W)?;
    write(AT, u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
    let partner = ctx.spawn(unaligned_with_check, AT + 1)?;
    check_eq!(partner.join()?, u64::from_le_bytes([2, 3, 4, 5, 6, 7, 8, 0]));
    Ok(())
}

/// Values that no honest pointer has.
const WILD: [u64; 10] = [
    0,
    1,
    0xfff,
    AT - 8,
    0x7f_bfff_fff8,
    0x80_0000_0000,
    0x7fff_ffff_fff8,
    0x8000_0000_0000,
    0xffff_8000_0000_0000,
    u64::MAX - 7,
];

fn fault_broken_frame_pointers(ctx: &Ctx) -> Verdict {
    for frame in WILD {
        ctx.spawn(crash_with_frame, frame)?.expect_fault(6, None)?;
    }
    // Frames that lead in a circle, backwards, and across the end of a page.
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, Rights::R | Rights::W)?;
    write(AT, AT);
    write(AT + 8, 0x40_0000);
    write(AT + 64, AT);
    write(AT + 72, 0x40_0000);
    write(AT + PAGE - 8, AT + PAGE);
    for frame in [AT, AT + 64, AT + PAGE - 8, AT + 1] {
        ctx.spawn(crash_with_frame, frame)?.expect_fault(6, None)?;
    }
    Ok(())
}

fn fault_broken_stack_pointers(ctx: &Ctx) -> Verdict {
    for stack in WILD {
        ctx.spawn(crash_with_stack, stack)?.expect_fault(6, None)?;
    }
    Ok(())
}

fn fault_hundred_in_a_row(ctx: &Ctx) -> Verdict {
    let charged = {
        ctx.spawn(undefined, 0)?.expect_fault(6, None)?;
        ctx.charged()?
    };
    for _ in 0..100 {
        ctx.spawn(undefined, 0)?.expect_fault(6, None)?;
    }
    check_eq!(ctx.charged()?, charged);
    Ok(())
}

/// Counts in word 0 until word 1 is set.
fn count(_: u64) -> u64 {
    while board::get(1) == 0 {
        board::add(0, 1);
        postern_tests::syscall::control::yield_now();
    }
    0
}

fn fault_other_threads_go_on(ctx: &Ctx) -> Verdict {
    let healthy = ctx.spawn(count, 0)?;
    for _ in 0..3 {
        ctx.spawn(|_| u64::from(raw::peek(0x10)), 0)?.expect_fault(14, Some(0x10))?;
        let before = board::get(0);
        check!(ctx.wait_until(|| board::get(0) > before), "the other thread stands still");
    }
    board::set(1, 1);
    check_eq!(healthy.join()?, 0);
    Ok(())
}

fn fault_other_tasks_go_on(ctx: &Ctx) -> Verdict {
    let mut healthy = ctx.peer()?;
    healthy.start(count, 0)?;
    for body in [undefined as Body, divide, hlt] {
        let mut peer = ctx.peer()?;
        peer.start(body, 0)?;
        peer.end()?;
        let before = board::get(0);
        check!(ctx.wait_until(|| board::get(0) > before), "the other task stands still");
    }
    board::set(1, 1);
    check_eq!(healthy.join()?, 0);
    Ok(())
}

fn fault_with_everything_held(ctx: &Ctx) -> Verdict {
    // A thread that has a notification, a deadline before, gates and a raised
    // priority when it crashes.
    let (notification, gate) = (ctx.notification()?, ctx.unbound()?);
    for _ in 0..5 {
        let mut partner = ctx.helper(100)?;
        notification.bind(partner.thread())?;
        gate.bind(partner.thread(), 0x40)?;
        ctx.scheduler.set_priority(partner.thread(), 150)?;
        partner.start(
            |_| {
                let short = postern_tests::syscall::Timeout::from_ns(100_000);
                let _ = postern_tests::syscall::ipc::receive(short);
                u64::from(raw::peek(8))
            },
            0,
        )?;
        partner.expect_fault(14, Some(8))?;
        notification.signal(1)?;
        notification.unbind()?;
        check_eq!(notification.poll()?, 1);
    }
    Ok(())
}
