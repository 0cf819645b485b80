//! System calls that are no IPC: time, yield, exit, the right to answer.
//!
//! All of them act on the calling activation and need no capability.

use abi::Code;
use postern_abi as abi;

use crate::{Result, Slot, raw};

#[inline(always)]
fn short(code: Code, argument: u64) -> Result<u64> {
    // SAFETY: no caller in this module passes `SetFsBase`.
    let (out, failed) = unsafe { raw::short(code.plain(), argument) };
    if failed { Err(raw::error(out)) } else { Ok(out) }
}

/// Does nothing but enter and leave the kernel: the ABI version.
///
/// # Errors
/// None that the ABI knows: a kernel of another system.
#[inline(always)]
pub fn null() -> Result<u64> {
    short(Code::Null, 0)
}

/// Gives up the rest of the time slice to threads of the same priority.
#[inline]
pub fn yield_now() {
    // There is nothing that could fail and nothing to do about it.
    let _ = short(Code::Yield, 0);
}

/// Sleeps until `deadline` nanoseconds since boot; at once if that has passed.
///
/// # Errors
/// `Cancelled` when another thread cancels the sleep.
#[inline]
pub fn sleep_until(deadline: u64) -> Result<()> {
    short(Code::Sleep, deadline).map(drop)
}

/// Nanoseconds since boot.
#[inline]
#[must_use]
pub fn clock() -> u64 {
    short(Code::Clock, 0).unwrap_or(0)
}

/// Ends the calling thread (abroad: the crossing, whose caller gets
/// `Aborted`). The code reaches the thread's exit gate.
pub fn exit(code: u64) -> ! {
    raw::exit(code)
}

/// As [`exit`], after a report in the kernel's log of where the activation is
/// and of who waits for it.
#[inline(always)]
pub fn panic(code: u64) -> ! {
    raw::panic(code)
}

/// Turns records of refused system calls on or off; see [`crate::diagnosis`].
pub(crate) fn diagnose(on: bool) -> Result<()> {
    short(Code::Diagnose, on.into()).map(drop)
}

/// Moves the implicit right to answer into the empty `slot`, so that the
/// server can receive other messages before it answers.
///
/// # Errors
/// `NoCaller` with nothing to answer, `Exists` if the slot is in use,
/// `Inval` if the table has no such slot.
#[inline]
pub fn save_reply(slot: Slot) -> Result<()> {
    short(Code::SaveReply, slot.word()).map(drop)
}

/// Sets the FS base of the calling activation.
///
/// # Errors
/// `Inval` if the address is no user address.
///
/// # Safety
/// [`crate::utcb`] finds the UTCB through `fs:[0]`: what is at `address` must
/// begin with the UTCB's own address, and stay so while this thread uses it.
pub unsafe fn set_fs_base(address: u64) -> Result<()> {
    // SAFETY: promised by the caller.
    let (out, failed) = unsafe { raw::short(Code::SetFsBase.plain(), address) };
    if failed { Err(raw::error(out)) } else { Ok(()) }
}
