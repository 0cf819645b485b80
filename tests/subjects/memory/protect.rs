//! Changing the rights of mappings in place.

use postern_tests::bare::memory::{execute, read, write};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::address::USER_END;
use postern_tests::syscall::abi::op::task::PROTECT;
use postern_tests::syscall::{Capability, ErrorNumber, Rights, operate};
use postern_tests::{Body, Ctx, Verdict, check_eq, op, tests};

use crate::{AT, DATA, LARGE, write_it};

tests! {
    memory_g05_protect_changes_rights,
    memory_g05_protect_executable_in_place,
    memory_g05_protect_several_mappings,
    memory_g05_protect_at_most_the_capabilitys_rights,
    memory_g05_protect_large_pages,
    memory_g05_protect_arguments,
}

const X: Rights = Rights::R.union(Rights::X);

fn memory_g05_protect_changes_rights(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(3)?;
    ctx.task.map(memory, AT, 0, 3 * PAGE, DATA)?;
    write(AT + PAGE, 7);
    check_eq!(ctx.task.protect(AT, 3 * PAGE, Rights::R)?, 3 * PAGE);
    check_eq!(read(AT + PAGE), 7);
    for page in 0..3 {
        ctx.spawn(write_it, AT + page * PAGE)?.expect_fault(14, Some(AT + page * PAGE))?;
    }
    check_eq!(ctx.task.protect(AT, 3 * PAGE, DATA)?, 3 * PAGE, "given back");
    write(AT + PAGE, 8);
    check_eq!((read(AT + PAGE), memory.info()?.mappings), (8, 1));
    Ok(())
}

fn memory_g05_protect_executable_in_place(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    // `mov eax, 77; ret`
    write(AT, u64::from_le_bytes([0xb8, 77, 0, 0, 0, 0xc3, 0, 0]));
    let call: Body = |address| execute(address);
    ctx.spawn(call, AT)?.expect_fault(14, Some(AT))?;
    ctx.task.protect(AT, PAGE, X)?;
    check_eq!(ctx.spawn(call, AT)?.join()?, 77);
    ctx.spawn(write_it, AT)?.expect_fault(14, Some(AT))?;
    ctx.task.protect(AT, PAGE, DATA)?;
    ctx.spawn(call, AT)?.expect_fault(14, Some(AT))?;
    Ok(())
}

fn memory_g05_protect_several_mappings(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(2)?;
    for place in 0..20 {
        ctx.task.map(memory, AT + place * 3 * PAGE, 0, 2 * PAGE, DATA)?;
    }
    let cut = Err(op(ErrorNumber::Inval, 1));
    check_eq!(ctx.task.protect(AT + PAGE, 30 * PAGE, Rights::R), cut);
    check_eq!(ctx.task.protect(AT, 31 * PAGE, Rights::R), cut);
    write(AT, 1);
    check_eq!(ctx.task.protect(AT, 30 * PAGE, Rights::R)?, 20 * PAGE);
    ctx.spawn(write_it, AT + 27 * PAGE)?.expect_fault(14, Some(AT + 27 * PAGE))?;
    write(AT + 30 * PAGE, 2);
    check_eq!(ctx.task.protect(AT + 100 * PAGE, PAGE, Rights::R)?, 0, "where nothing is");
    Ok(())
}

fn memory_g05_protect_at_most_the_capabilitys_rights(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    let read_only = ctx.derive(memory, Rights::R)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    ctx.task.map(read_only, AT + PAGE, 0, PAGE, Rights::R)?;
    let refused = Err(op(ErrorNumber::Perm, 3));
    check_eq!(ctx.task.protect(AT + PAGE, PAGE, DATA), refused);
    check_eq!(ctx.task.protect(AT + PAGE, PAGE, X), refused);
    // One that is refused leaves the others as they were.
    check_eq!(ctx.task.protect(AT, 2 * PAGE, X), refused);
    write(AT, 3);
    check_eq!(read(AT + PAGE), 3);
    ctx.spawn(write_it, AT + PAGE)?.expect_fault(14, Some(AT + PAGE))?;
    // The capability is gone, its limit is not.
    ctx.task.delete(read_only.slot())?;
    check_eq!(ctx.task.protect(AT + PAGE, PAGE, DATA), refused);
    Ok(())
}

fn memory_g05_protect_large_pages(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(2 * LARGE / PAGE)?;
    let at = AT + (1 << 30);
    ctx.task.map(memory, at, 0, 2 * LARGE, DATA)?;
    write(at + LARGE, 4);
    let charged = ctx.charged()?;
    check_eq!(ctx.task.protect(at, 2 * LARGE, Rights::R)?, 2 * LARGE);
    check_eq!(ctx.charged()?, charged);
    check_eq!(read(at + LARGE), 4);
    for address in [at, at + LARGE, at + 2 * LARGE - 8] {
        ctx.spawn(write_it, address)?.expect_fault(14, Some(address))?;
    }
    check_eq!(ctx.task.protect(at, LARGE, DATA), Err(op(ErrorNumber::Inval, 1)));
    Ok(())
}

fn memory_g05_protect_arguments(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    let protect = |at, bytes, rights: u64| {
        operate(ctx.task.slot(), &[PROTECT, at, bytes, rights], &[]).map(drop)
    };
    for rights in [0, 1, 64, 65, 69, 4 | 2, 4 | 8, 4 | 128, 256 | 4, u64::MAX] {
        check_eq!(protect(AT, PAGE, rights), Err(op(ErrorNumber::Inval, 3)), "rights {rights:#x}");
    }
    for at in [0, AT + 1, USER_END, u64::MAX] {
        check_eq!(protect(at, PAGE, 4), Err(op(ErrorNumber::Inval, 1)), "at {at:#x}");
    }
    for bytes in [0, 1, USER_END, u64::MAX] {
        check_eq!(protect(AT, bytes, 4), Err(op(ErrorNumber::Inval, 2)), "{bytes:#x} bytes");
    }
    let weak = ctx.derive(ctx.task, Rights::all() - Rights::W)?;
    check_eq!(weak.protect(AT, PAGE, Rights::R), Err(op(ErrorNumber::Perm, 0)));
    write(AT, 1);
    Ok(())
}
