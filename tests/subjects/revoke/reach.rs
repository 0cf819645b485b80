//! How far a revocation reaches: the own task, others, what went with
//! messages, what is mapped.

use postern_tests::bare::memory::{read, write};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{
    Capability, ErrorNumber, Item, Memory, Rights, Slot, Tag, Task, ipc, utcb,
};
use postern_tests::{
    Body, Ctx, Verdict, board, check, check_eq, op, patience, peer, received, sent, tests,
};

use crate::is_there;

tests! {
    revoke_g01_everywhere_and_the_root_stays,
    revoke_g02_what_travelled_twice,
    revoke_g01_mappings_of_received_memory_fault,
    revoke_g01_mappings_of_every_size_and_place,
    revoke_g01_leaves_the_object_and_who_waits,
}

const AT: u64 = 0xc_0000_0000;
const DATA: Rights = Rights::R.union(Rights::W);

fn revoke_g01_everywhere_and_the_root_stays(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    let gate = ctx.gate(0x40)?;
    let tasks = [ctx.empty_task()?, ctx.empty_task()?, ctx.empty_task()?];
    for round in 0..20 {
        let mine = ctx.derive(gate, Rights::all())?;
        for (task, first) in tasks.into_iter().zip([5, 9, 13]) {
            // A chain through all three tasks, and twigs in each.
            task.delegate(Item::all(mine.slot()), Slot::new(first))?;
            for twig in 1..40 {
                let from = Slot::new(if twig % 2 == 0 { first } else { first + twig - 1 });
                task.derive(from, Slot::new(first + twig), Rights::all())?;
            }
        }
        ctx.task.revoke(gate.slot())?;
        check!(!is_there(ctx.task, mine.slot()), "round {round}: this task keeps one");
        for task in tasks {
            check_eq!(task.info()?.slots_used, 0, "round {round}: another task keeps some");
        }
        check_eq!(gate.info()?.label, 0x40, "the root");
    }
    // The root receives, gives and is bound again.
    let child = ctx.derive(gate, Rights::all())?;
    gate.bind(ctx.thread, 0x80)?;
    check_eq!(child.info()?.label, 0x80);
    for task in tasks {
        ctx.task.destroy(task.slot())?;
    }
    ctx.task.delete(child.slot())?;
    ctx.task.delete(gate.slot())?;
    check_eq!(ctx.charged()?, before);
    Ok(())
}

/// A peer that hands the capability of its first message on through the gate
/// that it was given, and then waits for a second message.
fn passes_on(_: u64) -> u64 {
    utcb::set_windows(&[peer::free(0)]);
    if ipc::receive(patience()).is_err() {
        return 1;
    }
    utcb::set_items(&[Item::all(peer::free(0))]);
    let tag = Tag::new(8, 0).with_items(1);
    if ipc::send(peer::given(0), tag, [0; 4], patience()).is_err() {
        return 2;
    }
    board::set(0, 1);
    let _ = ipc::receive(patience());
    0
}

fn revoke_g02_what_travelled_twice(ctx: &Ctx) -> Verdict {
    // From here to a peer to another peer to here again.
    let gate = ctx.unbound()?;
    let (mut first, mut second) = (ctx.peer()?, ctx.peer()?);
    let (Some(one), Some(two)) = (first.task(), second.task()) else { return Ok(()) };
    let (to_first, to_second) =
        (ctx.gate_to(first.thread(), 0x40)?, ctx.gate_to(second.thread(), 0x40)?);
    let home = ctx.gate(0x80)?;
    first.give(to_second.item(Rights::W | Rights::GRANT))?;
    second.give(home.item(Rights::W | Rights::GRANT))?;
    first.start(passes_on, 0)?;
    second.start(passes_on, 0)?;
    let last = ctx.slot()?;
    utcb::set_items(&[Item::all(gate.slot())]);
    ipc::send(to_first.slot(), Tag::new(7, 0).with_items(1), [0; 4], patience())?;
    utcb::set_windows(&[last]);
    check_eq!(ipc::receive_from(home.slot(), patience())?.tag.items(), 1);
    utcb::set_windows(&[]);
    check!(is_there(one, peer::free(0)) && is_there(two, peer::free(0)));
    check!(is_there(ctx.task, last));
    // From its middle: the first peer keeps it, those behind lose it.
    one.revoke(peer::free(0))?;
    check!(is_there(one, peer::free(0)), "the peer's own");
    check!(!is_there(two, peer::free(0)) && !is_there(ctx.task, last));
    ctx.task.revoke(gate.slot())?;
    check!(!is_there(one, peer::free(0)));
    check_eq!(gate.info()?.bound, false);
    Ok(())
}

