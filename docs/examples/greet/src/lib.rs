#![no_std]
use postern_runtime::prelude::*;

/// What the greeter refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum GreetError {
    /// nobody was named
    Nobody = 1,
}

/// Greets.
#[interface(protocol = 0x1000)]
pub trait Greet {
    /// A greeting, and how many there were before it.
    fn greet(&mut self, caller: &Caller, name: &str) -> Result<(String, u64), GreetError>;
}
