//! Starts one program with what its plan says.

use alloc::vec::Vec;

use postern_runtime::program::{Cause, Program, StartError};
use postern_runtime::protocol::Name;
use postern_runtime::syscall::{Capability, Gate, IoPort, Irq, Rights, Slot};
use postern_runtime::{Boot, Error, Result, slots};

use crate::plan::{Grant, Plan};
use crate::table::{Client, Running, Table};

/// Added to the labels of exit gates, so that no client's label is like one.
pub const EXIT_LABEL: u64 = 1 << 62;
/// Added to the labels of gates to the supervisor.
pub const CLIENT_LABEL: u64 = 1 << 61;

/// The two low bits of a label belong to the kernel.
pub const fn label(id: u64) -> u64 {
    id << 2
}

/// The capabilities made for one program, destroyed unless it was started.
struct Grants {
    objects: Vec<Slot>,
    clients: Vec<Client>,
    given: Vec<(&'static str, Given)>,
}

/// A capability to be given.
enum Given {
    Gate(Gate, Rights),
    Ports(IoPort),
    Interrupt(Irq),
    Log,
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
    fn new(plan: &'static Plan, id: u64, boot: &Boot, table: &Table) -> Result<Self> {
        let mut grants = Self { objects: Vec::new(), clients: Vec::new(), given: Vec::new() };
        for grant in plan.grants {
            grants.add(*grant, id, boot, table)?;
        }
        Ok(grants)
    }

    fn keep<C: Capability>(&mut self, capability: C) -> C {
        self.objects.push(capability.slot());
        capability
    }

    fn add(&mut self, grant: Grant, id: u64, boot: &Boot, table: &Table) -> Result<()> {
        let factory = boot.factory;
        let (name, given) = match grant {
            Grant::Log => ("log", Given::Log),
            Grant::Ports(name, first, count) => {
                let ports = slots::fill("creating I/O ports", "factory", |slot| {
                    factory.create_io_port(slot, boot.io_ports, first, count)
                })?;
                (name, Given::Ports(self.keep(ports)))
            }
            Grant::Interrupt(name, line) => {
                let missing = Error::MissingCapability { name: "interrupt" };
                (name, Given::Interrupt(boot.irq(line).ok_or(missing)?))
            }
            // What a server sees of a client's rights: nothing special, but
            // who may register names.
            Grant::Console => ("console", self.client_of("console", Rights::R, id, boot, table)?),
            Grant::Names => ("names", self.client_of("names", Rights::R, id, boot, table)?),
            Grant::Register => {
                ("names", self.client_of("names", Rights::R | Rights::W, id, boot, table)?)
            }
            Grant::Supervisor => {
                let gate = slots::fill("creating a gate to the supervisor", "factory", |slot| {
                    factory.create_bound_gate(slot, boot.thread, CLIENT_LABEL | label(id))
                })?;
                ("supervisor", Given::Gate(self.keep(gate), Rights::R))
            }
        };
        self.given.push((name, given));
        Ok(())
    }

    /// A gate to the program called `server`, bound when that runs.
    fn client_of(
        &mut self,
        server: &'static str,
        rights: Rights,
        id: u64,
        boot: &Boot,
        table: &Table,
    ) -> Result<Given> {
        let factory = boot.factory;
        let gate = slots::fill("creating a gate to a server", "factory", |slot| {
            factory.create_gate(slot)
        })?;
        let client = Client { server, gate: self.keep(gate), label: label(id) };
        if let Some(running) = table.by_name(server) {
            client.bind(running.child.thread())?;
        }
        self.clients.push(client);
        Ok(Given::Gate(gate, rights))
    }
}

/// Starts the program in `file` as number `id`.
pub fn start(
    plan: &'static Plan,
    name: Name,
    file: &[u8],
    id: u64,
    boot: &Boot,
    table: &Table,
) -> core::result::Result<Running, StartError> {
    let failed = |error: Error| StartError { program: name, cause: Cause::Runtime(error) };
    let mut grants = Grants::new(plan, id, boot, table).map_err(failed)?;
    let exit_gate = slots::fill("creating its exit gate", "factory", |slot| {
        boot.factory.create_bound_gate(slot, boot.thread, EXIT_LABEL | label(id))
    })
    .map_err(failed)?;

    let mut program = Program::new(name.as_str(), file)
        .priority(plan.priority)
        .quota(plan.quota)
        .heap(plan.heap)
        .exit_gate(exit_gate);
    let device = Rights::R | Rights::W;
    for (name, given) in &grants.given {
        program = match given {
            Given::Gate(gate, rights) => program.give(name, *gate, *rights),
            Given::Ports(ports) => program.give(name, *ports, device),
            Given::Interrupt(irq) => program.give(name, *irq, device | Rights::S),
            Given::Log => program.give(name, boot.log, Rights::W),
        };
    }
    match program.start() {
        Ok(child) => Ok(Running {
            child,
            exit_gate,
            objects: core::mem::take(&mut grants.objects),
            clients: core::mem::take(&mut grants.clients),
        }),
        Err(error) => {
            // What cannot be destroyed is gone already.
            let _ = slots::destroy(exit_gate.slot());
            Err(error)
        }
    }
}
