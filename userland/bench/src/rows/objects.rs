//! Creating and deleting an object of each kind, and mapping a page: through
//! the library, as programs do it.

use postern_runtime::slots;
use postern_runtime::syscall::{Memory, Result as Outcome, Rights, Slot, abi::PAGE};

use super::{Bench, Row};
use crate::failure::Failure;
use crate::measure::{Figures, SAMPLES, time};
use crate::scope::Scope;

pub const ROWS: &[Row] = &[
    Row::new("create-factory", |bench| create(bench, factory)),
    Row::new("delete-factory", |bench| delete(bench, factory)),
    Row::new("create-task", |bench| create(bench, task)),
    Row::new("delete-task", |bench| delete(bench, task)),
    Row::new("create-thread", |bench| create(bench, thread)),
    Row::new("delete-thread", |bench| delete(bench, thread)),
    Row::new("create-gate", |bench| create(bench, gate)),
    Row::new("delete-gate", |bench| delete(bench, gate)),
    Row::new("create-lone-gate", |bench| create_alone(bench, gate)),
    Row::new("delete-lone-gate", |bench| delete_alone(bench, gate)),
    Row::new("create-entry", |bench| create(bench, entry)),
    Row::new("delete-entry", |bench| delete(bench, entry)),
    Row::new("create-relay", |bench| create(bench, relay)),
    Row::new("delete-relay", |bench| delete(bench, relay)),
    Row::new("create-memory", |bench| create(bench, memory)),
    Row::new("delete-memory", |bench| delete(bench, memory)),
    Row::new("create-notification", |bench| create(bench, notification)),
    Row::new("delete-notification", |bench| delete(bench, notification)),
    Row::new("create-io-port", |bench| create(bench, io_port)),
    Row::new("delete-io-port", |bench| delete(bench, io_port)),
    Row::new("map-page", |bench| page(bench, false)),
    Row::new("unmap-page", |bench| page(bench, true)),
];

/// Makes an object in a slot.
type Create = fn(&Bench<'_>, Slot) -> Outcome<()>;

fn factory(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_factory(slot, 1 << 20).map(drop)
}

/// With the smallest table of capabilities.
fn task(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_task(slot, 128).map(drop)
}

fn thread(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_thread(slot, 100).map(drop)
}

fn gate(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_bound_gate(slot, bench.boot.thread, 0x40).map(drop)
}

/// In the benchmarks' own task, without contexts.
fn entry(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_entry(slot, bench.boot.task, 0x40_0000, 0, 0).map(drop)
}

/// Of one page.
fn relay(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_relay(slot, PAGE, false).map(drop)
}

/// One page, zeroed.
fn memory(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_memory(slot, PAGE).map(drop)
}

fn notification(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_notification(slot).map(drop)
}

fn io_port(bench: &Bench<'_>, slot: Slot) -> Outcome<()> {
    bench.boot.factory.create_io_port(slot, bench.boot.io_ports, 0x3f8, 8).map(drop)
}

/// With another one of its kind there, as usual: the first one and the last
/// one also cost a page of the arena.
fn create(bench: &Bench<'_>, create: Create) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    scope.create(|slot| create(bench, slot))?;
    create_alone(bench, create)
}

fn create_alone(bench: &Bench<'_>, create: Create) -> Result<Figures, Failure> {
    let slot = slots::allocate()?;
    let figures = bench.meter.library(SAMPLES, || {
        let (elapsed, result) = time(|| create(bench, slot));
        result?;
        bench.boot.task.destroy(slot)?;
        Ok(elapsed)
    });
    slots::release(slot);
    figures
}

/// With another one of its kind there.
fn delete(bench: &Bench<'_>, create: Create) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    scope.create(|slot| create(bench, slot))?;
    delete_alone(bench, create)
}

fn delete_alone(bench: &Bench<'_>, create: Create) -> Result<Figures, Failure> {
    let slot = slots::allocate()?;
    let figures = bench.meter.library(SAMPLES, || {
        create(bench, slot)?;
        let (elapsed, result) = time(|| bench.boot.task.destroy(slot));
        result?;
        Ok(elapsed)
    });
    slots::release(slot);
    figures
}

/// Maps a page next to one that stays mapped, so that the page tables are
/// there; and takes it away again.
fn page(bench: &Bench<'_>, is_unmap: bool) -> Result<Figures, Failure> {
    const ADDRESS: u64 = 0x1f_0000_0000;
    let task = bench.boot.task;
    let mut scope = Scope::default();
    let mut memory = || -> Result<Memory, Failure> {
        Ok(scope.create(|slot| bench.boot.factory.create_memory(slot, PAGE))?)
    };
    let (neighbour, memory) = (memory()?, memory()?);
    let rights = Rights::R | Rights::W;
    task.map(neighbour, ADDRESS + PAGE, 0, PAGE, rights)?;
    let figures = bench.meter.library(SAMPLES, || {
        let (mapping, mapped) = time(|| task.map(memory, ADDRESS, 0, PAGE, rights));
        mapped?;
        let (unmapping, unmapped) = time(|| task.unmap(ADDRESS, PAGE));
        if unmapped? != PAGE {
            return Err(Failure::WrongAnswer);
        }
        Ok(if is_unmap { unmapping } else { mapping })
    });
    task.unmap(ADDRESS + PAGE, PAGE)?;
    figures
}
