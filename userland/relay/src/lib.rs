//! What the links of a chain of servers say to each other.
#![no_std]
#![forbid(unsafe_code)]

use postern_runtime::prelude::*;

/// Most bytes of a piece that is copied.
pub const PIECE: usize = 480;

/// What a link refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageError {
    /// the chain ends here
    End = 1,
    /// the next link does not answer
    Next = 2,
    /// there is nothing to look at
    Empty = 3,
}

/// A link: looks at the first and the last byte of what it gets, hands it on to
/// `further` more links, and answers with the sum of what all of them saw.
#[interface(protocol = 0x102)]
pub trait Stage {
    /// Does nothing: the link is there.
    fn ready(&mut self);

    /// A relay segment, handed on as it is.
    fn relay(&mut self, data: Lent<'_>, further: u32) -> Result<u64, StageError>;

    /// A piece of a buffer, copied to each link.
    fn copy(&mut self, further: u32, piece: &[u8]) -> Result<u64, StageError>;
}
