//! Memory: physical memory that tasks can map ([`crate::Task::map`]).

use abi::op::memory::{INFO, PHYS};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Result, operate};

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

    /// The physical address, for a device. Needs PHYS.
    ///
    /// # Errors
    /// `Perm` without PHYS.
    pub fn physical_address(self) -> Result<u64> {
        Ok(operate(self.0, &[PHYS], &[])?.words[0])
    }
}
