//! Tasks deleted while their thread is in each of its states.

use alloc::vec::Vec;

use postern_tests::bare::privileged::undefined;
use postern_tests::protocol::PRIORITY;
use postern_tests::runtime::log;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, Gate, Item, Slot, Tag, Task, Thread, Timeout, Timeouts, control, ipc,
};
use postern_tests::{Body, Ctx, Failure, Verdict, board, check, check_eq, tests};

tests! {
    churn_g04_tasks_in_every_state_a_thousand_times = 120,
    churn_g04_self_deletion_hundred_times = 60,
    churn_g04_threads_in_every_state_of_one_task = 60,
}

/// What the thread of a task does when the task is deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    New,
    Ready,
    Sending,
    Receiving,
    Calling,
    Sleeping,
    Stopped,
    Faulting,
    Exited,
}

const ALL: [Doing; 9] = [
    Doing::New,
    Doing::Ready,
    Doing::Sending,
    Doing::Receiving,
    Doing::Calling,
    Doing::Sleeping,
    Doing::Stopped,
    Doing::Faulting,
    Doing::Exited,
];

/// Turns of all states that make a thousand tasks.
const TURNS: usize = 112;

impl Doing {
    const fn state(self) -> ThreadState {
        match self {
            Self::New => ThreadState::New,
            Self::Ready => ThreadState::Ready,
            Self::Sending => ThreadState::Sending,
            Self::Receiving => ThreadState::Receiving,
            Self::Calling => ThreadState::Calling,
            Self::Sleeping => ThreadState::Sleeping,
            Self::Stopped => ThreadState::Stopped,
            Self::Faulting => ThreadState::Faulting,
            Self::Exited => ThreadState::Exited,
        }
    }

    /// What the thread runs; its argument is the slot of a gate.
    fn body(self) -> Body {
        match self {
            Self::New | Self::Ready | Self::Stopped => |_| loop {
                board::add(0, 1);
            },
            Self::Sending | Self::Calling => |slot| {
                let slot = Slot::new(slot as u32);
                let _ = ipc::call(slot, Tag::new(7, 0), [0; 4], Timeouts::NEVER);
                0
            },
            Self::Receiving => |_| {
                let _ = ipc::receive(Timeout::NEVER);
                0
            },
            Self::Sleeping => |_| {
                let _ = control::sleep_until(u64::MAX);
                0
            },
            Self::Faulting => undefined,
            Self::Exited => |_| 0,
        }
    }
}

/// Makes a peer, brings its thread into the state, deletes the task.
fn turn(ctx: &Ctx, doing: Doing, gate: Gate, unbound: Gate) -> Verdict {
    let mut other = ctx.peer()?;
    let Some(task) = other.task() else { return Ok(()) };
    let to = if doing == Doing::Sending { unbound } else { gate };
    let slot = other.give(Item::all(to.slot()))?;
    if doing == Doing::Ready || doing == Doing::Stopped {
        ctx.scheduler.set_priority(other.thread(), PRIORITY - 1)?;
    }
    if doing == Doing::Faulting {
        other.thread().set_fault_gate(Some(gate))?;
    }
    if doing != Doing::New {
        other.start(doing.body(), slot.word())?;
    }
    match doing {
        Doing::Stopped => other.thread().stop()?,
        // Half of the calls and faults are received, half only wait.
        Doing::Calling => drop(ipc::receive(postern_tests::patience())?),
        _ => {}
    }
    other.await_state(ctx, doing.state())?;
    ctx.task.destroy(task.slot())?;
    check!(other.thread().info().is_err(), "{doing:?}: the thread outlives its task");
    // A message that was received already stays; whatever waited is gone.
    check!(ipc::receive(Timeout::ZERO).is_err(), "{doing:?}: something still waits");
    Ok(())
}

