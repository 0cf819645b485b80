//! A manifest as it was written: values with their places, not checked against
//! each other yet.

use postern_abi::Rights;
pub use postern_manifest::Start;

use super::diagnostic::{Place, Spot};

/// What the manifest says about the machine.
#[derive(Debug)]
pub struct Machine {
    /// The least memory that the system is made for, in bytes.
    pub memory: u64,
}

/// A program.
#[derive(Debug)]
pub struct Program {
    /// Its name.
    pub name: Spot<String>,
    /// The package that it is in; in a `postern.toml` the crate itself.
    pub package: Option<Spot<String>>,
    /// The binary of the package; by default called like the program.
    pub bin: Option<Spot<String>>,
    /// When it is started.
    pub start: Start,
    /// Its priority.
    pub priority: Spot<u8>,
    /// The most memory that it may use, in bytes.
    pub quota: Spot<u64>,
    /// Bytes of its heap.
    pub heap: Spot<u64>,
    /// Bytes of its stack.
    pub stack: Spot<u64>,
    /// Slots of its capability table.
    pub slots: Spot<u32>,
    /// How often it is started again.
    pub restarts: u32,
    /// Nanoseconds between its end and its next start.
    pub delay: Option<Spot<u64>>,
    /// Contexts of the entry that its clients cross into, if they do.
    pub crossing: Option<Spot<u32>>,
    /// Its arguments.
    pub arguments: Vec<Spot<String>>,
    /// The services that it offers.
    pub services: Vec<Spot<String>>,
    /// What it is given: kernel objects, then gates.
    pub capabilities: Vec<Capability>,
}

impl Program {
    /// The name of its binary.
    pub fn binary(&self) -> &Spot<String> {
        self.bin.as_ref().unwrap_or(&self.name)
    }

    /// Its gates.
    pub fn gates(&self) -> impl Iterator<Item = (&Capability, &Gate)> {
        self.capabilities.iter().filter_map(|capability| match &capability.object {
            Object::Gate(gate) => Some((capability, gate)),
            _ => None,
        })
    }
}

/// A capability that a program is given.
#[derive(Debug)]
pub struct Capability {
    /// What the program calls it.
    pub name: Spot<String>,
    /// Where it is said what it is.
    pub place: Place,
    /// What it is.
    pub object: Object,
}

/// What a capability is; see [`postern_manifest::Object`].
#[derive(Debug)]
pub enum Object {
    Log,
    Clock,
    Archive,
    Trace,
    Scheduler { maximum: u8 },
    Ports { first: u16, count: u32 },
    Irq { line: u32 },
    Factory { quota: u64 },
    Gate(Gate),
}

/// A gate to another program.
#[derive(Debug)]
pub struct Gate {
    /// The program that it leads to.
    pub server: Spot<String>,
    /// Rights of the client's capability.
    pub rights: Rights,
    /// The label, if the manifest chooses it.
    pub label: Option<Spot<u64>>,
    /// It is known that calls can come back in a circle; they have timeouts, or
    /// expect no answer.
    pub cycle: bool,
}
