//! What the supervisor knows about a program, and how it travels.

use core::fmt;

use postern_interface::{Full, Malformed, Reader, Wire, Writer};
use postern_syscall::abi::op::reason;
use postern_syscall::abi::op::thread::ThreadState;

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
}

/// A kind and three numbers.
impl<'w> Wire<'w> for ProgramState {
    const WORDS: usize = 4;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        let words = match self {
            Self::Alive(state) => [0, state as u64, 0, 0],
            Self::Exited(code) => [1, code, 0, 0],
            Self::Crashed { reason, address, instruction } => [2, reason, address, instruction],
            Self::Killed => [3, 0, 0, 0],
        };
        words.put(to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        let [kind, first, second, third] = Wire::take(from)?;
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
                ThreadState::Abroad => "ready: in another task",
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
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The how manieth instance of the program it is; the first is 1.
    pub generation: u64,
    /// Whether others call it: it ends when it is ended.
    pub is_server: bool,
    /// What comes after its end.
    pub next: Next,
}

/// What the supervisor does about a program that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing, or it has been done.
    Nothing,
    /// It starts it again at this time, in nanoseconds since boot.
    Restart(u64),
    /// It does not start it again, because it ended too often.
    GivenUp,
}

/// A kind and the time.
impl<'w> Wire<'w> for Next {
    const WORDS: usize = 2;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        let words = match self {
            Self::Nothing => [0, 0],
            Self::Restart(time) => [1, time],
            Self::GivenUp => [2, 0],
        };
        words.put(to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        match <[u64; 2]>::take(from)? {
            [0, 0] => Ok(Self::Nothing),
            [1, time] => Ok(Self::Restart(time)),
            [2, 0] => Ok(Self::GivenUp),
            _ => Err(Malformed),
        }
    }
}

/// Memory of the machine, in bytes.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
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
