//! Long revocations: others keep their latency, nothing outruns them, and they
//! end though the one who asked is gone.

use postern_tests::bare::memory::read;
use postern_tests::protocol::PRIORITY;
use postern_tests::runtime::log;
use postern_tests::runtime::time::time_stamp;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorNumber, Item, Memory, Rights, Slot, Tag, Task, Timeout, control, ipc, utcb,
};
use postern_tests::{Ctx, Failure, Verdict, board, check, check_eq, op, tell, tests};

use crate::is_there;

tests! {
    revoke_g01_ten_thousand_keep_latency = 60,
    revoke_g01_thousand_mappings_keep_latency = 60,
    revoke_g01_busy_for_others_meanwhile = 60,
    revoke_g01_revoking_thread_dies = 60,
    revoke_g01_revoking_task_dies = 60,
    revoke_g01_object_dies_meanwhile = 60,
    revoke_g01_deleting_a_node_with_ten_thousand_children = 60,
}

/// Capabilities of the large trees.
const COUNT: u32 = 10_000;
/// Instructions that the kernel may keep interrupts away for. Time is counted
/// in instructions, so a nanosecond is one.
const LONGEST: u64 = 20_000;
/// Instructions by which a sleeper may wake late: a stretch of the kernel, and
/// its own way to the clock.
const LATE: u64 = 2 * LONGEST;
/// The same while a task ends.
const LATE_AT_END: u64 = LATE;
/// A place that nothing else uses.
const AT: u64 = 0xc_0000_0000;

/// Words of the board.
const STOP: usize = 1;
const ROUNDS: usize = 2;
const LATEST: usize = 3;
const ANSWERS: usize = 8;

/// How the capabilities hang together.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// All below the first.
    Flat,
    /// Each below the one before.
    Chain,
    /// Each below the one at half its number.
    Binary,
}

/// A task with [`COUNT`] capabilities in slots 1 and up, all below the one in
/// slot 1, which is derived from `item`.
pub fn grow(ctx: &Ctx, item: Item, shape: Shape) -> Result<Task, Failure> {
    let task = ctx.factory.create_task(ctx.slot()?, u64::from(COUNT) + 1)?;
    task.delegate(item, Slot::new(1))?;
    for slot in 2..=COUNT {
        let from = match shape {
            Shape::Flat => 1,
            Shape::Chain => slot - 1,
            Shape::Binary => slot / 2,
        };
        task.derive(Slot::new(from), Slot::new(slot), Rights::all())?;
    }
    check_eq!(task.info()?.slots_used, u64::from(COUNT));
    Ok(task)
}

/// A body: sleeps in steps of 20 us until word `STOP` is set, and notes how
/// late it woke at worst.
fn sleeper(_: u64) -> u64 {
    while board::get(STOP) == 0 {
        let deadline = control::clock() + 20_000;
        let _ = control::sleep_until(deadline);
        let late = control::clock() - deadline;
        if late > board::get(LATEST) {
            board::set(LATEST, late);
        }
        board::add(ROUNDS, 1);
    }
    0
}

/// Runs `long` beside an urgent sleeper, and checks what the latter saw.
fn beside_sleeper(ctx: &Ctx, what: &str, limit: u64, long: impl FnOnce() -> Verdict) -> Verdict {
    board::set(STOP, 0);
    let other = ctx.spawn_at(PRIORITY + 50, sleeper, 0)?;
    check!(ctx.wait_until(|| board::get(ROUNDS) > 2), "the sleeper does not run");
    board::set(LATEST, 0);
    let rounds = board::get(ROUNDS);
    ctx.scheduler.info_anew()?;
    let start = time_stamp();
    long()?;
    let took = time_stamp() - start;
    let (latest, info) = (board::get(LATEST), ctx.scheduler.info()?);
    let (stretch, cause) = (info.longest_stretch, info.longest_cause);
    let rounds = board::get(ROUNDS) - rounds;
    board::set(STOP, 1);
    check_eq!(other.join()?, 0);
    log!("{what}: {took} ns, {rounds} wakes, latest {latest} ns, stretch {stretch} in {cause}");
    check!(rounds + 1 >= took / 200_000, "{what}: woke {rounds} times in {took} ns");
    check!(latest < limit, "{what}: woke {latest} ns late");
    check!((1..LONGEST).contains(&stretch), "{what}: a stretch of {stretch} in {cause}");
    Ok(())
}

