//! A store of values by key.

use alloc::vec::Vec;

use postern_interface::{Caller, ServerError, Text, interface};

/// Most bytes of a key.
pub const MAX_KEY: usize = 64;
/// Most bytes of a value.
pub const MAX_VALUE: usize = 360;

/// A key.
pub type Key = Text<MAX_KEY>;

/// What a store refuses. Whatever is refused has changed nothing.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// there is no such key
    NotFound = 1,
    /// the store is full
    Full = 2,
    /// a key has 1 to 64 bytes
    BadKey = 3,
    /// a value has at most 360 bytes
    TooLong = 4,
    /// this program may only read (its gate to the store lacks the right W)
    ReadOnly = 5,
}

/// A store. Methods that change it need W on the gate.
#[interface(protocol = 0x15)]
pub trait Store {
    /// The value of `key`.
    fn get(&mut self, key: &str) -> Result<Vec<u8>, Error>;

    /// Gives `key` a value; whether it had one.
    fn put(&mut self, caller: &Caller, key: &str, value: &[u8]) -> Result<bool, Error>;

    /// Takes `key` and its value away.
    fn delete(&mut self, caller: &Caller, key: &str) -> Result<(), Error>;

    /// The first key behind `after`, in the order of their bytes; with an empty
    /// `after` the first one.
    fn next(&mut self, after: &str) -> Result<Key, Error>;
}
