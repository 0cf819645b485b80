//! Interrupt: a hardware interrupt line that signals a notification.

use abi::op::irq::{ACK, BIND, MASK};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Item, Notification, Result, operate};

handle! {
    /// A hardware interrupt line. After each interrupt the line stays quiet
    /// until [`Irq::acknowledge`].
    Irq
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

    /// Masks or unmasks the line. Needs W.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn mask(self, masked: bool) -> Result<()> {
        operate(self.0, &[MASK, masked.into()], &[]).map(drop)
    }
}
