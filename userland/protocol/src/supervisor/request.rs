//! The supervisor's side of its interface: requests decoded, answers encoded.

use postern_syscall::{Malformed, Message, Packed};

use super::inspect::{CapabilityInfo, LogLine};
use super::{
    CAPABILITY, Error, KILL, LOG, MEMORY, MemoryFigures, NEXT, PROTOCOL, ProgramInfo, ProgramState,
    RUN, SHUTDOWN, WAIT,
};
use crate::{Name, failure, success};

/// A decoded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Describe the program with the lowest number that is at least this.
    Next(u64),
    /// Give the memory figures.
    Memory,
    /// Start the program with this name, with these words as arguments.
    Run(Name, Packed<'a>),
    /// End the program with this number.
    Kill(u64),
    /// Answer when the program with this number has ended.
    Wait(u64),
    /// Turn the machine off.
    Shutdown(u64),
    /// Describe the next capability: of which program, from which slot on.
    Capability(u64, u32),
    /// The oldest line of the log whose number is at least this.
    Log(u64),
}

impl<'a> Request<'a> {
    /// The request in `message`.
    ///
    /// # Errors
    /// It is none of this interface: answer with [`Error::BadRequest`].
    pub fn decode(message: &'a Message) -> Result<Self, Error> {
        if message.protocol() != PROTOCOL {
            return Err(Error::BadRequest);
        }
        let mut reader = message.reader();
        Ok(match reader.word()? {
            NEXT => Self::Next(reader.word()?),
            MEMORY => Self::Memory,
            RUN => Self::Run(Name::read(&mut reader)?, reader.packed()?),
            KILL => Self::Kill(reader.word()?),
            WAIT => Self::Wait(reader.word()?),
            SHUTDOWN => Self::Shutdown(reader.word()?),
            CAPABILITY => {
                let (id, slot) = (reader.word()?, reader.word()?);
                Self::Capability(id, u32::try_from(slot).map_err(|_| Error::BadRequest)?)
            }
            LOG => Self::Log(reader.word()?),
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

/// The answer to [`Request::Capability`].
#[must_use]
pub fn described(info: &CapabilityInfo) -> Message {
    answer(|message| info.write(message))
}

/// The answer to [`Request::Log`].
#[must_use]
pub fn log_line(line: &LogLine<'_>) -> Message {
    answer(|message| line.write(message))
}
