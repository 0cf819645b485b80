//! From the checked model to the bytes that `init` reads.

use anyhow::{Context, Result};
use postern_manifest as format;

use super::model::{Object, Program};

/// The compiled manifest.
pub fn compile(programs: &[Program]) -> Result<Vec<u8>> {
    let drafts: Vec<_> = programs.iter().map(draft).collect();
    let bytes = format::write(&drafts).context("a name or text of the manifest is too long")?;
    format::Manifest::parse(&bytes).context("the compiled manifest cannot be read back")?;
    Ok(bytes)
}

fn draft(program: &Program) -> format::Draft<'_> {
    format::Draft {
        name: &program.name.value,
        start: program.start,
        priority: program.priority.value,
        quota: program.quota.value,
        heap: program.heap.value,
        stack: program.stack.value,
        slots: program.slots.value,
        restarts: program.restarts,
        delay: program.delay.as_ref().map_or(0, |delay| delay.value),
        contexts: program.crossing.as_ref().map_or(0, |contexts| contexts.value),
        arguments: program.arguments.iter().map(|text| text.value.as_str()).collect(),
        services: program.services.iter().map(|name| name.value.as_str()).collect(),
        capabilities: program
            .capabilities
            .iter()
            .map(|one| format::Capability { name: &one.name.value, object: object(&one.object) })
            .collect(),
    }
}

fn object(object: &Object) -> format::Object<'_> {
    match object {
        Object::Log => format::Object::Log,
        Object::Clock => format::Object::Clock,
        Object::Archive => format::Object::Archive,
        Object::Trace => format::Object::Trace,
        Object::Scheduler { maximum } => format::Object::Scheduler { maximum: *maximum },
        Object::Ports { first, count } => format::Object::Ports { first: *first, count: *count },
        Object::Irq { line } => format::Object::Irq { line: *line },
        Object::Factory { quota } => format::Object::Factory { quota: *quota },
        Object::Gate(gate) => format::Object::Gate(format::GateTo {
            server: &gate.server.value,
            rights: gate.rights,
            label: gate.label.as_ref().map(|label| label.value),
        }),
    }
}
