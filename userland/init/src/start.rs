//! Starts one program with what the manifest says, or its starter.

use postern_manifest::{List, Program, Start};
use postern_runtime::program::{Cause, Program as Loading, StartError};
use postern_runtime::protocol::Name;
use postern_runtime::syscall::Capability;
use postern_runtime::{Boot, Error, Result as Made, slots};

use crate::grants::{EXIT_LABEL, Given, Grants, label};
use crate::table::Running;

/// What the manifest would say about a program that is a file: it ends once,
/// offers nothing, and is less urgent than whoever starts it.
pub const UNLISTED: Program<'static> = Program {
    name: "",
    start: Start::Demand,
    priority: 90,
    quota: 4 << 20,
    heap: 256 << 10,
    stack: 64 << 10,
    slots: 256,
    restarts: 0,
    delay: 0,
    contexts: 0,
    arguments: List::empty(),
    services: List::empty(),
    capabilities: List::empty(),
};

/// A program to be started.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// What the manifest says about it.
    pub program: Program<'static>,
    /// What it is called.
    pub name: &'a str,
    /// Words behind the manifest's.
    pub arguments: &'a str,
    /// Its ELF file.
    pub file: &'a [u8],
    /// Its number.
    pub id: u64,
    /// The how manieth instance it is.
    pub generation: u64,
}

/// Starts it with `grants`.
pub fn start(wanted: Wanted<'_>, grants: Made<Grants>, boot: &Boot) -> Result<Running, StartError> {
    let Wanted { program, id, .. } = wanted;
    let name = Name::new(wanted.name);
    let failed = |error: Error| StartError { program: name, cause: Cause::Runtime(error) };
    let mut grants = grants.map_err(failed)?;
    let exit_gate = slots::fill("creating its exit gate", "factory", |slot| {
        boot.factory.create_bound_gate(slot, boot.thread, EXIT_LABEL | label(id))
    })
    .map_err(failed)?;
    let mut loading = Loading::new(wanted.name, wanted.file)
        .priority(program.priority)
        .quota(program.quota)
        .heap(program.heap)
        .stack(program.stack)
        .slots(program.slots)
        .crossing(program.contexts)
        .generation(wanted.generation)
        .exit_gate(exit_gate);
    for argument in program.arguments.iter().chain(wanted.arguments.split_whitespace()) {
        loading = loading.argument(argument);
    }
    match grants.give(loading).start() {
        Ok(child) => {
            grants.given.extend(child.entry().map(Given::entry));
            Ok(Running {
                thread: child.thread_info().map_or(u64::MAX, |info| info.id),
                child,
                exit_gate,
                objects: core::mem::take(&mut grants.objects),
                links: core::mem::take(&mut grants.links),
                given: core::mem::take(&mut grants.given),
            })
        }
        Err(error) => {
            // What cannot be destroyed is gone already.
            let _ = slots::destroy(exit_gate.slot());
            Err(error)
        }
    }
}
