//! EMPTY: whatever was made through a factory goes, whatever it is doing, and
//! who waits for it is told.

use alloc::vec::Vec;

use postern_tests::bare::memory::read;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorNumber, Factory, Item, Rights, Slot, Tag, Timeouts, control, ipc,
};
use postern_tests::{
    Body, Ctx, Verdict, board, check, check_eq, op, patience, peer, received, sent, tell, tests,
};

tests! {
    accounting_g04_empty_with_everything_in_it,
    accounting_g04_empty_tells_all_who_wait,
    accounting_g04_empty_the_factory_one_lives_in,
    accounting_g04_empty_nested_and_shared,
    accounting_g04_empty_refuses_creation_meanwhile = 60,
    accounting_g04_factory_deleted_with_live_objects,
}

const AT: u64 = 0xc_0000_0000;
const DATA: Rights = Rights::R.union(Rights::W);

fn accounting_g04_empty_with_everything_in_it(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(512 * 1024)?;
    for round in 0..5 {
        // Memory mapped in this task and in one of the factory's, a task with a
        // thread that runs on it, gates with the factory's and this task's
        // threads, the factory's objects in this table and others'.
        let memory = factory.create_memory(ctx.slot()?, 20 * PAGE)?;
        let task = factory.create_task(ctx.slot()?, 256)?;
        let thread = factory.create_thread(ctx.slot()?, 50)?;
        let inner = factory.create_factory(ctx.slot()?, 64 * 1024)?;
        let (gate, deep) = (factory.create_gate(ctx.slot()?)?, inner.create_gate(ctx.slot()?)?);
        let notification = inner.create_notification(ctx.slot()?)?;
        let ports = factory.create_io_port(ctx.slot()?, ctx.ports, 0x70, 1)?;
        ctx.task.map(memory, AT, 0, 20 * PAGE, DATA)?;
        // jmp to itself.
        postern_tests::bare::memory::write(AT, 0xfeeb);
        task.map(memory, AT, 0, PAGE, Rights::R | Rights::X)?;
        task.delegate(Item::all(gate.slot()), Slot::new(1))?;
        thread.bind(task)?;
        gate.bind(thread, 0x40)?;
        thread.start(AT, AT, 0, 0)?;
        control::yield_now();
        factory.empty()?;
        check_eq!(factory.info()?.charged, 0, "round {round}");
        let gone = Err(sent(ErrorNumber::NotExistent));
        check_eq!(memory.info().map(drop), gone);
        check_eq!(task.info().map(drop), gone);
        check_eq!(thread.info().map(drop), gone);
        check_eq!(inner.info().map(drop), gone);
        check_eq!(gate.info().map(drop), gone);
        check_eq!(deep.info().map(drop), gone);
        check_eq!(notification.poll().map(drop), gone);
        check_eq!(ports.info().map(drop), gone);
        let reader = ctx.spawn(read, AT)?;
        reader.expect_fault(14, Some(AT))?;
    }
    Ok(())
}

/// Calls the gate in `slot` and ends with the error.
fn calls(slot: u64) -> u64 {
    tell(ipc::call(Slot::new(slot as u32), Tag::new(7, 0), [0; 4], Timeouts::NEVER))
}

fn accounting_g04_empty_tells_all_who_wait(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(256 * 1024)?;
    let gate = factory.create_gate(ctx.slot()?)?;
    // At the gate.
    let mut at_gate = Vec::new();
    for _ in 0..10 {
        let partner = ctx.spawn(calls, gate.slot().word())?;
        partner.await_state(ctx, ThreadState::Sending)?;
        at_gate.push(partner);
    }
    // At a thread of the factory's that never runs.
    let thread = factory.create_thread(ctx.slot()?, 1)?;
    let to_thread = ctx.gate_to(thread, 0x40)?;
    thread.bind(ctx.task)?;
    let at_thread = ctx.spawn(calls, to_thread.slot().word())?;
    at_thread.await_state(ctx, ThreadState::Sending)?;
    // In a closed receive for a gate of the factory's.
    let receiver = ctx.helper(100)?;
    let source = factory.create_bound_gate(ctx.slot()?, receiver.thread(), 0x80)?;
    let body: Body = |slot| tell(ipc::receive_from(Slot::new(slot as u32), patience()));
    let mut receiver = receiver;
    receiver.start(body, source.slot().word())?;
    receiver.await_state(ctx, ThreadState::Receiving)?;
    factory.empty()?;
    let gone = sent(ErrorNumber::NotExistent).encode();
    for partner in at_gate {
        check_eq!(partner.join()?, gone, "at the gate");
    }
    check_eq!(at_thread.join()?, sent(ErrorNumber::Aborted).encode(), "at the thread");
    check_eq!(receiver.join()?, received(ErrorNumber::NotExistent).encode(), "a receiver");
    check_eq!(factory.info()?.charged, 0);
    Ok(())
}

