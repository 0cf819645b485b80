//! One program of the manifest.

use crate::capability::Capability;
use crate::cursor::Cursor;
use crate::list::List;

/// When a program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the system.
    Boot,
    /// When somebody asks for it, or for a program that calls it.
    Demand,
}

/// A program is started again however often it ends.
pub const ALWAYS: u32 = u32::MAX;

/// A program and what it is given, beside its own task, thread and factory.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name, which is also its file's in the boot archive.
    pub name: &'a str,
    /// When it is started.
    pub start: Start,
    /// The priority of its first thread.
    pub priority: u8,
    /// The most memory that it may use, in bytes.
    pub quota: u64,
    /// Bytes of its heap.
    pub heap: u64,
    /// Bytes of its first thread's stack.
    pub stack: u64,
    /// Slots of its capability table.
    pub slots: u32,
    /// How often it is started again when it ends; [`ALWAYS`]: without a limit.
    pub restarts: u32,
    /// Nanoseconds between its end and its next start.
    pub delay: u64,
    /// Contexts of the entry that its clients cross into; 0: its first thread
    /// receives their messages.
    pub contexts: u32,
    /// Its arguments, without its name.
    pub arguments: List<'a, &'a str>,
    /// The services that it offers; without one nobody gets a gate to it.
    pub services: List<'a, &'a str>,
    /// What it is given, in the order of its slots.
    pub capabilities: List<'a, Capability<'a>>,
}

impl<'a> Program<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let mut part = cursor.part()?;
        let program = Self {
            name: part.text()?,
            start: match part.u8()? {
                0 => Start::Boot,
                1 => Start::Demand,
                _ => return None,
            },
            priority: part.u8()?,
            quota: part.u64()?,
            heap: part.u64()?,
            stack: part.u64()?,
            slots: part.u32()?,
            restarts: part.u32()?,
            delay: part.u64()?,
            contexts: part.u32()?,
            arguments: List::read(&mut part)?,
            services: List::read(&mut part)?,
            capabilities: List::read(&mut part)?,
        };
        part.rest().is_empty().then_some(program)
    }
}