/// A peer that gets memory in a message, maps it into its own task (slot 1),
/// and counts word 1 of the board to the memory for as long as it can.
fn maps_and_writes(_: u64) -> u64 {
    utcb::set_windows(&[peer::free(0)]);
    if ipc::receive(patience()).is_err() {
        return 1;
    }
    let task = Task::new(Slot::new(1));
    if let Err(error) = task.map(Memory::new(peer::free(0)), AT, 0, PAGE, DATA) {
        return error.encode();
    }
    loop {
        write(AT, read(AT) + 1);
        board::set(1, read(AT));
        postern_tests::syscall::control::yield_now();
    }
}

fn revoke_g01_mappings_of_received_memory_fault(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    let mut other = ctx.peer()?;
    let way = ctx.gate_to(other.thread(), 0x40)?;
    other.start(maps_and_writes, 0)?;
    utcb::set_items(&[memory.item(DATA | Rights::GRANT)]);
    ipc::send(way.slot(), Tag::new(7, 0).with_items(1), [0; 4], patience())?;
    check!(ctx.wait_until(|| board::get(1) > 3), "the peer does not write");
    check_eq!(memory.info()?.mappings, 1);
    ctx.task.revoke(memory.slot())?;
    check_eq!(memory.info()?.mappings, 0);
    other.expect_fault(14, Some(AT))?;
    // The contents are there, and the root maps them.
    ctx.task.map(memory, AT, 0, PAGE, Rights::R)?;
    check!(read(AT) >= board::get(1));
    Ok(())
}

fn revoke_g01_mappings_of_every_size_and_place(ctx: &Ctx) -> Verdict {
    const LARGE: u64 = 2 << 20;
    let memory = ctx.factory.create_memory(ctx.slot()?, 2 * LARGE)?;
    let child = ctx.derive(memory, DATA | Rights::GRANT)?;
    // Large pages, small ones, a window in the middle, read-only, twice the
    // same; in this task and in an empty one.
    let task = ctx.empty_task()?;
    let places = [
        (AT, 0, 2 * LARGE, DATA),
        (AT + 4 * LARGE, LARGE, LARGE, Rights::R),
        (AT + 6 * LARGE + PAGE, PAGE, 5 * PAGE, DATA),
        (AT + 7 * LARGE, LARGE - PAGE, 2 * PAGE, Rights::R),
        (AT + 8 * LARGE, LARGE - PAGE, 2 * PAGE, Rights::R),
    ];
    for (address, offset, bytes, rights) in places {
        ctx.task.map(child, address, offset, bytes, rights)?;
        task.map(child, address, offset, bytes, rights)?;
    }
    // One that is none of the child's.
    ctx.task.map(memory, AT + 9 * LARGE, LARGE, PAGE, Rights::R)?;
    write(AT + LARGE, 77);
    check_eq!(read(AT + 4 * LARGE), 77);
    check_eq!(memory.info()?.mappings, 11);
    // After a change of rights it goes all the same.
    ctx.task.protect(AT, 2 * LARGE, Rights::R)?;
    ctx.task.revoke(child.slot())?;
    check_eq!(memory.info()?.mappings, 1, "the root's own");
    check_eq!(task.info()?.mapped, 0);
    for (address, ..) in places {
        let reader = ctx.spawn(read, address)?;
        reader.expect_fault(14, Some(address))?;
    }
    check_eq!(read(AT + 9 * LARGE), 77);
    ctx.task.revoke(memory.slot())?;
    check_eq!(memory.info()?.mappings, 0);
    Ok(())
}

fn revoke_g01_leaves_the_object_and_who_waits(ctx: &Ctx) -> Verdict {
    // A revocation takes capabilities, not the object: who waits goes on
    // waiting, and later callers find an empty slot.
    let gate = ctx.unbound()?;
    let child = ctx.derive(gate, Rights::all())?;
    let body: Body = |slot| {
        let sent = ipc::send(Slot::new(slot as u32), Tag::new(7, 1), [5; 4], patience());
        postern_tests::tell(sent)
    };
    let sender = ctx.spawn(body, child.slot().word())?;
    sender.await_state(ctx, postern_tests::syscall::abi::op::thread::ThreadState::Sending)?;
    ctx.task.revoke(gate.slot())?;
    let late = ipc::send(child.slot(), Tag::new(7, 0), [0; 4], patience());
    check_eq!(late, Err(sent(ErrorNumber::NotExistent)));
    check_eq!(ctx.task.revoke(child.slot()), Err(op(ErrorNumber::NotExistent, 1)));
    gate.bind(ctx.thread, 0x40)?;
    let delivery = ipc::receive_from(gate.slot(), patience())?;
    check_eq!((delivery.tag.protocol(), delivery.words[0]), (7, 5), "who waited before");
    check_eq!(sender.join()?, 0);
    let nothing = ipc::receive(postern_tests::syscall::Timeout::ZERO).map(drop);
    check_eq!(nothing, Err(received(ErrorNumber::Timeout)));
    Ok(())
}
