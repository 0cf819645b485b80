//! Faults: an exception in user code becomes a message to the thread's fault
//! handler, who repairs or gives up. Without a handler the thread is reported
//! and ends.
//!
//! The thread waits as if it had called the handler, but its registers stay as
//! they were at the fault: nothing here may write a result into them.

use postern_abi::op::{fault as answer, reason};
use postern_abi::stretch::{Cause, Entry};
use postern_abi::tag::{Tag, protocol};
use postern_abi::timeout::Timeout;
use postern_abi::trace::Event;
use postern_arena::Ref;

use crate::Kernel;
use crate::fpu::NOT_AVAILABLE;
use crate::hypercall::{Answered, INVALID};
use crate::machine::{Fault, Form, Machine};
use crate::object::Thread;
use crate::object::thread::{Asks, Expects, Message, State};
use crate::report::Place;
use crate::work::Work;

impl Fault {
    /// What it is about: an address, or the CPU's error code.
    pub(crate) fn detail(self) -> u64 {
        if self.vector == 14 { self.address } else { self.error }
    }
}

impl<M: Machine> Kernel<M> {
    /// An exception in user code of the current thread; its registers are in
    /// its [`crate::machine::UserState`] already.
    pub fn fault(&mut self, mut fault: Fault) {
        self.entered(Cause::new(Entry::Fault, fault.vector.into()));
        let Some(thread) = self.current else { return };
        let Some(faulted) = self.threads.get_mut(thread) else { return };
        faulted.user.form = Form::Full;
        let rip = faulted.user.registers.rip;
        self.trace(Event::Fault, Some(thread), [fault.vector.into(), rip]);
        if fault.vector == INVALID && self.is_hypercall(thread) {
            return self.hypercall(thread);
        }
        if fault.vector == NOT_AVAILABLE {
            match self.begin_fpu(thread) {
                Ok(()) => return,
                // Who handles the fault learns why it is one.
                Err(error) => fault.error = error.encode(),
            }
        }
        if !self.tell_handler(thread, fault)
            && let Some(faulted) = self.threads.get_mut(thread)
        {
            (faulted.fault, faulted.asks) = (Some(fault), Asks::Fault);
            faulted.work = Some(Work::Report(Place::default()));
        }
    }

    /// Sends the fault to the handler; `false` if there is none (any more).
    fn tell_handler(&mut self, thread: Ref<Thread<M>>, fault: Fault) -> bool {
        let rip = self.threads.get(thread).map_or(0, |faulted| faulted.user.registers.rip);
        let words = [u64::from(fault.vector), fault.detail(), rip, fault.error];
        self.tell(thread, fault, Asks::Fault, Tag::new(protocol::FAULT, 4), words)
    }

    /// Calls the fault gate of a thread in its name; `false` if nobody is
    /// there.
    pub(crate) fn tell(
        &mut self,
        thread: Ref<Thread<M>>,
        fault: Fault,
        asks: Asks,
        tag: Tag,
        words: [u64; 4],
    ) -> bool {
        let Some(faulted) = self.threads.get(thread) else { return false };
        let gate = match faulted.context() {
            None => faulted.fault_gate,
            Some(context) => self.entries.get(context.entry).and_then(|entry| entry.fault_gate),
        };
        let Some(reference) = gate else { return false };
        let Some(gate) = self.gates.get(reference).filter(|gate| gate.thread().is_some()) else {
            return false;
        };
        let label = gate.label;
        let expects = Expects::Answer;
        let message = Message { gate: reference, rights: 0, label, tag, words, expects };
        if let Some(faulted) = self.threads.get_mut(thread) {
            (faulted.fault, faulted.asks) = (Some(fault), asks);
        }
        let sent = self.send_through(thread, message, Timeout::NEVER, Timeout::NEVER);
        if sent.is_err()
            && let Some(faulted) = self.threads.get_mut(thread)
        {
            faulted.fault = None;
        }
        sent.is_ok()
    }

    /// A thread that waits with its registers got its answer. It is returned if
    /// it is to go on as it was.
    pub(crate) fn fault_answered(
        &mut self,
        thread: Ref<Thread<M>>,
        answered: &Answered<M>,
    ) -> Option<Ref<Thread<M>>> {
        let faulted = self.threads.get_mut(thread)?;
        match faulted.asks {
            Asks::Fault | Asks::Nothing => {
                if answered.tag.words() == 0 || answered.words[0] == answer::RESUME {
                    faulted.fault = None;
                    faulted.answerer = None;
                    return Some(thread);
                }
                self.lose_handler(thread);
            }
            Asks::Hypercall => self.hypercall_answered(thread, answered),
            Asks::Exit(_) => self.exit_answered(thread, answered),
        }
        None
    }

    /// The handler is gone or gave up. The thread ends, but not from within
    /// here: threads that handle each other's faults form chains of any length.
    pub(crate) fn lose_handler(&mut self, thread: Ref<Thread<M>>) {
        if self.threads.get(thread).is_some_and(|thread| thread.asks == Asks::Hypercall) {
            return self.lose_hypercall(thread);
        }
        self.detach(thread);
        let Some(faulted) = self.threads.get_mut(thread) else { return };
        faulted.message = None;
        faulted.answerer = None;
        // The last that it does is to report its fault, in steps.
        faulted.work = Some(Work::Report(Place::default()));
        self.wake(thread);
    }

    /// The current thread ends with `code`, after a report that follows its frame
    /// pointer.
    pub(crate) fn panic(&mut self, thread: Ref<Thread<M>>, code: u64, frame: u64) {
        let Some(panicked) = self.threads.get_mut(thread) else { return };
        // The rest of its registers it has not left to be seen.
        panicked.user.registers.rbp = frame;
        panicked.fault = Some(Fault { vector: 0, error: code, address: 0 });
        panicked.asks = Asks::Nothing;
        panicked.work = Some(Work::Report(Place::default()));
    }

    /// Writes a line of the report of a fault; after the last one the thread
    /// ends.
    pub(crate) fn report_step(&mut self, thread: Ref<Thread<M>>, place: Place) {
        let Some(fault) = self.threads.get(thread).and_then(|it| it.fault) else { return };
        if let Some(next) = self.report_line(thread, fault, place) {
            if let Some(faulted) = self.threads.get_mut(thread) {
                faulted.work = Some(Work::Report(next));
            }
            return;
        }
        let Some(faulted) = self.threads.get_mut(thread) else { return };
        (faulted.work, faulted.fault) = (None, None);
        let (rip, is_context) = (faulted.user.registers.rip, faulted.is_context());
        let has_panicked = faulted.asks == Asks::Nothing;
        if is_context {
            return self.quarantine(thread);
        }
        if has_panicked {
            return self.end_thread(thread, State::Exited, [reason::EXIT, fault.error, 0, 0]);
        }
        let why = self.end_reason(thread, fault);
        self.end_thread(thread, State::Faulted, [why, fault.detail(), rip, fault.error]);
    }
}
