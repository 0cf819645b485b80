//! Why a test failed: where, and both values.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::panic::Location;

use postern_runtime::Error;
use postern_runtime::syscall::{ErrorCode, ErrorNumber};

/// What a test returns.
pub type Verdict = Result<(), Failure>;

/// Why a test did not pass.
#[derive(Debug)]
pub struct Failure {
    text: String,
    is_skip: bool,
}

impl Failure {
    /// A failure at the caller's place.
    #[track_caller]
    #[must_use]
    pub fn new(text: fmt::Arguments<'_>) -> Self {
        let place = Location::caller();
        Self { text: format!("{}:{}: {text}", place.file(), place.line()), is_skip: false }
    }

    /// The test does not apply to this machine.
    #[must_use]
    pub fn skip(reason: fmt::Arguments<'_>) -> Self {
        Self { text: format!("{reason}"), is_skip: true }
    }

    /// Whether the test only does not apply.
    #[must_use]
    pub const fn is_skip(&self) -> bool {
        self.is_skip
    }

    /// Place and reason, on one line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

// `?` passes its own place on to `from`.
impl From<ErrorCode> for Failure {
    #[track_caller]
    fn from(error: ErrorCode) -> Self {
        Self::new(format_args!("the kernel refused: {error}"))
    }
}

impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Self {
        Self::new(format_args!("{error}"))
    }
}

impl From<postern_hypercall::Error> for Failure {
    #[track_caller]
    fn from(error: postern_hypercall::Error) -> Self {
        Self::new(format_args!("a hypercall failed: {error}"))
    }
}

/// The error of an operation about one argument.
#[must_use]
pub const fn op(number: ErrorNumber, argument: u8) -> ErrorCode {
    ErrorCode::new(number, argument)
}

/// The error in the send phase.
#[must_use]
pub const fn sent(number: ErrorNumber) -> ErrorCode {
    ErrorCode::send(number)
}

/// The error in the receive phase.
#[must_use]
pub const fn received(number: ErrorNumber) -> ErrorCode {
    ErrorCode::receive(number)
}

/// Fails the test unless the condition holds; further arguments say what
/// it means.
#[macro_export]
macro_rules! check {
    ($condition:expr $(,)?) => {
        if !$condition {
            return Err($crate::Failure::new(format_args!("not so: {}", stringify!($condition))));
        }
    };
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new(format_args!($($text)+)));
        }
    };
}

/// Fails the test unless both are equal, and shows both; further arguments say
/// what was compared.
#[macro_export]
macro_rules! check_eq {
    ($found:expr, $expected:expr $(,)?) => {
        $crate::check_eq!($found, $expected, "{}", stringify!($found))
    };
    ($found:expr, $expected:expr, $($text:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                if *found != *expected {
                    return Err($crate::Failure::new(format_args!(
                        "{}: {found:?} instead of {expected:?}",
                        format_args!($($text)+),
                    )));
                }
            }
        }
    };
}

/// Fails the test.
#[macro_export]
macro_rules! fail {
    ($($text:tt)+) => { return Err($crate::Failure::new(format_args!($($text)+))) };
}

/// Ends the test as one that does not apply to this machine.
#[macro_export]
macro_rules! skip {
    ($($text:tt)+) => { return Err($crate::Failure::skip(format_args!($($text)+))) };
}
