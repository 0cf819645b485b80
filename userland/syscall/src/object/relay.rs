//! Relay segments: memory that changes hands with a call instead of being
//! copied.

use abi::op::relay::{ACTIVATE, INFO, Owner};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Result, Rights, operate};

handle! {
    /// A segment. Whoever has activated it, or borrowed it with the call that
    /// it handles, sees it in the relay window ([`crate::window`]).
    Relay
}

/// What is known of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayInfo {
    /// Address of its first byte in the window.
    pub address: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Rights of the capability.
    pub rights: Rights,
    /// Physical address; 0 without PHYS, and of scattered frames.
    pub physical: u64,
    /// Whose it is.
    pub owner: Option<Owner>,
}

impl Relay {
    /// Shows the segment in this activation's window, writable if the
    /// capability has W. Needs R.
    ///
    /// # Errors
    /// `Perm` without R, `Exists` if the window shows something, `Busy` if the
    /// segment is somebody else's or parked, `Lent` if it is lent.
    pub fn activate(self) -> Result<()> {
        operate(self.0, &[ACTIVATE], &[]).map(drop)
    }

    /// What is known of it. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn info(self) -> Result<RelayInfo> {
        let [address, bytes, rights, physical] = operate(self.0, &[INFO], &[])?.words;
        Ok(RelayInfo {
            address,
            bytes,
            rights: Rights::from_bits_truncate(rights as u8),
            physical,
            owner: Owner::decode(crate::utcb::word(4)),
        })
    }
}
