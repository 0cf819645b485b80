//! A box for letters: its readers wait until there is one.
#![no_std]
use postern_runtime::prelude::*;

/// What the box refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterboxError {
    /// the box is full
    Full = 1,
    /// too many readers wait already
    Busy = 2,
}

/// Letters, first come, first served.
#[interface(protocol = 0x1002)]
pub trait Letterbox {
    /// Puts a letter in. Whoever has waited longest gets it.
    fn post(&mut self, letter: &str) -> Result<(), LetterboxError>;

    /// Takes the oldest letter; waits until there is one.
    fn fetch(&mut self, answer: Answer<'_, String, LetterboxError>);
}
