//! Log: the kernel's serial log.

use abi::op::log::WRITE;
use abi::utcb::WORDS;
use postern_abi as abi;

use crate::message::pack;
use crate::slot::handle;
use crate::{Result, operate};

handle! {
    /// The kernel's serial log: bytes go out as they are, one write at a time.
    Log
}

/// First word of the bytes.
const FIRST: usize = 2;

impl Log {
    /// Most bytes of one [`Log::write`].
    pub const MAX_BYTES: usize = (WORDS - FIRST) * 8;

    /// Writes bytes; how many were written (at most [`Log::MAX_BYTES`]).
    /// Needs W. One write is never mixed with others.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn write(self, bytes: &[u8]) -> Result<usize> {
        let bytes = &bytes[..bytes.len().min(Self::MAX_BYTES)];
        let mut words = [0; WORDS];
        words[..FIRST].copy_from_slice(&[WRITE, bytes.len() as u64]);
        for (word, chunk) in words[FIRST..].iter_mut().zip(bytes.chunks(8)) {
            *word = pack(chunk);
        }
        operate(self.0, &words[..FIRST + bytes.len().div_ceil(8)], &[])?;
        Ok(bytes.len())
    }
}
