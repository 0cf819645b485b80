//! Factories: the right to create objects, with a quota.

use super::Header;
use crate::cap::Target;

/// A quota and what is charged to it. Sub-factories are charged to their
/// parent in full when they are made (their [`Header`] says to whom), so quotas
/// never promise the same byte twice.
#[derive(Debug)]
pub struct Factory {
    /// Capabilities, the parent and the charge there. The root factory names
    /// itself as its parent.
    pub header: Header,
    /// Bytes that may be charged.
    pub quota: u64,
    /// Bytes that are charged.
    pub used: u64,
    /// Deleted, or no capability is left: refuses new charges, and goes when
    /// the last of its objects goes.
    pub closed: bool,
    /// Everything made through it is being destroyed; refuses new charges.
    pub emptying: bool,
    /// First of the objects made through it.
    pub objects: Option<Target>,
}

impl Factory {
    /// Charges `bytes`; `false` (and nothing charged) if the quota does not
    /// allow it.
    pub fn charge(&mut self, bytes: u64) -> bool {
        let fits = !self.closed && !self.emptying && bytes <= self.quota - self.used;
        if fits {
            self.used += bytes;
        }
        fits
    }

    /// Gives back what was charged.
    pub fn refund(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.used, "refund of {bytes} with {} charged", self.used);
        self.used = self.used.saturating_sub(bytes);
    }
}
