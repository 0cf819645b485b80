//! Errors of the runtime: what was tried, with which capability, and what the
//! kernel said.

use core::fmt;

use postern_syscall::ErrorCode;
use postern_syscall::abi::rights::Kind;
use postern_syscall::diagnosis::{self, Refusal};

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
        /// What it left in the UTCB about it.
        why: Option<Refusal>,
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
            Self::Refused { doing, with, code, why } => {
                write!(f, "{doing} with the capability `{with}` failed: {code}")?;
                match why {
                    Some(why) => write!(f, "; {}", why.about()),
                    None => Ok(()),
                }
            }
        }
    }
}

impl core::error::Error for Error {}

impl Error {
    /// The error for what the kernel has just refused, with the record that it
    /// left of it.
    #[must_use]
    pub fn refused(doing: &'static str, with: &'static str, code: ErrorCode) -> Self {
        // Only a record of this very refusal explains it.
        let why = diagnosis::last().filter(|refusal| refusal.error == code);
        diagnosis::clear();
        Self::Refused { doing, with, code, why }
    }
}

/// Says what was tried when the kernel refuses it.
pub trait Explain<T> {
    /// The result, with what was tried and the capability that was used.
    fn explain(self, doing: &'static str, with: &'static str) -> Result<T>;
}

impl<T> Explain<T> for postern_syscall::Result<T> {
    fn explain(self, doing: &'static str, with: &'static str) -> Result<T> {
        self.map_err(|code| Error::refused(doing, with, code))
    }
}
