//! Crossings: a caller's thread goes into the task of an entry and comes back
//! (XPC's xcall and xret, in software).
//!
//! What runs over there is a *context* of the entry, which is a thread object
//! without a capability. The link stack of a thread is the chain from the
//! context that runs, through [`crate::object::Thread::caller`], to the thread
//! that began; the links in the other direction are
//! [`crate::object::Thread::answerer`]. Both are references with a generation,
//! and a call number, so a link to something that is gone is void and never
//! wrong.
//!
//! Nothing here may allocate, walk more than the depth of a chain, or let a
//! context be lost: each is free, active, orphaned or quarantined, and stands
//! in the counts of its entry.

mod chain;
mod end;
mod enter;
mod front;
mod place;

use postern_abi::op::entry::ContextState;

use crate::Kernel;
use crate::machine::Machine;
use crate::object::Thread;
use crate::object::thread::State;

use postern_arena::Ref;

impl<M: Machine> Kernel<M> {
    /// Whether a thread waits for the end of a crossing that it began.
    pub(crate) fn is_abroad(&self, thread: Ref<Thread<M>>) -> bool {
        self.threads.get(thread).is_some_and(|waiting| {
            waiting.state == State::Calling
                && waiting
                    .answerer
                    .and_then(|below| self.threads.get(below))
                    .is_some_and(Thread::is_context)
        })
    }

    /// Moves a context from one state to another, in the counts of its entry,
    /// too. What goes with the new state is the caller's to do.
    fn set_context_state(&mut self, reference: Ref<Thread<M>>, to: ContextState) {
        let Some(thread) = self.threads.get_mut(reference) else { return };
        thread.back = Ref::NOWHERE;
        let from = core::mem::replace(&mut thread.context_state, to);
        let Some(context) = thread.context() else { return };
        if let Some(entry) = self.entries.get_mut(context.entry)
            && entry.front != Some(reference)
        {
            entry.recount(from, to);
        }
    }
}
