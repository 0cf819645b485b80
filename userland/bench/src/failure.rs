//! Why a row could not be measured.

use core::fmt;

use postern_runtime::Error;
use postern_runtime::program::StartError;
use postern_runtime::syscall::ErrorCode;

/// Why a row could not be measured.
#[derive(Debug)]
pub enum Failure {
    /// The boot archive has no program of this name.
    NoProgram(&'static str),
    /// The partner could not be started.
    Start(StartError),
    /// The runtime failed.
    Runtime(Error),
    /// The kernel refused something, in the measured operation or around it.
    Kernel(ErrorCode),
    /// A measured call failed; a stub does not know why.
    Stub,
    /// What came back is not what must come back.
    WrongAnswer,
    /// The event that is measured did not come.
    NoEvent,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram(name) => write!(f, "the boot archive has no program `{name}`"),
            Self::Start(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
            Self::Kernel(error) => write!(f, "the kernel refused something: {error}"),
            Self::Stub => f.write_str("a measured call failed"),
            Self::WrongAnswer => f.write_str("the partner answered with something else"),
            Self::NoEvent => f.write_str("what is measured did not happen"),
        }
    }
}

impl From<ErrorCode> for Failure {
    fn from(error: ErrorCode) -> Self {
        Self::Kernel(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
