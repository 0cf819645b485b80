//! The one-shot timer of a CPU.
//!
//! Two kinds behind one trait: counting down in the local APIC, or comparing
//! with the TSC where the CPU can do that. A timer may fire early (a count has
//! 32 bits), so whoever gets the interrupt asks the clock.

use x86_64::registers::model_specific::Msr;

use crate::apic::{Access, LocalApic, MASKED, Register};
use crate::clock::{Clock, Factor, Rates, SECOND, ratio, scale};
use crate::cpu::Features;
use crate::tables::vector;

/// The MSR that holds the TSC value of the next interrupt.
const DEADLINE: u32 = 0x6e0;
/// In the timer's vector table entry: by TSC deadline.
const BY_DEADLINE: u32 = 2 << 17;

/// A timer that interrupts once.
pub trait OneShot {
    /// One interrupt at `deadline` (nanoseconds since boot), or soon if that
    /// is past. Replaces what was asked for before.
    fn start(&mut self, apic: &mut LocalApic, clock: &Clock, deadline: u64);
    /// No interrupt.
    fn stop(&mut self, apic: &mut LocalApic);
}

/// Counts down.
pub struct Countdown {
    ticks: Factor,
}

impl OneShot for Countdown {
    #[inline]
    fn start(&mut self, apic: &mut LocalApic, clock: &Clock, deadline: u64) {
        let ticks = scale(deadline.saturating_sub(clock.now()), self.ticks).saturating_add(1);
        apic.write(Register::InitialCount, u32::try_from(ticks).unwrap_or(u32::MAX));
    }

    fn stop(&mut self, apic: &mut LocalApic) {
        apic.write(Register::InitialCount, 0);
    }
}

/// Compares with the TSC.
pub struct TscDeadline(());

impl TscDeadline {
    fn set(ticks: u64) {
        // SAFETY: the CPU has this MSR (`Timer::new`); it causes the timer's
        // interrupt and nothing else.
        unsafe { Msr::new(DEADLINE).write(ticks) };
    }
}

impl OneShot for TscDeadline {
    #[inline]
    fn start(&mut self, _apic: &mut LocalApic, clock: &Clock, deadline: u64) {
        // Zero would switch it off.
        Self::set(clock.ticks_at(deadline).max(1));
    }

    fn stop(&mut self, _apic: &mut LocalApic) {
        Self::set(0);
    }
}

/// The timer of this CPU.
pub enum Timer {
    /// Counts down.
    Countdown(Countdown),
    /// Compares with the TSC.
    TscDeadline(TscDeadline),
}

impl Timer {
    /// Chooses and unmasks the timer.
    #[must_use]
    pub fn new(apic: &mut LocalApic, rates: &Rates, features: Features) -> Self {
        let entry = u32::from(vector::TIMER);
        if features.contains(Features::TSC_DEADLINE) {
            apic.write(Register::Timer, entry | BY_DEADLINE);
            // The mode must have reached the controller before the MSR is
            // written; for an xAPIC only a fence orders the two.
            // SAFETY: a fence has no other effects.
            unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
            return Self::TscDeadline(TscDeadline(()));
        }
        apic.write(Register::InitialCount, 0);
        apic.write(Register::Timer, entry & !MASKED);
        Self::Countdown(Countdown { ticks: ratio(rates.apic, SECOND) })
    }

    /// Its kind, for people.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Countdown(_) => "one-shot",
            Self::TscDeadline(_) => "TSC deadline",
        }
    }
}

impl OneShot for Timer {
    #[inline]
    fn start(&mut self, apic: &mut LocalApic, clock: &Clock, deadline: u64) {
        match self {
            Self::Countdown(timer) => timer.start(apic, clock, deadline),
            Self::TscDeadline(timer) => timer.start(apic, clock, deadline),
        }
    }

    #[inline]
    fn stop(&mut self, apic: &mut LocalApic) {
        match self {
            Self::Countdown(timer) => timer.stop(apic),
            Self::TscDeadline(timer) => timer.stop(apic),
        }
    }
}
