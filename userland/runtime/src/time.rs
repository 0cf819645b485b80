//! Time: the clock since boot, read without a system call, and sleep. Needs no
//! capability.

use core::time::Duration;

use postern_syscall::{Timeout, clock, control, raw};

/// Time since boot: the kernel's time; never goes backwards.
#[inline]
#[must_use]
pub fn now() -> Duration {
    Duration::from_nanos(clock::now())
}

/// Sleeps for at least `duration`; less if another thread cancels the sleep.
pub fn sleep(duration: Duration) {
    sleep_until(now().saturating_add(duration));
}

/// Sleeps until `deadline` after boot; less if another thread cancels the
/// sleep.
pub fn sleep_until(deadline: Duration) {
    let nanoseconds = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
    // Cancelled is the only error, and it means: go on.
    let _ = control::sleep_until(nanoseconds);
}

/// The timeout for `duration`; see [`Timeout::from_ns`].
#[must_use]
pub fn timeout(duration: Duration) -> Timeout {
    Timeout::from_ns(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// The time stamp counter; see [`raw::time_stamp`].
#[inline(always)]
#[must_use]
pub fn time_stamp() -> u64 {
    raw::time_stamp()
}
