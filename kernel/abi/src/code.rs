//! System call codes (docs/abi.md section 2).
//!
//! `rax` on entry: bits 0-23 the code with its flags, bits 24-31 the letter
//! `P` (a program built for another system gets `NoSys`), bits 32-47 the send
//! timeout and bits 48-63 the receive timeout of an IPC.

use crate::timeout::Timeout;

/// The name space of Postern's system calls: the letter `P` in bits 24-31.
pub const NAMESPACE: u32 = (b'P' as u32) << 24;

bitflags::bitflags! {
    /// Flags of an IPC code, bits 8-15 of `rax`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct IpcFlags: u32 {
        /// Answer through the saved right whose slot is in the UTCB
        /// ([`crate::utcb::REPLY_HANDLE`]) instead of the implicit one.
        const SAVED = 1 << 8;
        /// Receive only from the source whose handle is in the UTCB
        /// ([`crate::utcb::RECEIVE_SOURCE`]).
        const CLOSED = 1 << 9;
        /// Reply-and-receive with nothing to answer just receives.
        const OPTIONAL = 1 << 10;
    }
}

/// A system call, without flags and timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// Does nothing; output 0 is the ABI version. Never fails.
    Null = 0,
    /// Send to a capability and wait for the answer.
    Call = 1,
    /// Send to a capability; go on when it is delivered.
    Send = 2,
    /// Wait for a message or notification.
    Receive = 3,
    /// Answer; never waits.
    Reply = 4,
    /// Answer, then wait for the next message.
    ReplyReceive = 5,
    /// Give up the rest of the time slice.
    Yield = 0x10,
    /// Sleep until the absolute time in argument 1 (nanoseconds since boot).
    Sleep = 0x11,
    /// End the calling activation; argument 1 is the exit code.
    Exit = 0x12,
    /// Set the FS base of the calling activation to argument 1.
    SetFsBase = 0x13,
    /// Read the clock: output 0 is nanoseconds since boot.
    Clock = 0x14,
    /// Move the implicit right to answer into the empty slot in argument 1.
    SaveReply = 0x15,
    /// Argument 1 = 1: from now on every refused system call of the calling
    /// thread leaves a record in its UTCB ([`crate::utcb::DIAGNOSIS`]); 0: no
    /// more.
    Diagnose = 0x16,
    /// End a crossing: the arguments of [`Code::Reply`] are the answer, and the
    /// caller goes on. Only in a context of an entry.
    Return = 0x17,
    /// Make the right to answer in the slot of argument 1 the implicit one
    /// again; a relay segment that came with the call is shown again.
    TakeReply = 0x18,
    /// Exchange the active relay segment with place argument 1 of the task's
    /// list, atomically.
    Swap = 0x19,
    /// Put the active relay segment into the empty place argument 1.
    Park = 0x1a,
    /// Narrow what the next callee sees of the active relay segment: argument
    /// 1 offset in the segment and 2 length in bytes, 3 rights.
    Mask = 0x1b,
    /// Take the mask off.
    Unmask = 0x1c,
    /// What the window shows: output 0 address, 1 bytes, 2 rights, 3 physical
    /// address (0 if unknown or not the caller's to know), 4 whose it is
    /// ([`Held`]).
    Window = 0x1d,
    /// Give the active relay segment up: only its capability leads to it then.
    Release = 0x1e,
    /// As [`Code::Exit`], after a report of where the activation is and of who
    /// waits for it. Argument 2 is its frame pointer, from which the report finds
    /// the calls that led there.
    Panic = 0x1f,
}

/// Whose the relay segment in the window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Held {
    /// The window is empty.
    Nothing = 0,
    /// The activation's own.
    Own = 1,
    /// Lent to it with the call that it handles.
    Borrowed = 2,
    /// Another one of its own (or none) while a lent one is set aside.
    Aside = 3,
    /// None: the one that was lent to it was lent on and is not back.
    LentOn = 4,
}

