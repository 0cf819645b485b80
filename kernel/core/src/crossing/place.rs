//! Waiting for a context: places in the queue of an entry, and the limit of a
//! gate.
//!
//! A caller that waits at an entry is counted in its gate as if it had a
//! context already. So whoever stands there may cross when its turn comes, and
//! a gate that has reached its limit keeps its callers in its own queue, where
//! they are in nobody's way.

use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber};
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::Target;
use crate::machine::Machine;
use crate::object::thread::{Expects, Queue};
use crate::object::{Binding, Entry, Gate, Thread};

impl<M: Machine> Kernel<M> {
    /// A caller has entered the queue of an entry.
    pub(super) fn take_place(&mut self, gate: Ref<Gate<M>>, entry: Ref<Entry<M>>) {
        self.count(gate);
        if let Some(entry) = self.entries.get_mut(entry) {
            entry.waiters += 1;
        }
    }

    /// A caller leaves the queue of an entry for a context; its gate counts it
    /// on.
    pub(super) fn leave_place(&mut self, thread: Ref<Thread<M>>, entry: Ref<Entry<M>>) {
        if let Some(leaving) = self.threads.get_mut(thread) {
            leaving.queue = Queue::None;
        }
        self.leave(thread, Queue::Entry(entry));
        if let Some(entry) = self.entries.get_mut(entry) {
            entry.waiters -= 1;
        }
    }

    /// A caller has left the queue of an entry without a context.
    pub(crate) fn give_up_place(&mut self, thread: Ref<Thread<M>>, entry: Ref<Entry<M>>) {
        if let Some(entry) = self.entries.get_mut(entry) {
            entry.waiters -= 1;
        }
        let message = self.threads.get(thread).and_then(|thread| thread.message);
        if let Some(message) = message {
            self.uncount(message.gate, true);
        }
    }

    /// A gate has one context less in use, which it has `counted` or not; who
    /// waits for that is let in from the list of work.
    pub(super) fn uncount(&mut self, reference: Ref<Gate<M>>, counted: bool) {
        let Some(gate) = self.gates.get_mut(reference) else { return };
        gate.in_use -= u32::from(counted);
        if gate.limit != 0 {
            self.settle_gate(reference);
        }
        let Some(gate) = self.gates.get(reference) else { return };
        if !gate.waiting.is_empty() && matches!(gate.target, Binding::Entry(_)) {
            self.list_work(Target::new(Kind::Gate, reference));
        }
    }

    /// Lets the first sender that waits at a gate into the entry that is bound
    /// there, or into its queue; `false`: the gate's limit is reached.
    pub(crate) fn admit(
        &mut self,
        gate_ref: Ref<Gate<M>>,
        sender: Ref<Thread<M>>,
        reference: Ref<Entry<M>>,
    ) -> bool {
        let Some(waiting) = self.threads.get(sender) else { return true };
        let gone = ErrorCode::send(ErrorNumber::NotExistent);
        // Reports of ends and faults go to threads only.
        let report = waiting.fault.is_some()
            || waiting.message.is_none_or(|message| message.expects == Expects::End);
        if report || !self.is_open(reference) {
            self.interrupt_ipc(sender, gone);
            return true;
        }
        let Some(label) = self.gates.get(gate_ref).map(|gate| gate.label) else { return true };
        if self.is_full(gate_ref) {
            return false;
        }
        let Some(waiting) = self.threads.get_mut(sender) else { return true };
        if let Some(message) = &mut waiting.message {
            message.label = label | message.rights;
        }
        let message = waiting.message;
        let crosses = self.free_context_of(reference).is_some()
            && self.entries.get(reference).is_some_and(|entry| entry.waiting.is_empty());
        if !crosses {
            self.move_to_queue(sender, Queue::Entry(reference));
            self.take_place(gate_ref, reference);
            return true;
        }
        match message.map_or(Err(gone), |message| self.cross(sender, reference, &message)) {
            Ok(context) => {
                self.move_to_queue(sender, Queue::None);
                self.count(gate_ref);
                self.begin_abroad(sender, context);
            }
            Err(error) => self.interrupt_ipc(sender, error),
        }
        true
    }
}
