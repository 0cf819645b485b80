//! Errors of a call: the transport's and the server's own, kept apart.

use core::fmt;

use postern_syscall::{ErrorCode, Malformed};

/// A server's own error: small numbers, words for people.
pub trait ServerError: Copy + fmt::Display {
    /// The number in the answer; never 0.
    fn number(self) -> u64;

    /// The error with this number.
    fn decode(number: u64) -> Option<Self>;
}

/// Why a call to a server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError<E> {
    /// The kernel could not deliver the message or the answer.
    Transport(ErrorCode),
    /// The server answered with an error of its own.
    Server(E),
    /// The answer is not one of this interface, or the request did not fit.
    Malformed,
}

impl<E> From<ErrorCode> for CallError<E> {
    fn from(error: ErrorCode) -> Self {
        Self::Transport(error)
    }
}

impl<E> From<Malformed> for CallError<E> {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "the server cannot be reached: {error}"),
            Self::Server(error) => error.fmt(f),
            Self::Malformed => f.write_str("request and server do not understand each other"),
        }
    }
}

/// Declares a server's error type with numbers and words.
macro_rules! server_error {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$entry:meta])* $variant:ident = $number:literal, $text:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u64)]
        pub enum $name { $($(#[$entry])* $variant = $number,)* }

        impl $crate::ServerError for $name {
            fn number(self) -> u64 {
                self as u64
            }

            fn decode(number: u64) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }
    };
}
pub(crate) use server_error;