fn churn_g04_tasks_in_every_state_a_thousand_times(ctx: &Ctx) -> Verdict {
    let (gate, unbound) = (ctx.gate(0x40)?, ctx.unbound()?);
    let (before, task) = (ctx.charged()?, ctx.task.info()?);
    for number in 0..TURNS {
        for doing in ALL {
            turn(ctx, doing, gate, unbound)?;
        }
        check_eq!(ctx.charged()?, before, "turn {number}");
    }
    check_eq!(ctx.task.info()?, task, "slots, mappings and threads of this task");
    check_eq!((gate.info()?.bound, unbound.info()?.bound), (true, false));
    log!("{} tasks came and went", TURNS * ALL.len());
    Ok(())
}

/// Destroys the task it runs in, of which it has a capability with all rights.
fn destroys_itself(slot: u64) -> u64 {
    board::add(1, 1);
    let _ = Task::new(Slot::new(slot as u32)).destroy(Slot::new(slot as u32));
    board::add(2, 1);
    0
}

fn churn_g04_self_deletion_hundred_times(ctx: &Ctx) -> Verdict {
    let run = || -> Result<(), Failure> {
        let mut other = ctx.peer()?;
        let Some(task) = other.task() else { return Ok(()) };
        let slot = other.give(Item::all(task.slot()))?;
        other.start(destroys_itself, slot.word())?;
        check!(ctx.wait_until(|| other.thread().info().is_err()), "it is still there");
        check!(ctx.wait_until(|| task.info().is_err()), "its task is still there");
        Ok(())
    };
    let before = ctx.charged()?;
    for number in 0..100 {
        run()?;
        check!(
            ctx.wait_until(|| ctx.charged().is_ok_and(|now| now == before)),
            "run {number}: {before} bytes became {:?}",
            ctx.charged()
        );
    }
    check_eq!((board::get(1), board::get(2)), (100, 0), "began, and came back from it");
    Ok(())
}

fn churn_g04_threads_in_every_state_of_one_task(ctx: &Ctx) -> Verdict {
    // One task with a thread in each state, deleted as a whole; the threads
    // share the stack's page as far as they use any (each has a part of it).
    let (gate, unbound) = (ctx.gate(0x40)?, ctx.unbound()?);
    let run = || -> Result<(), Failure> {
        let mut other = ctx.peer()?;
        let Some(task) = other.task() else { return Ok(()) };
        let slots = [other.give(Item::all(gate.slot()))?, other.give(Item::all(unbound.slot()))?];
        let mut threads: Vec<(Thread, Doing)> = Vec::new();
        for (index, doing) in ALL.into_iter().enumerate() {
            if doing == Doing::Calling {
                continue;
            }
            // The one that spins must not keep the others from their states.
            let priority = PRIORITY - 1 - u8::from(doing == Doing::Ready);
            let thread = ctx.factory.create_thread(ctx.slot()?, priority)?;
            thread.bind(task)?;
            if doing == Doing::Faulting {
                thread.set_fault_gate(Some(gate))?;
            }
            let entry = postern_tests::bare::memory::entry(false);
            let top = other.stack_top() - index as u64 * 1536 - 8;
            let to = slots[usize::from(doing == Doing::Sending)];
            if doing != Doing::New {
                thread.start(entry, top, doing.body() as *const () as u64, to.word())?;
            }
            if doing == Doing::Stopped {
                thread.stop()?;
            }
            ctx.await_state(thread, doing.state())?;
            threads.push((thread, doing));
        }
        check_eq!(task.info()?.threads, threads.len() as u64 + 1);
        ctx.task.destroy(task.slot())?;
        for (thread, doing) in threads {
            check!(thread.info().is_err(), "{doing:?} outlives its task");
            let _ = ctx.task.delete(thread.slot());
            postern_tests::runtime::slots::release(thread.slot());
        }
        check!(ipc::receive(Timeout::ZERO).is_err(), "something still waits");
        Ok(())
    };
    let before = ctx.charged()?;
    for number in 0..30 {
        run()?;
        check_eq!(ctx.charged()?, before, "run {number}");
    }
    Ok(())
}
