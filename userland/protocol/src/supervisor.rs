//! The supervisor: which programs run, what became of them, start and stop.
//!
//! `init` serves it. Programs are named by a number that is never used again,
//! because two of them may have the same name.

mod inspect;
mod state;

pub use inspect::{CapabilityInfo, LogLine, MAX_LINE, UNKNOWN};
pub use state::{MemoryFigures, Next, ProgramInfo, ProgramState};

use postern_interface::{Answer, CallError, Lent, Owned, ServerError, Text, interface};

use crate::console::ConsoleClient;

/// Most bytes of a program's arguments that are told; the rest is cut.
pub const MAX_ARGUMENTS: usize = 240;

/// What the supervisor refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// the supervisor does not know this request
    BadRequest = 1,
    /// there is no such program
    NoSuchProgram = 2,
    /// the program could not be started (the log says why)
    CannotStart = 3,
    /// the program is not running
    NotRunning = 4,
    /// the machine cannot be turned off
    NoPower = 5,
    /// the supervisor has no room for more
    Busy = 6,
    /// the program is running already
    AlreadyRunning = 7,
    /// there is no more
    NoMore = 8,
}

/// The supervisor.
#[interface(protocol = 0x11)]
pub trait Supervisor {
    /// The program with the lowest number that is at least `from`, running or
    /// ended; [`Error::NoSuchProgram`] past the last one.
    fn next(&mut self, from: u64) -> Result<ProgramInfo, Error>;

    /// Memory of the machine and of the supervisor itself.
    fn memory(&mut self) -> Result<MemoryFigures, Error>;

    /// Starts the program called `name` with the capabilities that the manifest
    /// gives it, and with the words of `arguments` behind those of the
    /// manifest; its number. A server runs once at a time.
    fn run(&mut self, name: &str, arguments: &str) -> Result<u64, Error>;

    /// Ends the program with this number.
    fn kill(&mut self, id: u64) -> Result<(), Error>;

    /// Waits until the program with this number has ended; how it did.
    fn wait(&mut self, id: u64, answer: Answer<ProgramState, Error>);

    /// Turns the machine off. Code 0 means success; under QEMU another code
    /// makes the whole run fail. Returns only if it did not work.
    fn shutdown(&mut self, code: u64) -> Result<(), Error>;

    /// The capability of the program with number `id` in the lowest used slot
    /// that is at least `slot`, of one that has ended as they were at its end; [`Error::NoMore`] past the last one.
    fn capability(&mut self, id: u64, slot: u32) -> Result<CapabilityInfo, Error>;

    /// The oldest line of the supervisor's log whose number is at least
    /// `from`; [`Error::NoMore`] past the last one.
    fn log_line(&mut self, from: u64) -> Result<LogLine, Error>;

    /// The words that the program with number `id` was started with, beside
    /// those of the manifest.
    fn arguments(&mut self, id: u64) -> Result<Text<MAX_ARGUMENTS>, Error>;

    /// Starts the program in the first `bytes` of the buffer, an ELF file; its
    /// number. It is called `name` with `.file` behind, which no program of the
    /// manifest can be, and may do what its starter hands to it: `console`. The
    /// supervisor adds what every program has (task, thread, a factory of 4 MiB)
    /// and the log, so that a crash can be read.
    #[opcode = 20]
    fn run_file(
        &mut self,
        file: Lent<'_>,
        bytes: u64,
        name: &str,
        arguments: &str,
        console: Owned<ConsoleClient>,
    ) -> Result<u64, Error>;
}

/// The result of a call to the supervisor.
pub type Result<T, E = CallError<Error>> = core::result::Result<T, E>;

impl SupervisorClient {
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
}
