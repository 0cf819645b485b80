//! Tasks: an address space and a capability table.

use postern_abi::op::relay::PLACES;
use postern_arena::{Ref, Table};

use super::{Gate, Header};
use crate::cap::Slot;
use crate::machine::Machine;
use crate::mem::tree::Tree;
use crate::relay::Share;

/// An address space with a capability table. Threads and mappings hang on it
/// by index, so that its end finds them.
pub struct Task<M: Machine> {
    /// It is the memory of a guest: threads bound to it are virtual CPUs.
    pub guest: bool,
    /// The capability table; slot 0 is never used.
    pub table: Table<Slot>,
    /// The address space; `None` only while it is taken apart.
    pub space: Option<M::Space>,
    /// Capabilities and charge (its fixed cost; see `page_tables`).
    pub header: Header,
    /// Bytes charged for its page tables.
    pub page_tables: u64,
    /// Used slots.
    pub slots_used: u32,
    /// The parked relay segments.
    pub segments: [Option<Share<M>>; PLACES],
    /// First thread at home here.
    pub threads: Option<u32>,
    /// First entry of its own, by arena index.
    pub entries: Option<u32>,
    /// Number of threads at home here.
    pub thread_count: u32,
    /// Its mappings, by address.
    pub mappings: Tree,
    /// Bytes mapped.
    pub mapped: u64,
    /// Who is told of the hypercalls of its threads.
    pub hypercall_gate: Option<Ref<Gate<M>>>,
    /// What crash reports call it, NUL-padded.
    pub name: [u8; 32],
    /// Build id of its program, as it was told.
    pub build: u64,
    /// Load base of its program, as it was told.
    pub base: u64,
}

impl<M: Machine> Task<M> {
    /// The name as text; `?` if none was set or it is not UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        match core::str::from_utf8(&self.name[..end]) {
            Ok("") | Err(_) => "?",
            Ok(name) => name,
        }
    }
}
