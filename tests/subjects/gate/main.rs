//! Gates: the statements of the conformance list, each a test with its number.
//!
//! In most tests the first thread is the server: it binds gates to itself and
//! receives, while partners send and call.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod answer;
mod create;
mod cycle;
mod deletion;
mod flight;
mod flight_end;
mod items;
mod label;
mod many;
mod modify;
mod operate;
mod partner;
mod phases;
mod priority;
mod race;
mod rights;
mod unbound;
mod words;

use postern_tests::syscall::{Capability, Delivery, Gate, Result, Slot, Tag, Timeouts, ipc};
use postern_tests::{Ctx, Failure, Partner, patience, tell};

postern_tests::subject!(
    create, rights, label, operate, unbound, flight, flight_end, modify, deletion, answer, partner,
    many, phases, priority, cycle, race, words, items
);

/// The protocol of the messages in these tests.
const PROTOCOL: i64 = 7;

/// A message of one word.
const ONE: Tag = Tag::new(PROTOCOL, 1);

/// Arguments of a partner: which slot it uses, and a number of its own.
fn arguments(gate: impl Capability, number: u64) -> u64 {
    gate.slot().word() | number << 32
}

fn slot_of(argument: u64) -> Slot {
    Slot::new(argument as u32)
}

/// A partner's body: calls the gate with its number, tells what came of it.
fn call_it(argument: u64) -> u64 {
    tell(ipc::call(slot_of(argument), ONE, [argument >> 32, 0, 0, 0], Timeouts::NEVER))
}

/// A partner's body: sends its number to the gate, tells what came of it.
fn send_it(argument: u64) -> u64 {
    tell(ipc::send(slot_of(argument), ONE, [argument >> 32, 0, 0, 0], Timeouts::NEVER.send))
}

/// A partner's body: calls the gate with its number; the label of the answer.
fn call_for_label(argument: u64) -> u64 {
    let answer = ipc::call(slot_of(argument), ONE, [argument >> 32, 0, 0, 0], Timeouts::NEVER);
    answer.map_or(u64::MAX, |answer| answer.label)
}

/// A partner that runs `body` on `gate` and waits in the queue before it.
#[track_caller]
fn waiting(
    ctx: &Ctx,
    priority: u8,
    body: postern_tests::Body,
    argument: u64,
) -> core::result::Result<Partner, Failure> {
    use postern_tests::syscall::abi::op::thread::ThreadState;
    let partner = ctx.spawn_at(priority, body, argument)?;
    partner.await_state(ctx, ThreadState::Sending)?;
    Ok(partner)
}

/// The next message.
fn receive() -> Result<Delivery> {
    ipc::receive(patience())
}

/// Answers the last call with one word.
fn answer(label: u64, word: u64) -> Result<()> {
    ipc::reply(label, ONE, [word, 0, 0, 0])
}

/// Whether a message can be sent through `gate` at once.
fn send_now(gate: Gate, word: u64) -> Result<()> {
    ipc::send(gate.slot(), ONE, [word, 0, 0, 0], Timeouts::ZERO.send)
}
