//! Rendezvous IPC: call, send, receive, reply (docs/abi.md section 2).
//!
//! The functions here move registers only: words 0 to 3, label and tag. Words
//! from 4 on, capability items, receive windows and deadlines are put into the
//! UTCB by the caller ([`crate::utcb`]); [`crate::Message`] does that for whole
//! messages. All of them are inlined: with constant arguments a call is its
//! register moves, two pushes, `syscall`, two pops and one test.
//!
//! Errors say the phase: in [`crate::Phase::Send`] nothing was delivered. A
//! `reply_receive` that failed while *sending* did not begin to receive.

use abi::code::{Code, IpcFlags};
use abi::{Tag, Timeout};
use postern_abi as abi;

pub use abi::code::Delivery as DeliveryKind;

use crate::{Result, Slot, raw, utcb};

/// How long to wait for the partner, and for the message or answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the message is delivered.
    pub send: Timeout,
    /// Until the answer or the next message is there.
    pub receive: Timeout,
}

impl Timeouts {
    /// Wait for ever.
    pub const NEVER: Self = Self { send: Timeout::NEVER, receive: Timeout::NEVER };
    /// Do not wait at all.
    pub const ZERO: Self = Self { send: Timeout::ZERO, receive: Timeout::ZERO };

    /// Wait for ever to send, at most `timeout` to receive.
    #[must_use]
    pub const fn receive(timeout: Timeout) -> Self {
        Self { send: Timeout::NEVER, receive: timeout }
    }

    /// Wait at most `timeout` to send, for ever to receive.
    #[must_use]
    pub const fn send(timeout: Timeout) -> Self {
        Self { send: timeout, receive: Timeout::NEVER }
    }
}

/// What an IPC delivered, as it stands in the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Message, call, answer, signals or nothing.
    pub kind: DeliveryKind,
    /// The label of the gate, its two low bits ORed with the W and S rights of
    /// the sender's capability; for an answer the word that the server chose.
    pub label: u64,
    /// Protocol, number of words and items.
    pub tag: Tag,
    /// Words 0 to 3; of those only as many as the tag says have a meaning. For
    /// signals, word 0 holds the bits.
    pub words: [u64; 4],
}

#[inline(always)]
fn ipc(rax: u64, rdi: u64, tag: Tag, words: [u64; 4]) -> Result<Delivery> {
    // SAFETY: every caller in this module passes the code of an IPC.
    let out = unsafe { raw::full(rax, rdi, tag.bits(), words) };
    if out.failed {
        return Err(raw::error(out.rax));
    }
    // A kind that this ABI does not know can only come from a newer kernel.
    let kind = DeliveryKind::decode(out.rax).unwrap_or(DeliveryKind::None);
    Ok(Delivery { kind, label: out.rdi, tag: Tag::from_bits(out.rsi), words: out.words })
}

/// Sends to the capability in `slot` and waits for the answer.
///
/// # Errors
/// In the send phase: `NotExistent`, `Timeout`, `Cancelled`, `Inval` (tag),
/// `MsgCut` (the receiver declared no room for the items). In the receive
/// phase: `Timeout`, `Cancelled`, `Aborted` (the server died or dropped the
/// right to answer), `MsgCut` (the answer had an item without a fitting
/// window, and the replier was told, too). For an operation: see the operation.
#[inline(always)]
pub fn call(slot: Slot, tag: Tag, words: [u64; 4], timeouts: Timeouts) -> Result<Delivery> {
    let rax = Code::Call.encode(IpcFlags::empty(), timeouts.send, timeouts.receive);
    ipc(rax, slot.word(), tag, words)
}

/// Sends to the capability in `slot` and goes on when it is delivered: no
/// answer is expected, and the receiver cannot give one.
///
/// # Errors
/// As the send phase of [`call`].
#[inline(always)]
pub fn send(slot: Slot, tag: Tag, words: [u64; 4], timeout: Timeout) -> Result<()> {
    let rax = Code::Send.encode(IpcFlags::empty(), timeout, Timeout::NEVER);
    ipc(rax, slot.word(), tag, words).map(drop)
}

