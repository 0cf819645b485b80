//! Memory: physical memory that tasks can map ([`crate::Task::map`]).

use abi::op::memory::{INFO, PHYS, SPLIT};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Result, Slot, operate};

handle! {
    /// Physically contiguous memory. Mapping it needs R, W or X, as mapped.
    Memory
}

/// Size and use of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Its size in bytes.
    pub bytes: u64,
    /// How many mappings of it there are, in all tasks.
    pub mappings: u64,
}

impl Memory {
    /// Size and use. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn info(self) -> Result<MemoryInfo> {
        let [bytes, mappings, ..] = operate(self.0, &[INFO], &[])?.words;
        Ok(MemoryInfo { bytes, mappings })
    }

    /// Cuts the memory, which must not be mapped, in two: from `offset` on it
    /// becomes a memory of its own in the empty slot `rest`. Needs D.
    ///
    /// # Errors
    /// `Perm` without D, `Inval` for an offset that is no page boundary inside
    /// (1), `Exists` or `Inval` for the slot (2), `Busy` while it is mapped,
    /// `NoMem`.
    pub fn split(self, offset: u64, rest: Slot) -> Result<Self> {
        operate(self.0, &[SPLIT, offset, rest.word()], &[])?;
        Ok(Self::new(rest))
    }

    /// The physical address, for a device. Needs PHYS.
    ///
    /// # Errors
    /// `Perm` without PHYS.
    pub fn physical_address(self) -> Result<u64> {
        Ok(operate(self.0, &[PHYS], &[])?.words[0])
    }
}
