//! The supervisor: which programs run, what became of them, start and stop.
//!
//! `init` serves it. Programs are named by a number that is never used again,
//! because two of them may have the same name.

mod inspect;
mod request;
mod state;

pub use inspect::{CapabilityInfo, LogLine, ReceivedLine, UNKNOWN};
pub use request::{
    Request, described, finished, listed, log_line, memory_figures, nothing, started,
};
pub use state::{MemoryFigures, ProgramInfo, ProgramState};

use postern_syscall::{Gate, Malformed, Slot};

use crate::error::server_error;
use crate::wire::{request, transact};
use crate::{CallError, Name};

/// The protocol number of this interface.
pub const PROTOCOL: i64 = 0x11;

pub(crate) const NEXT: u64 = 1;
pub(crate) const MEMORY: u64 = 2;
pub(crate) const RUN: u64 = 3;
pub(crate) const KILL: u64 = 4;
pub(crate) const WAIT: u64 = 5;
pub(crate) const SHUTDOWN: u64 = 6;
pub(crate) const CAPABILITY: u64 = 7;
pub(crate) const LOG: u64 = 8;

server_error! {
    /// What the supervisor refuses.
    Error {
        /// The request is none of this interface.
        BadRequest = 1, "the supervisor does not know this request";
        /// There is no such program.
        NoSuchProgram = 2, "there is no such program";
        /// The program could not be started; the log says why.
        CannotStart = 3, "the program could not be started (the log says why)";
        /// The program has ended already.
        NotRunning = 4, "the program is not running";
        /// The machine has no way to be turned off.
        NoPower = 5, "the machine cannot be turned off";
        /// Too many programs run, or too many clients wait.
        Busy = 6, "the supervisor has no room for more";
        /// The program runs, and there can be only one of it.
        AlreadyRunning = 7, "the program is running already";
        /// There is nothing more to list.
        NoMore = 8, "there is no more";
    }
}

/// The result of a call to the supervisor.
pub type Result<T> = core::result::Result<T, CallError<Error>>;

/// The client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supervisor(Slot);

impl Supervisor {
    /// The supervisor behind the gate in `slot`.
    #[must_use]
    pub const fn new(slot: Slot) -> Self {
        Self(slot)
    }

    /// The supervisor behind `gate`.
    #[must_use]
    pub fn from_gate(gate: Gate) -> Self {
        Self(postern_syscall::Capability::slot(gate))
    }

    /// The program with the lowest number that is at least `from`, running or
    /// ended.
    ///
    /// # Errors
    /// [`Error::NoSuchProgram`] past the last one.
    pub fn next(self, from: u64) -> Result<ProgramInfo> {
        let mut message = request(PROTOCOL, NEXT);
        message.push(from)?;
        transact(self.0, &message, ProgramInfo::read)
    }

    /// All programs, in the order in which they were started.
    ///
    /// The iterator ends at the first error, which it hands out.
    pub fn programs(self) -> impl Iterator<Item = Result<ProgramInfo>> {
        let mut from = Some(0);
        core::iter::from_fn(move || match self.next(from?) {
            Ok(info) => {
                from = info.id.checked_add(1);
                Some(Ok(info))
            }
            Err(CallError::Server(Error::NoSuchProgram)) => None,
            Err(error) => {
                from = None;
                Some(Err(error))
            }
        })
    }

    /// Memory of the machine and of the supervisor itself.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn memory(self) -> Result<MemoryFigures> {
        transact(self.0, &request(PROTOCOL, MEMORY), MemoryFigures::read)
    }

    /// Starts the program called `name` with the capabilities that the manifest
    /// gives it, and with the words of `arguments` behind those of the
    /// manifest; its number.
    ///
    /// # Errors
    /// [`Error::NoSuchProgram`], [`Error::CannotStart`], [`Error::Busy`],
    /// [`Error::AlreadyRunning`] for a server; malformed if the arguments do
    /// not fit into a message.
    pub fn run(self, name: &str, arguments: &str) -> Result<u64> {
        let mut message = request(PROTOCOL, RUN);
        if Name::new(name).as_str() != name {
            return Err(CallError::Server(Error::NoSuchProgram));
        }
        Name::new(name).write(&mut message)?;
        message.push_bytes(arguments.as_bytes())?;
        transact(self.0, &message, |answer| answer.word())
    }

    /// The capability of the program with number `id` in the lowest used slot
    /// that is at least `slot`.
    ///
    /// # Errors
    /// [`Error::NoSuchProgram`], [`Error::NotRunning`], [`Error::NoMore`].
    pub fn capability(self, id: u64, slot: u32) -> Result<CapabilityInfo> {
        let mut message = request(PROTOCOL, CAPABILITY);
        message.push(id)?;
        message.push(slot.into())?;
        transact(self.0, &message, CapabilityInfo::read)
    }

    /// The oldest line of the supervisor's log whose number is at least `from`.
    ///
    /// # Errors
    /// [`Error::NoMore`].
    pub fn log_line(self, from: u64) -> Result<ReceivedLine> {
        let mut message = request(PROTOCOL, LOG);
        message.push(from)?;
        transact(self.0, &message, ReceivedLine::read)
    }

    /// Ends the program with this number.
    ///
    /// # Errors
    /// [`Error::NoSuchProgram`], [`Error::NotRunning`].
    pub fn kill(self, id: u64) -> Result<()> {
        let mut message = request(PROTOCOL, KILL);
        message.push(id)?;
        transact(self.0, &message, |_| Ok(()))
    }

    /// Waits until the program with this number has ended; how it did.
    ///
    /// # Errors
    /// [`Error::NoSuchProgram`], [`Error::Busy`].
    pub fn wait(self, id: u64) -> Result<ProgramState> {
        let mut message = request(PROTOCOL, WAIT);
        message.push(id)?;
        transact(self.0, &message, ProgramState::read)
    }

    /// Turns the machine off. Code 0 means success; under QEMU another code
    /// makes the whole run fail. Returns only if it did not work.
    ///
    /// # Errors
    /// [`Error::NoPower`].
    pub fn shutdown(self, code: u64) -> Result<()> {
        let mut message = request(PROTOCOL, SHUTDOWN);
        message.push(code)?;
        transact(self.0, &message, |_| Ok(()))
    }
}

/// A request or answer that cannot be read is a bad request.
impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Self::BadRequest
    }
}
