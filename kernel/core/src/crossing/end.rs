//! The end of a crossing: by Return, by the caller's side, by the callee's.

use postern_abi::code::Delivery;
use postern_abi::op::entry::{ContextState, DEPTH};
use postern_abi::tag::Tag;
use postern_abi::{ErrorCode, ErrorNumber, Phase};
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::Target;
use crate::ipc::{Done, Outcome};
use crate::machine::Machine;
use crate::object::Thread;
use crate::object::thread::{State, Wait};
use crate::relay::ledger;
use crate::sched::TimeoutEntry;

use postern_abi::rights::Kind;
use postern_abi::trace::flag;

impl<M: Machine> Kernel<M> {
    /// The system call Return: the caller gets the answer and goes on at once,
    /// the context is free.
    pub(crate) fn return_from(
        &mut self,
        thread: Ref<Thread<M>>,
        label: u64,
        tag: Tag,
        words: [u64; 4],
    ) -> Outcome {
        let bad = ErrorCode::send(ErrorNumber::InvalidLinkage);
        let returning = self.threads.get(thread).ok_or(bad)?;
        let silent = returning.context().ok_or(bad)?.silent;
        let carries = returning.segments.loan.is_some();
        if !tag.is_valid() {
            return Err(ErrorCode::send(ErrorNumber::Inval));
        }
        let Some(caller) = returning.caller else {
            self.free_context(thread);
            return Ok(Done::Settled);
        };
        if !self.threads.get(caller.thread).is_some_and(|it| it.awaits(caller.number)) {
            return Err(bad);
        }
        let tag = if carries || tag.has_relay() {
            self.returned(thread, caller.thread, None, tag)?
        } else {
            tag
        };
        if !silent {
            if tag.items() > 0
                && let Err(error) = self.transfer_items(thread, caller.thread, tag.items())
            {
                // A mistake of the handler costs nothing; windows that do not
                // fit end the call for both: the handler, an orphan now, can
                // put away what it wanted to hand over.
                if error.number == ErrorNumber::MsgCut {
                    self.interrupt_ipc(caller.thread, ErrorCode { phase: Phase::Receive, ..error });
                }
                return Err(error);
            }
            self.copy_words(thread, caller.thread, tag.words());
        }
        if carries {
            ledger::end_loan(self, thread, Some(caller.thread));
        }
        self.clear_timeout(caller.thread);
        if let Some(waiting) = self.threads.get_mut(caller.thread) {
            if silent {
                waiting.succeed(0, 0, Tag::default(), [0; 4]);
            } else {
                waiting.succeed(Delivery::Reply as u64, label, tag, words);
            }
            waiting.answerer = None;
        }
        if let Some(returning) = self.threads.get_mut(thread) {
            returning.caller = None;
        }
        self.free_context(thread);
        self.trace_reply(thread, caller.thread, tag, flag::CROSSING);
        self.come_home(caller.thread);
        Ok(Done::Settled)
    }

    /// A thread whose crossing has ended goes on, unless it was stopped
    /// meanwhile.
    fn come_home(&mut self, thread: Ref<Thread<M>>) {
        let stopped = self.threads.get(thread).is_some_and(|thread| thread.stop_pending);
        if stopped {
            self.stop_at_home(thread);
        } else {
            self.hand_over(thread);
        }
    }

