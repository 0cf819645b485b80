//! What the echo server says to its clients.
#![no_std]
#![forbid(unsafe_code)]

use postern_runtime::prelude::*;

/// What the echo server refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoError {
    /// there was nothing to be said back
    Silence = 1,
}

/// Says back what it hears.
#[interface(protocol = 0x100)]
pub trait Echo {
    /// `text` again.
    fn say(&mut self, caller: &Caller, text: &str) -> Result<String, EchoError>;
}
