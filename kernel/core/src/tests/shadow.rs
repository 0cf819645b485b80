//! A model of the messages under way: every message that random operations
//! send carries a payload of its own, so that one that is lost, comes twice,
//! comes although its sender was told otherwise, or comes with a label that no
//! rule allows is seen at once.

use std::collections::HashMap;
use std::vec::Vec;

use postern_abi::code::Delivery;
use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, Phase, Rights};
use postern_arena::Ref;

use super::world::World;
use crate::machine::CARRY;
use crate::object::thread::{Queue, State};
use crate::object::{Binding, Gate, Thread};
use crate::sim::Sim;

/// Upper half of every payload.
const MARK: u64 = 0xa5a5_0000_0000_0000;

/// A message that was neither delivered nor refused.
struct Pending {
    sender: Ref<Thread<Sim>>,
    /// The gate whose label it will have, as far as the model knows: not that
    /// of a crossing.
    gate: Option<Ref<Gate<Sim>>>,
    rights: u64,
    /// As it must arrive; not known while it waits at an unbound gate.
    label: Option<u64>,
}

/// All messages that were sent.
#[derive(Default)]
pub struct Shadow {
    /// The last payload.
    last: u64,
    pending: HashMap<u64, Pending>,
    /// Messages that were delivered, for the test of the test.
    pub delivered: usize,
    /// Messages that were refused.
    pub refused: usize,
}

/// A run of modify senders: at whom, and one rule.
#[derive(Clone, Copy)]
pub struct Run {
    receiver: Ref<Thread<Sim>>,
    number: u32,
    rule: [u64; 4],
}

impl Shadow {
    /// The current thread is about to send through `slot`; the payload to send.
    pub fn send(&mut self, world: &World, slot: u32) -> u64 {
        self.last += 1;
        let payload = MARK | self.last;
        let kernel = &world.kernel;
        let Some(sender) = kernel.current else { return payload };
        let task = kernel.threads.get(sender).and_then(|thread| thread.task);
        let found = task.and_then(|task| kernel.lookup(task, slot.into(), 0).ok());
        let found = found.filter(|(target, _)| target.kind == Kind::Gate);
        let gate = found.map(|(target, _)| target.reference());
        let rights = found.map_or(0, |(_, held)| (held & (Rights::W | Rights::S)).bits().into());
        let bound = gate.and_then(|gate| kernel.gates.get(gate));
        let crosses = bound.is_some_and(|gate| matches!(gate.target, Binding::Entry(_)));
        let gate = gate.filter(|_| !crosses);
        let bound = bound.filter(|gate| gate.thread().is_some() && gate.waiting.is_empty());
        let label = bound.map(|gate| gate.label | rights);
        self.pending.insert(payload, Pending { sender, gate, rights, label });
        payload
    }

    /// The current thread is about to modify the senders of the thread in
    /// `slot`.
    pub fn modify(&self, world: &World, slot: u32, rule: [u64; 4]) -> Option<Run> {
        let kernel = &world.kernel;
        let task = kernel.threads.get(kernel.current?)?.task?;
        let (target, _) = kernel.lookup(task, slot.into(), 0).ok()?;
        let receiver = (target.kind == Kind::Thread).then(|| target.reference())?;
        let number = kernel.threads.get(receiver)?.sender_run.number;
        Some(Run { receiver, number, rule })
    }

    /// Compares the kernel with the model after an operation. `some_died`: a
    /// thread was destroyed by it, which may have received something first.
    ///
    /// # Panics
    /// If they differ.
    pub fn compare(&mut self, world: &mut World, run: Option<Run>, some_died: bool) {
        if let Some(run) = run {
            self.apply(world, run);
        }
        let kernel = &mut world.kernel;
        let mut arrived = Vec::new();
        for reference in kernel.threads.refs().collect::<Vec<_>>() {
            let registers = &mut kernel.threads.get_mut(reference).expect("live").user.registers;
            let is_delivery =
                registers.rax == Delivery::Message as u64 || registers.rax == Delivery::Call as u64;
            if registers.rflags & CARRY == 0 && is_delivery && registers.rdx & MARK == MARK {
                // Seen once; what is seen again came again.
                arrived.push((registers.rdx, registers.rdi));
                registers.rdx = 0;
            }
        }
        for (payload, label) in arrived {
            // What garbage sent is none of the model's.
            if payload > MARK | self.last {
                continue;
            }
            let Some(message) = self.pending.remove(&payload) else {
                panic!("message {payload:#x} arrived twice, or after it was refused");
            };
            self.delivered += 1;
            let bound = |gate| kernel.gates.get(gate).filter(|gate| gate.thread().is_some());
            let bound = |gate| bound(gate).map(|gate: &Gate<Sim>| gate.label);
            let expected = message.label.or_else(|| Some(bound(message.gate?)? | message.rights));
            if let Some(expected) = expected {
                assert_eq!(label, expected, "the label of message {payload:#x}");
            }
            let Some(sender) = kernel.threads.get(message.sender) else { continue };
            if let Some(error) = refusal(sender) {
                assert_ne!(
                    error.phase,
                    Phase::Send,
                    "{payload:#x} arrived, its sender got {error}"
                );
            }
        }
        let mut refused = 0;
        let threads = &kernel.threads;
        let gates = &kernel.gates;
        self.pending.retain(|payload, message| {
            let Some(sender) = threads.get(message.sender) else { return false };
            let waits = sender.message.filter(|it| it.words[0] == *payload);
            if let (State::Sending, Some(waiting)) = (sender.state, waits) {
                if matches!(sender.queue, Queue::Entry(_)) {
                    message.gate = None;
                }
                if matches!(sender.queue, Queue::Thread(_)) {
                    let gate = message.gate.and_then(|gate| gates.get(gate));
                    let now = gate.map(|gate| gate.label | message.rights);
                    let expected = *message.label.get_or_insert(now.unwrap_or(waiting.label));
                    assert_eq!(waiting.label, expected, "the label of waiting {payload:#x}");
                }
                return true;
            }
            // Over, and not delivered: its sender must know, or be no more.
            let is_over =
                matches!(sender.state, State::Exited | State::Faulted | State::New | State::Idle);
            let error = refusal(sender);
            assert!(
                is_over || some_died || error.is_some_and(|error| error.phase == Phase::Send),
                "message {payload:#x} is lost; its sender is {:?} and got {error:?}",
                sender.state
            );
            refused += 1;
            false
        });
        self.refused += refused;
    }

    /// What a run that has just been done makes of the labels.
    fn apply(&mut self, world: &World, run: Run) {
        let kernel = &world.kernel;
        let after = kernel.threads.get(run.receiver).map(|thread| thread.sender_run);
        let Some(after) = after.filter(|after| after.number != run.number) else { return };
        assert!(!after.is_running, "a run of so few has more than one step");
        let [mask, value, clear, set] = run.rule;
        for message in self.pending.values_mut() {
            let sender = kernel.threads.get(message.sender);
            let is_here = sender
                .is_some_and(|it| matches!(it.queue, Queue::Thread(at) if at == run.receiver));
            if let Some(label) = &mut message.label
                && is_here
                && *label & mask == value
            {
                *label = *label & !clear | set;
            }
        }
    }
}

/// The error that a thread found, if its last system call is over and failed.
fn refusal(thread: &Thread<Sim>) -> Option<ErrorCode> {
    let registers = &thread.user.registers;
    let is_over = matches!(thread.state, State::Ready | State::Stopped);
    let failed = is_over && registers.rflags & CARRY != 0;
    failed.then(|| ErrorCode::decode(registers.rax)).flatten()
}
