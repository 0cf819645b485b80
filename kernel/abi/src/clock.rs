//! The clock as a program reads it without a system call (docs/abi.md section
//! 6.5): the CPU's time stamp counter and two words of the UTCB.
//!
//! Kernel and programs compute with the same function, so they read the same
//! time.

/// From counter to nanoseconds; fixed for as long as the system runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The counter at boot.
    pub start: u64,
    /// Nanoseconds of one tick: 32 bits, then 32 bits of fraction. 0: the
    /// counter tells no time on this machine, ask the kernel.
    pub factor: u64,
}

impl Clock {
    /// Nanoseconds since boot at the moment at which the counter was `ticks`.
    /// One multiplication: the 128-bit product of two 64-bit numbers is what
    /// `mul` computes anyway.
    #[inline(always)]
    #[must_use]
    pub const fn nanoseconds(self, ticks: u64) -> u64 {
        ((ticks.wrapping_sub(self.start) as u128 * self.factor as u128) >> 32) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_as_long_as_the_factor_says() {
        let clock = Clock { start: 1000, factor: 1 << 32 };
        assert_eq!(clock.nanoseconds(1000), 0);
        assert_eq!(clock.nanoseconds(1_000_001_000), 1_000_000_000);
        // 3 GHz, a hundred years later.
        let clock = Clock { start: u64::MAX, factor: (1 << 32) / 3 };
        let century = 100 * 365 * 86_400 * 1_000_000_000;
        assert!(clock.nanoseconds(3 * century - 1).abs_diff(century) < century / 1_000_000_000);
    }
}
