//! The 16-bit timeouts of an IPC (docs/abi.md section 2.3), as in L4:
//! mantissa in bits 0-9, exponent in bits 10-14, `mantissa * 2^exponent`
//! microseconds.

/// A send or receive timeout as it travels in `rax`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(u16);

/// What a [`Timeout`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Wait until it happens.
    Never,
    /// Do not wait at all.
    Zero,
    /// Wait at most this many nanoseconds from now.
    For(u64),
    /// Wait until the absolute time in the UTCB.
    Absolute,
}

impl Timeout {
    /// Waits for ever (all bits zero, so that the usual call needs no bits).
    pub const NEVER: Self = Self(0);
    /// Does not wait: mantissa 0, exponent 1.
    pub const ZERO: Self = Self(1 << 10);
    /// The absolute deadline (nanoseconds since boot) lies in the UTCB:
    /// [`crate::utcb::SEND_DEADLINE`] or [`crate::utcb::RECEIVE_DEADLINE`].
    pub const ABSOLUTE: Self = Self(1 << 15);

    /// The shortest timeout that is at least `ns` nanoseconds; more than about
    /// 25 days becomes the longest one that can be written.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        if ns == 0 {
            return Self::ZERO;
        }
        let mut micros = ns.div_ceil(1000);
        let mut exponent = 0;
        while micros > 0x3ff {
            micros = micros.div_ceil(2);
            exponent += 1;
        }
        if exponent > 31 { Self(0x7fff) } else { Self((exponent << 10) | micros as u16) }
    }

    /// The timeout with these bits; every pattern has a meaning.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits as they travel in `rax`.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// What the timeout says.
    #[must_use]
    pub const fn wait(self) -> Wait {
        if self.0 == 0 {
            return Wait::Never;
        }
        if self.0 & (1 << 15) != 0 {
            return Wait::Absolute;
        }
        match ((self.0 & 0x3ff) as u64, (self.0 >> 10) as u32) {
            (0, _) => Wait::Zero,
            (mantissa, exponent) => Wait::For((mantissa << exponent) * 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_never_shorter_than_asked() {
        for ns in [1, 999, 1000, 1_023_000, 1_024_000, 5_000_000, 123_456_789_012] {
            let Wait::For(got) = Timeout::from_ns(ns).wait() else { panic!("{ns}") };
            assert!(got >= ns && got <= ns + ns / 256 + 1000, "{ns} became {got}");
        }
    }

    #[test]
    fn special_values_mean_what_they_say() {
        assert_eq!(Timeout::NEVER.wait(), Wait::Never);
        assert_eq!(Timeout::ZERO.wait(), Wait::Zero);
        assert_eq!(Timeout::from_ns(0), Timeout::ZERO);
        assert_eq!(Timeout::ABSOLUTE.wait(), Wait::Absolute);
        assert_eq!(Timeout::from_ns(u64::MAX).wait(), Wait::For((0x3ff << 31) * 1000));
    }
}