fn accounting_g04_empty_the_factory_one_lives_in(ctx: &Ctx) -> Verdict {
    // Its thread, its task, its stack: all of it is of the factory that it
    // empties.
    let before = ctx.charged()?;
    let factory = ctx.sub_factory(512 * 1024)?;
    let task = factory.create_task(ctx.slot()?, 128)?;
    let (thread, stack) =
        (factory.create_thread(ctx.slot()?, 100)?, factory.create_memory(ctx.slot()?, 2 * PAGE)?);
    thread.bind(task)?;
    // The code: Call(rdi = slot 1, tag: KOBJECT with a word, EMPTY), then Exit.
    ctx.task.map(stack, AT, 0, 2 * PAGE, DATA)?;
    let code = Empties::code();
    for (index, word) in code.iter().enumerate() {
        postern_tests::bare::memory::write(AT + index as u64 * 8, *word);
    }
    task.map(stack, AT, 0, PAGE, Rights::R | Rights::X)?;
    task.delegate(Item::all(factory.slot()), Slot::new(1))?;
    let exit = ctx.gate(0x40)?;
    thread.set_exit_gate(Some(exit))?;
    thread.start(AT, AT + PAGE, 0, 0)?;
    check!(ctx.wait_until(|| thread.info().is_err()), "it is still there: {:?}", thread.info());
    check!(ctx.wait_until(|| factory.info().is_ok_and(|info| info.charged == 0)));
    check_eq!(task.info().map(drop), Err(sent(ErrorNumber::NotExistent)));
    // A thread that is destroyed sends no exit message.
    let nothing = ipc::receive(postern_tests::syscall::Timeout::ZERO).map(drop);
    check_eq!(nothing, Err(received(ErrorNumber::Timeout)));
    ctx.task.delete(exit.slot())?;
    ctx.task.destroy(factory.slot())?;
    check_eq!(ctx.charged()?, before);
    Ok(())
}

/// Machine code that empties the factory in slot 1.
struct Empties;

impl Empties {
    /// The code, in words.
    fn code() -> [u64; 8] {
        let mut bytes = [0xf4; 64];
        let mut at = 0;
        let mut push = |more: &[u8]| {
            bytes[at..at + more.len()].copy_from_slice(more);
            at += more.len();
        };
        let call = postern_tests::syscall::Code::Call.plain();
        let exit = postern_tests::syscall::Code::Exit.plain();
        let tag = Tag::new(postern_tests::syscall::abi::tag::protocol::KOBJECT, 1).bits();
        let operation = postern_tests::syscall::abi::op::factory::EMPTY;
        // mov rax, ..; mov rdi, 1; mov rsi, tag; mov rdx, EMPTY; syscall
        for (opcode, value) in [
            ([0x48, 0xb8], call),
            ([0x48, 0xbf], 1),
            ([0x48, 0xbe], tag),
            ([0x48, 0xba], operation),
        ] {
            push(&opcode);
            push(&value.to_le_bytes());
        }
        push(&[0x0f, 0x05]);
        // mov rax, Exit; syscall
        push(&[0x48, 0xb8]);
        push(&exit.to_le_bytes());
        push(&[0x0f, 0x05]);
        core::array::from_fn(|index| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
            u64::from_le_bytes(word)
        })
    }
}

