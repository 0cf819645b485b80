//! The environment: what the starter gave to this program, by name.

use core::ops::Range;

use postern_syscall::abi::env::{self, Record};
use postern_syscall::abi::rights::Kind;
use postern_syscall::{Capability, Slot};

use crate::error::{Error, Result};

/// A region of memory that the starter mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Its address.
    pub address: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The environment of the running program.
#[derive(Clone, Copy)]
pub struct Env {
    bytes: &'static [u8],
}

impl Env {
    pub(crate) const fn new(bytes: &'static [u8]) -> Self {
        Self { bytes }
    }

    /// All records, for whoever looks for something that has no method here.
    pub fn records(&self) -> impl Iterator<Item = Record<'static>> + use<> {
        env::records(self.bytes)
    }

    fn find(&self, kind: u32, name: &str) -> Option<Record<'static>> {
        self.records().find(|record| record.kind == kind && record.name == name)
    }

    /// The capability called `name`.
    ///
    /// # Errors
    /// The program was not given it, or it is of another kind than `C`.
    pub fn capability<C: Capability>(&self, name: &'static str) -> Result<C> {
        let record = self.find(env::CAPABILITY, name).ok_or(Error::MissingCapability { name })?;
        if record.second != C::KIND as u64 {
            let found = Kind::decode(record.second);
            return Err(Error::WrongCapability { name, expected: C::KIND, found });
        }
        Ok(C::from_slot(Slot::new(record.first as u32)))
    }

    /// All capabilities: name, slot and kind.
    pub fn capabilities(&self) -> impl Iterator<Item = (&'static str, Slot, Option<Kind>)> + use<> {
        self.records().filter(|record| record.kind == env::CAPABILITY).map(|record| {
            (record.name, Slot::new(record.first as u32), Kind::decode(record.second))
        })
    }

    /// The arguments; the first one is the program's name.
    pub fn arguments(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.records().filter(|record| record.kind == env::ARGUMENT).map(|record| record.name)
    }

    /// The program's name, as its starter called it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.arguments().next().unwrap_or("program")
    }

    /// The region called `name`: `heap`, `stack` or `image`.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<Region> {
        let record = self.find(env::REGION, name)?;
        Some(Region { address: record.first, bytes: record.second })
    }

    /// How many contexts the program's entry is to have; 0 if it has none.
    #[must_use]
    pub fn contexts(&self) -> u32 {
        let record = self.records().find(|record| record.kind == env::CONTEXTS);
        record.map_or(0, |record| record.first as u32)
    }

    /// The how manieth instance of this program it is: 1, and one more with each
    /// time that its starter started it again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        let record = self.records().find(|record| record.kind == env::GENERATION);
        record.map_or(1, |record| record.first)
    }

    /// The slots that were empty when the program started.
    #[must_use]
    pub fn free_slots(&self) -> Range<u32> {
        self.records()
            .find(|record| record.kind == env::FREE_SLOTS)
            .map_or(0..0, |record| record.first as u32..record.second as u32)
    }
}
