//! The clock: the CPU's time-stamp counter, in nanoseconds since boot.
//!
//! Rates come from CPUID where it gives them, else they are measured against
//! the PIT. Reading the clock must stay a handful of instructions.

use core::arch::x86_64::{__cpuid, _rdtsc};

use postern_abi::clock::Clock as Shared;

use crate::apic::LocalApic;
use crate::pit;

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// How fast things run, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Ticks of the TSC in a second.
    pub tsc: u64,
    /// Ticks of the local APIC's timer in a second.
    pub apic: u64,
    /// Where the TSC's rate comes from, for people.
    pub source: &'static str,
}

impl Rates {
    /// Asks CPUID, or measures. The timer of `apic` is used and left stopped.
    #[must_use]
    pub fn find(apic: &mut LocalApic) -> Self {
        let (told, apic_told, source) = told_by_cpuid();
        if let (Some(tsc), Some(rate)) = (told, apic_told) {
            return Self { tsc, apic: rate, source };
        }
        let measured = pit::measure(apic);
        match (told, measured) {
            (Some(tsc), Some(measured)) => {
                // Only the ratio of the two is needed from the measurement.
                let apic = scale(measured.apic, ratio(tsc, measured.tsc));
                Self { tsc, apic, source }
            }
            (None, Some(measured)) => measured,
            (told, None) => {
                let tsc = told.unwrap_or(SECOND);
                Self { tsc, apic: SECOND, source: "a guess: there is no PIT" }
            }
        }
    }
}

/// Rates of TSC and APIC timer as CPUID gives them.
fn told_by_cpuid() -> (Option<u64>, Option<u64>, &'static str) {
    let highest = __cpuid(0).eax;
    if __cpuid(1).ecx & 1 << 31 != 0 && __cpuid(0x4000_0000).eax >= 0x4000_0010 {
        let leaf = __cpuid(0x4000_0010);
        if leaf.eax != 0 {
            let apic = (leaf.ebx != 0).then(|| u64::from(leaf.ebx) * 1000);
            return (Some(u64::from(leaf.eax) * 1000), apic, "hypervisor");
        }
    }
    if highest >= 0x15 {
        let leaf = __cpuid(0x15);
        let (denominator, numerator) = (u64::from(leaf.eax), u64::from(leaf.ebx));
        let crystal = u64::from(leaf.ecx);
        if denominator != 0 && numerator != 0 && crystal != 0 {
            return (Some(crystal * numerator / denominator), Some(crystal), "CPUID 0x15");
        }
    }
    if highest >= 0x16 {
        let megahertz = u64::from(__cpuid(0x16).eax & 0xffff);
        if megahertz != 0 {
            return (Some(megahertz * 1_000_000), None, "CPUID 0x16");
        }
    }
    (None, None, "")
}

/// A fixed-point factor: 32 bits, then 32 bits of fraction.
pub type Factor = u64;

/// `to / from` as a factor; 0 if that does not fit.
#[must_use]
pub fn ratio(to: u64, from: u64) -> Factor {
    ((u128::from(to) << 32) / u128::from(from.max(1))).try_into().unwrap_or(0)
}

/// `value * factor`. One multiplication: the 128-bit product of two 64-bit
/// numbers is what `mul` computes anyway.
#[inline(always)]
#[must_use]
pub fn scale(value: u64, factor: Factor) -> u64 {
    ((u128::from(value) * u128::from(factor)) >> 32) as u64
}

/// The time-stamp counter.
#[inline(always)]
#[must_use]
pub fn ticks() -> u64 {
    // SAFETY: every 64-bit CPU has RDTSC, and the kernel may use it.
    unsafe { _rdtsc() }
}

/// Nanoseconds since boot.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What programs know of it, too.
    shared: Shared,
    ticks: Factor,
}

impl Clock {
    /// A clock that began at the TSC value `start`.
    #[must_use]
    pub fn new(start: u64, rate: u64) -> Self {
        let shared = Shared { start, factor: ratio(SECOND, rate) };
        Self { shared, ticks: ratio(rate, SECOND) }
    }

    /// How programs read it.
    #[must_use]
    pub const fn shared(&self) -> Shared {
        self.shared
    }

    /// Nanoseconds since boot.
    #[inline(always)]
    #[must_use]
    pub fn now(&self) -> u64 {
        self.shared.nanoseconds(ticks())
    }

    /// The TSC value at which [`Clock::now`] has reached `time`.
    #[must_use]
    pub fn ticks_at(&self, time: u64) -> u64 {
        self.shared.start.saturating_add(scale(time, self.ticks)).saturating_add(1)
    }
}
