//! The address map of a task (docs/abi.md section 1).
//!
//! Ordinary mappings, UTCBs and the relay window lie in regions that cannot
//! overlap, so no check at run time has to keep them apart.

use crate::PAGE;

/// Lowest address that can be mapped; below it a null pointer faults.
pub const USER_START: u64 = 0x1_0000;
/// First address past ordinary mappings.
pub const USER_END: u64 = 0x7f_8000_0000;

/// UTCBs of threads: the thread with arena index `i` has
/// `UTCB_START + i * 4096`. Map and unmap refuse this region.
pub const UTCB_START: u64 = 0x7f_8000_0000;
/// First address past the UTCBs of threads.
pub const UTCB_END: u64 = 0x7f_c000_0000;
/// UTCBs of crossing contexts.
pub const CONTEXT_UTCB_START: u64 = 0x7f_c000_0000;
/// First address past the UTCBs of crossing contexts.
pub const CONTEXT_UTCB_END: u64 = 0x80_0000_0000;

/// The relay window: one top-level slot (512 GiB) that shows the segment of
/// the running thread.
pub const WINDOW_START: u64 = 0x80_0000_0000;
/// First address past the relay window.
pub const WINDOW_END: u64 = 0x100_0000_0000;

/// First address that no user register may hold as an instruction or stack
/// pointer: the last page of the lower half can never be mapped.
pub const USER_LIMIT: u64 = 0x7fff_ffff_f000;

/// Whether `address` may be a user instruction pointer, stack pointer or
/// segment base: canonical, in the lower half, below its last page.
#[must_use]
pub const fn is_user(address: u64) -> bool {
    address < USER_LIMIT
}

/// Whether `[start, start + bytes)` is a page-aligned, non-empty range that
/// ordinary mappings may use.
#[must_use]
pub const fn is_mappable(start: u64, bytes: u64) -> bool {
    start.is_multiple_of(PAGE)
        && bytes.is_multiple_of(PAGE)
        && bytes != 0
        && start >= USER_START
        && start < USER_END
        && bytes <= USER_END - start
}
