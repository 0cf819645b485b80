//! Explained refusals: for a thread that asks, every refused system call leaves
//! a record of what was refused and what is missing (layout: `abi::utcb`).
//!
//! It only looks back at a call that has failed already, so it costs nothing
//! where nothing is refused, and it tells a thread only about its own
//! capabilities, and about the threads that waited for each other when its own
//! wait ran out.

use postern_abi::code::Code;
use postern_abi::{ErrorCode, ErrorNumber, Rights, utcb};
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::Slot;
use crate::machine::Machine;
use crate::object::Thread;
use crate::object::thread::{Expects, Queue, State};

impl<M: Machine> Kernel<M> {
    /// Writes the record of a refusal into the caller's UTCB.
    pub(crate) fn explain(
        &mut self,
        thread: Ref<Thread<M>>,
        error: ErrorCode,
        rax: u64,
        args: [u64; 6],
    ) {
        let handle = match error.argument.checked_sub(ErrorCode::ITEM) {
            Some(item) => self.utcb_word(thread, utcb::ITEMS + 2 * usize::from(item)),
            None => args[0],
        };
        let missing = match error.number {
            ErrorNumber::Perm => self.missing.replace(Rights::empty()),
            _ => Rights::empty(),
        };
        let task = self.threads.get(thread).and_then(|thread| self.tasks.get(thread.task?));
        let found = task
            .and_then(|task| task.table.get(usize::try_from(handle).ok()?))
            .copied()
            .unwrap_or_default();
        let (what, object) = describe(&found);
        let slot = handle & 0xffff_ffff | what | u64::from(missing.bits()) << 48;
        self.set_utcb_word(thread, utcb::DIAGNOSIS_CALL, rax);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_SLOT, slot);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_OBJECT, object);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_OPERATION, args[2]);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_CYCLE, 0);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_ERROR, error.encode());
    }

    /// Writes the record of a wait that is about to time out: which call, and
    /// the cycle in which the thread waits for itself, if there is one. What
    /// the call was made with is not known any more.
    pub(crate) fn explain_timeout(&mut self, thread: Ref<Thread<M>>, error: ErrorCode) {
        let Some(waiting) = self.threads.get(thread) else { return };
        let code = match (waiting.state, waiting.message) {
            (State::Receiving, _) => Code::Receive,
            (_, Some(message)) if message.expects == Expects::Nothing => Code::Send,
            _ => Code::Call,
        };
        let operation = waiting.message.map_or(0, |message| message.words[0]);
        let mut length = 0;
        let mut at = thread;
        while length < utcb::CYCLE_MAX {
            let id = u64::from(at.index()) | u64::from(at.generation()) << 32;
            self.set_utcb_word(thread, utcb::DIAGNOSIS_CYCLE_THREADS + length, id);
            length += 1;
            match self.waits_for(at) {
                Some(next) if next == thread => break,
                Some(next) if length < utcb::CYCLE_MAX => at = next,
                // It ends somewhere else, or is longer than the record.
                _ => {
                    length = 0;
                    break;
                }
            }
        }
        self.set_utcb_word(thread, utcb::DIAGNOSIS_CALL, code.plain());
        self.set_utcb_word(thread, utcb::DIAGNOSIS_SLOT, 0);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_OBJECT, 0);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_OPERATION, operation);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_CYCLE, length as u64);
        self.set_utcb_word(thread, utcb::DIAGNOSIS_ERROR, error.encode());
    }

    /// The thread that must do something before this one goes on.
    fn waits_for(&self, thread: Ref<Thread<M>>) -> Option<Ref<Thread<M>>> {
        let waiting = self.threads.get(thread)?;
        match (waiting.state, waiting.queue) {
            (State::Sending, Queue::Thread(receiver)) => Some(receiver),
            (State::Receiving, Queue::Partner(partner)) => Some(partner),
            (State::Calling, _) => waiting.answerer,
            _ => None,
        }
    }
}

/// Kind and rights in their places, and the object's id; zeros for an empty
/// slot.
fn describe(slot: &Slot) -> (u64, u64) {
    slot.target().map_or((0, 0), |target| {
        (
            (target.kind as u64) << 32 | u64::from(slot.rights().bits()) << 40,
            u64::from(target.index) | u64::from(target.generation) << 32,
        )
    })
}