fn revoke_g01_ten_thousand_keep_latency(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    for shape in [Shape::Flat, Shape::Chain, Shape::Binary] {
        let task = grow(ctx, Item::all(gate.slot()), shape)?;
        let what = alloc::format!("revoke of {COUNT} capabilities, {shape:?}");
        beside_sleeper(ctx, &what, LATE, || {
            ctx.task.revoke(gate.slot())?;
            Ok(())
        })?;
        check_eq!(task.info()?.slots_used, 0, "{shape:?}");
        ctx.task.destroy(task.slot())?;
        // The end of a task with that many takes no longer stretches, either.
        let task = grow(ctx, Item::all(gate.slot()), shape)?;
        let what = alloc::format!("end of a task with {COUNT} capabilities, {shape:?}");
        beside_sleeper(ctx, &what, LATE_AT_END, || {
            ctx.task.destroy(task.slot())?;
            Ok(())
        })?;
        // Nothing hangs below the gate any more, so this is short.
        ctx.task.revoke(gate.slot())?;
    }
    Ok(())
}

fn revoke_g01_thousand_mappings_keep_latency(ctx: &Ctx) -> Verdict {
    const MAPPINGS: u64 = 1000;
    let memory = ctx.memory(2)?;
    let task = ctx.empty_task()?;
    for number in 0..MAPPINGS {
        task.map(memory, AT + number * 3 * PAGE, 0, 2 * PAGE, Rights::R)?;
    }
    beside_sleeper(ctx, "revoke of 1000 mappings", LATE, || {
        ctx.task.revoke(memory.slot())?;
        Ok(())
    })?;
    check_eq!(memory.info()?.mappings, 0);
    check_eq!(task.info()?.mapped, 0);
    Ok(())
}

/// What an urgent thread tries while the object of the capability in `slot` is
/// being revoked: all of it is told to word `ANSWERS` and the ones behind it.
fn try_everything(slot: u64) -> u64 {
    let task = Task::new(Slot::new(postern_tests::protocol::slot::TASK));
    let (from, to) = (Slot::new(slot as u32), Slot::new(slot as u32 + 1));
    // Tries until it meets the revocation.
    for _ in 0..4000 {
        match task.derive(from, to, Rights::all()) {
            Err(error) if error.number == ErrorNumber::Busy => {
                let (big, gate) =
                    (Slot::new(board::get(5) as u32), Slot::new(board::get(6) as u32));
                board::set(ANSWERS, error.encode());
                let delegated = Task::new(big).delegate(Item::all(from), Slot::new(1));
                board::set(ANSWERS + 1, tell(delegated));
                let mapped = task.map(Memory::new(from), AT, 0, PAGE, Rights::R);
                board::set(ANSWERS + 2, tell(mapped));
                utcb::set_items(&[Item::all(from)]);
                let tag = Tag::new(7, 0).with_items(1);
                board::set(ANSWERS + 3, tell(ipc::send(gate, tag, [0; 4], Timeout::ZERO)));
                board::set(ANSWERS + 4, tell(task.revoke(from)));
                board::set(
                    ANSWERS + 5,
                    tell(Task::new(big).derive(Slot::new(2), Slot::new(1), Rights::R)),
                );
                board::set(ANSWERS + 6, tell(task.delete(from)));
                board::set(ANSWERS + 7, tell(task.move_slot(from, to)));
                board::set(ANSWERS + 8, tell(Memory::new(from).info()));
                return 0;
            }
            Err(error) => return error.encode(),
            Ok(()) => drop(task.delete(to)),
        }
        let _ = control::sleep_until(control::clock() + 20_000);
    }
    1
}

