//! Quotas, and what the end of memory and tasks means for mappings.

use postern_tests::bare::memory::{read, write};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{Capability, ErrorNumber, Rights, Slot};
use postern_tests::{Ctx, Verdict, board, check, check_eq, op, tests};

use crate::{AT, DATA, unmapped};

tests! {
    memory_g04_quota_is_exact,
    memory_g04_page_tables_are_charged,
    memory_g04_failed_mapping_leaves_nothing,
    memory_g05_destroyed_memory_is_unmapped_everywhere,
    memory_g05_memory_goes_with_its_last_capability,
    memory_g05_destroyed_task_gives_all_back,
    memory_g05_mapping_outlives_derived_capability,
    memory_g05_many_mappings_come_and_go,
}

fn memory_g04_quota_is_exact(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    ctx.memory(1)?;
    let cost = ctx.charged()? - before;
    check!(cost > PAGE && cost < 2 * PAGE, "a page of memory costs {cost} bytes");
    let fixed = cost - PAGE;
    let factory = ctx.sub_factory(8 * PAGE + fixed)?;
    let slot = ctx.slot()?;
    let create = |pages: u64| factory.create_memory(slot, pages * PAGE).map(drop);
    check_eq!(create(9), Err(op(ErrorNumber::NoMem, 0)));
    check_eq!(factory.info()?.charged, 0);
    create(8)?;
    check_eq!(factory.info()?.charged, 8 * PAGE + fixed);
    let other = ctx.slot()?;
    let full = factory.create_memory(other, PAGE).map(drop);
    check_eq!(full, Err(op(ErrorNumber::NoMem, 0)));
    for _ in 0..20 {
        ctx.task.delete(slot)?;
        // Memory that nobody mapped is gone on return.
        check_eq!(factory.info()?.charged, 0);
        create(8)?;
    }
    Ok(())
}

fn memory_g04_page_tables_are_charged(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(1 << 20)?;
    let task = factory.create_task(ctx.slot()?, 128)?;
    let memory = ctx.memory(1)?;
    let start = factory.info()?.charged;
    task.map(memory, AT, 0, PAGE, Rights::R)?;
    let first = factory.info()?.charged - start;
    check!(first >= PAGE, "tables for a new region: {first} bytes");
    task.map(memory, AT + PAGE, 0, PAGE, Rights::R)?;
    let second = factory.info()?.charged - start - first;
    check!(second < PAGE, "a neighbour needs a record only, not {second} bytes");
    task.map(memory, AT + (1 << 30), 0, PAGE, Rights::R)?;
    let third = factory.info()?.charged - start - first - second;
    check!(third > PAGE, "tables for another region: {third} bytes");
    ctx.task.destroy(task.slot())?;
    check_eq!(factory.info()?.charged, 0);
    Ok(())
}

fn memory_g04_failed_mapping_leaves_nothing(ctx: &Ctx) -> Verdict {
    // A task whose factory has nothing left for page tables.
    let factory = ctx.sub_factory(256 * 1024)?;
    let task = factory.create_task(ctx.slot()?, 128)?;
    let memory = ctx.memory(2)?;
    let left = factory.info()?;
    let filler = left.quota - left.charged - 3 * PAGE;
    let filler = filler - filler % PAGE;
    factory.create_memory(ctx.slot()?, filler)?;
    let mut refused = 0;
    for place in 0..8 {
        let before = factory.info()?.charged;
        match task.map(memory, AT + (place << 30), 0, 2 * PAGE, Rights::R) {
            Ok(()) => {}
            Err(error) => {
                check_eq!(error, op(ErrorNumber::NoMem, 0));
                refused += 1;
                check_eq!(factory.info()?.charged, before, "what a refused mapping costs");
            }
        }
    }
    check!(refused >= 6, "only {refused} of 8 mappings were refused");
    let mapped = task.info()?.mapped;
    check_eq!(mapped, (8 - refused) * 2 * PAGE);
    check_eq!(memory.info()?.mappings, 8 - refused);
    ctx.task.destroy(task.slot())?;
    check_eq!(memory.info()?.mappings, 0);
    Ok(())
}

