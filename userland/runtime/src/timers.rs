//! Things to be done at certain times, for servers that wait for messages
//! meanwhile: [`Timers::patience`] is how long that may take,
//! [`Timers::take_due`] what is due then.
//!
//! ```ignore
//! fn patience(&self) -> Timeout {
//!     self.timers.patience()
//! }
//!
//! fn timed_out(&mut self) {
//!     while let Some(kept) = self.timers.take_due() {
//!         kept.send(Ok(()));
//!     }
//! }
//! ```

use alloc::collections::BTreeMap;
use core::time::Duration;

use postern_syscall::Timeout;

use crate::time;

/// Values, each with a time since boot at which it is due. Those of one time
/// are due in the order in which they were added.
#[derive(Debug)]
pub struct Timers<T> {
    waiting: BTreeMap<(Duration, u64), T>,
    added: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Timers<T> {
    /// Nothing is due, ever.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: BTreeMap::new(), added: 0 }
    }

    /// `value` is due at `time`, as [`time::now`] tells it.
    pub fn add(&mut self, time: Duration, value: T) {
        self.waiting.insert((time, self.added), value);
        self.added += 1;
    }

    /// `value` is due after `delay`.
    pub fn add_after(&mut self, delay: Duration, value: T) {
        self.add(time::now().saturating_add(delay), value);
    }

    /// How long nothing is due: zero if something is, for ever if nothing waits.
    #[must_use]
    pub fn patience(&self) -> Timeout {
        let first = self.waiting.first_key_value();
        first.map_or(Timeout::NEVER, |((due, _), _)| match due.saturating_sub(time::now()) {
            Duration::ZERO => Timeout::ZERO,
            left => time::timeout(left),
        })
    }

    /// Takes what is due, the earliest first.
    pub fn take_due(&mut self) -> Option<T> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= time::now()).then(|| first.remove())
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
