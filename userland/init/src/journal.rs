//! What init wrote to the log lately, for those who ask.
//!
//! These are init's own lines: starts, deaths, restarts, refusals. What other
//! programs log goes straight to the kernel, which keeps nothing.

use alloc::collections::VecDeque;
use alloc::string::String;

use postern_runtime::time;

/// Most lines that are kept.
const LINES: usize = 64;

/// A line and when it was written.
pub struct Line {
    /// Its number; the first line ever is 0.
    pub number: u64,
    /// Nanoseconds since boot.
    pub time: u64,
    /// What it says.
    pub text: String,
}

/// The last lines.
#[derive(Default)]
pub struct Journal {
    lines: VecDeque<Line>,
    next: u64,
}

impl Journal {
    /// Writes a line to the kernel's log, and remembers it.
    pub fn write(&mut self, text: String) {
        postern_runtime::log!("{text}");
        self.remember(text);
    }

    /// Remembers a line that nobody needs to see now.
    pub fn remember(&mut self, text: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        let time = u64::try_from(time::now().as_nanos()).unwrap_or(u64::MAX);
        self.lines.push_back(Line { number: self.next, time, text });
        self.next += 1;
    }

    /// The oldest line whose number is at least `from`.
    pub fn line(&self, from: u64) -> Option<&Line> {
        self.lines.iter().find(|line| line.number >= from)
    }
}

/// Writes a line to a journal, as `log!` does to the log.
macro_rules! note {
    ($journal:expr, $($text:tt)*) => { $journal.write(alloc::format!($($text)*)) };
}
pub(crate) use note;
