//! The console: bytes to the screen, bytes from the keyboard.
//!
//! One gate per client; the server tells clients apart by the gate's label.

use postern_interface::{Answer, Bytes, CallError, ServerError, interface};

/// Most bytes of one write or read.
pub const MAX_BYTES: usize = 480;

/// What a console refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// a read of no bytes or a write of too many
    BadRequest = 1,
    /// too many clients wait for the console
    Busy = 2,
    /// the console's device failed
    Device = 3,
}

/// The console.
#[interface(protocol = 0x10)]
pub trait Console {
    /// Writes up to [`MAX_BYTES`] bytes; answered when the console has taken
    /// them, which may be before they are on the screen. A line feed becomes
    /// carriage return and line feed.
    fn write(&mut self, bytes: &[u8], answer: Answer<(), Error>);

    /// Reads what was typed, as the terminal sent it: answered when there is
    /// something, with up to `limit` bytes (at least 1).
    fn read(&mut self, limit: usize, answer: Answer<Bytes<MAX_BYTES>, Error>);
}

/// The result of a call to a console.
pub type Result<T> = core::result::Result<T, CallError<Error>>;

impl ConsoleClient {
    /// Writes all of `bytes`. A console that was restarted has nothing of its
    /// clients' to lose, so it is asked again; what the dead one was writing
    /// may appear twice.
    ///
    /// # Errors
    /// See [`CallError`]; what was written before the error stays written.
    pub fn write_all(&self, bytes: &[u8]) -> Result<()> {
        bytes.chunks(MAX_BYTES).try_for_each(|chunk| match self.write(chunk) {
            Err(CallError::Restarted { .. }) => self.write(chunk),
            result => result,
        })
    }

    /// Waits until something was typed, then returns how many bytes were put
    /// into `buffer`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn read_into(&self, buffer: &mut [u8]) -> Result<usize> {
        let bytes = self.read(buffer.len().min(MAX_BYTES))?;
        buffer.get_mut(..bytes.len()).ok_or(CallError::BadAnswer)?.copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}
