//! Starts programs: from an ELF file to a task that runs.
//!
//! The program gets a factory of its own, out of the starter's, and everything
//! it is made of is charged there: its image, stack, heap, tables. It gets
//! exactly the capabilities that were given by name, and its own task, thread
//! and factory. The starter keeps the objects in a [`Child`], to look at them
//! and to take them back.
//!
//! Whatever fails on the way is undone, and the [`StartError`] says what it was.

mod build;
mod child;
mod environment;
mod error;
mod image;

use alloc::vec::Vec;

use postern_protocol::Name;
use postern_syscall::abi::rights::Kind;
use postern_syscall::{Capability, Factory, Gate, Item, Rights};

pub use child::Child;
pub use error::{Cause, StartError};

/// Bytes of the first thread's stack if nothing else is said.
pub const STACK_BYTES: u64 = 64 * 1024;
/// Bytes of the heap if nothing else is said.
pub const HEAP_BYTES: u64 = 256 * 1024;
/// Bytes that a program may use in all if nothing else is said.
pub const QUOTA: u64 = 4 << 20;
/// Slots of the capability table if nothing else is said.
pub const SLOTS: u32 = 256;
/// Priority if nothing else is said.
pub const PRIORITY: u8 = 100;
/// Nanoseconds for which a handler may go on whose caller is gone.
pub const GRACE: u64 = 200_000_000;

/// A capability that a program is given.
#[derive(Debug, Clone, Copy)]
struct Given<'a> {
    name: &'a str,
    item: Item,
    kind: u64,
}

/// A program to be started, and what it is given.
#[derive(Debug, Clone)]
pub struct Program<'a> {
    name: Name,
    file: &'a [u8],
    factory: Option<Factory>,
    quota: u64,
    priority: u8,
    stack: u64,
    heap: u64,
    slots: u32,
    arguments: Vec<&'a str>,
    given: Vec<Given<'a>>,
    exit_gate: Option<Gate>,
    contexts: u32,
    generation: u64,
}

impl<'a> Program<'a> {
    /// The program in the ELF file `file`, to be called `name`.
    #[must_use]
    pub fn new(name: &str, file: &'a [u8]) -> Self {
        Self {
            name: Name::new(name),
            file,
            factory: None,
            quota: QUOTA,
            priority: PRIORITY,
            stack: STACK_BYTES,
            heap: HEAP_BYTES,
            slots: SLOTS,
            arguments: Vec::new(),
            given: Vec::new(),
            exit_gate: None,
            contexts: 0,
            generation: 1,
        }
    }

    /// Takes the program's factory out of this one (S needed) instead of the
    /// starter's own.
    #[must_use]
    pub fn factory(mut self, factory: Factory) -> Self {
        self.factory = Some(factory);
        self
    }

    /// With at most `bytes` of memory in all.
    #[must_use]
    pub fn quota(mut self, bytes: u64) -> Self {
        self.quota = bytes;
        self
    }

    /// With this priority, at most the starter's.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// With a stack of `bytes`, rounded up to a page.
    #[must_use]
    pub fn stack(mut self, bytes: u64) -> Self {
        self.stack = bytes;
        self
    }

    /// With a heap of `bytes`, rounded up to a page; 0 for none.
    #[must_use]
    pub fn heap(mut self, bytes: u64) -> Self {
        self.heap = bytes;
        self
    }

    /// With a table of `slots` capabilities, rounded up to 128.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// With one more argument; the program's name comes before all of them.
    #[must_use]
    pub fn argument(mut self, text: &'a str) -> Self {
        self.arguments.push(text);
        self
    }

    /// Gives the program `capability` (GRANT needed), with at most `rights`,
    /// under `name`.
    #[must_use]
    pub fn give<C: Capability>(self, name: &'a str, capability: C, rights: Rights) -> Self {
        self.give_item(name, capability.item(rights), C::KIND)
    }

    /// Gives the program a capability whose kind is known only at run time;
    /// see [`Program::give`].
    #[must_use]
    pub fn give_item(mut self, name: &'a str, item: Item, kind: Kind) -> Self {
        self.given.push(Given { name, item, kind: kind as u64 });
        self
    }

    /// Reports the end of the first thread to `gate`.
    #[must_use]
    pub fn exit_gate(mut self, gate: Gate) -> Self {
        self.exit_gate = Some(gate);
        self
    }

    /// With an entry of so many contexts, which its clients cross into (0: its
    /// first thread receives their messages). Gates are bound to
    /// [`Child::entry`] then; callers wait until the program serves.
    #[must_use]
    pub fn crossing(mut self, contexts: u32) -> Self {
        self.contexts = contexts;
        self
    }

    /// As the how manieth instance (1 if nothing is said), which it can tell to
    /// its clients.
    #[must_use]
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Makes the task and starts its first thread.
    ///
    /// # Errors
    /// See [`Cause`]; nothing is left behind.
    pub fn start(&self) -> Result<Child, StartError> {
        let child = self.load()?;
        match child.run() {
            Ok(()) => Ok(child),
            Err(error) => {
                child.destroy();
                Err(StartError { program: self.name, cause: error.into() })
            }
        }
    }

    /// Makes the task and its thread, ready to be started with
    /// [`Child::run`]; before that the starter can bind gates to the thread
    /// or put more into the task.
    ///
    /// # Errors
    /// See [`Cause`]; nothing is left behind.
    pub fn load(&self) -> Result<Child, StartError> {
        build::build(self).map_err(|cause| StartError { program: self.name, cause })
    }
}
