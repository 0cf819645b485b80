//! Memories that were cut off others. Their capabilities hang below those of
//! the memory that was cut, so a revocation there comes to them, too; until it
//! has, nothing may be derived from them. For that each part knows the memory
//! it was cut off, and each memory its parts, so that they find the one above
//! when it goes.

use postern_arena::Ref;

use crate::Kernel;
use crate::machine::Machine;
use crate::object::Memory;

/// Most memories above a part; one that would have more counts as cut off the
/// one above that which was cut.
const DEPTH: usize = 32;
/// Parts that one step deals with when a memory goes.
const STEP: usize = 8;

/// A memory's place among those that it was cut off and that were cut off it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Family {
    /// What it was cut off. Never a memory that is gone.
    pub origin: Option<Ref<Memory>>,
    /// First of its parts, by index.
    parts: Option<u32>,
    /// Next and previous part of the same memory.
    siblings: (Option<u32>, Option<u32>),
}

impl<M: Machine> Kernel<M> {
    /// Whether capabilities of a memory above this one are being taken back.
    pub(crate) fn is_revoked_above(&self, reference: Ref<Memory>) -> bool {
        self.above(reference).any(|memory| memory.header.revoking.is_some())
    }

    /// The memories that this one was cut off, nearest first.
    fn above(&self, reference: Ref<Memory>) -> impl Iterator<Item = &Memory> {
        let up = |memory: &Memory| self.memories.get(memory.family.origin?);
        core::iter::successors(self.memories.get(reference), move |memory| up(memory)).skip(1)
    }

    /// Makes a memory, which is in no family yet, a part of `origin`.
    pub(crate) fn join_family(&mut self, part: Ref<Memory>, origin: Ref<Memory>) {
        let is_deep = self.above(origin).count() >= DEPTH;
        let above = self.memories.get(origin).and_then(|memory| memory.family.origin);
        self.join(part, above.filter(|_| is_deep).unwrap_or(origin));
    }

    fn join(&mut self, part: Ref<Memory>, origin: Ref<Memory>) {
        let Some(memory) = self.memories.get_mut(origin) else { return };
        let next = memory.family.parts.replace(part.index());
        if let Some(next) = next.and_then(|index| self.memories.nth_mut(index)) {
            next.family.siblings.1 = Some(part.index());
        }
        if let Some(memory) = self.memories.get_mut(part) {
            memory.family.origin = Some(origin);
            memory.family.siblings = (next, None);
        }
    }

    /// Takes a memory off the one that it was cut off.
    pub(crate) fn leave_family(&mut self, part: Ref<Memory>) {
        let Some(memory) = self.memories.get_mut(part) else { return };
        let (next, previous) = core::mem::take(&mut memory.family.siblings);
        let Some(origin) = memory.family.origin.take() else { return };
        match previous.and_then(|index| self.memories.nth_mut(index)) {
            Some(previous) => previous.family.siblings.0 = next,
            None => {
                if let Some(origin) = self.memories.get_mut(origin) {
                    origin.family.parts = next;
                }
            }
        }
        if let Some(next) = next.and_then(|index| self.memories.nth_mut(index)) {
            next.family.siblings.1 = previous;
        }
    }

    /// The parts of a memory.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn parts_of(&self, origin: Ref<Memory>) -> impl Iterator<Item = Ref<Memory>> {
        let first = self.memories.get(origin).and_then(|memory| memory.family.parts);
        let next = |index: &u32| self.memories.nth(*index)?.family.siblings.0;
        core::iter::successors(first, next).filter_map(|index| self.memories.at(index))
    }

    /// Leaves some parts of a dying memory to the one above; `true` when none is
    /// left.
    pub(crate) fn leave_parts(&mut self, reference: Ref<Memory>) -> bool {
        for _ in 0..STEP {
            let Some(memory) = self.memories.get(reference) else { return true };
            let (origin, first) = (memory.family.origin, memory.family.parts);
            let Some(part) = first.and_then(|index| self.memories.at(index)) else { return true };
            self.leave_family(part);
            if let Some(origin) = origin {
                self.join(part, origin);
            }
        }
        false
    }
}
