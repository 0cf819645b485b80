//! Calls through gates to entries: the caller's own thread crosses into the
//! server's task and comes back.

use postern_runtime::memory::Mapping;
use postern_runtime::syscall::abi::{Code, PAGE};
use postern_runtime::syscall::{Gate, Rights};

use super::calls::call;
use super::{Bench, Row};
use crate::failure::Failure;
use crate::measure::Figures;
use crate::partner::LABEL;
use crate::scope::Scope;

pub const ROWS: &[Row] = &[
    Row::new("cross-0w", |bench| cross(bench, 0)),
    Row::new("cross-1w", |bench| cross(bench, 1)),
    Row::new("cross-2w", |bench| cross(bench, 2)),
    Row::new("cross-3w", |bench| cross(bench, 3)),
    Row::new("cross-4w", |bench| cross(bench, 4)),
    Row::new("cross-8w", |bench| cross(bench, 8)),
    Row::new("cross-16w", |bench| cross(bench, 16)),
    Row::new("cross-32w", |bench| cross(bench, 32)),
    Row::new("cross-63w", |bench| cross(bench, 63)),
];

/// `mov eax, RETURN`; `syscall`: returns what it gets.
const HANDLER: [u8; 7] = {
    let [a, b, c, d, ..] = Code::Return.plain().to_le_bytes();
    [0xb8, a, b, c, d, 0x0f, 0x05]
};
/// Where it is mapped.
const ADDRESS: u64 = 0x40_0000;

/// A gate to an entry with one context, in a task without a thread.
pub fn entry(bench: &Bench<'_>, scope: &mut Scope) -> Result<Gate, Failure> {
    let factory = bench.boot.factory;
    let memory = scope.create(|slot| factory.create_memory(slot, PAGE))?;
    Mapping::new(memory, PAGE, Rights::W)?.write(0, &HANDLER);
    let task = scope.create(|slot| factory.create_task(slot, 128))?;
    task.map(memory, ADDRESS, 0, PAGE, Rights::R | Rights::X)?;
    let entry = scope.create(|slot| factory.create_entry(slot, task, ADDRESS, 0, 0))?;
    // The handler needs no stack.
    entry.add_context(ADDRESS)?;
    Ok(scope.create(|slot| factory.create_entry_gate(slot, entry, LABEL, 0))?)
}

/// A crossing into another task and the way back, `words` words each way.
fn cross(bench: &Bench<'_>, words: usize) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    let gate = entry(bench, &mut scope)?;
    call(bench, gate, words)
}