/// Waits for a message through any gate bound to this thread, or for signals
/// of its bound notification.
///
/// # Errors
/// `Timeout`, `Cancelled`; `MsgCut` if a message had an item for which no
/// fitting window was declared (its sender is told, too).
#[inline(always)]
pub fn receive(timeout: Timeout) -> Result<Delivery> {
    let rax = Code::Receive.encode(IpcFlags::empty(), Timeout::NEVER, timeout);
    ipc(rax, 0, Tag::default(), [0; 4])
}

/// Waits for a message from one source only: a gate that is bound to this
/// thread, any notification (R needed), or another thread (no right is needed),
/// whose messages are taken through whichever gate they come.
///
/// # Errors
/// As [`receive`]; `NotExistent` if the source is gone, or is a thread that has
/// ended and sent nothing; `Inval` for a gate that is not bound to this thread,
/// and for the thread itself; `Perm` for a notification without R.
#[inline]
pub fn receive_from(source: Slot, timeout: Timeout) -> Result<Delivery> {
    utcb::set_receive_source(source);
    let rax = Code::Receive.encode(IpcFlags::CLOSED, Timeout::NEVER, timeout);
    ipc(rax, 0, Tag::default(), [0; 4])
}

/// Answers the last call received; never waits. `label` reaches the caller in
/// the label register.
///
/// # Errors
/// `NotExistent` with nothing to answer, or if the caller does not wait any
/// more; `MsgCut` if the answer does not fit.
#[inline(always)]
pub fn reply(label: u64, tag: Tag, words: [u64; 4]) -> Result<()> {
    ipc(Code::Reply.plain(), label, tag, words).map(drop)
}

/// Answers through a right that [`crate::control::save_reply`] put into
/// `saved`; the slot is empty afterwards.
///
/// # Errors
/// As [`reply`]; `WrongKind` or `NotExistent` if there is no right to answer.
#[inline]
pub fn reply_saved(saved: Slot, label: u64, tag: Tag, words: [u64; 4]) -> Result<()> {
    utcb::set_reply_handle(saved);
    let rax = Code::Reply.encode(IpcFlags::SAVED, Timeout::NEVER, Timeout::NEVER);
    ipc(rax, label, tag, words).map(drop)
}

/// Answers the last call received, then waits for the next message.
///
/// # Errors
/// In the send phase as [`reply`], and nothing was received; in the receive
/// phase as [`receive`], and the answer was given.
#[inline(always)]
pub fn reply_receive(label: u64, tag: Tag, words: [u64; 4], timeout: Timeout) -> Result<Delivery> {
    reply_receive_with(IpcFlags::empty(), label, tag, words, timeout)
}

/// [`reply_receive`] with flags: `OPTIONAL` (nothing to answer is no error),
/// `SAVED` and `CLOSED` (with the handles that the UTCB names).
///
/// # Errors
/// As [`reply_receive`].
#[inline(always)]
pub fn reply_receive_with(
    flags: IpcFlags,
    label: u64,
    tag: Tag,
    words: [u64; 4],
    timeout: Timeout,
) -> Result<Delivery> {
    let rax = Code::ReplyReceive.encode(flags, Timeout::NEVER, timeout);
    ipc(rax, label, tag, words)
}

/// Ends a crossing: the caller of the entry whose context this is goes on with
/// this answer, and the handler begins anew with the next caller. Returns only
/// if it is refused.
///
/// # Errors
/// `InvalidLinkage` in a thread that is at home; `Inval` (tag), errors about
/// capability items as for [`reply`]: the crossing goes on then. `MsgCut`: the
/// caller has got the same error, and the crossing goes on without it.
#[inline(always)]
pub fn ret(label: u64, tag: Tag, words: [u64; 4]) -> Result<Delivery> {
    ipc(Code::Return.plain(), label, tag, words)
}
