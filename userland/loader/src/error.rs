//! Why a file cannot be started as a program.

use core::fmt;

/// What is wrong with a program file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It does not begin as an ELF file does.
    NotElf,
    /// It ends before something that its headers promise.
    Truncated,
    /// Its headers contradict each other or the ELF specification.
    Malformed,
    /// It is not for x86_64.
    WrongMachine,
    /// It is not position-independent.
    NotPie,
    /// It wants a dynamic linker.
    NeedsInterpreter,
    /// It wants shared libraries or symbols from outside.
    NeedsLibraries,
    /// It has `thread_local!` data, which the runtime does not set up.
    ThreadLocalStorage,
    /// It has nothing to load.
    NoSegments,
    /// It has more loadable segments than [`crate::MAX_SEGMENTS`].
    TooManySegments,
    /// It covers more than [`crate::MAX_SPAN`] bytes of address space.
    TooLarge,
    /// A segment is writable and executable at once.
    WritableAndExecutable {
        /// Where it begins, relative to the load base.
        address: u64,
    },
    /// Two segments share a page.
    Overlap {
        /// The first shared page, relative to the load base.
        address: u64,
    },
    /// The entry point is not in an executable segment.
    BadEntry {
        /// The entry point, relative to the load base.
        address: u64,
    },
    /// A relocation is of a kind other than `R_X86_64_RELATIVE`.
    UnsupportedRelocation {
        /// The kind, as the ELF specification for x86_64 numbers them.
        kind: u32,
    },
    /// A relocation lies outside of the segments, or in executable code.
    RelocationOutside {
        /// Where, relative to the load base.
        address: u64,
    },
}

impl Error {
    /// The error for one of the ELF reader.
    pub(crate) fn from_elf(error: &elf::ParseError) -> Self {
        use elf::ParseError::{
            BadMagic, BadOffset, SliceReadError, TryFromSliceError, UnsupportedElfClass,
            UnsupportedElfEndianness,
        };
        match error {
            BadMagic(_) => Self::NotElf,
            UnsupportedElfClass(_) | UnsupportedElfEndianness(_) => Self::WrongMachine,
            BadOffset(_) | SliceReadError(_) | TryFromSliceError(_) => Self::Truncated,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an ELF file"),
            Self::Truncated => f.write_str("the file is cut short"),
            Self::Malformed => f.write_str("the ELF headers are malformed"),
            Self::WrongMachine => f.write_str("not a program for x86_64"),
            Self::NotPie => f.write_str("not position-independent (build for x86_64-unknown-none)"),
            Self::NeedsInterpreter => {
                f.write_str("wants a dynamic linker; only static programs run")
            }
            Self::NeedsLibraries => f.write_str("wants shared libraries; only static programs run"),
            Self::ThreadLocalStorage => {
                f.write_str("has thread-local data, which is not supported")
            }
            Self::NoSegments => f.write_str("has nothing to load"),
            Self::TooManySegments => {
                write!(f, "has more than {} segments", crate::MAX_SEGMENTS)
            }
            Self::TooLarge => write!(f, "covers more than {} MiB", crate::MAX_SPAN >> 20),
            Self::WritableAndExecutable { address } => {
                write!(f, "the segment at {address:#x} is writable and executable")
            }
            Self::Overlap { address } => write!(f, "two segments share the page at {address:#x}"),
            Self::BadEntry { address } => {
                write!(f, "the entry point {address:#x} is not in executable code")
            }
            Self::UnsupportedRelocation { kind } => {
                write!(f, "has a relocation of kind {kind}; only RELATIVE (8) is supported")
            }
            Self::RelocationOutside { address } => {
                write!(f, "a relocation at {address:#x} lies outside of the data")
            }
        }
    }
}

impl core::error::Error for Error {}
