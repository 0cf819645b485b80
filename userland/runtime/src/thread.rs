//! Threads of this program.
//!
//! A thread has a stack of its own above an unmapped page, so that running out
//! of it is a fault and not a corruption. A panic ends the thread only; whoever
//! joins it sees that.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::arch::naked_asm;
use core::time::Duration;

use postern_syscall::abi::op::thread::ThreadState;
use postern_syscall::{Capability, Thread, control};

use crate::error::{Explain, Result};
use crate::memory::Mapping;
use crate::termination::exit_code;
use crate::{Mutex, own, slots, time};

/// Bytes of a thread's stack if nothing else is said.
pub const STACK_BYTES: u64 = 64 * 1024;

type Body = Box<dyn FnOnce() + Send>;

/// How a new thread is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Builder {
    stack: Option<u64>,
    priority: Option<u8>,
}

impl Builder {
    /// A thread with the usual stack and the priority of its creator.
    #[must_use]
    pub const fn new() -> Self {
        Self { stack: None, priority: None }
    }

    /// With a stack of `bytes`, rounded up to a page.
    #[must_use]
    pub const fn stack(self, bytes: u64) -> Self {
        Self { stack: Some(bytes), ..self }
    }

    /// With this priority, at most the creator's.
    #[must_use]
    pub const fn priority(self, priority: u8) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// Starts a thread that runs `body`.
    ///
    /// # Errors
    /// The program lacks its task or factory, or the quota is used up.
    pub fn spawn<T, F>(self, body: F) -> Result<JoinHandle<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (task, factory) = (own::task()?, own::factory()?);
        let priority = match self.priority {
            Some(priority) => priority,
            None => own::thread()?.info().explain("asking for the priority", "thread")?.priority,
        };
        let stack = Mapping::create(self.stack.unwrap_or(STACK_BYTES))?;
        let thread = slots::fill("creating a thread", "factory", |slot| {
            factory.create_thread(slot, priority)
        })?;
        let outcome = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&outcome);
        let slot = thread.slot();
        let body: Body = Box::new(move || {
            own::set_thread(slot);
            let value = body();
            *shared.lock() = Some(value);
        });
        let handle = JoinHandle { thread, stack: Some(stack), outcome };
        let top = handle.stack.as_ref().map_or(0, |stack| stack.address() + stack.bytes());
        // A thin pointer to the fat one: it travels in one register.
        let argument = Box::into_raw(Box::new(body));
        let started = thread
            .bind(task)
            .and_then(|_| thread.start(enter_thread as *const () as u64, top, argument as u64, 0));
        if let Err(code) = started {
            // SAFETY: the thread was not started, so the box is still ours.
            drop(unsafe { Box::from_raw(argument) });
            handle.discard();
            return Err(code).explain("starting a thread", "task");
        }
        Ok(handle)
    }
}

/// Starts a thread that runs `body`, with the usual stack and the caller's
/// priority.
///
/// # Errors
/// As [`Builder::spawn`].
pub fn spawn<T, F>(body: F) -> Result<JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    Builder::new().spawn(body)
}

/// A thread that somebody may wait for. Dropped: the thread goes on alone.
#[derive(Debug)]
pub struct JoinHandle<T> {
    thread: Thread,
    stack: Option<Mapping>,
    outcome: Arc<Mutex<Option<T>>>,
}

/// The thread ended without a result: it panicked, faulted or was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

impl<T> JoinHandle<T> {
    /// The thread's capability.
    #[must_use]
    pub const fn thread(&self) -> Thread {
        self.thread
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let state = self.thread.info().map(|info| info.state);
        !matches!(state, Ok(Some(state)) if is_alive(state))
    }

    /// Waits until the thread has ended, and gives back its memory. Looks at
    /// ever longer intervals, up to 5 ms.
    ///
    /// # Errors
    /// The thread ended without a result.
    pub fn join(self) -> core::result::Result<T, Lost> {
        let mut pause = Duration::from_micros(50);
        while !self.is_finished() {
            time::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        let value = self.outcome.lock().take();
        self.discard();
        value.ok_or(Lost)
    }

    /// Gives back thread and stack of a thread that does not run.
    fn discard(mut self) {
        // Failing here only keeps memory charged.
        let _ = slots::destroy(self.thread.slot());
        if let Some(stack) = self.stack.take() {
            let memory = stack.memory();
            drop(stack);
            let _ = slots::destroy(memory.slot());
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // The thread may still run on its stack.
        if let Some(stack) = self.stack.take() {
            stack.leak();
        }
    }
}

const fn is_alive(state: ThreadState) -> bool {
    !matches!(state, ThreadState::Faulted | ThreadState::Exited | ThreadState::New)
}

/// First instruction of a spawned thread: rdi is the boxed body.
#[unsafe(naked)]
unsafe extern "C" fn enter_thread() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {run}", "ud2", run = sym run_thread)
}

extern "C" fn run_thread(argument: *mut Body) -> ! {
    postern_syscall::diagnosis::enable(true);
    // SAFETY: `spawn` made it with `Box::into_raw` for this thread alone.
    let body = unsafe { Box::from_raw(argument) };
    body();
    control::exit(exit_code::SUCCESS as u64)
}
