//! Starts one program with what the manifest says.

use postern_manifest::Program;
use postern_runtime::program::{Cause, Program as Loading, StartError};
use postern_runtime::protocol::Name;
use postern_runtime::syscall::Capability;
use postern_runtime::{Boot, Error, slots};

use crate::grants::{EXIT_LABEL, Given, Grants, label};
use crate::table::{Running, Table};

/// Starts the program in `file` as number `id`, its instance `generation`, with the words of `arguments`
/// behind the manifest's.
pub fn start(
    program: Program<'static>,
    arguments: &str,
    file: &[u8],
    id: u64,
    generation: u64,
    boot: &Boot,
    table: &mut Table,
) -> Result<Running, StartError> {
    let name = Name::new(program.name);
    let failed = |error: Error| StartError { program: name, cause: Cause::Runtime(error) };
    let mut grants = Grants::new(program, boot, table).map_err(failed)?;
    let exit_gate = slots::fill("creating its exit gate", "factory", |slot| {
        boot.factory.create_bound_gate(slot, boot.thread, EXIT_LABEL | label(id))
    })
    .map_err(failed)?;
    let mut loading = Loading::new(program.name, file)
        .priority(program.priority)
        .quota(program.quota)
        .heap(program.heap)
        .stack(program.stack)
        .slots(program.slots)
        .crossing(program.contexts)
        .generation(generation)
        .exit_gate(exit_gate);
    for argument in program.arguments.iter().chain(arguments.split_whitespace()) {
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