impl Held {
    /// The value in output 4, if it is a known one.
    #[must_use]
    pub const fn decode(value: u64) -> Option<Self> {
        Some(match value {
            0 => Self::Nothing,
            1 => Self::Own,
            2 => Self::Borrowed,
            3 => Self::Aside,
            4 => Self::LentOn,
            _ => return None,
        })
    }
}

impl Code {
    /// All codes, for tests that try every one.
    pub const ALL: [Self; 22] = [
        Self::Null,
        Self::Call,
        Self::Send,
        Self::Receive,
        Self::Reply,
        Self::ReplyReceive,
        Self::Yield,
        Self::Sleep,
        Self::Exit,
        Self::SetFsBase,
        Self::Clock,
        Self::SaveReply,
        Self::Diagnose,
        Self::Return,
        Self::TakeReply,
        Self::Swap,
        Self::Park,
        Self::Mask,
        Self::Unmask,
        Self::Window,
        Self::Release,
        Self::Panic,
    ];

    /// The code in the low half of `rax`, if the name space is Postern's, the
    /// code is known and no flag is set that the code does not take.
    #[must_use]
    pub fn decode(rax: u64) -> Option<(Self, IpcFlags)> {
        let word = rax as u32;
        if word & 0xff00_0000 != NAMESPACE {
            return None;
        }
        let flags = IpcFlags::from_bits(word & 0x00ff_ff00)?;
        let code = match word & 0xff {
            0 => Self::Null,
            1 => Self::Call,
            2 => Self::Send,
            3 => Self::Receive,
            4 => Self::Reply,
            5 => Self::ReplyReceive,
            0x10 => Self::Yield,
            0x11 => Self::Sleep,
            0x12 => Self::Exit,
            0x13 => Self::SetFsBase,
            0x14 => Self::Clock,
            0x15 => Self::SaveReply,
            0x16 => Self::Diagnose,
            0x17 => Self::Return,
            0x18 => Self::TakeReply,
            0x19 => Self::Swap,
            0x1a => Self::Park,
            0x1b => Self::Mask,
            0x1c => Self::Unmask,
            0x1d => Self::Window,
            0x1e => Self::Release,
            0x1f => Self::Panic,
            _ => return None,
        };
        code.permitted_flags().contains(flags).then_some((code, flags))
    }

    /// The flags that this code takes; any other is `NoSys`.
    #[must_use]
    pub const fn permitted_flags(self) -> IpcFlags {
        match self {
            Self::Receive => IpcFlags::CLOSED,
            Self::Reply => IpcFlags::SAVED,
            Self::ReplyReceive => IpcFlags::all(),
            _ => IpcFlags::empty(),
        }
    }

    /// The value of `rax` for this code with flags and timeouts.
    #[must_use]
    pub const fn encode(self, flags: IpcFlags, send: Timeout, receive: Timeout) -> u64 {
        (NAMESPACE | self as u32 | flags.bits()) as u64
            | (send.bits() as u64) << 32
            | (receive.bits() as u64) << 48
    }

    /// The value of `rax` for this code without flags, waiting for ever.
    #[must_use]
    pub const fn plain(self) -> u64 {
        self.encode(IpcFlags::empty(), Timeout::NEVER, Timeout::NEVER)
    }
}

/// What a receive delivered: bits 0-7 of `rax` after a successful IPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Delivery {
    /// Nothing was received (send and reply).
    None = 0,
    /// A message that expects no answer.
    Message = 1,
    /// A message whose sender waits for the answer; the receiver now holds the
    /// implicit right to answer.
    Call = 2,
    /// The answer to a call.
    Reply = 3,
    /// Signals of the bound notification; word 0 holds the bits.
    Notification = 4,
}

impl Delivery {
    /// The delivery kind in output 0, if it is a known one.
    #[must_use]
    pub const fn decode(rax: u64) -> Option<Self> {
        Some(match rax & 0xff {
            0 => Self::None,
            1 => Self::Message,
            2 => Self::Call,
            3 => Self::Reply,
            4 => Self::Notification,
            _ => return None,
        })
    }
}
