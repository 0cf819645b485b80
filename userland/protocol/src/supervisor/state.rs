//! What the supervisor knows about a program, and how it travels.

use core::fmt;

use postern_syscall::abi::op::reason;
use postern_syscall::abi::op::thread::ThreadState;
use postern_syscall::{Malformed, Message, Reader};

use crate::Name;

/// What a program does, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramState {
    /// Its first thread is in this state.
    Alive(ThreadState),
    /// It exited with this code.
    Exited(u64),
    /// It crashed.
    Crashed {
        /// Why: a number of [`reason`].
        reason: u64,
        /// The address that it touched.
        address: u64,
        /// Where its code was.
        instruction: u64,
    },
    /// Somebody ended it.
    Killed,
}

impl ProgramState {
    /// How a program ended, from an EXIT message or a thread's INFO.
    #[must_use]
    pub const fn ended(reason: u64, detail: u64, instruction: u64) -> Self {
        match reason {
            reason::EXIT => Self::Exited(detail),
            reason::NONE | reason::KILLED => Self::Killed,
            reason => Self::Crashed { reason, address: detail, instruction },
        }
    }

    /// Whether it still runs.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Alive(_))
    }

    /// Appends the state to a message: three words and a kind.
    ///
    /// # Errors
    /// The message is full.
    pub fn write(self, message: &mut Message) -> Result<(), Malformed> {
        let words = match self {
            Self::Alive(state) => [0, state as u64, 0, 0],
            Self::Exited(code) => [1, code, 0, 0],
            Self::Crashed { reason, address, instruction } => [2, reason, address, instruction],
            Self::Killed => [3, 0, 0, 0],
        };
        words.into_iter().try_for_each(|word| message.push(word))
    }

    /// Reads a state from a message.
    ///
    /// # Errors
    /// It is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (kind, first) = (reader.word()?, reader.word()?);
        let (second, third) = (reader.word()?, reader.word()?);
        Ok(match kind {
            0 => Self::Alive(ThreadState::decode(first).ok_or(Malformed)?),
            1 => Self::Exited(first),
            2 => Self::Crashed { reason: first, address: second, instruction: third },
            3 => Self::Killed,
            _ => return Err(Malformed),
        })
    }
}

impl fmt::Display for ProgramState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Alive(state) => f.write_str(match state {
                ThreadState::New => "new",
                ThreadState::Ready => "ready",
                ThreadState::Sending => "ready: waits for a receiver",
                ThreadState::Receiving => "ready: waits for a message",
                ThreadState::Calling => "ready: waits for an answer",
                ThreadState::Sleeping => "ready: asleep",
                ThreadState::Stopped => "stopped",
                ThreadState::Faulted => "crashed",
                ThreadState::Exited => "exited",
                ThreadState::Faulting => "waits for its fault handler",
            }),
            Self::Exited(101) => f.write_str("exited: panicked (code 101)"),
            Self::Exited(code) => write!(f, "exited with code {}", code as i64),
            Self::Crashed { reason, address, instruction } => {
                write!(f, "crashed: {}", reason::name(reason))?;
                if reason == reason::EXCEPTION + 14 {
                    write!(f, " at {address:#x}")?;
                }
                write!(f, ", instruction {instruction:#x}")
            }
            Self::Killed => f.write_str("killed"),
        }
    }
}

/// One program in the supervisor's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: Name,
    /// What it does, or how it ended.
    pub state: ProgramState,
    /// Priority of its first thread.
    pub priority: u8,
    /// CPU time of its first thread in nanoseconds.
    pub cpu_time: u64,
    /// The most memory it may use, in bytes.
    pub quota: u64,
    /// The memory that it uses, in bytes.
    pub charged: u64,
}

impl ProgramInfo {
    pub(super) fn write(&self, message: &mut Message) -> Result<(), Malformed> {
        message.push(self.id)?;
        self.name.write(message)?;
        self.state.write(message)?;
        for word in [self.priority.into(), self.cpu_time, self.quota, self.charged] {
            message.push(word)?;
        }
        Ok(())
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: reader.word()?,
            name: Name::read(reader)?,
            state: ProgramState::read(reader)?,
            priority: u8::try_from(reader.word()?).map_err(|_| Malformed)?,
            cpu_time: reader.word()?,
            quota: reader.word()?,
            charged: reader.word()?,
        })
    }
}

/// Memory of the machine, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryFigures {
    /// All of it.
    pub total: u64,
    /// What is free.
    pub free: u64,
    /// What all programs may use together.
    pub quota: u64,
    /// What is charged to them, the supervisor's own use included.
    pub charged: u64,
}

impl MemoryFigures {
    pub(super) fn write(&self, message: &mut Message) -> Result<(), Malformed> {
        [self.total, self.free, self.quota, self.charged]
            .into_iter()
            .try_for_each(|word| message.push(word))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            total: reader.word()?,
            free: reader.word()?,
            quota: reader.word()?,
            charged: reader.word()?,
        })
    }
}