    /// Stops a thread that stands in no queue.
    pub(crate) fn stop_at_home(&mut self, thread: Ref<Thread<M>>) {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.stop_pending = false;
            thread.state = State::Stopped;
            thread.wait = Wait::Other;
        }
    }

    /// The activation in a context has ended as it should: the context is free,
    /// and the next caller is let in.
    fn free_context(&mut self, reference: Ref<Thread<M>>) {
        self.set_context_state(reference, ContextState::Free);
        self.rest(reference);
        let Some(thread) = self.threads.get_mut(reference) else { return };
        let gate = thread.through.take();
        let Some(context) = thread.context_mut() else { return };
        let home = context.entry;
        let counted = core::mem::take(&mut context.counted);
        if let Some(entry) = self.entries.get_mut(home) {
            if entry.front != Some(reference) {
                context.next_free = entry.free.replace(reference.index());
            }
            if !entry.waiting.is_empty() && !self.serve_entry(home) {
                self.list_work(Target::new(Kind::Entry, home));
            }
        }
        self.settle_front(home);
        if let Some(gate) = gate {
            self.uncount(gate, counted);
        }
    }

    /// A context that nobody runs in any more: off the CPU, without deadlines
    /// and a payer.
    fn rest(&mut self, reference: Ref<Thread<M>>) {
        self.clear_grace(reference);
        self.detach(reference);
        let Some(thread) = self.threads.get_mut(reference) else { return };
        let holds = !thread.segments.is_empty();
        thread.state = State::Idle;
        thread.effective = thread.priority;
        thread.payer = reference;
        thread.levels = DEPTH as u8;
        thread.message = None;
        thread.slice_left = None;
        thread.uses_fpu = false;
        if holds {
            self.retire_segments(reference);
        }
    }

    fn clear_grace(&mut self, reference: Ref<Thread<M>>) {
        let context = self.threads.get_mut(reference).and_then(Thread::context_mut);
        if let Some(at) = context.and_then(|context| context.grace.take()) {
            self.remove_timeout(at);
        }
    }

    /// The caller of an active context does not wait for it any more: it goes
    /// on alone, for its entry's grace time.
    pub(crate) fn orphan(&mut self, reference: Ref<Thread<M>>) {
        let Some(thread) = self.threads.get_mut(reference) else { return };
        thread.caller = None;
        thread.payer = reference;
        let floor = thread.priority;
        let Some(context) = thread.context() else { return };
        let grace = self.entries.get(context.entry).map_or(0, |entry| entry.grace);
        self.set_context_state(reference, ContextState::Orphaned);
        let deadline = self.machine.now().saturating_add(grace);
        self.insert_timeout(TimeoutEntry {
            deadline,
            thread: reference.index() | TimeoutEntry::GRACE,
        });
        self.move_to_priority(reference, floor);
        if self.current == Some(reference) {
            self.change_payer(reference);
        }
        self.refresh_chain(reference);
    }

    /// Ends the activation in a context at once, wherever it is: its caller, if
    /// it has one, gets `Aborted`, what it has crossed into goes on as an
    /// orphan, and the context is not used again until it is reset.
    pub(crate) fn quarantine(&mut self, reference: Ref<Thread<M>>) {
        self.end_activation(reference);
        self.set_context_state(reference, ContextState::Quarantined);
        self.rest(reference);
        let context = self.threads.get(reference).and_then(Thread::context);
        let Some(entry) = context.map(|context| context.entry) else { return };
        self.tell_owner(entry);
    }

    /// Cuts the links of an activation that ends: its caller is told, and what
    /// it has called, or was doing, does without it.
    pub(crate) fn end_activation(&mut self, reference: Ref<Thread<M>>) {
        self.leave_partners(reference);
        self.detach(reference);
        let Some(thread) = self.threads.get_mut(reference) else { return };
        thread.fault = None;
        if let Some(work) = thread.work.take() {
            self.abandon(work);
        }
    }

    /// Signals the notification of an entry.
    pub(crate) fn tell_owner(&mut self, entry: Ref<crate::object::Entry<M>>) {
        let bound = self.entries.get(entry).and_then(|entry| entry.notification);
        if let Some((notification, bits)) = bound {
            self.signal(notification, bits);
        }
    }

    /// Makes a quarantined context free again.
    pub(crate) fn reset_context(&mut self, reference: Ref<Thread<M>>) {
        self.free_context(reference);
    }

    /// Removes a context, whatever it is doing; its UTCB is the caller's to
    /// give back. Not for one of the free list of a living entry.
    pub(crate) fn unlink_context(&mut self, reference: Ref<Thread<M>>) {
        self.end_activation(reference);
        self.clear_grace(reference);
        self.unlist_work(Target::new(Kind::Thread, reference));
        let Some(thread) = self.threads.get_mut(reference) else { return };
        let (gate, state) = (thread.through.take(), thread.context_state);
        let Some(context) = thread.context_mut() else { return };
        let home = context.entry;
        let counted = context.counted;
        let (next, previous) = context.of_entry;
        if let Some(context) =
            next.and_then(|next| self.threads.nth_mut(next)).and_then(Thread::context_mut)
        {
            context.of_entry.1 = previous;
        }
        let before = previous.and_then(|index| self.threads.nth_mut(index));
        match before.and_then(Thread::context_mut) {
            Some(context) => context.of_entry.0 = next,
            None => {
                if let Some(entry) = self.entries.get_mut(home) {
                    entry.contexts = next;
                }
            }
        }
        if let Some(entry) = self.entries.get_mut(home) {
            if entry.front == Some(reference) {
                entry.front = None;
            } else {
                entry.counts[state as usize] -= 1;
            }
        }
        if let Some(gate) = gate {
            self.uncount(gate, counted);
        }
    }
}
