//! Chains of three servers, the middle one of which is killed again and again.
#![no_std]
use postern_runtime::prelude::*;

/// What a link of the chain says when the next one failed it.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkError {
    /// the next link was restarted
    Lost = 1,
    /// the next link failed in a way that no restart explains
    Unclear = 2,
    /// the same restart was told twice
    Repeated = 3,
}

/// One link.
#[interface(protocol = 0x300)]
pub trait Link {
    /// `number`, and one more for each link from here on.
    fn pass(&mut self, number: u64) -> Result<u64, LinkError>;

    /// Crashes in the last link, with the others waiting.
    fn crash(&mut self, panics: bool) -> Result<(), LinkError>;
}
