//! What a mapping shows, and to whom.

use postern_tests::bare::memory::{read, write};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{Capability, ErrorNumber, Item, Rights, Slot};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, op, peer, tests};

use crate::{AT, DATA, LARGE, read_it, unmapped, write_it};

tests! {
    memory_g05_new_memory_is_zero,
    memory_g05_reused_memory_is_zero,
    memory_g05_unmapped_means_fault,
    memory_g05_offset_and_length_count,
    memory_g05_two_mappings_show_the_same,
    memory_g05_shared_between_tasks,
    memory_g05_rights_of_a_mapping_are_its_own,
    memory_g05_rights_change_by_mapping_again,
    memory_g05_neighbours_are_untouched,
    memory_g05_unmap_whole_mappings_of_a_range,
    memory_g05_mapping_into_another_task,
    memory_g05_last_pages_of_the_address_space,
}

fn memory_g05_new_memory_is_zero(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(17)?;
    check_eq!(memory.info()?.bytes, 17 * PAGE);
    ctx.task.map(memory, AT, 0, 17 * PAGE, DATA)?;
    for at in (AT..AT + 17 * PAGE).step_by(8) {
        check!(read(at) == 0, "{:#x} at {at:#x}", read(at));
    }
    Ok(())
}

fn memory_g05_reused_memory_is_zero(ctx: &Ctx) -> Verdict {
    // Fills memory again and again: some frames must come back.
    for round in 0..8 {
        let memory = ctx.memory(32)?;
        ctx.task.map(memory, AT, 0, 32 * PAGE, DATA)?;
        for at in (AT..AT + 32 * PAGE).step_by(8) {
            check!(read(at) == 0, "{:#x} at {at:#x} in round {round}", read(at));
            write(at, 0x5ec2_e700_5ec2_e700);
        }
        ctx.task.destroy(memory.slot())?;
    }
    Ok(())
}

fn memory_g05_unmapped_means_fault(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(2)?;
    unmapped(ctx, AT)?;
    ctx.task.map(memory, AT, 0, 2 * PAGE, DATA)?;
    write(AT, 1);
    write(AT + 2 * PAGE - 8, 2);
    check_eq!(ctx.task.unmap(AT, 2 * PAGE)?, 2 * PAGE);
    unmapped(ctx, AT)?;
    unmapped(ctx, AT + 2 * PAGE - 8)?;
    check_eq!(ctx.task.unmap(AT, 2 * PAGE)?, 0, "unmapping nothing");
    // The contents stayed.
    ctx.task.map(memory, AT, 0, 2 * PAGE, Rights::R)?;
    check_eq!((read(AT), read(AT + 2 * PAGE - 8)), (1, 2));
    Ok(())
}

fn memory_g05_offset_and_length_count(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(8)?;
    ctx.task.map(memory, AT, 0, 8 * PAGE, DATA)?;
    for page in 0..8 {
        write(AT + page * PAGE, 100 + page);
    }
    let other = AT + LARGE;
    ctx.task.map(memory, other, 3 * PAGE, 2 * PAGE, Rights::R)?;
    check_eq!((read(other), read(other + PAGE)), (103, 104));
    unmapped(ctx, other + 2 * PAGE)?;
    unmapped(ctx, other - 8)
}

fn memory_g05_two_mappings_show_the_same(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    ctx.task.map(memory, AT + PAGE, 0, PAGE, Rights::R)?;
    check_eq!(memory.info()?.mappings, 2);
    write(AT + 8, 0x1234);
    check_eq!(read(AT + PAGE + 8), 0x1234);
    ctx.spawn(write_it, AT + PAGE)?.expect_fault(14, Some(AT + PAGE))?;
    ctx.task.unmap(AT, PAGE)?;
    check_eq!(memory.info()?.mappings, 1);
    check_eq!(read(AT + PAGE + 8), 0x1234);
    Ok(())
}

fn memory_g05_shared_between_tasks(ctx: &Ctx) -> Verdict {
    // Ping-pong through shared memory, at different addresses.
    let memory = ctx.memory(1)?;
    ctx.task.map(memory, AT, 0, PAGE, DATA)?;
    let mut other = ctx.peer()?;
    if let Some(task) = other.task() {
        task.map(memory, AT + LARGE, 0, PAGE, DATA)?;
    }
    other.start(
        |address| {
            for round in 1..=100 {
                while read(address) != round {
                    postern_tests::syscall::control::yield_now();
                }
                write(address + 8, round);
            }
            7
        },
        AT + LARGE,
    )?;
    for round in 1..=100 {
        write(AT, round);
        let answered = ctx.wait_until(|| read(AT + 8) == round);
        check!(answered, "no answer in round {round}");
    }
    check_eq!(other.join()?, 7);
    Ok(())
}