fn accounting_g04_empty_nested_and_shared(ctx: &Ctx) -> Verdict {
    // A chain of factories, each with objects, some of which others hold; a
    // task of the outermost holds capabilities to the innermost.
    let outer = ctx.sub_factory(512 * 1024)?;
    let keeper = ctx.empty_task()?;
    let foreign = ctx.unbound()?;
    let task = outer.create_task(ctx.slot()?, 128)?;
    let mut parent = outer;
    let mut places = Vec::new();
    let mut kept = 0;
    for level in 0..8 {
        parent = parent.create_factory(ctx.slot()?, (256 - 16 * level) * 1024)?;
        places.push(parent.slot());
        for _ in 0..3 {
            let gate = parent.create_gate(ctx.slot()?)?;
            kept += 1;
            keeper.delegate(Item::all(gate.slot()), Slot::new(kept))?;
            task.delegate(Item::all(gate.slot()), Slot::new(kept))?;
        }
    }
    // Without a capability a factory is emptied like the others.
    for place in places.into_iter().step_by(2) {
        ctx.task.delete(place)?;
    }
    task.delegate(Item::all(foreign.slot()), Slot::new(100))?;
    outer.empty()?;
    check_eq!(outer.info()?.charged, 0);
    for number in 1..=kept {
        let found = keeper.revoke(Slot::new(number));
        check_eq!(found, Err(op(ErrorNumber::NotExistent, 1)), "kept {number}");
    }
    check_eq!(foreign.info()?.bound, false, "what was made elsewhere");
    // It is as good as new.
    outer.create_gate(ctx.slot()?)?;
    Ok(())
}

/// A peer that makes and forgets gates of the factory in its first given slot
/// until word 1 is set; words 2 and 3 count successes and refusals.
fn makes_gates(_: u64) -> u64 {
    let factory = Factory::new(peer::given(0));
    let task = postern_tests::syscall::Task::new(Slot::new(1));
    while board::get(1) == 0 {
        for number in 0..16 {
            match factory.create_gate(peer::free(number)) {
                Ok(_) => drop(board::add(2, 1)),
                Err(error) if error == op(ErrorNumber::NoMem, 0) => drop(board::add(3, 1)),
                Err(error) => return error.encode(),
            }
        }
        for number in 0..16 {
            let _ = task.delete(peer::free(number));
        }
        let _ = control::sleep_until(control::clock() + 10_000);
    }
    0
}

fn accounting_g04_empty_refuses_creation_meanwhile(ctx: &Ctx) -> Verdict {
    // An urgent peer creates as fast as it can: emptying is not outrun.
    let factory = ctx.sub_factory(4 << 20)?;
    let mut other = ctx.peer()?;
    other.give(Item::all(factory.slot()))?;
    ctx.scheduler.set_priority(other.thread(), 150)?;
    other.start(makes_gates, 0)?;
    let place = ctx.slot()?;
    for round in 0..10 {
        // Much to do: a thousand mappings, and a task with a large table.
        let task = factory.create_task(place, 3000)?;
        let memory = factory.create_memory(ctx.slot()?, PAGE)?;
        for number in 0..300 {
            task.map(memory, AT + number * 2 * PAGE, 0, PAGE, Rights::R)?;
        }
        factory.empty()?;
        check_eq!(task.info().map(drop), Err(sent(ErrorNumber::NotExistent)), "round {round}");
        let _ = ctx.task.delete(place);
    }
    board::set(1, 1);
    check_eq!(other.join()?, 0);
    check!(
        board::get(2) > 0 && board::get(3) > 0,
        "{} made, {} refused",
        board::get(2),
        board::get(3)
    );
    factory.empty()?;
    check_eq!(factory.info()?.charged, 0);
    Ok(())
}

fn accounting_g04_factory_deleted_with_live_objects(ctx: &Ctx) -> Verdict {
    // A program's factory goes while its thread runs: the program goes on, and
    // what it tries to make is refused at once.
    let before = ctx.charged()?;
    let factory = ctx.sub_factory(256 * 1024)?;
    let mut other = ctx.peer()?;
    other.give(Item::all(factory.slot()))?;
    let memory = factory.create_memory(ctx.slot()?, PAGE)?;
    let task = factory.create_task(ctx.slot()?, 128)?;
    ctx.task.destroy(factory.slot())?;
    let body: Body = |_| tell(Factory::new(peer::given(0)).create_gate(peer::free(0)));
    other.start(body, 0)?;
    check!(other.join()? != 0, "a closed factory makes gates");
    // Its task takes capabilities, but no mappings: these need a record.
    task.delegate(memory.item(Rights::all()), Slot::new(5))?;
    let mapped = task.map(memory, AT, 0, PAGE, Rights::R);
    check_eq!(mapped, Err(op(ErrorNumber::NoMem, 0)));
    check!(ctx.charged()? > before + 256 * 1024, "the quota came back too early");
    ctx.task.destroy(task.slot())?;
    let with = ctx.charged()?;
    ctx.task.destroy(memory.slot())?;
    check!(ctx.charged()? + 256 * 1024 < with, "the quota did not come back");
    Ok(())
}
