//! An alarm clock: its clients wait for a time, or for the next second.
#![no_std]
use core::time::Duration;

use postern_runtime::prelude::*;

/// What the clock refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmError {
    /// too many clients wait already
    Busy = 1,
}

/// The clock.
#[interface(protocol = 0x1003)]
pub trait Alarm {
    /// Answers after `delay`, with the time since boot.
    fn wake(&mut self, delay: Duration, answer: Answer<'_, Duration, AlarmError>);

    /// Answers when the next second begins, with what the clock on the wall
    /// shows: 0 to 59.
    fn next_second(&mut self, answer: Answer<'_, u8, AlarmError>);

    /// How many clients wait. Answers at once, whoever waits.
    fn waiting(&mut self) -> usize;
}
