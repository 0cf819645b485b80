//! What the runner and a subject say to each other.
//!
//! The subject has a gate called `report` to the runner, its arguments are
//! `list`, or `run` and the name of a test. All messages are one-way: the
//! runner never makes a test wait.

use postern_runtime::syscall::{Malformed, Message};

/// There is a test: seconds that it may take, and its name.
pub const LIST: i64 = 0x7e51;
/// The test has failed: why.
pub const FAIL: i64 = 0x7e52;
/// The test does not apply here: why.
pub const SKIP: i64 = 0x7e53;

/// Exit code of a test that passed.
pub const PASSED: u64 = 0;
/// Exit code of a test that has said why it failed, or was skipped.
pub const SAID_WHY: u64 = 1;
/// Exit code of a subject that was not told what to do.
pub const USAGE: u64 = 2;

/// Slots that the runner fills, besides those by name.
pub mod slot {
    /// The test's task.
    pub const TASK: u32 = 1;
    /// Its first thread.
    pub const THREAD: u32 = 2;
    /// Its factory.
    pub const FACTORY: u32 = 3;
    /// Everything else by name, from here on.
    pub const GIVEN: u32 = 4;
    /// First slot that is empty at the start.
    pub const FREE: u32 = 32;
    /// Number of slots.
    pub const COUNT: u32 = 512;
}

/// Priority of a test's first thread: above it there is room for the threads
/// of tests that have the scheduler, and the runner stands above all.
pub const PRIORITY: u8 = 100;

/// Appends as much of `text` as fits into the message, cut between characters.
///
/// # Errors
/// Not even an empty text fits.
pub fn push_text(message: &mut Message, text: &str) -> Result<(), Malformed> {
    let mut end = text.len().min(message.room());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    message.push_bytes(&text.as_bytes()[..end])
}
