//! Makes what one program is given: exactly what the manifest names, each an
//! object of its own where there can be more than one.

use alloc::vec::Vec;

use postern_manifest::{GateTo, INIT, Object, Program};
use postern_runtime::program::Program as Loading;
use postern_runtime::protocol::console::ConsoleClient;
use postern_runtime::syscall::abi::env::name::{ENTRY, LOG};
use postern_runtime::syscall::abi::rights::Kind;
use postern_runtime::syscall::{Capability, Entry, Gate, Item, Rights, Slot};
use postern_runtime::{Boot, Error, Explain, Result, slots};

use crate::table::Table;

/// Added to the labels of exit gates, so that no client's label is like one.
pub const EXIT_LABEL: u64 = 1 << 62;
/// Added to the labels of gates whose server is not there, or another one than
/// before: init answers their calls.
pub const STAND_IN: u64 = 1 << 61;
/// Added to the labels that are made up here: the manifest's own lie below.
const AUTO_LABEL: u64 = 1 << 32;

/// The two low bits of a label belong to the kernel.
pub const fn label(id: u64) -> u64 {
    id << 2
}

/// A gate that leads to another program, to be bound again when that one is
/// started again.
#[derive(Clone, Copy)]
pub struct Link {
    /// The gate.
    pub gate: Gate,
    /// The label that the server sees.
    pub label: u64,
    /// The server's name.
    pub server: &'static str,
    /// Its number, for the time that init stands in for the server.
    pub number: u64,
    /// Whether it has led to an instance of the server: then its client is to
    /// be told before it reaches another one.
    pub was_bound: bool,
}

/// A capability to be given.
#[derive(Clone, Copy)]
pub struct Given {
    /// Under which name.
    pub name: &'static str,
    /// What kind of object it is.
    pub kind: Kind,
    /// The capability, with the rights that the program gets.
    item: Item,
}

impl Given {
    /// What the runtime gives it behind what the manifest says: its entry.
    pub fn entry(entry: Entry) -> Self {
        Self { name: ENTRY, kind: Kind::Entry, item: entry.item(Rights::empty()) }
    }
}

/// The capabilities made for one program; the objects are destroyed unless
/// they are taken.
pub struct Grants {
    /// Objects that were made for it alone.
    pub objects: Vec<Slot>,
    /// Gates to other programs.
    pub links: Vec<Link>,
    /// All that it is given, in the order of its slots.
    pub given: Vec<Given>,
}

impl Drop for Grants {
    fn drop(&mut self) {
        for slot in self.objects.drain(..) {
            // What cannot be destroyed is gone already.
            let _ = slots::destroy(slot);
        }
    }
}

impl Grants {
    /// What a program gets that the manifest does not know: the log, and the
    /// console of whoever starts it.
    pub fn handed_on(boot: &Boot, console: ConsoleClient) -> Self {
        let given = Vec::from([
            Given { name: LOG, kind: Kind::Log, item: boot.log.item(Rights::W) },
            Given { name: "console", kind: Kind::Gate, item: console.item(Rights::R) },
        ]);
        Self { objects: Vec::new(), links: Vec::new(), given }
    }

    /// Makes what `program` is given.
    pub fn new(program: Program<'static>, boot: &Boot, table: &mut Table) -> Result<Self> {
        let mut grants = Self { objects: Vec::new(), links: Vec::new(), given: Vec::new() };
        for capability in program.capabilities.iter() {
            let (item, kind) = grants.make(capability.object, boot, table)?;
            grants.given.push(Given { name: capability.name, kind, item });
        }
        Ok(grants)
    }

    /// Gives all of it to a program that is being loaded.
    pub fn give<'a>(&self, program: Loading<'a>) -> Loading<'a> {
        let give =
            |program: Loading<'a>, one: &Given| program.give_item(one.name, one.item, one.kind);
        self.given.iter().fold(program, give)
    }

    /// An object that is this program's alone.
    fn own<C: Capability>(&mut self, object: C, rights: Rights) -> (Item, Kind) {
        self.objects.push(object.slot());
        (object.item(rights), C::KIND)
    }

    fn make(
        &mut self,
        object: Object<'static>,
        boot: &Boot,
        table: &mut Table,
    ) -> Result<(Item, Kind)> {
        let factory = boot.factory;
        let device = Rights::R | Rights::W;
        Ok(match object {
            Object::Log => (boot.log.item(Rights::W), Kind::Log),
            Object::Clock => (boot.scheduler.item(Rights::R), Kind::Scheduler),
            Object::Trace => (boot.scheduler.item(Rights::R | Rights::D), Kind::Scheduler),
            Object::Archive => (boot.archive_memory.item(Rights::R), Kind::Memory),
            Object::Scheduler { maximum } => {
                let scheduler = slots::fill("creating a scheduler", "factory", |slot| {
                    factory.create_scheduler(slot, boot.scheduler, maximum)
                })?;
                self.own(scheduler, device)
            }
            Object::Ports { first, count } => {
                let ports = slots::fill("creating I/O ports", "factory", |slot| {
                    factory.create_io_port(slot, boot.io_ports, first, count)
                })?;
                self.own(ports, device)
            }
            Object::Irq { line } => {
                let irq = boot.irq(line).ok_or(Error::MissingCapability { name: "interrupt" })?;
                (irq.item(device | Rights::S), Kind::Irq)
            }
            Object::Factory { quota } => {
                let smaller = slots::fill("creating a factory", "factory", |slot| {
                    factory.create_factory(slot, quota)
                })?;
                self.own(smaller, device | Rights::S)
            }
            Object::Gate(to) => self.gate(to, boot, table)?,
        })
    }

    /// A gate of the program's own. It is left unbound while its server is
    /// being started; then its callers wait.
    fn gate(
        &mut self,
        to: GateTo<'static>,
        boot: &Boot,
        table: &mut Table,
    ) -> Result<(Item, Kind)> {
        let gate =
            slots::fill("creating a gate", "factory", |slot| boot.factory.create_gate(slot))?;
        let made = self.own(gate, to.rights);
        let number = table.number_gate();
        let label = to.label.unwrap_or(AUTO_LABEL | label(number));
        if to.server == INIT {
            gate.bind(boot.thread, label).explain("binding a gate to init", "gate")?;
        } else {
            let server = table.by_name(to.server);
            if let Some(server) = server {
                server.child.bind(gate, label).explain("binding a gate", "gate")?;
            }
            let was_bound = server.is_some();
            self.links.push(Link { gate, label, server: to.server, number, was_bound });
        }
        Ok(made)
    }
}
