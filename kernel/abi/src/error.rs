//! Error numbers (docs/abi.md section 5): what went wrong, in which phase,
//! with which argument.

use core::fmt;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ErrorNumber { $($(#[$doc])* $name = $number,)* }

        impl ErrorNumber {
            /// Every error number, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number in words, for messages to people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

numbers! {
    /// Unknown system call, operation or name space.
    NoSys = 1, "no such system call or operation";
    /// The capability lacks a right that the operation needs.
    Perm = 2, "the capability lacks a right";
    /// An argument has a value that the operation does not take; an item that
    /// is empty or of another kind counts as one.
    Inval = 3, "invalid argument";
    /// The factory's quota (argument 0) or the machine's memory (argument 3) is
    /// used up.
    NoMem = 4, "the factory's quota is used up";
    /// The slot is empty, or the object behind it is gone.
    NotExistent = 5, "nothing there: the slot is empty or the object is gone";
    /// The timeout passed.
    Timeout = 6, "timed out";
    /// Another thread cancelled the operation.
    Cancelled = 7, "cancelled";
    /// The partner died (argument 0) or dropped the right to answer (argument
    /// 1).
    Aborted = 8, "aborted: the partner died or dropped the right to answer";
    /// The message does not fit what the receiver declared.
    MsgCut = 9, "the message does not fit what the receiver declared";
    /// The message has fewer words than the operation needs.
    TooShort = 10, "the message is too short";
    /// The object does not speak this protocol.
    BadProtocol = 11, "the object does not speak this protocol";
    /// There is no such object type or device.
    NoDevice = 12, "no such object type or device";
    /// The slot or address is already in use.
    Exists = 13, "already in use";
    /// The object is busy with an operation that excludes this one.
    Busy = 14, "busy";
    /// No slot was named for the new capability.
    NoWindow = 15, "no slot was named for the capability";
    /// There is no right to answer that could be saved.
    NoCaller = 16, "nothing to answer";
    /// The object or CPU cannot do this.
    Unsupported = 17, "not supported";
    /// The capability is of another kind than the call needs: a right to answer
    /// that is called or derived, or something else that is answered through or
    /// received from.
    WrongKind = 18, "a capability of another kind is needed";
    /// The relay segment is lent.
    Lent = 19, "the relay segment is lent";
    /// The thread is in another task by a crossing.
    Abroad = 20, "the thread is abroad";
    /// The link stack is full.
    LinkOverflow = 21, "too many nested crossings";
    /// The returned segment is not the lent one.
    SegMismatch = 22, "the returned segment is not the lent one";
    /// There is no crossing to return from.
    InvalidLinkage = 23, "there is no crossing to return from";
    /// The mask is not a part of what the window shows (arguments 1 and 2), or
    /// asks for more rights (3); or there is nothing to mask (0).
    InvalidMask = 24, "the mask is not a part of the active segment";
    /// There is no such place in the list of segments (1), or nothing on
    /// either side (0).
    InvalidSwap = 25, "nothing to exchange, or no such place";
}

impl ErrorNumber {
    /// The error with this number, if the ABI knows it.
    #[must_use]
    pub fn decode(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// In which part of an IPC the error happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Not in a message transfer: an operation of the kernel.
    Operation = 0,
    /// Before the message was delivered: nothing arrived.
    Send = 1,
    /// While waiting for a message or an answer.
    Receive = 2,
}

/// An error as it travels in `rax`: number, phase << 8, argument << 16.
///
/// The argument counts from 0: 0 is the capability that was called (`rdi`),
/// 1 to 62 are message words, 63 is the relay segment of a message, 64 + i is
/// capability item i. In system calls that
/// are no IPC, 1 is their first argument. `NoMem` and `Aborted` use it for a
/// distinction of their own, and so does `Timeout` in the send phase:
/// [`ErrorCode::NO_CONTEXT`], [`ErrorCode::LIMIT`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode {
    /// What went wrong.
    pub number: ErrorNumber,
    /// In which phase.
    pub phase: Phase,
    /// Which argument is at fault; see [`ErrorCode`].
    pub argument: u8,
}

impl ErrorCode {
    /// First argument number that means a capability item.
    pub const ITEM: u8 = 64;
    /// Argument number of the relay segment that was to go along with a
    /// message or to come back with an answer.
    pub const SEGMENT: u8 = 63;

    /// Argument of a `Timeout` in the send phase: no context of the entry was
    /// free.
    pub const NO_CONTEXT: u8 = 1;
    /// Argument of a `Timeout` in the send phase: the gate had as many contexts
    /// in use as it may have.
    pub const LIMIT: u8 = 2;

    /// An error of an operation, about one argument.
    #[must_use]
    pub const fn new(number: ErrorNumber, argument: u8) -> Self {
        Self { number, phase: Phase::Operation, argument }
    }

    /// An error in the send phase.
    #[must_use]
    pub const fn send(number: ErrorNumber) -> Self {
        Self { number, phase: Phase::Send, argument: 0 }
    }

    /// An error in the receive phase.
    #[must_use]
    pub const fn receive(number: ErrorNumber) -> Self {
        Self { number, phase: Phase::Receive, argument: 0 }
    }

    /// The error in `rax` after a system call that returned with CF set.
    ///
    /// `None` for a value that no kernel of this ABI returns.
    #[must_use]
    pub fn decode(rax: u64) -> Option<Self> {
        let phase = match rax >> 8 & 0xff {
            0 => Phase::Operation,
            1 => Phase::Send,
            2 => Phase::Receive,
            _ => return None,
        };
        if rax >> 24 != 0 {
            return None;
        }
        Some(Self { number: ErrorNumber::decode(rax as u8)?, phase, argument: (rax >> 16) as u8 })
    }

    /// The value of `rax` for this error.
    #[must_use]
    pub const fn encode(self) -> u64 {
        self.number as u64 | (self.phase as u64) << 8 | (self.argument as u64) << 16
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.number, self.number.text())?;
        match self.phase {
            Phase::Operation => {}
            Phase::Send => write!(f, ", while sending")?,
            Phase::Receive => write!(f, ", while receiving")?,
        }
        match self.argument {
            0 => Ok(()),
            Self::SEGMENT => write!(f, " (the relay segment)"),
            n if n >= Self::ITEM => write!(f, " (capability item {})", n - Self::ITEM),
            n => write!(f, " (argument {n})"),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_survives_the_register() {
        for (index, &number) in ErrorNumber::ALL.iter().enumerate() {
            assert_eq!(number as usize, index + 1, "numbers are dense");
            for phase in [Phase::Operation, Phase::Send, Phase::Receive] {
                let error = ErrorCode { number, phase, argument: 65 };
                assert_eq!(ErrorCode::decode(error.encode()), Some(error));
            }
        }
        assert_eq!(ErrorCode::decode(0), None);
        assert_eq!(ErrorCode::decode(1 << 24 | 1), None);
    }
}
