//! What outlives the instances of a program: how many there were, how often it
//! was started again, and which are to be once more.
//!
//! Nothing here is forgotten while the system runs, so a limit of the manifest
//! is one: only a person who starts the program by hand begins the count anew.

use alloc::string::String;
use alloc::vec::Vec;

use postern_manifest::{ALWAYS, Program};

/// One program of the manifest.
pub struct History {
    name: &'static str,
    /// Instances so far.
    pub generation: u64,
    /// How often it was started again since a person, or the boot, started it.
    pub restarts: u32,
    /// It ended too often, or could not be started again.
    pub is_given_up: bool,
}

impl History {
    /// Counts one more restart, if the manifest allows it.
    pub fn count_restart(&mut self, program: Program<'_>) -> bool {
        if program.restarts != ALWAYS && self.restarts >= program.restarts {
            self.is_given_up = true;
            return false;
        }
        self.restarts = self.restarts.saturating_add(1);
        true
    }
}

/// A start that is to come.
pub struct Due {
    /// Of which program.
    pub name: &'static str,
    /// When, in nanoseconds since boot.
    pub time: u64,
    /// The words that it is started with, beside those of the manifest.
    pub arguments: String,
}

/// All programs that were ever started.
#[derive(Default)]
pub struct Histories {
    programs: Vec<History>,
    due: Vec<Due>,
}

impl Histories {
    /// That of `name`.
    pub fn of(&mut self, name: &'static str) -> &mut History {
        let found = self.programs.iter().position(|one| one.name == name);
        let index = found.unwrap_or_else(|| {
            let history = History { name, generation: 0, restarts: 0, is_given_up: false };
            self.programs.push(history);
            self.programs.len() - 1
        });
        &mut self.programs[index]
    }

    /// A program is to be started again.
    pub fn add_due(&mut self, due: Due) {
        self.due.push(due);
    }

    /// `name` is not started again after all.
    pub fn forget_due(&mut self, name: &str) {
        self.due.retain(|due| due.name != name);
    }

    /// Whether `name` will be started again.
    pub fn is_due(&self, name: &str) -> bool {
        self.due.iter().any(|due| due.name == name)
    }

    /// When the next one is to be started again.
    pub fn next_due(&self) -> Option<u64> {
        self.due.iter().map(|due| due.time).min()
    }

    /// Takes one that is to be started again by `now`.
    pub fn take_due(&mut self, now: u64) -> Option<Due> {
        let index = self.due.iter().position(|due| due.time <= now)?;
        Some(self.due.remove(index))
    }
}
