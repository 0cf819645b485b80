//! Calls through gates to threads that wait: whole round trips.

use alloc::vec::Vec;

use postern_runtime::syscall::stub::{client, server};
use postern_runtime::syscall::{Capability, Code, Gate, Item, Tag, Timeouts, ipc, utcb};

use super::{Bench, Row};
use crate::failure::Failure;
use crate::measure::Figures;
use crate::partner::{LABEL, Partner, Role};
use crate::rows::threads::Bystanders;
use crate::scope::Scope;

/// The protocol of the measured calls.
const PROTOCOL: i64 = 0x7e;

pub const ROWS: &[Row] = &[
    Row::new("null", null),
    Row::new("call-0w", |bench| remote(bench, 0)),
    Row::new("call-1w", |bench| remote(bench, 1)),
    Row::new("call-2w", |bench| remote(bench, 2)),
    Row::new("call-3w", |bench| remote(bench, 3)),
    Row::new("call-4w", |bench| remote(bench, 4)),
    Row::new("call-5w", |bench| remote(bench, 5)),
    Row::new("call-6w", |bench| remote(bench, 6)),
    Row::new("call-7w", |bench| remote(bench, 7)),
    Row::new("call-8w", |bench| remote(bench, 8)),
    Row::new("call-16w", |bench| remote(bench, 16)),
    Row::new("call-32w", |bench| remote(bench, 32)),
    Row::new("call-63w", |bench| remote(bench, 63)),
    Row::new("call-cap", with_capability),
    Row::new("call-same-0w", |bench| same_space(bench, 0)),
    Row::new("call-same-4w", |bench| same_space(bench, 4)),
    Row::new("call-same-63w", |bench| same_space(bench, 63)),
    Row::new("chain-1", |bench| chain(bench, 1)),
    Row::new("chain-2", |bench| chain(bench, 2)),
    Row::new("chain-3", |bench| chain(bench, 3)),
    Row::new("chain-4", |bench| chain(bench, 4)),
    Row::new("crowd-10", |bench| in_a_crowd(bench, 10)),
    Row::new("crowd-100", |bench| in_a_crowd(bench, 100)),
    Row::new("crowd-1000", |bench| in_a_crowd(bench, 1000)),
];

/// One kernel entry and exit.
fn null(bench: &Bench<'_>) -> Result<Figures, Failure> {
    bench.meter.stub(|| Ok(client::short(Code::Null)))
}

/// Calls through `gate` with `words` words each way; what answers echoes.
pub fn call(bench: &Bench<'_>, gate: Gate, words: usize) -> Result<Figures, Failure> {
    let tag = Tag::new(PROTOCOL, words);
    // What is measured is also right.
    let sent: Vec<u64> = (0..words as u64).map(|word| 0x1234_5678 * (word + 1)).collect();
    let mut registers = [0; 4];
    registers.iter_mut().zip(&sent).for_each(|(register, word)| *register = *word);
    utcb::set_words(&sent);
    let answer = ipc::call(gate.slot(), tag, registers, Timeouts::NEVER)?;
    let is_same = |index: usize| index < 4 || utcb::word(index) == sent[index];
    let is_right = answer.tag == tag && answer.words == registers && (0..words).all(is_same);
    // A chain answers with the label of its last server's gate.
    if !is_right || answer.label & !3 != LABEL {
        return Err(Failure::WrongAnswer);
    }
    bench.meter.stub(|| Ok(client::ipc(Code::Call, gate.slot().word(), tag)))
}

/// A server in another task.
fn remote(bench: &Bench<'_>, words: usize) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    let partner = Partner::start(bench, Role::new("echo"))?;
    let gate = partner.gate(bench, &mut scope)?;
    call(bench, gate, words)
}

/// A server thread in the caller's own task.
fn same_space(bench: &Bench<'_>, words: usize) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    let thread = super::threads::start(bench, &mut scope, server::echo as *const () as u64)?;
    let create = |slot| bench.boot.factory.create_bound_gate(slot, thread, LABEL);
    let gate = scope.create(create)?;
    call(bench, gate, words)
}

/// `length` servers, each in a task of its own: each calls the next one, the
/// last one answers.
fn chain(bench: &Bench<'_>, length: usize) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    let mut partners = Vec::from([Partner::start(bench, Role::new("echo"))?]);
    let mut gate = partners[0].gate(bench, &mut scope)?;
    for _ in 1..length {
        let role = Role { gate: Some(gate), ..Role::new("forward") };
        let partner = Partner::start(bench, role)?;
        gate = partner.gate(bench, &mut scope)?;
        partners.push(partner);
    }
    call(bench, gate, 4)
}

/// `count` other threads that wait, each at a gate of its own.
fn in_a_crowd(bench: &Bench<'_>, count: usize) -> Result<Figures, Failure> {
    let _crowd = Bystanders::start(bench, count)?;
    remote(bench, 4)
}

/// One capability goes along, a plain answer comes back. Emptying the slot
/// that it went to is not counted.
fn with_capability(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    let partner = Partner::start(bench, Role::new("answer"))?;
    let gate = partner.gate(bench, &mut scope)?;
    let notification = scope.create(|slot| bench.boot.factory.create_notification(slot))?;
    utcb::set_items(&[Item::all(notification.slot())]);
    let tag = Tag::new(PROTOCOL, 0).with_items(1);
    bench.meter.stub(|| {
        let timed = client::ipc(Code::Call, gate.slot().word(), tag);
        // Fails, and with it the row, if nothing arrived.
        partner.empty_window()?;
        Ok(timed)
    })
}