fn revoke_g01_busy_for_others_meanwhile(ctx: &Ctx) -> Verdict {
    // The receiver waits with a window, in this task.
    let receiver = ctx.spawn_at(
        PRIORITY + 60,
        |window| {
            utcb::set_windows(&[Slot::new(window as u32)]);
            tell(ipc::receive(postern_tests::patience()))
        },
        ctx.slot()?.word(),
    )?;
    let way = ctx.gate_to(receiver.thread(), 0x40)?;
    receiver.await_state(ctx, ThreadState::Receiving)?;
    let memory = ctx.memory(1)?;
    ctx.task.derive(memory.slot(), Slot::new(400), Rights::all())?;
    ctx.task.revoke(memory.slot())?;
    // The thread works with the root itself, of which it keeps the slot.
    let root = Slot::new(400);
    ctx.task.move_slot(memory.slot(), root)?;
    let task = grow(ctx, Item::all(root), Shape::Flat)?;
    board::set(5, task.slot().word());
    board::set(6, way.slot().word());
    let other = ctx.spawn_at(PRIORITY + 50, try_everything, root.word())?;
    ctx.task.revoke(root)?;
    check_eq!(other.join()?, 0, "it never met the revocation");
    let busy = |argument| op(ErrorNumber::Busy, argument).encode();
    let told: [u64; 9] = core::array::from_fn(|index| board::get(ANSWERS + index));
    check_eq!(told[0], busy(1), "derive");
    check_eq!(told[1], busy(64), "delegate");
    check_eq!(told[2], busy(64), "map");
    let sent = postern_tests::syscall::ErrorCode::decode(told[3]);
    check_eq!(sent.map(|error| (error.number, error.argument)), Some((ErrorNumber::Busy, 64)));
    check_eq!(told[4], busy(1), "a second revoke");
    check!(told[5] == busy(1) || told[5] == op(ErrorNumber::NotExistent, 1).encode(), "derive");
    check_eq!(told[6], busy(1), "deleting the root");
    check_eq!(told[7], busy(1), "moving the root");
    check_eq!(told[8], 0, "looking at the object");
    check_eq!(task.info()?.slots_used, 0);
    // The refused sender left the receiver waiting; afterwards all is as ever.
    check_eq!(receiver.info()?.state, Some(ThreadState::Receiving));
    task.delegate(Item::all(root), Slot::new(1))?;
    ctx.task.map(Memory::new(root), AT, 0, PAGE, Rights::R)?;
    check_eq!(read(AT), 0);
    Ok(())
}

/// A body: revokes what is below slot 1 of the task in `slot`.
pub fn revoke_slot_one(slot: u64) -> u64 {
    tell(Task::new(Slot::new(slot as u32)).revoke(Slot::new(1)))
}

/// Sleeps until a revocation in `task` is under way.
pub fn await_middle(task: Task) -> Verdict {
    for _ in 0..100_000 {
        let used = task.info()?.slots_used;
        check!(used > 1, "it is over already");
        if used < u64::from(COUNT) {
            return Ok(());
        }
        let _ = control::sleep_until(control::clock() + 10_000);
    }
    Err(Failure::new(format_args!("it never began")))
}

