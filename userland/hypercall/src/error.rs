//! Why a call failed: the number that the hypervisor leaves in `rax`.

use core::fmt;

/// An error of the hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The guest may not do that.
    AccessDenied,
    /// No such call.
    InvalidCode,
    /// An argument that the call does not take.
    InvalidParameter,
    /// The hypervisor failed at something outside of it.
    IoFailed,
    /// The call exists and is switched off.
    FeatureDisabled,
    /// The call exists and this hypervisor does not do it.
    Unsupported,
    /// A number that the convention does not know; 0, too, which means success
    /// and contradicts the carry flag.
    Unknown(u64),
}

impl Error {
    /// The error with this number, which came with the carry flag set.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::AccessDenied,
            2 => Self::InvalidCode,
            3 => Self::InvalidParameter,
            4 => Self::IoFailed,
            5 => Self::FeatureDisabled,
            6 => Self::Unsupported,
            other => Self::Unknown(other),
        }
    }

    /// Its number, as it stands in `rax`.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::AccessDenied => 1,
            Self::InvalidCode => 2,
            Self::InvalidParameter => 3,
            Self::IoFailed => 4,
            Self::FeatureDisabled => 5,
            Self::Unsupported => 6,
            Self::Unknown(number) => number,
        }
    }

    /// The number that BSD systems give it.
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Self::AccessDenied => EPERM,
            Self::InvalidCode | Self::InvalidParameter => EINVAL,
            Self::IoFailed => EIO,
            Self::FeatureDisabled | Self::Unsupported => ENOTSUP,
            Self::Unknown(_) => ENODEV,
        }
    }
}

const EPERM: i32 = 1;
const EIO: i32 = 5;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ENOTSUP: i32 = 45;

/// The errno of a result number: 0 for success, else that of the error.
#[must_use]
pub const fn errno(number: u64) -> i32 {
    if number == 0 { 0 } else { Error::from_number(number).errno() }
}

/// The number of a call that succeeded is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoError;

impl TryFrom<u64> for Error {
    type Error = NoError;

    fn try_from(number: u64) -> Result<Self, NoError> {
        if number == 0 { Err(NoError) } else { Ok(Self::from_number(number)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessDenied => "access denied",
            Self::InvalidCode => "invalid code",
            Self::InvalidParameter => "invalid parameter",
            Self::IoFailed => "I/O failed",
            Self::FeatureDisabled => "feature disabled",
            Self::Unsupported => "unsupported",
            Self::Unknown(number) => return write!(f, "unknown error {number:#x}"),
        })
    }
}

impl core::error::Error for Error {}
