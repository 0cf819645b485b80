//! A started program, as its starter sees it.

use alloc::vec::Vec;

use postern_protocol::Name;
use postern_protocol::supervisor::ProgramState;
use postern_syscall::abi::op::thread::ThreadState;
use postern_syscall::{Entry, Factory, FactoryInfo, Gate, Slot, Task, Thread, ThreadInfo};

use crate::error::{Explain, Result};
use crate::slots;

/// A program that was loaded: its objects are the starter's until
/// [`Child::destroy`]. Dropping it does nothing to the program.
#[derive(Debug)]
pub struct Child {
    pub(super) name: Name,
    pub(super) factory: Factory,
    pub(super) task: Task,
    pub(super) thread: Thread,
    pub(super) entry: Option<Entry>,
    /// Everything made for it, in the order in which it was made.
    pub(super) objects: Vec<Slot>,
    /// Registers of the first instruction: ip, sp, rdi, rsi.
    pub(super) start: [u64; 4],
}

impl Child {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> Name {
        self.name
    }

    /// Its factory.
    #[must_use]
    pub const fn factory(&self) -> Factory {
        self.factory
    }

    /// Its task.
    #[must_use]
    pub const fn task(&self) -> Task {
        self.task
    }

    /// Its first thread.
    #[must_use]
    pub const fn thread(&self) -> Thread {
        self.thread
    }

    /// The entry behind which it serves, if it does.
    #[must_use]
    pub const fn entry(&self) -> Option<Entry> {
        self.entry
    }

    /// Binds `gate` to whatever serves in it: its entry, else its first thread.
    ///
    /// # Errors
    /// As [`Gate::bind`].
    pub fn bind(&self, gate: Gate, label: u64) -> postern_syscall::Result<()> {
        match self.entry {
            Some(entry) => gate.bind_entry(entry, label, 0),
            None => gate.bind(self.thread, label),
        }
    }

    /// Starts a program that was only loaded.
    ///
    /// # Errors
    /// The kernel refused; it was started already.
    pub fn run(&self) -> Result<()> {
        let [instruction, stack, first, second] = self.start;
        self.thread
            .start(instruction, stack, first, second)
            .explain("starting a program's thread", "thread")
    }

    /// State and figures of its first thread.
    ///
    /// # Errors
    /// It was destroyed by somebody else.
    pub fn thread_info(&self) -> Result<ThreadInfo> {
        self.thread.info().explain("looking at a program's thread", "thread")
    }

    /// What it does, or how it ended. The instruction of a crash is known to
    /// the exit gate only and 0 here.
    #[must_use]
    pub fn state(&self) -> ProgramState {
        match self.thread.info() {
            Ok(info) => match info.state {
                Some(ThreadState::Exited | ThreadState::Faulted) => {
                    ProgramState::ended(info.reason, info.detail, 0)
                }
                Some(state) => ProgramState::Alive(state),
                None => ProgramState::Alive(ThreadState::Ready),
            },
            Err(_) => ProgramState::Killed,
        }
    }

    /// Quota and use of its factory.
    ///
    /// # Errors
    /// It was destroyed by somebody else.
    pub fn memory_info(&self) -> Result<FactoryInfo> {
        self.factory.info().explain("looking at a program's memory", "factory")
    }

    /// Ends the program if it still runs, and takes back all that was made for
    /// it. Objects that it made itself go with the last capability to them:
    /// those that it handed to others stay, and stay charged to its quota.
    pub fn destroy(mut self) {
        destroy_all(&mut self.objects);
    }
}

/// Destroys objects in the reverse order of their creation.
pub(super) fn destroy_all(objects: &mut Vec<Slot>) {
    while let Some(slot) = objects.pop() {
        // What cannot be destroyed any more is gone already.
        if slots::destroy(slot).is_err() && slots::delete(slot).is_err() {
            slots::release(slot);
        }
    }
}

/// Slots of a child's own capabilities.
pub(super) mod slot {
    /// Its task.
    pub const TASK: u32 = 1;
    /// Its first thread.
    pub const THREAD: u32 = 2;
    /// Its factory.
    pub const FACTORY: u32 = 3;
    /// The first capability given by name.
    pub const GIVEN: u32 = 4;
}
