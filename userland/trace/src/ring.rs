//! Memory that the kernel writes records into, and the place up to which they
//! were read.

use postern_runtime::memory::Mapping;
use postern_runtime::syscall::abi::trace::{HEADER, RECORD, Record};
use postern_runtime::syscall::{Capability, Scheduler};
use postern_runtime::{Env, Explain, Result, slots};

/// The name of the capability, as the manifest gives it.
const NAME: &str = "trace";

/// A trace that is on, until this is dropped.
#[derive(Debug)]
pub struct Ring {
    scheduler: Scheduler,
    /// Taken out only when it is dropped.
    mapping: Option<Mapping>,
    room: u64,
    /// The number of the next record to be read.
    next: u64,
    lost: u64,
}

impl Ring {
    /// Turns the trace on, in `bytes` of this program's quota.
    ///
    /// # Errors
    /// The program has no capability `trace` or not enough memory, or somebody
    /// else has turned the trace on.
    pub fn start(env: &Env, bytes: u64) -> Result<Self> {
        let scheduler: Scheduler = env.capability(NAME)?;
        let mapping = Mapping::create(bytes)?;
        let room = (mapping.bytes() - HEADER) / RECORD;
        scheduler.trace(mapping.memory()).explain("turning the trace on", NAME)?;
        Ok(Self { scheduler, mapping: Some(mapping), room, next: 0, lost: 0 })
    }

    /// Turns the trace off. What was recorded can be read still.
    pub fn stop(&self) {
        // If it is off already, it is what was wanted.
        let _ = self.scheduler.untrace();
    }

    fn word(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        if let Some(mapping) = &self.mapping {
            mapping.read(offset, &mut bytes);
        }
        u64::from_le_bytes(bytes)
    }

    /// How many records were overwritten before they were read.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

/// The records that were not read yet; after the last one there may be more later.
impl Iterator for Ring {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let written = self.word(8);
            if self.next == written {
                return None;
            }
            let oldest = written.saturating_sub(self.room);
            if self.next < oldest {
                self.lost += oldest - self.next;
                self.next = oldest;
            }
            let number = self.next;
            let mut bytes = [0; RECORD as usize];
            self.mapping.as_ref()?.read(HEADER + number % self.room * RECORD, &mut bytes);
            self.next += 1;
            // It may have been overwritten while it was read.
            if self.word(8) > number + self.room {
                self.lost += 1;
                continue;
            }
            if let Some(record) = Record::decode(&bytes) {
                return Some(record);
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.stop();
        if let Some(mapping) = self.mapping.take() {
            let memory = mapping.memory();
            drop(mapping);
            // What cannot be destroyed is gone already.
            let _ = slots::destroy(memory.slot());
        }
    }
}
