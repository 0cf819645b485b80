//! The console: bytes to the screen, bytes from the keyboard.
//!
//! One gate per client; the server tells clients apart by the gate's label.

use postern_syscall::{Gate, Malformed, Message, Packed, Slot};

use crate::error::server_error;
use crate::wire::{request, transact};
use crate::{CallError, success};

/// The protocol number of this interface.
pub const PROTOCOL: i64 = 0x10;
/// Most bytes of one write or read.
pub const MAX_BYTES: usize = 480;

const WRITE: u64 = 1;
const READ: u64 = 2;

server_error! {
    /// What a console refuses.
    Error {
        /// The request is none of this interface.
        BadRequest = 1, "the console does not know this request";
        /// Too many clients wait for input.
        Busy = 2, "too many clients wait for the console's input";
        /// The device does not answer.
        Device = 3, "the console's device failed";
    }
}

/// The result of a call to a console.
pub type Result<T> = core::result::Result<T, CallError<Error>>;

/// The client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Console(Slot);

impl Console {
    /// The console behind `gate`.
    #[must_use]
    pub const fn new(slot: Slot) -> Self {
        Self(slot)
    }

    /// The console behind `gate`.
    #[must_use]
    pub fn from_gate(gate: Gate) -> Self {
        Self(postern_syscall::Capability::slot(gate))
    }

    /// Writes all of `bytes`; returns when the console has taken them, which
    /// may be before they are on the screen. A line feed becomes carriage
    /// return and line feed.
    ///
    /// # Errors
    /// See [`CallError`]; what was written before the error stays written.
    pub fn write(self, bytes: &[u8]) -> Result<()> {
        for chunk in bytes.chunks(MAX_BYTES) {
            let mut message = request(PROTOCOL, WRITE);
            message.push_bytes(chunk)?;
            transact(self.0, &message, |_| Ok(()))?;
        }
        Ok(())
    }

    /// Reads what was typed, as the terminal sent it: waits until at least one
    /// byte is there, then returns how many were put into `buffer`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn read(self, buffer: &mut [u8]) -> Result<usize> {
        let mut message = request(PROTOCOL, READ);
        message.push(buffer.len().min(MAX_BYTES) as u64)?;
        transact(self.0, &message, |answer| answer.bytes(buffer))
    }
}

/// The server's side: a decoded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Write these bytes.
    Write(Packed<'a>),
    /// Answer when there is input, with at most this many bytes (at least 1).
    Read(usize),
}

impl<'a> Request<'a> {
    /// The request in `message`.
    ///
    /// # Errors
    /// It is none of this interface: answer with [`Error::BadRequest`].
    pub fn decode(message: &'a Message) -> core::result::Result<Self, Error> {
        if message.protocol() != PROTOCOL {
            return Err(Error::BadRequest);
        }
        let mut reader = message.reader();
        match reader.word()? {
            WRITE => Ok(Self::Write(reader.packed()?)),
            READ => match reader.word()? {
                0 => Err(Error::BadRequest),
                limit => Ok(Self::Read(limit.min(MAX_BYTES as u64) as usize)),
            },
            _ => Err(Error::BadRequest),
        }
    }
}

/// A request that cannot be read is a bad request.
impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Self::BadRequest
    }
}

/// The answer to a write.
#[must_use]
pub fn written() -> Message {
    success(PROTOCOL, &[])
}

/// The answer to a read: `bytes`, at most [`MAX_BYTES`].
#[must_use]
pub fn input(bytes: &[u8]) -> Message {
    let mut message = success(PROTOCOL, &[]);
    // Fits by the limit of the request.
    let _ = message.push_bytes(&bytes[..bytes.len().min(MAX_BYTES)]);
    message
}
