//! Looks at text that is lent to it.
#![no_std]
use postern_runtime::prelude::*;

/// What was counted.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub lines: u64,
    pub words: u64,
}

/// What the server refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordsError {
    /// the buffer is shorter than that
    TooShort = 1,
    /// the buffer was lent to be read only
    ReadOnly = 2,
}

/// Each method gets the first `bytes` of a buffer, for as long as it runs.
#[interface(protocol = 0x1004)]
pub trait Words {
    /// Lines and words.
    fn count(&mut self, text: Lent<'_>, bytes: usize) -> Result<Counts, WordsError>;

    /// Makes all letters of ASCII large.
    fn shout(&mut self, text: Lent<'_>, bytes: usize) -> Result<(), WordsError>;
}
