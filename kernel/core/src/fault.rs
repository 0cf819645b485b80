//! Faults: an exception in user code becomes a message to the thread's fault
//! handler, who repairs or gives up. Without a handler the thread is reported
//! and ends.
//!
//! The thread waits as if it had called the handler, but its registers stay as
//! they were at the fault: nothing here may write a result into them.

use postern_abi::op::{fault as answer, reason};
use postern_abi::rights::Kind;
use postern_abi::stretch::{Cause, Entry};
use postern_abi::tag::{Tag, protocol};
use postern_abi::timeout::Timeout;
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::Target;
use crate::machine::{Fault, Form, Machine};
use crate::object::Thread;
use crate::object::thread::{Expects, Message, State};

/// What a fault is about: an address, or the CPU's error code.
fn detail(fault: Fault) -> u64 {
    if fault.vector == 14 { fault.address } else { fault.error }
}

impl<M: Machine> Kernel<M> {
    /// An exception in user code of the current thread; its registers are in
    /// its [`crate::machine::UserState`] already.
    pub fn fault(&mut self, fault: Fault) {
        self.stretch_begins(Cause::new(Entry::Fault, fault.vector.into()));
        let Some(thread) = self.current else { return };
        let Some(faulted) = self.threads.get_mut(thread) else { return };
        faulted.user.form = Form::Full;
        if !self.tell_handler(thread, fault) {
            self.end_faulted(thread, fault);
        }
    }

    /// Sends the fault to the handler; `false` if there is none (any more).
    fn tell_handler(&mut self, thread: Ref<Thread<M>>, fault: Fault) -> bool {
        let Some(faulted) = self.threads.get(thread) else { return false };
        let gate = match faulted.context() {
            None => faulted.fault_gate,
            Some(context) => self.entries.get(context.entry).and_then(|entry| entry.fault_gate),
        };
        let Some(reference) = gate else { return false };
        let rip = faulted.user.registers.rip;
        let Some(gate) = self.gates.get(reference).filter(|gate| gate.thread().is_some()) else {
            return false;
        };
        let message = Message {
            gate: reference,
            rights: 0,
            label: gate.label,
            tag: Tag::new(protocol::FAULT, 4),
            words: [u64::from(fault.vector), detail(fault), rip, fault.error],
            expects: Expects::Answer,
        };
        if let Some(faulted) = self.threads.get_mut(thread) {
            faulted.fault = Some(fault);
        }
        let sent = self.send_through(thread, message, Timeout::NEVER, Timeout::NEVER);
        if sent.is_err()
            && let Some(faulted) = self.threads.get_mut(thread)
        {
            faulted.fault = None;
        }
        sent.is_ok()
    }

    /// The handler of a thread that waits with a fault answered.
    pub(crate) fn fault_answered(&mut self, thread: Ref<Thread<M>>, tag: Tag, words: [u64; 4]) {
        let Some(faulted) = self.threads.get_mut(thread) else { return };
        if tag.words() == 0 || words[0] == answer::RESUME {
            faulted.fault = None;
            self.wake(thread);
        } else {
            self.lose_handler(thread);
        }
    }

    /// The handler is gone or gave up. The thread ends, but not from within
    /// here: threads that handle each other's faults form chains of any length.
    pub(crate) fn lose_handler(&mut self, thread: Ref<Thread<M>>) {
        self.detach(thread);
        if let Some(faulted) = self.threads.get_mut(thread) {
            faulted.message = None;
            faulted.answerer = None;
            faulted.state = State::Faulted;
        }
        self.list_work(Target::new(Kind::Thread, thread));
    }

    /// The end of a thread that [`Kernel::lose_handler`] has stopped.
    pub(crate) fn finish_fault(&mut self, thread: Ref<Thread<M>>) {
        let ended = self.threads.get_mut(thread).filter(|it| it.state == State::Faulted);
        let fault = ended.and_then(|thread| thread.fault.take());
        if let Some(fault) = fault {
            self.end_faulted(thread, fault);
        }
    }

    /// Reports a faulted thread and ends it.
    fn end_faulted(&mut self, thread: Ref<Thread<M>>, fault: Fault) {
        let Some(faulted) = self.threads.get(thread) else { return };
        let (rip, is_context) = (faulted.user.registers.rip, faulted.is_context());
        self.stretch_is(Cause::with_report);
        self.report_fault(thread, fault);
        if is_context {
            return self.quarantine(thread);
        }
        let why = reason::EXCEPTION + u64::from(fault.vector);
        self.end_thread(thread, State::Faulted, [why, detail(fault), rip, fault.error]);
    }
}