fn memory_g05_rights_of_a_mapping_are_its_own(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    let read_only = ctx.derive(memory, Rights::R)?;
    let refused = Err(op(ErrorNumber::Perm, 64));
    check_eq!(ctx.task.map(read_only, AT, 0, PAGE, DATA), refused);
    check_eq!(ctx.task.map(read_only, AT, 0, PAGE, Rights::R | Rights::X), refused);
    let nothing = ctx.derive(memory, Rights::W | Rights::X | Rights::GRANT)?;
    check_eq!(ctx.task.map(nothing, AT, 0, PAGE, Rights::R), refused, "R is needed to map");
    ctx.task.map(read_only, AT, 0, PAGE, Rights::R)?;
    check_eq!(read(AT), 0);
    ctx.spawn(write_it, AT)?.expect_fault(14, Some(AT))?;
    Ok(())
}

fn memory_g05_rights_change_by_mapping_again(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    for rights in [DATA, Rights::R, DATA, Rights::R | Rights::X, Rights::R] {
        ctx.task.map(memory, AT, 0, PAGE, rights)?;
        if rights.contains(Rights::W) {
            write(AT, 5);
        } else {
            ctx.spawn(write_it, AT)?.expect_fault(14, Some(AT))?;
        }
        check_eq!(read(AT), 5);
        check_eq!(ctx.task.unmap(AT, PAGE)?, PAGE);
    }
    Ok(())
}

fn memory_g05_neighbours_are_untouched(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(3)?;
    for page in 0..3 {
        ctx.task.map(memory, AT + page * PAGE, page * PAGE, PAGE, DATA)?;
        write(AT + page * PAGE, page + 1);
    }
    check_eq!(ctx.task.unmap(AT + PAGE, PAGE)?, PAGE);
    unmapped(ctx, AT + PAGE)?;
    check_eq!((read(AT), read(AT + 2 * PAGE)), (1, 3));
    // The hole takes something else.
    let other = ctx.memory(1)?;
    ctx.task.map(other, AT + PAGE, 0, PAGE, DATA)?;
    check_eq!((read(AT), read(AT + PAGE), read(AT + 2 * PAGE)), (1, 0, 3));
    Ok(())
}

fn memory_g05_unmap_whole_mappings_of_a_range(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(4)?;
    let before = ctx.task.info()?.mapped;
    for place in 0..4 {
        ctx.task.map(memory, AT + place * 4 * PAGE, 0, 2 * PAGE, DATA)?;
    }
    check_eq!(ctx.task.info()?.mapped, before + 8 * PAGE);
    // A range that cuts one in two is refused, and unmaps none.
    let cut = Err(op(ErrorNumber::Inval, 1));
    check_eq!(ctx.task.unmap(AT, PAGE), cut);
    check_eq!(ctx.task.unmap(AT + PAGE, PAGE), cut);
    check_eq!(ctx.task.unmap(AT + PAGE, 20 * PAGE), cut);
    check_eq!(ctx.task.unmap(AT, 13 * PAGE), cut);
    check_eq!(ctx.task.info()?.mapped, before + 8 * PAGE);
    check_eq!(ctx.task.unmap(AT + 4 * PAGE, 8 * PAGE)?, 4 * PAGE, "the two in the middle");
    check_eq!(read(AT + 12 * PAGE), 0, "the last one");
    check_eq!(ctx.task.unmap(AT, 64 * PAGE)?, 4 * PAGE);
    check_eq!(ctx.task.info()?.mapped, before);
    check_eq!(memory.info()?.mappings, 0);
    Ok(())
}

fn memory_g05_mapping_into_another_task(ctx: &Ctx) -> Verdict {
    // A peer that is given its own task, without W, and memory.
    let mut other = ctx.peer()?;
    let memory = ctx.memory(1)?;
    let Some(task) = other.task() else { return Ok(()) };
    other.give(task.item(Rights::R))?;
    other.give(Item::all(memory.slot()))?;
    let body: Body = |_| {
        let task = postern_tests::syscall::Task::new(peer::given(0));
        let memory = postern_tests::syscall::Memory::new(peer::given(1));
        postern_tests::tell(task.map(memory, AT, 0, PAGE, Rights::R))
    };
    other.start(body, 0)?;
    check_eq!(
        postern_tests::told(other.join()?),
        Err(op(ErrorNumber::Perm, 0)),
        "without W on the task"
    );
    // This test may: it made the task.
    let empty = ctx.empty_task()?;
    empty.map(memory, AT, 0, PAGE, Rights::R)?;
    check_eq!(empty.info()?.mapped, PAGE);
    let reader = ctx.spawn(read_it, AT)?;
    reader.expect_fault(14, Some(AT))?;
    check!(Slot::NULL.number() == 0);
    Ok(())
}

fn memory_g05_last_pages_of_the_address_space(ctx: &Ctx) -> Verdict {
    use postern_tests::syscall::abi::address::{USER_END, USER_START};
    let memory = ctx.memory(1)?;
    for at in [USER_START, USER_END - PAGE] {
        ctx.task.map(memory, at, 0, PAGE, DATA)?;
        write(at, 1);
        write(at + PAGE - 8, at);
        check_eq!(read(at + PAGE - 8), at);
        check_eq!(ctx.task.unmap(at, PAGE)?, PAGE);
        unmapped(ctx, at)?;
    }
    Ok(())
}
