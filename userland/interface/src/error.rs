//! Errors of a call: the transport's and the server's own, kept apart.

use core::convert::Infallible;
use core::fmt;
use core::num::NonZeroU32;

use postern_syscall::{ErrorCode, ErrorNumber, Phase};

use crate::wire::{Full, Malformed};

/// A server's own error: a number for the wire, words for people.
///
/// `#[derive(ServerError)]` makes it from an enumeration: every variant has a
/// number (`Busy = 1`), and its documentation is what people read.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the error of a server",
    label = "needs `#[derive(ServerError)]`"
)]
pub trait ServerError: Sized + fmt::Display {
    /// The number in the answer.
    fn number(&self) -> NonZeroU32;

    /// The error with this number.
    fn decode(number: NonZeroU32) -> Option<Self>;
}

/// For methods that cannot fail.
impl ServerError for Infallible {
    fn number(&self) -> NonZeroU32 {
        match *self {}
    }

    fn decode(_: NonZeroU32) -> Option<Self> {
        None
    }
}

/// Why a server's dispatcher refused a message; its own code has not seen it,
/// but for the last three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// The gate leads to a server of another interface.
    UnknownInterface = 1,
    /// The interface has no such method; client and server are of different
    /// versions.
    UnknownMethod = 2,
    /// The arguments are not those of the method.
    Malformed = 3,
    /// The answer is longer than a message.
    AnswerTooLong = 4,
    /// The capabilities of the answer could not be handed over.
    AnswerUndelivered = 5,
    /// The server dropped the request.
    Unanswered = 6,
    /// The server that the gate led to has died. Another instance has taken its
    /// place, and the next call reaches that one. Word 1 is its generation.
    Restarted = 7,
    /// The server has died and nobody has taken its place.
    Gone = 8,
}

impl Refusal {
    const ALL: [Self; 8] = [
        Self::UnknownInterface,
        Self::UnknownMethod,
        Self::Malformed,
        Self::AnswerTooLong,
        Self::AnswerUndelivered,
        Self::Unanswered,
        Self::Restarted,
        Self::Gone,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::UnknownInterface => "it does not serve this interface",
            Self::UnknownMethod => "its interface has no such method",
            Self::Malformed => "the arguments are not those of the method",
            Self::AnswerTooLong => "its answer does not fit into a message",
            Self::AnswerUndelivered => "the capabilities of its answer could not be handed over",
            Self::Unanswered => "it dropped the request",
            Self::Restarted => "another instance has taken its place",
            Self::Gone => "it has died",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Word 0 of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The results follow.
    Success,
    /// The server's own error.
    Error(NonZeroU32),
    /// The dispatcher's refusal.
    Refused(Refusal),
}

impl Status {
    /// Set in the status of a refusal; errors have the 32 bits below.
    const REFUSED: u64 = 1 << 63;

    /// The word.
    #[must_use]
    pub const fn word(self) -> u64 {
        match self {
            Self::Success => 0,
            Self::Error(number) => number.get() as u64,
            Self::Refused(refusal) => Self::REFUSED | refusal as u64,
        }
    }

    /// What the word says.
    ///
    /// # Errors
    /// Nothing that a server of this protocol says.
    pub fn decode(word: u64) -> Result<Self, Malformed> {
        if word == 0 {
            return Ok(Self::Success);
        }
        if word & Self::REFUSED != 0 {
            let mut all = Refusal::ALL.into_iter().map(Self::Refused);
            return all.find(|one| one.word() == word).ok_or(Malformed);
        }
        let number = u32::try_from(word).map_err(|_| Malformed)?;
        NonZeroU32::new(number).map(Self::Error).ok_or(Malformed)
    }
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError<E> {
    /// The server answered with an error of its own.
    Server(E),
    /// There is no server behind the gate: it has died, or the gate is gone.
    /// Nothing was done.
    Gone,
    /// The server died, or dropped the request, before it answered. What it
    /// did until then, nobody knows.
    Aborted,
    /// The server has died, and a new instance has taken its place. This error
    /// comes once: the next call reaches the new one, which knows nothing of
    /// what was before.
    Restarted {
        /// The how manieth instance it is; the first one was 1.
        generation: u64,
        /// Whether the dead one had begun with this request: then nobody knows
        /// what it did until it died. If not, nothing was done.
        was_begun: bool,
    },
    /// The server did not answer in time.
    TimedOut,
    /// The server did not take the message.
    Refused(Refusal),
    /// The answer is none of this method.
    BadAnswer,
    /// The arguments do not fit into a message. Nothing was sent.
    TooLong,
    /// No slot is left for the capabilities of the answer. Nothing was sent.
    NoSlots,
    /// Something else that the kernel says.
    Transport(ErrorCode),
}

impl<E> CallError<E> {
    /// The server's own error, if it is one.
    pub fn server(self) -> Option<E> {
        match self {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the server has died.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        matches!(self, Self::Gone | Self::Aborted | Self::Restarted { .. })
    }

    /// The generation of the instance that has taken the dead server's place.
    #[must_use]
    pub const fn restarted(&self) -> Option<u64> {
        match self {
            Self::Restarted { generation, .. } => Some(*generation),
            _ => None,
        }
    }

    /// The same error of a call whose server has errors of another type.
    pub fn map<F>(self, change: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::Server(error) => CallError::Server(change(error)),
            Self::Gone => CallError::Gone,
            Self::Aborted => CallError::Aborted,
            Self::Restarted { generation, was_begun } => {
                CallError::Restarted { generation, was_begun }
            }
            Self::TimedOut => CallError::TimedOut,
            Self::Refused(refusal) => CallError::Refused(refusal),
            Self::BadAnswer => CallError::BadAnswer,
            Self::TooLong => CallError::TooLong,
            Self::NoSlots => CallError::NoSlots,
            Self::Transport(code) => CallError::Transport(code),
        }
    }
}

impl<E> From<ErrorCode> for CallError<E> {
    fn from(error: ErrorCode) -> Self {
        match error.number {
            ErrorNumber::NotExistent if error.argument == 0 => Self::Gone,
            // The server died while the message waited for it.
            ErrorNumber::Aborted if error.phase == Phase::Send => Self::Gone,
            ErrorNumber::Aborted if error.phase == Phase::Receive => Self::Aborted,
            ErrorNumber::Timeout => Self::TimedOut,
            // Capabilities that this method does not bring.
            ErrorNumber::MsgCut if error.phase == Phase::Receive => Self::BadAnswer,
            _ => Self::Transport(error),
        }
    }
}

impl<E> From<Full> for CallError<E> {
    fn from(_: Full) -> Self {
        Self::TooLong
    }
}

impl<E> From<Malformed> for CallError<E> {
    fn from(_: Malformed) -> Self {
        Self::BadAnswer
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => error.fmt(f),
            Self::Gone => f.write_str("the server is gone"),
            Self::Aborted => f.write_str("the server died or dropped the request"),
            Self::Restarted { generation, was_begun: false } => {
                write!(f, "the server was restarted (generation {generation}); nothing was done")
            }
            Self::Restarted { generation, .. } => write!(
                f,
                "the server died at this request and was restarted (generation {generation})"
            ),
            Self::TimedOut => f.write_str("the server did not answer in time"),
            Self::Refused(refusal) => write!(f, "the server refused the message: {refusal}"),
            Self::BadAnswer => f.write_str("the server's answer makes no sense"),
            Self::TooLong => f.write_str("the arguments do not fit into a message"),
            Self::NoSlots => f.write_str("no slot is left for a capability of the answer"),
            Self::Transport(code) => write!(f, "the server cannot be reached: {code}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for CallError<E> {}