fn revoke_g01_revoking_thread_dies(ctx: &Ctx) -> Verdict {
    for shape in [Shape::Flat, Shape::Chain] {
        let gate = ctx.unbound()?;
        let task = grow(ctx, Item::all(gate.slot()), shape)?;
        let revoker = ctx.spawn_at(50, revoke_slot_one, task.slot().word())?;
        await_middle(task)?;
        ctx.task.destroy(revoker.thread().slot())?;
        let left = task.info()?.slots_used;
        check!(left > 1, "{shape:?}: it was over when its thread died");
        // It goes on by itself, and nothing is derived meanwhile.
        let derived = ctx.derive(gate, Rights::R).map(drop);
        check!(derived.is_err(), "{shape:?}: derived in the middle");
        check!(ctx.wait_until(|| task.info().is_ok_and(|info| info.slots_used == 1)), "{shape:?}");
        check!(is_there(task, Slot::new(1)), "{shape:?}: the root of the revocation");
        check!(
            ctx.wait_until(|| task.derive(Slot::new(1), Slot::new(2), Rights::R).is_ok()),
            "{shape:?}: it stays busy"
        );
        ctx.task.revoke(gate.slot())?;
        check_eq!(task.info()?.slots_used, 0);
        ctx.task.destroy(task.slot())?;
    }
    Ok(())
}

fn revoke_g01_revoking_task_dies(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let task = grow(ctx, Item::all(gate.slot()), Shape::Binary)?;
    let mut revoker = ctx.peer()?;
    let Some(home) = revoker.task() else { return Ok(()) };
    let given = revoker.give(Item::all(task.slot()))?;
    ctx.scheduler.set_priority(revoker.thread(), 50)?;
    revoker.start(revoke_slot_one, given.word())?;
    await_middle(task)?;
    ctx.task.destroy(home.slot())?;
    check!(task.info()?.slots_used > 1, "it was over when its task died");
    check!(ctx.wait_until(|| task.info().is_ok_and(|info| info.slots_used == 1)), "never over");
    check!(is_there(task, Slot::new(1)));
    check!(ctx.wait_until(|| task.delete(Slot::new(1)).is_ok()), "it stays busy");
    Ok(())
}

fn revoke_g01_object_dies_meanwhile(ctx: &Ctx) -> Verdict {
    // The object, the task whose slot is the root of the revocation: whatever
    // goes in the middle, the revoker gets an answer and nothing stays.
    let before = ctx.charged()?;
    for is_object in [true, false] {
        let gate = ctx.unbound()?;
        let child = ctx.derive(gate, Rights::all())?;
        let task = grow(ctx, Item::all(child.slot()), Shape::Flat)?;
        let charged = ctx.charged()?;
        let revoker = ctx.spawn_at(50, revoke_slot_one, task.slot().word())?;
        await_middle(task)?;
        ctx.task.destroy(if is_object { gate.slot() } else { task.slot() })?;
        let end = revoker.join()?;
        log!("the revoker was told {end:#x}, the object died: {is_object}");
        check!(ctx.charged()? < charged + 64 * 1024);
        if is_object {
            check!(!is_there(ctx.task, child.slot()));
            ctx.task.destroy(task.slot())?;
        } else {
            check!(
                ctx.wait_until(|| ctx.derive(gate, Rights::R).is_ok()),
                "the object stays busy for ever"
            );
            ctx.task.revoke(gate.slot())?;
            check!(!is_there(ctx.task, child.slot()));
            ctx.task.delete(gate.slot())?;
        }
    }
    check!(ctx.wait_until(|| ctx.charged().is_ok_and(|now| now == before)), "bytes are lost");
    Ok(())
}

fn revoke_g01_deleting_a_node_with_ten_thousand_children(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let task = grow(ctx, Item::all(gate.slot()), Shape::Flat)?;
    // Children in front of and behind it, so that it is a middle one.
    ctx.task.derive(gate.slot(), Slot::new(400), Rights::all())?;
    let start = time_stamp();
    task.delete(Slot::new(1))?;
    let took = time_stamp() - start;
    check!(took < LONGEST, "{took} instructions to delete a node with {COUNT} children");
    let start = time_stamp();
    ctx.task.move_slot(gate.slot(), Slot::new(401))?;
    let took = time_stamp() - start;
    check!(took < LONGEST, "{took} instructions to move a node with {COUNT} children");
    check_eq!(task.info()?.slots_used, u64::from(COUNT) - 1);
    ctx.task.revoke(Slot::new(401))?;
    check_eq!(task.info()?.slots_used, 0, "they did not move up to the root");
    Ok(())
}