/// Reads the address in word 0 of the board until word 1 is set.
fn read_on(address: u64) -> u64 {
    while board::get(1) == 0 {
        board::set(2, read(address));
        postern_tests::syscall::control::yield_now();
    }
    0
}

fn memory_g05_destroyed_memory_is_unmapped_everywhere(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(2)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    ctx.task.map(memory, AT + PAGE, PAGE, PAGE, DATA)?;
    let mut peers = [ctx.peer()?, ctx.peer()?];
    for peer in &mut peers {
        if let Some(task) = peer.task() {
            task.map(memory, AT, 0, 2 * PAGE, Rights::R)?;
        }
        peer.start(read_on, AT)?;
    }
    write(AT, 77);
    check!(ctx.wait_until(|| board::get(2) == 77), "the peers do not see it");
    check_eq!(memory.info()?.mappings, 4);
    let mapped = ctx.task.info()?.mapped;
    ctx.task.destroy(memory.slot())?;
    for peer in &peers {
        peer.expect_fault(14, Some(AT))?;
    }
    unmapped(ctx, AT)?;
    unmapped(ctx, AT + PAGE)?;
    check_eq!(ctx.task.info()?.mapped, mapped - 2 * PAGE);
    Ok(())
}

fn memory_g05_memory_goes_with_its_last_capability(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    let memory = ctx.memory(1)?;
    let copy = ctx.derive(memory, Rights::R)?;
    ctx.task.map(copy, AT, 0, PAGE, Rights::R)?;
    ctx.task.delete(memory.slot())?;
    check_eq!(read(AT), 0, "while there is a capability");
    ctx.task.delete(copy.slot())?;
    unmapped(ctx, AT)?;
    check_eq!(ctx.charged()?, before, "page tables");
    Ok(())
}

fn memory_g05_destroyed_task_gives_all_back(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(2 << 20)?;
    for round in 0..3 {
        let task = factory.create_task(ctx.slot()?, 300)?;
        let memory = factory.create_memory(ctx.slot()?, 64 * PAGE)?;
        for place in 0..5 {
            task.map(memory, AT + (place << 30), 0, 64 * PAGE, DATA)?;
        }
        for slot in [1, 127, 128, 299] {
            let item = postern_tests::syscall::Item::all(memory.slot());
            task.delegate(item, Slot::new(slot))?;
        }
        check_eq!(memory.info()?.mappings, 5);
        ctx.task.destroy(task.slot())?;
        check_eq!(memory.info()?.mappings, 0, "round {round}");
        ctx.task.destroy(memory.slot())?;
        check_eq!(factory.info()?.charged, 0, "round {round}");
    }
    Ok(())
}

fn memory_g05_mapping_outlives_derived_capability(ctx: &Ctx) -> Verdict {
    // Deleting (not revoking) the capability that was mapped changes nothing.
    let memory = ctx.memory(1)?;
    let copy = ctx.derive(memory, DATA)?;
    ctx.task.map(copy, AT, 0, PAGE, DATA)?;
    ctx.task.delete(copy.slot())?;
    write(AT, 4);
    check_eq!(read(AT), 4);
    check_eq!(memory.info()?.mappings, 1);
    Ok(())
}

fn memory_g05_many_mappings_come_and_go(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    for place in 1..300 {
        ctx.task.map(memory, AT + place * 2 * PAGE, 0, PAGE, Rights::R)?;
    }
    check_eq!(memory.info()?.mappings, 300);
    write(AT, 9);
    for place in 0..300 {
        check_eq!(read(AT + place * 2 * PAGE), 9, "mapping {place}");
    }
    let charged = ctx.charged()?;
    check_eq!(ctx.task.unmap(AT + 2 * PAGE, 600 * PAGE)?, 299 * PAGE);
    check_eq!(memory.info()?.mappings, 1);
    check!(ctx.charged()? < charged, "the records were not given back");
    check_eq!(read(AT), 9);
    Ok(())
}
