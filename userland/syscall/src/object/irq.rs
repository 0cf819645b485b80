//! Interrupt: a hardware interrupt line that signals a notification.

use abi::op::irq::{ACK, BIND, BOUND, CONFIGURE, INFO, LEVEL, LOW, MASK, MASKED, PENDING};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Item, Notification, Result, operate};

handle! {
    /// A hardware interrupt line. After an interrupt of a level-triggered line
    /// it stays quiet until [`Irq::acknowledge`].
    Irq
}

/// How a line interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Once with each change, of which the device must have no second one
    /// before the driver looks.
    Edge,
    /// For as long as the device wants something.
    Level,
}

/// State and figures of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IrqInfo {
    /// Number of the line.
    pub line: u64,
    /// How it interrupts.
    pub trigger: Trigger,
    /// Whether its active state is the low one.
    pub active_low: bool,
    /// A notification is bound.
    pub is_bound: bool,
    /// [`Irq::mask`] has masked it.
    pub is_masked: bool,
    /// An interrupt was signalled and is not acknowledged yet.
    pub is_pending: bool,
    /// Interrupts since boot.
    pub count: u64,
}

impl Irq {
    /// Signals `bits` of `notification` (W needed there) at each interrupt,
    /// and unmasks the line. Needs S.
    ///
    /// # Errors
    /// `Perm` without the rights, `Inval` if item 0 is no notification.
    pub fn bind(self, notification: Notification, bits: u64) -> Result<()> {
        operate(self.0, &[BIND, bits], &[Item::all(notification.0)]).map(drop)
    }

    /// Signals nobody any more. Needs S.
    ///
    /// # Errors
    /// `Perm` without S.
    pub fn unbind(self) -> Result<()> {
        operate(self.0, &[BIND, 0], &[]).map(drop)
    }

    /// The last interrupt is served: the next one may come. Needs W.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn acknowledge(self) -> Result<()> {
        operate(self.0, &[ACK], &[]).map(drop)
    }

    /// Masks or unmasks the line. Needs W. An interrupt that comes while it is
    /// masked is signalled when it is unmasked.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn mask(self, masked: bool) -> Result<()> {
        operate(self.0, &[MASK, masked.into()], &[]).map(drop)
    }

    /// Sets how the line interrupts. Needs S.
    ///
    /// # Errors
    /// `Perm` without S, `Busy` while a notification is bound.
    pub fn configure(self, trigger: Trigger, active_low: bool) -> Result<()> {
        let words = [CONFIGURE, u64::from(trigger == Trigger::Level), active_low.into()];
        operate(self.0, &words, &[]).map(drop)
    }

    /// State and figures. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn info(self) -> Result<IrqInfo> {
        let [flags, count, line, _] = operate(self.0, &[INFO], &[])?.words;
        Ok(IrqInfo {
            line,
            trigger: if flags & LEVEL != 0 { Trigger::Level } else { Trigger::Edge },
            active_low: flags & LOW != 0,
            is_bound: flags & BOUND != 0,
            is_masked: flags & MASKED != 0,
            is_pending: flags & PENDING != 0,
            count,
        })
    }
}
