//! Memory of the kernel, of other tasks, and of nobody.

use postern_tests::bare::memory::{execute, read, write};
use postern_tests::syscall::abi::address::{UTCB_END, UTCB_START, WINDOW_START};
use postern_tests::syscall::abi::op::reason;
use postern_tests::syscall::{Capability, Rights, raw, utcb};
use postern_tests::{Body, Ctx, Verdict, board, check, check_eq, tests};

use crate::vector;

tests! {
    isolation_read_kernel_memory,
    isolation_write_kernel_memory,
    isolation_execute_kernel_memory,
    isolation_null_pointer,
    isolation_read_memory_of_another_task,
    isolation_same_address_is_other_memory,
    isolation_read_utcb_of_another_task,
    isolation_utcb_region_without_thread,
    isolation_relay_window_is_empty,
    isolation_non_canonical_addresses,
}

/// Places in the kernel's half: RAM as the kernel sees it, objects, capability
/// tables, stacks, devices, its image, the last word.
const KERNEL: [u64; 9] = [
    0xffff_8000_0000_0000,
    0xffff_8000_0010_0000,
    0xffff_9000_0000_0000,
    0xffff_a000_0000_0000,
    0xffff_b000_0000_1000,
    0xffff_c000_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_8000_1000,
    0xffff_ffff_ffff_fff8,
];

fn read_it(address: u64) -> u64 {
    read(address)
}

fn write_it(address: u64) -> u64 {
    write(address, 0);
    0
}

fn execute_it(address: u64) -> u64 {
    execute(address)
}

/// Every one of `addresses` must be a page fault in a thread that runs `body`.
fn faults_everywhere(ctx: &Ctx, addresses: &[u64], body: Body) -> Verdict {
    for address in addresses {
        let partner = ctx.spawn(body, *address)?;
        partner.expect_fault(vector::PAGE, Some(*address))?;
    }
    Ok(())
}

fn isolation_read_kernel_memory(ctx: &Ctx) -> Verdict {
    faults_everywhere(ctx, &KERNEL, read_it)
}

fn isolation_write_kernel_memory(ctx: &Ctx) -> Verdict {
    faults_everywhere(ctx, &KERNEL, write_it)
}

fn isolation_execute_kernel_memory(ctx: &Ctx) -> Verdict {
    faults_everywhere(ctx, &KERNEL, execute_it)
}

fn isolation_null_pointer(ctx: &Ctx) -> Verdict {
    let near = [0, 0x10, 0xff8, 0xf000];
    faults_everywhere(ctx, &near, read_it)?;
    faults_everywhere(ctx, &near, write_it)?;
    faults_everywhere(ctx, &near, execute_it)
}

/// An address at which a test maps a page of its own.
const OURS: u64 = 0xc_0000_0000;

fn isolation_read_memory_of_another_task(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, OURS, 0, 4096, Rights::R | Rights::W)?;
    write(OURS, 0x5ec2e7);
    for body in [read_it, write_it, execute_it] {
        let mut peer = ctx.peer()?;
        peer.start(body, OURS)?;
        peer.expect_fault(vector::PAGE, Some(OURS))?;
    }
    check_eq!(read(OURS), 0x5ec2e7);
    Ok(())
}

fn isolation_same_address_is_other_memory(ctx: &Ctx) -> Verdict {
    let data = Rights::R | Rights::W;
    let (ours, theirs) = (ctx.memory(1)?, ctx.memory(1)?);
    ctx.task.map(ours, OURS, 0, 4096, data)?;
    let mut peer = ctx.peer()?;
    if let Some(task) = peer.task() {
        task.map(theirs, OURS, 0, 4096, data)?;
    }
    write(OURS, 1);
    peer.start(
        |address| {
            let before = read(address);
            write(address, 2);
            before << 8 | read(address)
        },
        OURS,
    )?;
    check_eq!(peer.join()?, 2, "the peer's page: before, after");
    check_eq!(read(OURS), 1, "our page afterwards");
    Ok(())
}

fn isolation_read_utcb_of_another_task(ctx: &Ctx) -> Verdict {
    let mut peer = ctx.peer()?;
    peer.start(read_it, utcb::address())?;
    peer.expect_fault(vector::PAGE, Some(utcb::address()))?;

    let mut peer = ctx.peer()?;
    let body: Body = |_| {
        board::set(0, utcb::address());
        while board::get(1) == 0 {
            postern_tests::syscall::control::yield_now();
        }
        0
    };
    peer.start(body, 0)?;
    check!(ctx.wait_until(|| board::get(0) != 0), "the peer never ran");
    let theirs = board::get(0);
    check!((UTCB_START..UTCB_END).contains(&theirs), "a UTCB at {theirs:#x}");
    let reader = ctx.spawn(write_it, theirs)?;
    reader.expect_fault(vector::PAGE, Some(theirs))?;
    board::set(1, 1);
    check_eq!(peer.join()?, 0);
    Ok(())
}

fn isolation_utcb_region_without_thread(ctx: &Ctx) -> Verdict {
    faults_everywhere(ctx, &[UTCB_END - 4096, UTCB_END, WINDOW_START - 4096], read_it)
}

fn isolation_relay_window_is_empty(ctx: &Ctx) -> Verdict {
    let window = [WINDOW_START, WINDOW_START + 0x7f_ffff_f000];
    faults_everywhere(ctx, &window, read_it)?;
    faults_everywhere(ctx, &window, write_it)
}

fn isolation_non_canonical_addresses(ctx: &Ctx) -> Verdict {
    for address in [0x8000_0000_0000, 0xffff_7fff_ffff_fff8, 1 << 62] {
        for body in [read_it, write_it, execute_it] {
            let partner = ctx.spawn(body, address)?;
            let end = partner.end()?;
            let vector = end.reason.wrapping_sub(reason::EXCEPTION);
            check!(
                [12, 13, 14].contains(&vector),
                "{address:#x}: {} ({:#x})",
                reason::name(end.reason),
                end.reason
            );
        }
    }
    // The kernel still takes calls.
    check_eq!(raw::invoke(0, 0, 0, [0; 4]).failed, true);
    check!(ctx.thread.info()?.id == ctx.thread.info()?.id);
    check!(ctx.thread.slot().number() != 0);
    Ok(())
}
