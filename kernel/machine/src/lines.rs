//! The interrupt lines of the machine, by the controllers that it has.

use postern_core::machine::Trigger;

use crate::ioapic::IoApic;
use crate::pic::{self, Pics};

/// What the lines are connected to.
pub enum Lines {
    /// An I/O APIC.
    IoApic(IoApic),
    /// The old controllers.
    Pics(Pics),
}

impl Lines {
    /// Number of lines.
    #[must_use]
    pub const fn count(&self) -> u32 {
        match self {
            Self::IoApic(io) => io.lines(),
            Self::Pics(_) => pic::LINES,
        }
    }

    /// Whether the CPU's controller is told when an interrupt is served.
    #[must_use]
    pub const fn are_answered(&self) -> bool {
        matches!(self, Self::IoApic(_))
    }

    /// How a line interrupts. A level-triggered one does so for as long as the
    /// device wants something, so it is masked until it is served.
    #[must_use]
    pub fn trigger(&self, line: u32) -> Trigger {
        match self {
            Self::IoApic(io) => io.trigger(line),
            Self::Pics(pics) => pics.trigger(line),
        }
    }

    /// Sets how a line interrupts, and masks it; one that does not exist is
    /// ignored.
    pub fn set_trigger(&mut self, line: u32, trigger: Trigger) {
        match self {
            Self::IoApic(io) => io.set_trigger(line, trigger),
            Self::Pics(pics) => pics.set_trigger(line, trigger),
        }
    }

    /// Masks or unmasks a line; one that does not exist is ignored.
    pub fn mask(&mut self, line: u32, masked: bool) {
        match self {
            Self::IoApic(io) => io.mask(line, masked),
            Self::Pics(pics) => pics.mask(line, masked),
        }
    }
}
