//! The clock, read without a system call (docs/abi.md section 6.5).

use abi::clock::Clock;
use abi::utcb::{CLOCK_FACTOR, CLOCK_START};
use postern_abi as abi;

use crate::{control, raw, utcb};

/// Nanoseconds since boot: the time that the kernel sees. Never goes backwards.
#[inline]
#[must_use]
pub fn now() -> u64 {
    let clock = parameters();
    if clock.factor == 0 {
        return control::clock();
    }
    clock.nanoseconds(raw::time_stamp_in_order())
}

/// How the time stamp counter becomes nanoseconds, as the kernel wrote it into
/// the calling thread's UTCB.
#[inline]
#[must_use]
pub fn parameters() -> Clock {
    Clock { start: utcb::read(CLOCK_START), factor: utcb::read(CLOCK_FACTOR) }
}
