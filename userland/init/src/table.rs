//! The programs that init started: those that run, and those that ended last.

use alloc::string::String;
use alloc::vec::Vec;

use postern_manifest::Program;
use postern_runtime::program::Child;
use postern_runtime::protocol::Name;
use postern_runtime::protocol::supervisor::{
    CapabilityInfo, Error, Next, ProgramInfo, ProgramState,
};
use postern_runtime::server::Kept;
use postern_runtime::slots;
use postern_runtime::syscall::{Capability, Gate, Slot};

use crate::grants::{Given, Link};

/// Most programs that run at once.
pub const RUNNING: usize = 64;
/// Most ended programs that are remembered.
const ENDED: usize = 16;

/// A program that runs.
pub struct Running {
    /// Its objects.
    pub child: Child,
    /// The kernel's number of its first thread.
    pub thread: u64,
    /// The gate that reports its end.
    pub exit_gate: Gate,
    /// Objects that were made for it alone: ports, and gates to others.
    pub objects: Vec<Slot>,
    /// Its gates to other programs.
    pub links: Vec<Link>,
    /// What it was given, from the fourth slot on.
    pub given: Vec<Given>,
}

/// A program, running or ended.
pub struct Entry {
    /// Its number, never used again.
    pub id: u64,
    /// What the manifest says about it.
    pub program: Program<'static>,
    /// The words that it was started with, beside those of the manifest.
    pub arguments: String,
    /// Its name.
    pub name: Name,
    /// What it runs as; `None` when it has ended.
    pub running: Option<Running>,
    /// The last figures.
    pub info: ProgramInfo,
    /// What it held when it ended, as `caps` shows it.
    pub held: Vec<CapabilityInfo>,
    /// Who waits for its end.
    pub waiters: Vec<Kept<ProgramState, Error>>,
}

impl Entry {
    /// The figures, asked for anew if it runs.
    pub fn refresh(&mut self) -> ProgramInfo {
        if let Some(running) = &self.running {
            self.info.state = running.child.state();
            if let Ok(thread) = running.child.thread_info() {
                self.info.priority = thread.priority;
                self.info.cpu_time = thread.cpu_time;
            }
            if let Ok(memory) = running.child.memory_info() {
                self.info.quota = memory.quota;
                self.info.charged = memory.charged;
            }
        }
        self.info
    }

    /// Takes back everything the program was made of, and remembers its end.
    pub fn end(&mut self, state: ProgramState) {
        self.refresh();
        self.info.state = state;
        if let Some(running) = self.running.take() {
            running.child.destroy();
            for slot in running.objects.into_iter().chain([running.exit_gate.slot()]) {
                // What cannot be destroyed is gone already.
                let _ = slots::destroy(slot);
            }
        }
    }
}

/// All programs, by number.
#[derive(Default)]
pub struct Table {
    entries: Vec<Entry>,
    next: u64,
    next_gate: u64,
}

impl Table {
    /// A number for a new program; 0 is init itself.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A number for a new gate, which its server knows it by.
    pub fn number_gate(&mut self) -> u64 {
        self.next_gate += 1;
        self.next_gate
    }

    /// Whether another program may be started.
    pub fn has_room(&self) -> bool {
        self.entries.iter().filter(|entry| entry.running.is_some()).count() < RUNNING
    }

    /// Adds a program that was just started; forgets the one that ended first
    /// if there are too many.
    pub fn add(&mut self, entry: Entry) {
        let ended = self.entries.iter().filter(|entry| entry.running.is_none()).count();
        if ended >= ENDED
            && let Some(oldest) = self.entries.iter().position(|entry| entry.running.is_none())
        {
            self.entries.remove(oldest);
        }
        self.entries.push(entry);
    }

    /// The program with this number.
    pub fn get(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// The program with the lowest number that is at least `from`.
    pub fn next(&mut self, from: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id >= from)
    }

    /// Remembers what comes after the end of the program with this number.
    pub fn set_next(&mut self, id: u64, next: Next) {
        if let Some(entry) = self.get(id) {
            entry.info.next = next;
        }
    }

    /// As [`Table::set_next`], for the last program called `name` that has ended.
    pub fn set_next_of(&mut self, name: &str, next: Next) {
        let is_it = |entry: &&mut Entry| entry.name.as_str() == name && entry.running.is_none();
        if let Some(entry) = self.entries.iter_mut().rev().find(is_it) {
            entry.info.next = next;
        }
    }

    /// The gate whose calls init answers with this number.
    pub fn link(&mut self, number: u64) -> Option<&mut Link> {
        let mut links = self.running_mut().flat_map(|running| &mut running.links);
        links.find(|link| link.number == number)
    }

    /// The running program called `name`, with its generation.
    pub fn instance(&self, name: &str) -> Option<(&Running, u64)> {
        let mut entries = self.entries.iter().filter(|entry| entry.name.as_str() == name);
        entries.find_map(|entry| Some((entry.running.as_ref()?, entry.info.generation)))
    }

    /// What runs.
    pub fn running(&self) -> impl Iterator<Item = &Running> {
        self.entries.iter().filter_map(|entry| entry.running.as_ref())
    }

    /// What runs, to be changed.
    pub fn running_mut(&mut self) -> impl Iterator<Item = &mut Running> {
        self.entries.iter_mut().filter_map(|entry| entry.running.as_mut())
    }

    /// The running program called `name`.
    pub fn by_name(&self, name: &str) -> Option<&Running> {
        let mut entries = self.entries.iter();
        entries.find_map(|entry| entry.running.as_ref().filter(|_| entry.name.as_str() == name))
    }

    /// The name of the program whose first thread has this number.
    pub fn by_thread(&self, thread: u64) -> Option<Name> {
        let is_it = |running: &Running| running.thread == thread;
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.running.as_ref().is_some_and(is_it)).map(|entry| entry.name)
    }
}
