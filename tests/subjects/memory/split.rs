//! Cutting memory in two.

use postern_tests::bare::memory::{read, write};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{Capability, ErrorNumber, Rights, Slot};
use postern_tests::{Ctx, Verdict, check, check_eq, op, tests};

use crate::{AT, DATA};

tests! {
    memory_g05_split_keeps_contents,
    memory_g05_split_in_single_pages,
    memory_g05_split_quota_adds_up,
    memory_g05_split_errors,
}

fn memory_g05_split_keeps_contents(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(5)?;
    ctx.task.map(memory, AT, 0, 5 * PAGE, DATA)?;
    for page in 0..5 {
        write(AT + page * PAGE, 100 + page);
    }
    ctx.task.unmap(AT, 5 * PAGE)?;
    let (first, physical) = (memory, memory.physical_address()?);
    let rest = memory.split(2 * PAGE, ctx.slot()?)?;
    check_eq!((first.info()?.bytes, rest.info()?.bytes), (2 * PAGE, 3 * PAGE));
    check_eq!(rest.physical_address()?, physical + 2 * PAGE);
    ctx.task.map(first, AT, 0, 2 * PAGE, Rights::R)?;
    ctx.task.map(rest, AT + 2 * PAGE, 0, 3 * PAGE, Rights::R)?;
    for page in 0..5 {
        check_eq!(read(AT + page * PAGE), 100 + page, "page {page}");
    }
    // Each goes alone.
    ctx.task.destroy(first.slot())?;
    check_eq!(read(AT + 4 * PAGE), 104);
    Ok(())
}

fn memory_g05_split_in_single_pages(ctx: &Ctx) -> Verdict {
    let mut memory = ctx.memory(16)?;
    let mut parts = alloc::vec::Vec::new();
    for _ in 0..15 {
        let rest = memory.split(PAGE, ctx.slot()?)?;
        parts.push(memory);
        memory = rest;
    }
    parts.push(memory);
    for (part, place) in parts.iter().zip(0..) {
        check_eq!(part.info()?.bytes, PAGE);
        ctx.task.map(*part, AT + place * PAGE, 0, PAGE, DATA)?;
        write(AT + place * PAGE, place);
    }
    for place in 0..16 {
        check_eq!(read(AT + place * PAGE), place);
    }
    check_eq!(parts[0].split(PAGE, ctx.slot()?), Err(op(ErrorNumber::Inval, 1)));
    Ok(())
}

fn memory_g05_split_quota_adds_up(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(64 * 1024)?;
    let memory = factory.create_memory(ctx.slot()?, 8 * PAGE)?;
    let one = factory.info()?.charged;
    let rest = memory.split(3 * PAGE, ctx.slot()?)?;
    let two = factory.info()?.charged;
    check!(two > one && two < one + PAGE, "{one} bytes, then {two}");
    ctx.task.delete(rest.slot())?;
    check_eq!(factory.info()?.charged, one - 5 * PAGE);
    ctx.task.delete(memory.slot())?;
    check_eq!(factory.info()?.charged, 0);
    // Without room for a second record nothing happens.
    let tight = ctx.sub_factory(one)?;
    let memory = tight.create_memory(ctx.slot()?, 8 * PAGE)?;
    let slot = ctx.slot()?;
    check_eq!(memory.split(PAGE, slot), Err(op(ErrorNumber::NoMem, 0)));
    check_eq!(memory.info()?.bytes, 8 * PAGE);
    Ok(())
}

fn memory_g05_split_errors(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(4)?;
    let slot = ctx.slot()?;
    for offset in [0, 1, PAGE + 8, 4 * PAGE, 5 * PAGE, u64::MAX, 1 << 63] {
        check_eq!(memory.split(offset, slot), Err(op(ErrorNumber::Inval, 1)), "{offset:#x}");
    }
    check_eq!(memory.split(PAGE, Slot::NULL), Err(op(ErrorNumber::NoWindow, 2)));
    check_eq!(memory.split(PAGE, memory.slot()), Err(op(ErrorNumber::Exists, 2)));
    check_eq!(memory.split(PAGE, Slot::new(9999)), Err(op(ErrorNumber::Inval, 2)));
    let weak = ctx.derive(memory, Rights::all() - Rights::D)?;
    check_eq!(weak.split(PAGE, slot), Err(op(ErrorNumber::Perm, 0)));
    ctx.task.map(memory, AT, 0, PAGE, Rights::R)?;
    check_eq!(memory.split(2 * PAGE, slot), Err(op(ErrorNumber::Busy, 0)), "mapped");
    ctx.task.unmap(AT, PAGE)?;
    check_eq!(memory.info()?.bytes, 4 * PAGE);
    memory.split(2 * PAGE, slot)?;
    Ok(())
}
