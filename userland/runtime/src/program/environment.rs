//! Writes the environment block of a new program, and puts the capabilities
//! that it names into the program's table.

use alloc::vec;
use alloc::vec::Vec;

use postern_protocol::Name;
use postern_syscall::abi::env::{self, Writer, name};
use postern_syscall::abi::rights::Kind;
use postern_syscall::{Capability, Entry, Item, Rights, Slot};

use super::child::{Child, slot};
use super::error::Cause;
use super::image::Mapped;

/// Most bytes of an environment block.
pub const MAX_BYTES: usize = 4096;

/// What a program may do with its own task, thread and factory: all but
/// destroy them or hand them to others.
const OWN: Rights = Rights::R.union(Rights::W).union(Rights::S);

/// Delegates capabilities and writes down what they are called.
pub struct Environment<'a> {
    child: &'a Child,
    records: Vec<(u32, u64, u64, alloc::string::String)>,
    next: u32,
}

impl<'a> Environment<'a> {
    /// An environment with the program's own capabilities.
    pub fn new(child: &'a Child) -> Result<Self, Cause> {
        let mut environment = Self { child, records: Vec::new(), next: slot::GIVEN };
        let own = [
            (name::TASK, slot::TASK, child.task.item(OWN), Kind::Task),
            (name::THREAD, slot::THREAD, child.thread.item(OWN), Kind::Thread),
            (name::FACTORY, slot::FACTORY, child.factory.item(OWN), Kind::Factory),
        ];
        for (name, slot, item, kind) in own {
            environment.put(name, slot, item, kind as u64)?;
        }
        Ok(environment)
    }

    fn put(&mut self, name: &str, slot: u32, item: Item, kind: u64) -> Result<(), Cause> {
        self.child
            .task
            .delegate(item, Slot::new(slot))
            .map_err(|code| Cause::Give { name: Name::new(name), code })?;
        self.record(env::CAPABILITY, slot.into(), kind, name);
        Ok(())
    }

    /// Gives a capability in the next empty slot.
    pub fn give(&mut self, name: &str, item: Item, kind: u64) -> Result<(), Cause> {
        let slot = self.next;
        self.next += 1;
        self.put(name, slot, item, kind)
    }

    /// Gives the memory of a segment, and says where it is mapped.
    pub fn segment(&mut self, index: usize, segment: Mapped) -> Result<(), Cause> {
        let name = alloc::format!("segment{index}");
        let item = segment.memory.item(segment.rights);
        self.give(&name, item, Kind::Memory as u64)?;
        let second = segment.bytes | u64::from(segment.rights.bits()) << 56;
        self.record(env::SEGMENT, segment.address, second, &name);
        Ok(())
    }

    /// Gives the entry behind which the program serves.
    pub fn entry(&mut self, entry: Entry, contexts: u32) -> Result<(), Cause> {
        self.give(name::ENTRY, entry.item(OWN), Kind::Entry as u64)?;
        self.record(env::CONTEXTS, contexts.into(), 0, "");
        Ok(())
    }

    /// Writes down anything else.
    pub fn record(&mut self, kind: u32, first: u64, second: u64, name: &str) {
        self.records.push((kind, first, second, name.into()));
    }

    /// The block. `slots` is the size of the program's table.
    pub fn finish(mut self, slots: u32) -> Result<Vec<u8>, Cause> {
        self.record(env::FREE_SLOTS, self.next.into(), slots.into(), "");
        let mut bytes = vec![0; MAX_BYTES];
        let mut writer = Writer::new(&mut bytes).ok_or(Cause::EnvironmentFull)?;
        for (kind, first, second, name) in &self.records {
            writer.push(*kind, *first, *second, name).ok_or(Cause::EnvironmentFull)?;
        }
        let used = writer.len();
        bytes.truncate(used);
        Ok(bytes)
    }
}
