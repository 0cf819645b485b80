//! Signals: set by whoever may, taken whole by one thread.
//!
//! Bits that nobody waits for stay set. So while bits are set, nobody waits for
//! them: whoever starts to wait looks first, and whoever sets bits wakes. That
//! is why no wake-up is lost, and `check.rs` checks it.

use postern_abi::code::Delivery;
use postern_abi::tag::Tag;
use postern_arena::Ref;

use crate::Kernel;
use crate::machine::Machine;
use crate::object::thread::{Source, State};
use crate::object::{Notification, Thread};

impl<M: Machine> Kernel<M> {
    /// Delivers the signals that a thread wants, if there are any: those of
    /// its bound notification in an open receive, of the one that it names in a
    /// closed one.
    #[inline]
    pub(super) fn take_signals(&mut self, receiver: Ref<Thread<M>>) -> bool {
        let Some(thread) = self.threads.get_mut(receiver) else { return false };
        let wanted = match thread.source {
            Source::Open => thread.notification,
            Source::Notification(only) => Some(only),
            Source::Gate(_) | Source::Partner(_) => None,
        };
        let Some(wanted) = wanted else { return false };
        let Some(found) = self.notifications.get_mut(wanted) else { return false };
        let bits = core::mem::take(&mut found.bits);
        if bits == 0 {
            return false;
        }
        thread.succeed(Delivery::Notification as u64, 0, Tag::new(0, 1), [bits, 0, 0, 0]);
        true
    }

    /// Sets bits of a notification, and lets one thread take them that waits
    /// for them: the bound one in its open receive, else the first of those
    /// that wait for this notification alone.
    pub(crate) fn signal(&mut self, reference: Ref<Notification<M>>, bits: u64) {
        let Some(notification) = self.notifications.get_mut(reference) else { return };
        if notification.header.dying {
            return;
        }
        notification.bits |= bits;
        if notification.bits == 0 {
            return;
        }
        let first = notification.waiting.first();
        if let Some(bound) = notification.bound.and_then(|bound| self.threads.get_mut(bound)) {
            bound.pending = true;
        }
        let bound = notification.bound.filter(|bound| {
            self.threads.get(*bound).is_some_and(|thread| {
                thread.state == State::Receiving && matches!(thread.source, Source::Open)
            })
        });
        let taker = bound.or_else(|| self.threads.at(first?));
        if let Some(taker) = taker
            && self.take_signals(taker)
        {
            self.detach(taker);
            self.wake(taker);
        }
    }
}
