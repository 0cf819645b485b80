//! Interfaces: clients and servers that `#[interface]` wrote, over the kernel's
//! gates. What the macro accepts, and values without a kernel, are tested on
//! the host (`userland/interface/tests`).
//!
//! Servers run in a thread of the test's task, which has the heap; where a
//! capability has to cross a border, in a peer.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod answers;
mod capabilities;
mod death;
mod refusals;
mod values;
mod zoo;

use postern_tests::runtime::interface::{CallError, ServerError};
use postern_tests::syscall::{Capability, Gate, Slot, Task, slots};
use postern_tests::{Ctx, Failure, Partner, check_eq};

use zoo::{Keeper, ZooClient, ZooServer};

postern_tests::subject!(values, refusals, answers, death, capabilities);

/// The label of a zoo's gate.
const LABEL: u64 = 0x40;

/// A thread of this task that serves a zoo, and its client.
#[track_caller]
fn zoo(ctx: &Ctx) -> Result<(Partner, ZooClient), Failure> {
    let mut partner = ctx.helper(postern_tests::protocol::PRIORITY)?;
    let gate = ctx.gate_to(partner.thread(), LABEL)?;
    partner.start(serve_zoo, 0)?;
    let zoo = ZooClient::new(gate);
    // From now on it has taken the slots that it needs.
    check_eq!(zoo.ping(), Ok(()));
    Ok((partner, zoo))
}

fn serve_zoo(_: u64) -> u64 {
    postern_tests::runtime::server::serve(&mut ZooServer(Keeper::default())).encode()
}

/// The client in the slot that a partner was given as its argument.
fn client<C: Capability>(argument: u64) -> C {
    C::from_slot(Slot::new(argument as u32))
}

/// A call's outcome as a word, for partners to end with.
fn word<E: ServerError>(outcome: Result<u64, CallError<E>>) -> u64 {
    match outcome {
        Ok(value) => value,
        Err(CallError::Gone) => GONE,
        Err(CallError::Aborted) => ABORTED,
        Err(CallError::TimedOut) => TIMED_OUT,
        Err(CallError::Transport(code)) => code.encode(),
        Err(_) => u64::MAX,
    }
}

const GONE: u64 = 1 << 40;
const ABORTED: u64 = 2 << 40;
const TIMED_OUT: u64 = 3 << 40;

/// Slots of the test's table that are free.
fn free_slots() -> usize {
    let taken: alloc::vec::Vec<Slot> = core::iter::from_fn(slots::allocate).collect();
    taken.iter().for_each(|slot| slots::release(*slot));
    taken.len()
}

/// Capabilities in a task's table.
fn held(task: Task) -> Result<usize, Failure> {
    let empty = postern_tests::syscall::ListedCapability {
        slot: Slot::NULL,
        kind: None,
        rights: postern_tests::syscall::Rights::empty(),
        object: 0,
        details: [0; 2],
    };
    let mut list = [empty; Task::LIST_MAX];
    let (mut from, mut all) = (Slot::new(1), 0);
    loop {
        let count = task.list(from, &mut list)?;
        let Some(last) = list[..count].last() else { return Ok(all) };
        all += count;
        from = Slot::new(last.slot.number() + 1);
    }
}

/// A gate for others to play with: one that nobody answers at.
#[track_caller]
fn toy(ctx: &Ctx) -> Result<Gate, Failure> {
    ctx.gate(0x80)
}
