//! Explained refusals: for a thread that asks, every refused system call leaves
//! a record of what was refused and what is missing (layout: `abi::utcb`).
//!
//! It only looks back at a call that has failed already, so it costs nothing
//! where nothing is refused, and it tells a thread only about its own
//! capabilities.

use postern_abi::{ErrorCode, ErrorNumber, Rights, utcb};
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::Slot;
use crate::machine::Machine;
use crate::object::Thread;

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
        self.set_utcb_word(thread, utcb::DIAGNOSIS_ERROR, error.encode());
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
