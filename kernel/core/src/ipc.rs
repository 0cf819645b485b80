//! Messages: rendezvous between threads through gates.
//!
//! Everything here decides with both parties in hand and moves a message at
//! most once: from the sender's registers and UTCB to the receiver's. All
//! checks come before the first change, so a refused message leaves both
//! parties as they were.

mod answer;
mod deliver;
mod modify;
mod receive;
mod send;
mod signals;

pub(crate) use answer::AbortReason;
pub(crate) use deliver::received;
pub(crate) use send::{Done, Outcome, Outgoing};

use postern_abi::timeout::{Timeout, Wait};
use postern_abi::trace::Event;
use postern_abi::{ErrorCode, utcb};
use postern_arena::Ref;

use crate::Kernel;
use crate::machine::Machine;
use crate::object::Thread;
use crate::object::thread::State;

impl<M: Machine> Kernel<M> {
    /// Reads a word of a thread's UTCB; 0 without one.
    pub(crate) fn utcb_word(&self, thread: Ref<Thread<M>>, index: usize) -> u64 {
        let utcb = self.threads.get(thread).and_then(|thread| thread.utcb.as_ref());
        utcb.map_or(0, |utcb| self.machine.read_word(utcb, index))
    }

    /// Writes a word of a thread's UTCB.
    pub(crate) fn set_utcb_word(&self, thread: Ref<Thread<M>>, index: usize, value: u64) {
        if let Some(utcb) = self.threads.get(thread).and_then(|thread| thread.utcb.as_ref()) {
            self.machine.write_word(utcb, index, value);
        }
    }

    /// The deadline that a timeout of `thread` means: `None` never, else
    /// nanoseconds since boot (0 for a timeout of zero: it has passed).
    fn deadline(&mut self, thread: Ref<Thread<M>>, timeout: Timeout, word: usize) -> Option<u64> {
        match timeout.wait() {
            Wait::Never => None,
            Wait::Zero => Some(0),
            Wait::For(ns) => Some(self.machine.now().saturating_add(ns)),
            Wait::Absolute => Some(self.utcb_word(thread, word)),
        }
    }

    /// Lets a thread that has just been set waiting wait no longer than
    /// `timeout`; `false` if that has passed already (nothing changed then).
    fn limit(&mut self, thread: Ref<Thread<M>>, timeout: Timeout, word: usize) -> bool {
        match self.deadline(thread, timeout, word) {
            None => true,
            Some(deadline) if deadline <= self.machine.now() => false,
            Some(deadline) => {
                self.set_timeout(thread, deadline);
                true
            }
        }
    }

    /// As [`Kernel::limit`] for the receive phase.
    fn limit_receive(&mut self, thread: Ref<Thread<M>>, timeout: Timeout) -> bool {
        self.limit(thread, timeout, utcb::RECEIVE_DEADLINE)
    }

    /// Ends the waiting of a thread with an error and makes it ready. A thread
    /// that does not wait for a message is left alone.
    pub(crate) fn interrupt_ipc(&mut self, thread: Ref<Thread<M>>, error: ErrorCode) {
        self.trace(Event::Failed, Some(thread), [error.encode(), 0]);
        let Some(waiting) = self.threads.get_mut(thread) else { return };
        match waiting.state {
            _ if waiting.fault.is_some() => {
                self.forget_answerer(thread);
                self.lose_handler(thread);
            }
            State::Sending | State::Receiving | State::Calling => {
                self.forget_answerer(thread);
                self.detach(thread);
                if let Some(waiting) = self.threads.get_mut(thread) {
                    waiting.message = None;
                    waiting.fail(error);
                    if waiting.stop_pending {
                        return self.stop_at_home(thread);
                    }
                }
                self.wake(thread);
            }
            // An exit message that cannot be delivered is dropped.
            State::Exited | State::Faulted => {
                waiting.message = None;
                self.detach(thread);
            }
            _ => {}
        }
    }
}
