//! Why a program could not be started.

use core::fmt;

use postern_loader as loader;
use postern_protocol::Name;

use crate::Error;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The file is no program.
    File(loader::Error),
    /// The kernel refused something, or the starter lacks something.
    Runtime(Error),
    /// The capability of this name could not be given.
    Give {
        /// Under which name it was to be given.
        name: Name,
        /// What the kernel said.
        code: postern_syscall::ErrorCode,
    },
    /// Names and arguments do not fit into the environment block.
    EnvironmentFull,
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<loader::Error> for Cause {
    fn from(error: loader::Error) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "the file cannot be loaded: {error}"),
            Self::Runtime(error) => error.fmt(f),
            Self::Give { name, code } => {
                write!(f, "giving it the capability `{name}` failed: {code}")
            }
            Self::EnvironmentFull => f.write_str("its names and arguments are too long"),
        }
    }
}

/// A program could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartError {
    /// Which one.
    pub program: Name,
    /// Why.
    pub cause: Cause,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program `{}` could not be started: {}", self.program, self.cause)
    }
}

impl core::error::Error for StartError {}
