//! The life of threads and tasks, and threads that are only there.

use postern_runtime::slots;
use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::abi::image::init::PRIORITY;
use postern_runtime::syscall::stub::server;
use postern_runtime::syscall::{Capability, Rights, Slot, Thread, control};

use super::{Bench, Row};
use crate::failure::Failure;
use crate::measure::{Figures, SAMPLES, time};
use crate::scope::Scope;

pub const ROWS: &[Row] = &[
    Row::new("thread-start-exit", start_and_exit),
    Row::new("kill-thread", kill_thread),
    Row::new("kill-task", kill_task),
];

/// The stack pointer of threads that never use their stacks.
const NO_STACK: u64 = 0x1_0000;

/// A thread of the caller's task and priority that runs a stub without a
/// stack; it is ready, and has not run yet.
pub fn start(bench: &Bench<'_>, scope: &mut Scope, stub: u64) -> Result<Thread, Failure> {
    let thread = scope.create(|slot| bench.boot.factory.create_thread(slot, PRIORITY))?;
    thread.bind(bench.boot.task)?;
    thread.start(stub, NO_STACK, 0, 0)?;
    Ok(thread)
}

/// Threads that wait for messages that never come, and a gate for each.
pub struct Bystanders(Scope);

impl Bystanders {
    /// Starts `count` of them; they have run until they wait.
    pub fn start(bench: &Bench<'_>, count: usize) -> Result<Self, Failure> {
        let mut all = Self(Scope::default());
        for _ in 0..count {
            let thread = start(bench, &mut all.0, server::wait as *const () as u64)?;
            all.0.create(|slot| bench.boot.factory.create_bound_gate(slot, thread, 0x40))?;
            control::yield_now();
        }
        Ok(all)
    }
}

/// A thread in the caller's task that is more urgent and exits at once: from
/// before START to after it, with the thread's whole life between.
fn start_and_exit(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let slot = slots::allocate()?;
    let thread = Thread::new(slot);
    let stub = server::leave as *const () as u64;
    let figures = bench.meter.library(SAMPLES, || {
        bench.boot.factory.create_thread(slot, PRIORITY)?;
        thread.bind(bench.boot.task)?;
        bench.boot.scheduler.set_priority(thread, PRIORITY + 1)?;
        let (elapsed, started) = time(|| thread.start(stub, NO_STACK, 0, 0));
        started?;
        bench.boot.task.destroy(slot)?;
        Ok(elapsed)
    });
    slots::release(slot);
    figures
}

/// Destroys a thread that waits for a message.
fn kill_thread(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let slot = slots::allocate()?;
    let thread = Thread::new(slot);
    let stub = server::wait as *const () as u64;
    let figures = bench.meter.library(SAMPLES, || {
        bench.boot.factory.create_thread(slot, PRIORITY)?;
        thread.bind(bench.boot.task)?;
        thread.start(stub, NO_STACK, 0, 0)?;
        control::yield_now();
        let (elapsed, destroyed) = time(|| bench.boot.task.destroy(slot));
        destroyed?;
        Ok(elapsed)
    });
    slots::release(slot);
    figures
}

/// Destroys a task with one mapped page, one capability and one thread, which
/// is ready.
fn kill_task(bench: &Bench<'_>) -> Result<Figures, Failure> {
    const ADDRESS: u64 = 0x40_0000;
    let factory = bench.boot.factory;
    let mut scope = Scope::default();
    let memory = scope.create(|slot| factory.create_memory(slot, PAGE))?;
    let (task_slot, thread_slot) = (slots::allocate()?, slots::allocate()?);
    let figures = bench.meter.library(SAMPLES, || {
        let task = factory.create_task(task_slot, 128)?;
        task.map(memory, ADDRESS, 0, PAGE, Rights::R | Rights::X)?;
        task.delegate(memory.item(Rights::R), Slot::new(1))?;
        let thread = factory.create_thread(thread_slot, PRIORITY)?;
        thread.bind(task)?;
        thread.start(ADDRESS, NO_STACK, 0, 0)?;
        let (elapsed, destroyed) = time(|| bench.boot.task.destroy(task_slot));
        // The thread goes with it, and a slot whose object is gone is empty.
        destroyed?;
        Ok(elapsed)
    });
    slots::release(task_slot);
    slots::release(thread_slot);
    figures
}
