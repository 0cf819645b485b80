//! The relay window: what of a segment the calling activation sees, parks,
//! exchanges and lends.
//!
//! All of this acts on the calling activation and on the list of the task that
//! it runs in; only showing a segment for the first time needs its capability
//! ([`crate::Relay::activate`]). A call whose tag says so
//! ([`abi::Tag::with_relay`]) takes what the window shows along; it is back
//! with the answer. Nothing here waits.

use abi::address::WINDOW_START;
use abi::code::{Code, Held};
use abi::{PAGE, Tag};
use postern_abi as abi;

use crate::raw::{self, Output};
use crate::{Result, Rights, Slot};

/// Address of the first byte of whatever segment the window shows.
pub const ADDRESS: u64 = WINDOW_START;

/// Places of a task's list.
pub const PLACES: usize = abi::op::relay::PLACES;

/// What the window shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// First address.
    pub address: u64,
    /// Bytes; 0 if the window is empty.
    pub bytes: u64,
    /// R, perhaps W, perhaps PHYS.
    pub rights: Rights,
    /// Physical address; 0 without PHYS, and of scattered frames.
    pub physical: u64,
    /// Whose it is.
    pub held: Option<Held>,
}

#[inline(always)]
fn call(code: Code, rdi: u64, rsi: u64, third: u64) -> Result<Output> {
    // SAFETY: no caller in this module passes `SetFsBase` or an operation; the
    // window holds no reference of the compiler's, as nobody makes one there.
    let out = unsafe { raw::full(code.plain(), rdi, rsi, [third, 0, 0, 0]) };
    if out.failed { Err(raw::error(out.rax)) } else { Ok(out) }
}

/// What the window shows.
///
/// # Errors
/// None that the ABI knows.
pub fn shown() -> Result<Shown> {
    let out = call(Code::Window, 0, 0, 0)?;
    Ok(Shown {
        address: out.rax,
        bytes: out.rdi,
        rights: Rights::from_bits_truncate(Tag::from_bits(out.rsi).bits() as u8),
        physical: out.words[0],
        held: Held::decode(out.words[1]),
    })
}

/// Exchanges what the window shows with a place of the task's list, either of
/// which may be empty. What is borrowed does not go to the list but is set
/// aside, and comes back when an empty place is swapped in.
///
/// # Errors
/// `InvalidSwap` for no such place (argument 1), or if there is nothing on
/// either side (0); `Lent` if what was borrowed is lent on.
#[inline]
pub fn swap(place: usize) -> Result<()> {
    call(Code::Swap, place as u64, 0, 0).map(drop)
}

/// Puts what the window shows into an empty place of the task's list.
///
/// # Errors
/// As [`swap`]; `Exists` if the place is taken, `Lent` if it is borrowed.
#[inline]
pub fn park(place: usize) -> Result<()> {
    call(Code::Park, place as u64, 0, 0).map(drop)
}

/// Lets the next callees see only `bytes` from `offset` in the segment on, at
/// the same addresses and with at most `rights` (R; perhaps W, perhaps PHYS),
/// until the mask is changed, taken off, or the window shows something else.
///
/// # Errors
/// `InvalidMask`: nothing to mask (0), not page by page inside of what the
/// window shows (1, 2), more rights than that has, or no R (3). `NoMem`: the
/// mask's tables are charged to the task's factory.
#[inline]
pub fn mask(offset: u64, bytes: u64, rights: Rights) -> Result<()> {
    call(Code::Mask, offset, bytes, rights.bits().into()).map(drop)
}

/// As [`mask`], one page.
///
/// # Errors
/// As [`mask`].
#[inline]
pub fn mask_page(page: u64, rights: Rights) -> Result<()> {
    mask(page * PAGE, PAGE, rights)
}

/// Takes the mask off.
///
/// # Errors
/// None that the ABI knows.
#[inline]
pub fn unmask() -> Result<()> {
    call(Code::Unmask, 0, 0, 0).map(drop)
}

/// Gives up what the window shows: only its capability leads to it then.
///
/// # Errors
/// `NotExistent` if the window is empty, `Lent` if it is borrowed.
#[inline]
pub fn release() -> Result<()> {
    call(Code::Release, 0, 0, 0).map(drop)
}

/// Makes the saved right to answer in `slot` the implicit one; a segment that
/// came with the call is shown again.
///
/// # Errors
/// `NotExistent` if the slot is empty or the caller does not wait any more,
/// `WrongKind`, `Exists` while this thread has another call to answer,
/// `Unsupported` in a crossing.
#[inline]
pub fn take_reply(slot: Slot) -> Result<()> {
    call(Code::TakeReply, slot.word(), 0, 0).map(drop)
}
