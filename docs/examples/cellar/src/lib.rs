//! A cellar: keeps things by name. What is in it goes there and back in relay
//! buffers.
#![no_std]
use postern_runtime::prelude::*;

/// The name of something in the cellar.
pub type Label = Text<24>;

/// What the cellar refuses. Whatever is refused has changed nothing.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellarError {
    /// there is nothing of that name
    NotFound = 1,
    /// the cellar is full
    Full = 2,
    /// a name has 1 to 24 bytes
    BadName = 3,
    /// the buffer is shorter than that, or can only be read
    BadBuffer = 4,
}

/// Stores and gives back.
#[interface(protocol = 0x1005)]
pub trait Cellar {
    /// Keeps the first `bytes` of the buffer under `name`.
    fn store(&mut self, name: &str, data: Lent<'_>, bytes: usize) -> Result<(), CellarError>;

    /// Puts what is under `name` into the buffer; how many bytes that are.
    fn fetch(&mut self, name: &str, data: Lent<'_>) -> Result<usize, CellarError>;

    /// Forgets what is under `name`.
    fn remove(&mut self, name: &str) -> Result<(), CellarError>;

    /// The names, as far as they fit into a message.
    fn list(&mut self) -> Vec<Label>;

    /// Has a mistake in it, to see what becomes of that.
    fn collapse(&mut self);
}
