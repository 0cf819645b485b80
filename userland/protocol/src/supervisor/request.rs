//! The supervisor's side of its interface: requests decoded, answers encoded.

use postern_syscall::{Malformed, Message};

use super::{
    Error, KILL, MEMORY, MemoryFigures, NEXT, PROTOCOL, ProgramInfo, ProgramState, RUN, SHUTDOWN,
    WAIT,
};
use crate::{Name, failure, success};

/// A decoded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Describe the program with the lowest number that is at least this.
    Next(u64),
    /// Give the memory figures.
    Memory,
    /// Start the program with this name.
    Run(Name),
    /// End the program with this number.
    Kill(u64),
    /// Answer when the program with this number has ended.
    Wait(u64),
    /// Turn the machine off.
    Shutdown(u64),
}

impl Request {
    /// The request in `message`.
    ///
    /// # Errors
    /// It is none of this interface: answer with [`Error::BadRequest`].
    pub fn decode(message: &Message) -> Result<Self, Error> {
        if message.protocol() != PROTOCOL {
            return Err(Error::BadRequest);
        }
        let mut reader = message.reader();
        Ok(match reader.word()? {
            NEXT => Self::Next(reader.word()?),
            MEMORY => Self::Memory,
            RUN => Self::Run(Name::read(&mut reader)?),
            KILL => Self::Kill(reader.word()?),
            WAIT => Self::Wait(reader.word()?),
            SHUTDOWN => Self::Shutdown(reader.word()?),
            _ => return Err(Error::BadRequest),
        })
    }
}

/// An answer whose results `write` appends.
fn answer(write: impl FnOnce(&mut Message) -> Result<(), Malformed>) -> Message {
    let mut message = success(PROTOCOL, &[]);
    match write(&mut message) {
        Ok(()) => message,
        Err(Malformed) => failure(PROTOCOL, Error::BadRequest),
    }
}

/// The answer to [`Request::Next`].
#[must_use]
pub fn listed(info: &ProgramInfo) -> Message {
    answer(|message| info.write(message))
}

/// The answer to [`Request::Memory`].
#[must_use]
pub fn memory_figures(figures: &MemoryFigures) -> Message {
    answer(|message| figures.write(message))
}

/// The answer to [`Request::Run`]: the program's number.
#[must_use]
pub fn started(id: u64) -> Message {
    success(PROTOCOL, &[id])
}

/// The answer to [`Request::Wait`].
#[must_use]
pub fn finished(state: ProgramState) -> Message {
    answer(|message| state.write(message))
}

/// The answer to [`Request::Kill`].
#[must_use]
pub fn nothing() -> Message {
    success(PROTOCOL, &[])
}
