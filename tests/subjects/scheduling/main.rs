//! Scheduling: fixed priorities, round robin, preemption; threads stopped,
//! resumed and destroyed in every state (row G8).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod donation;
mod idle;
mod lifecycle;
mod priority;
mod queues;
mod share;
mod slices;
mod trace;

use postern_tests::bare::call::kept_registers;
use postern_tests::board;

postern_tests::subject!(priority, queues, share, slices, idle, donation, lifecycle, trace);

/// Words of the board that these tests use: a flag that ends spinning, and a
/// log of what ran.
mod word {
    /// Spinners end when it is set.
    pub const STOP: usize = 0;
    /// First of the counters of spinners.
    pub const COUNT: usize = 1;
    /// First word of a log.
    pub const LOG: usize = 16;
}

/// A body: counts in its word until told to stop.
fn spin(index: u64) -> u64 {
    while board::get(word::STOP) == 0 {
        board::add(word::COUNT + index as usize, 1);
    }
    0
}

/// A body: appends its number to the log.
fn log_it(number: u64) -> u64 {
    board::push(word::LOG, number);
    0
}

/// A body: counts registers that keep their value over a long time.
fn hold_registers(seed: u64) -> u64 {
    kept_registers(seed << 32, 30_000_000)
}
