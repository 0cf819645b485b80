//! The front context of an entry, and what the fast path may know of it.
//!
//! One context of each entry comes first: whoever crosses gets it if it is
//! free. It stands in no list and in no count, so the fast path, which uses no
//! other, goes in and out without touching the entry. What the fast path would
//! have to look up is kept where it looks, and set here after each change:
//! [`Wait::Front`] and [`Thread::back`] in the context, [`Gate::direct`].
//!
//! Everything here takes a number of steps that depends on nothing.

use postern_abi::op::entry::ContextState;
use postern_arena::Ref;

use crate::Kernel;
use crate::machine::Machine;
use crate::object::thread::Wait;
use crate::object::{Binding, Entry, Gate, Role, Thread};

impl<M: Machine> Kernel<M> {
    /// The front context of an entry.
    fn front(&self, entry: Ref<Entry<M>>) -> Option<(Ref<Thread<M>>, &Thread<M>)> {
        let front = self.entries.get(entry)?.front?;
        Some((front, self.threads.get(front)?))
    }

    /// Whether a context is the front one of its entry.
    pub(crate) fn is_front(&self, entry: Ref<Entry<M>>, context: Ref<Thread<M>>) -> bool {
        self.entries.get(entry).is_some_and(|entry| entry.front == Some(context))
    }

    /// The context that the next caller gets.
    pub(crate) fn free_context_of(&self, entry: Ref<Entry<M>>) -> Option<Ref<Thread<M>>> {
        match self.front(entry) {
            Some((front, thread)) if thread.context_state == ContextState::Free => Some(front),
            _ => self.threads.at(self.entries.get(entry)?.free?),
        }
    }

    /// Number of contexts of an entry in each state.
    pub(crate) fn context_counts(&self, entry: Ref<Entry<M>>) -> [u32; 4] {
        let mut counts = self.entries.get(entry).map_or([0; 4], |entry| entry.counts);
        if let Some((_, front)) = self.front(entry) {
            counts[front.context_state as usize] += 1;
        }
        counts
    }

    /// Whether the front context of the entry bound to a gate is in use through
    /// that gate and not counted there.
    fn has_uncounted(&self, gate: Ref<Gate<M>>) -> Option<Ref<Thread<M>>> {
        let Binding::Entry(entry) = self.gates.get(gate)?.target else { return None };
        let (front, thread) = self.front(entry)?;
        let through = thread.context_state != ContextState::Free && thread.through == Some(gate);
        (through && !thread.context()?.counted).then_some(front)
    }

    /// Contexts in use through a gate, and callers that wait for one.
    pub(crate) fn in_use(&self, gate: Ref<Gate<M>>) -> u32 {
        let counted = self.gates.get(gate).map_or(0, |gate| gate.in_use);
        counted + u32::from(self.has_uncounted(gate).is_some())
    }

    /// Whether no further context may be used through a gate now.
    pub(crate) fn is_full(&self, gate: Ref<Gate<M>>) -> bool {
        let limit = self.gates.get(gate).map_or(0, |gate| gate.limit);
        limit != 0 && self.in_use(gate) >= limit
    }

    /// A gate counts one context, or caller that waits for one, more.
    pub(super) fn count(&mut self, reference: Ref<Gate<M>>) {
        let Some(gate) = self.gates.get_mut(reference) else { return };
        gate.in_use += 1;
        // Without a limit it counts for whoever asks; but a gate that was bound
        // before there was a front context learns of it here.
        if gate.limit != 0 || gate.direct == Ref::NOWHERE {
            self.settle_gate(reference);
        }
    }

    /// A gate is about to be bound to something else: what is in use through it
    /// is counted in the gate from now on, because the way from there to the
    /// front context is lost.
    pub(crate) fn count_front(&mut self, gate: Ref<Gate<M>>) {
        let Some(front) = self.has_uncounted(gate) else { return };
        if let Some(thread) = self.threads.get_mut(front) {
            thread.back = Ref::NOWHERE;
            if let Some(context) = thread.context_mut() {
                context.counted = true;
            }
        }
        self.count(gate);
    }

    /// To be called after each change of what decides whether a message goes
    /// straight to what is bound to a gate: its binding, who waits there, what
    /// it counts, that it is dying.
    pub(crate) fn settle_gate(&mut self, reference: Ref<Gate<M>>) {
        let Some(gate) = self.gates.get(reference) else { return };
        let is_straight = gate.waiting.is_empty() && !gate.header.dying;
        let has_room = gate.limit == 0 || gate.in_use < gate.limit;
        let direct = match gate.target {
            Binding::Thread(thread) if is_straight => Some(thread),
            Binding::Entry(entry) => {
                if !gate.waiting.is_empty() {
                    // Whoever comes back lets somebody in.
                    self.demote(entry);
                }
                let front = self.entries.get(entry).and_then(|entry| entry.front);
                front.filter(|_| is_straight && has_room)
            }
            _ => None,
        };
        if let Some(gate) = self.gates.get_mut(reference) {
            gate.direct = direct.unwrap_or(Ref::NOWHERE);
        }
    }

    /// The front context of an entry goes back by the general path.
    fn demote(&mut self, entry: Ref<Entry<M>>) {
        let front = self.entries.get(entry).and_then(|entry| entry.front);
        if let Some(front) = front.and_then(|front| self.threads.get_mut(front)) {
            front.back = Ref::NOWHERE;
        }
    }

    /// To be called after each change of what decides whether the front context
    /// can be entered by the fast path, or of what it begins with: the context
    /// itself, what is set of the entry, who waits there, that it is dying.
    pub(crate) fn settle_front(&mut self, reference: Ref<Entry<M>>) {
        let Some(entry) = self.entries.get(reference) else { return };
        let is_open = entry.waiting.is_empty() && !entry.header.dying;
        let Some(front) = entry.front.and_then(|front| self.threads.get_mut(front)) else {
            return;
        };
        front.back = Ref::NOWHERE;
        if front.context_state != ContextState::Free {
            return;
        }
        let Role::Context(context) = &mut front.role else { return };
        context.silent = false;
        front.wait = if is_open { Wait::Front } else { Wait::Other };
        front.priority = entry.floor;
        front.effective = entry.floor;
        front.diagnose = false;
        front.user.begin = (entry.handler, context.stack);
        front.user.fs_base = context.fs_base;
    }
}
