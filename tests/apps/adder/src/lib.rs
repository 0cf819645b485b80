//! A server outside of the repository: what it says to its clients.
#![no_std]
use postern_runtime::prelude::*;

/// What the adder refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdderError {
    /// the sum is too large
    Overflow = 1,
}

/// Keeps a sum for all clients.
#[interface(protocol = 0x200)]
pub trait Adder {
    /// The sum after `amount` was added.
    fn add(&mut self, amount: u32) -> Result<u32, AdderError>;
}
