//! Rights of pages: text is not writable, data is not executable, stacks end.

use postern_tests::bare::memory::{
    constant_address, execute, overflow_stack, read, stack_address, text_address, write,
};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{ErrorNumber, Rights};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, op, tests};

use crate::{access, vector};

tests! {
    isolation_text_is_not_writable,
    isolation_constants_are_not_writable,
    isolation_stack_is_not_executable,
    isolation_data_is_not_executable,
    isolation_read_only_mapping_is_not_writable,
    isolation_writable_and_executable_is_refused,
    isolation_stack_overflow_hits_the_guard,
    isolation_code_runs_when_mapped_so,
}

const OURS: u64 = 0xc_0000_0000;
const WRITE: u64 = access::PRESENT | access::WRITE | access::USER;
const EXECUTE: u64 = access::PRESENT | access::EXECUTE | access::USER;

/// `body` on `address` must be a page fault there with this error code.
fn faults(ctx: &Ctx, body: Body, address: u64, error: u64) -> Verdict {
    let partner = ctx.spawn(body, address)?;
    let end = partner.expect_fault(vector::PAGE, Some(address))?;
    check_eq!(end.error, error, "the error code of the CPU for {address:#x}");
    Ok(())
}

fn write_it(address: u64) -> u64 {
    write(address, 0);
    0
}

fn execute_it(address: u64) -> u64 {
    execute(address)
}

fn isolation_text_is_not_writable(ctx: &Ctx) -> Verdict {
    let before = read(text_address());
    faults(ctx, write_it, text_address(), WRITE)?;
    check_eq!(read(text_address()), before);
    Ok(())
}

fn isolation_constants_are_not_writable(ctx: &Ctx) -> Verdict {
    let before = read(constant_address());
    faults(ctx, write_it, constant_address(), WRITE)?;
    check_eq!(read(constant_address()), before);
    Ok(())
}

fn isolation_stack_is_not_executable(ctx: &Ctx) -> Verdict {
    let address = stack_address() & !(PAGE - 1);
    faults(ctx, execute_it, address, EXECUTE)
}

fn isolation_data_is_not_executable(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, OURS, 0, PAGE, Rights::R | Rights::W)?;
    write(OURS, RETURN_42);
    faults(ctx, execute_it, OURS, EXECUTE)?;
    ctx.task.unmap(OURS, PAGE)?;
    ctx.task.map(memory, OURS, 0, PAGE, Rights::R)?;
    faults(ctx, execute_it, OURS, EXECUTE)
}

fn isolation_read_only_mapping_is_not_writable(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, OURS, 0, PAGE, Rights::R)?;
    check_eq!(read(OURS), 0);
    faults(ctx, write_it, OURS, WRITE)?;
    ctx.task.unmap(OURS, PAGE)?;
    ctx.task.map(memory, OURS, 0, PAGE, Rights::R | Rights::X)?;
    faults(ctx, write_it, OURS, WRITE)
}

fn isolation_writable_and_executable_is_refused(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    let all = Rights::R | Rights::W | Rights::X;
    let refused = Err(op(ErrorNumber::Inval, 4));
    check_eq!(ctx.task.map(memory, OURS, 0, PAGE, all), refused);
    check_eq!(ctx.task.map(memory, OURS, 0, PAGE, Rights::W | Rights::X), refused);
    let partner = ctx.spawn(write_it, OURS)?;
    let end = partner.expect_fault(vector::PAGE, Some(OURS))?;
    check_eq!(end.error, access::WRITE | access::USER, "nothing was mapped");
    Ok(())
}

fn isolation_stack_overflow_hits_the_guard(ctx: &Ctx) -> Verdict {
    let mut partner = ctx.helper(postern_tests::protocol::PRIORITY)?;
    let bottom = partner.stack_top() - partner.stack_bytes();
    partner.start(overflow_stack, 0)?;
    let end = partner.expect_fault(vector::PAGE, Some(bottom - 8))?;
    check_eq!(end.error, access::WRITE | access::USER);
    let mut peer = ctx.peer()?;
    let bottom = peer.stack_top() - peer.stack_bytes();
    peer.start(overflow_stack, 0)?;
    peer.expect_fault(vector::PAGE, Some(bottom - 8))?;
    Ok(())
}

/// `mov eax, 42; ret`
const RETURN_42: u64 = u64::from_le_bytes([0xb8, 42, 0, 0, 0, 0xc3, 0, 0]);

fn isolation_code_runs_when_mapped_so(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, OURS, 0, PAGE, Rights::R | Rights::W)?;
    write(OURS, RETURN_42);
    check_eq!(ctx.task.unmap(OURS, PAGE)?, PAGE);
    ctx.task.map(memory, OURS, 0, PAGE, Rights::R | Rights::X)?;
    check_eq!(read(OURS), RETURN_42);
    check!(execute(OURS) == 42, "the code at {OURS:#x} did not run");
    Ok(())
}
