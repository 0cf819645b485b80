//! What the program is and has itself: its name, task, thread, factory, log.
//!
//! Set once before `main`; read from everywhere, also from the panic handler,
//! so nothing in here takes a lock.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use postern_protocol::console::ConsoleClient;
use postern_syscall::abi::env::name;
use postern_syscall::{Capability, Entry, Factory, Gate, Log, Slot, Task, Thread, utcb};

use crate::Env;
use crate::error::{Error, Result};

static TASK: AtomicU32 = AtomicU32::new(0);
static THREAD: AtomicU32 = AtomicU32::new(0);
static FACTORY: AtomicU32 = AtomicU32::new(0);
static LOG: AtomicU32 = AtomicU32::new(0);
static CONSOLE: AtomicU32 = AtomicU32::new(0);
static ENTRY: AtomicU32 = AtomicU32::new(0);
static CONTEXTS: AtomicU32 = AtomicU32::new(0);
static GENERATION: AtomicU64 = AtomicU64::new(1);
static NAME: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static NAME_LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Word of the UTCB's runtime part: the slot of a spawned thread's own
/// capability.
const OWN_THREAD: usize = 0;

fn store<C: Capability>(cell: &AtomicU32, capability: Result<C>) {
    let number = capability.map_or(0, |capability| capability.slot().number());
    cell.store(number, Ordering::Relaxed);
}

fn load<C: Capability>(cell: &AtomicU32, name: &'static str) -> Result<C> {
    match cell.load(Ordering::Relaxed) {
        0 => Err(Error::MissingCapability { name }),
        number => Ok(C::from_slot(Slot::new(number))),
    }
}

fn set_program_name(name: &'static str) {
    NAME_LENGTH.store(name.len(), Ordering::Relaxed);
    NAME.store(name.as_ptr().cast_mut(), Ordering::Release);
}

pub(crate) fn set(env: &Env) {
    store(&TASK, env.capability::<Task>(name::TASK));
    store(&THREAD, env.capability::<Thread>(name::THREAD));
    store(&FACTORY, env.capability::<Factory>(name::FACTORY));
    store(&LOG, env.capability::<Log>(name::LOG));
    store(&CONSOLE, env.capability::<Gate>("console"));
    set_entry(env.capability(name::ENTRY).ok(), env.contexts());
    GENERATION.store(env.generation(), Ordering::Relaxed);
    set_program_name(env.name());
}

/// Says which entry this program serves behind, if it does.
pub(crate) fn set_entry(entry: Option<Entry>, contexts: u32) {
    store(&ENTRY, entry.ok_or(Error::MissingCapability { name: name::ENTRY }));
    CONTEXTS.store(contexts, Ordering::Relaxed);
}

pub(crate) fn set_init(task: Task, thread: Thread, factory: Factory, log: Log) {
    store(&TASK, Ok(task));
    store(&THREAD, Ok(thread));
    store(&FACTORY, Ok(factory));
    store(&LOG, Ok(log));
    set_program_name("init");
}

/// Changes the name under which this program logs: for test runners, which
/// have no environment to tell it.
pub fn set_name(name: &'static str) {
    set_program_name(name);
}

pub(crate) fn set_thread(slot: Slot) {
    utcb::set_runtime_word(OWN_THREAD, slot.word());
}

/// The program's name.
#[must_use]
pub fn name() -> &'static str {
    let start = NAME.load(Ordering::Acquire);
    if start.is_null() {
        return "program";
    }
    // SAFETY: pointer and length come from one `&'static str`. `set_name` may
    // run between the two loads; it is for a program's first lines, before it
    // has a second thread.
    unsafe {
        let bytes = core::slice::from_raw_parts(start, NAME_LENGTH.load(Ordering::Relaxed));
        core::str::from_utf8_unchecked(bytes)
    }
}

/// The how manieth instance of this program it is ([`Env::generation`]).
#[must_use]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// The program's own task.
///
/// # Errors
/// It was not given it.
pub fn task() -> Result<Task> {
    load(&TASK, name::TASK)
}

/// The entry behind which this program serves, and how many contexts it is to
/// have; `None` if its threads receive messages.
#[must_use]
pub fn entry() -> Option<(Entry, u32)> {
    let entry = load(&ENTRY, name::ENTRY).ok()?;
    Some((entry, CONTEXTS.load(Ordering::Relaxed)))
}

/// The calling thread.
///
/// # Errors
/// The program was not given its first thread.
pub fn thread() -> Result<Thread> {
    match utcb::runtime_word(OWN_THREAD) {
        0 => load(&THREAD, name::THREAD),
        slot => Ok(Thread::new(Slot::new(slot as u32))),
    }
}

/// The program's factory.
///
/// # Errors
/// It was not given one.
pub fn factory() -> Result<Factory> {
    load(&FACTORY, name::FACTORY)
}

/// The kernel's log.
///
/// # Errors
/// The program was not given it.
pub fn log() -> Result<Log> {
    load(&LOG, name::LOG)
}

/// The console that `print!` writes to.
///
/// # Errors
/// The program was not given a gate called `console`.
pub fn console() -> Result<ConsoleClient> {
    load(&CONSOLE, "console")
}
