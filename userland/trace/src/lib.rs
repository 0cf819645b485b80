//! The kernel's trace ring, as a program reads it, and the interface of the
//! program that records one.
//!
//! Whoever has the capability `trace` sees what all programs do, and none of
//! what they say to each other but 16 bits of a message's first word.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod ring;

pub use ring::Ring;

use postern_runtime::interface::{Answer, ServerError, interface};

/// Why there is no trace.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// it is being written already
    Busy = 1,
}

/// A recorder.
#[interface(protocol = 0x1e)]
pub trait Tracer {
    /// Turns the trace off and writes it to the log, one line a record
    /// (`docs/debugging.md`); how many records, and how many were overwritten
    /// before. The recorder ends then.
    fn stop(&mut self, answer: Answer<(u64, u64), Error>);
}
