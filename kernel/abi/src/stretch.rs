//! Why the kernel kept interrupts away: what INFO of the scheduler tells about
//! the longest stretch, in kernels built with debug assertions.

use core::fmt;

use crate::op;
use crate::rights::Kind;

/// What brought the CPU into the kernel, or made it go on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Entry {
    /// A system call; the detail is its code.
    SystemCall = 1,
    /// An operation on a kernel object; the detail is its number.
    Operation = 2,
    /// An exception in user code; the detail is its vector.
    Fault = 3,
    /// A device's interrupt; the detail is its line.
    Interrupt = 4,
    /// The timer.
    Timer = 5,
    /// A step of a thread's long operation; the detail says of which.
    Work = 6,
    /// A step for an object on the list of work, and nothing else.
    Idle = 7,
    /// A guest's exit; the detail is its code.
    Guest = 8,
}

/// The cause of a stretch, in one word: bits 0-31 the detail, 32-39 the entry,
/// 40-47 the kind of the object for which a step of work was done on the way
/// out (0: none).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cause(u64);

impl Cause {
    /// A stretch that begins.
    #[must_use]
    pub const fn new(entry: Entry, detail: u32) -> Self {
        Self((entry as u64) << 32 | detail as u64)
    }

    /// It also did a step of work for an object.
    #[must_use]
    pub const fn with_step(self, kind: Kind) -> Self {
        Self(self.0 & !(0xff << 40) | (kind as u64) << 40)
    }

    /// As it is told.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// As it was told.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Long operations of a thread, by the detail of [`Entry::Work`].
const WORK: [&str; 14] = [
    "none",
    "zeroing",
    "making a table",
    "mapping",
    "protecting",
    "unmapping",
    "destroying",
    "revoking",
    "emptying",
    "listing",
    "reporting a crash",
    "making a relay segment",
    "modifying senders",
    "looking for a sender",
];

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.0 as u32;
        match self.0 >> 32 & 0xff {
            1 => write!(f, "system call {detail:#x}")?,
            2 => write!(f, "operation `{}`", op::name(detail.into()))?,
            3 => write!(f, "exception {detail}")?,
            4 => write!(f, "interrupt {detail}")?,
            5 => write!(f, "timer")?,
            6 => {
                let name = WORK.get(detail as usize).copied().unwrap_or("unknown");
                write!(f, "a step of {name}")?;
            }
            7 => write!(f, "no thread")?,
            8 => write!(f, "exit {detail:#x} of a guest")?,
            _ => write!(f, "nothing")?,
        }
        if let Some(kind) = Kind::decode(self.0 >> 40 & 0xff) {
            write!(f, " and a step for a {kind:?}")?;
        }
        Ok(())
    }
}
