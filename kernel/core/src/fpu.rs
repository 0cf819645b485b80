//! Floating-point and SIMD registers: kept for the activations that use them,
//! and paid for by those only.
//!
//! An activation does not have these registers until it uses one, which is an
//! exception. From then on they are saved when another one that may not see
//! them runs, and loaded before it goes on. While they are in the CPU, or the
//! activation waits, nothing takes a fast path ([`Kernel::settle_paths`],
//! [`Thread::uses_fpu`]), so every change of the running thread comes through
//! [`Kernel::switch_fpu`], and those that do not use them pay one test for it.
//!
//! Who has no such registers finds them as after a reset, never with what
//! somebody else left: they are cleared, not only locked, when their owner is
//! left.

use postern_abi::{ErrorCode, PAGE};
use postern_arena::Ref;

use crate::Kernel;
use crate::account::{NO_FRAMES, QUOTA};
use crate::machine::Machine;
use crate::object::Thread;

/// The exception that the first use of one of these registers is.
pub(crate) const NOT_AVAILABLE: u8 = 7;

impl<M: Machine> Kernel<M> {
    /// The current thread uses these registers for the first time: it gets a
    /// place to keep them, charged to its factory, and goes on.
    ///
    /// # Errors
    /// `NoMem`; it has them no more than before.
    #[cold]
    pub(crate) fn begin_fpu(&mut self, thread: Ref<Thread<M>>) -> Result<(), ErrorCode> {
        let user = self.threads.get(thread).ok_or(QUOTA)?;
        debug_assert!(!user.uses_fpu && self.fpu_owner.is_none(), "locked for its owner");
        if user.fpu.is_none() {
            let (factory, entry) =
                (user.header.factory, user.context().map(|context| context.entry));
            self.charge(factory, PAGE)?;
            let Some(frame) = self.frames.take_one() else {
                self.refund(factory, PAGE);
                return Err(NO_FRAMES);
            };
            let place = self.machine.fpu(frame);
            // What contexts are charged, their entry gives back.
            let entry = entry.and_then(|entry| self.entries.get_mut(entry));
            let user = self.threads.get_mut(thread).ok_or(QUOTA)?;
            user.fpu = Some(place);
            entry.map_or(&mut user.header, |entry| &mut entry.header).charge += PAGE;
        }
        let user = self.threads.get_mut(thread).ok_or(QUOTA)?;
        user.uses_fpu = true;
        self.machine.open_fpu();
        self.fpu_owner = Some(thread);
        self.settle_paths();
        Ok(())
    }

    /// Another thread is the current one now: saves the registers of whoever
    /// left them in the CPU, and loads its own, if it has any. While nobody runs
    /// they stay where they are.
    #[cold]
    #[inline(never)]
    pub(crate) fn switch_fpu(&mut self) {
        let Some(next) = self.current else { return };
        let uses = self.threads.get(next).is_some_and(|next| next.uses_fpu);
        if uses && self.fpu_owner == Some(next) {
            return;
        }
        let owner = self.fpu_owner.take().and_then(|owner| self.threads.get_mut(owner));
        // One that has ended has nothing left to save.
        if let Some(Thread { uses_fpu: true, fpu: Some(place), .. }) = owner {
            self.machine.save_fpu(place);
        }
        match self.threads.get(next) {
            Some(Thread { uses_fpu: true, fpu: Some(place), .. }) => {
                self.machine.load_fpu(place);
                self.fpu_owner = Some(next);
            }
            _ => self.machine.close_fpu(),
        }
        self.settle_paths();
    }

    /// Takes the place for these registers from a thread that is gone; what it
    /// was charged is the caller's to give back.
    pub(crate) fn release_fpu(&mut self, gone: &mut Thread<M>) -> u64 {
        let Some(place) = gone.fpu.take() else { return 0 };
        self.frames.give(self.machine.release_fpu(place));
        PAGE
    }
}
