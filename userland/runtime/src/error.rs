//! Errors of the runtime: what was tried, with which capability, and what the
//! kernel said.

use core::fmt;

use postern_syscall::ErrorCode;
use postern_syscall::abi::rights::Kind;

/// Why something in this crate failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The program was not given a capability of this name.
    MissingCapability {
        /// The name.
        name: &'static str,
    },
    /// The capability of this name is of another kind.
    WrongCapability {
        /// The name.
        name: &'static str,
        /// What the program needs.
        expected: Kind,
        /// What it got; `None` if the ABI does not know the kind.
        found: Option<Kind>,
    },
    /// The capability table has no empty slot left.
    NoSlots,
    /// There is no room in the address space.
    NoAddressSpace,
    /// The kernel refused an operation.
    Refused {
        /// What was tried, in words.
        doing: &'static str,
        /// The name of the capability that was used.
        with: &'static str,
        /// What the kernel said.
        code: ErrorCode,
    },
}

/// The result of a function of this crate.
pub type Result<T> = core::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingCapability { name } => {
                write!(f, "the program has no capability called `{name}`")
            }
            Self::WrongCapability { name, expected, found } => {
                let found = found.map_or("something unknown", Kind::name);
                write!(f, "the capability `{name}` is a {found}, needed is a {}", expected.name())
            }
            Self::NoSlots => f.write_str("the capability table is full"),
            Self::NoAddressSpace => f.write_str("the address space is full"),
            Self::Refused { doing, with, code } => {
                write!(f, "{doing} with the capability `{with}` failed: {code}")
            }
        }
    }
}

impl core::error::Error for Error {}

/// Says what was tried when the kernel refuses it.
pub trait Explain<T> {
    /// The result, with what was tried and the capability that was used.
    fn explain(self, doing: &'static str, with: &'static str) -> Result<T>;
}

impl<T> Explain<T> for postern_syscall::Result<T> {
    fn explain(self, doing: &'static str, with: &'static str) -> Result<T> {
        self.map_err(|code| Error::Refused { doing, with, code })
    }
}
