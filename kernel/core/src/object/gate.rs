//! Gates: the only way from one task into another.

use postern_arena::Ref;

use super::{Entry, Header, Thread};
use crate::machine::Machine;
use crate::sched::WaitQueue;

/// What is bound to a gate. It may be gone: then messages fail with
/// `NotExistent` until the gate is rebound.
pub enum Binding<M: Machine> {
    /// Nothing: senders wait.
    Unbound,
    /// A thread, which receives the messages.
    Thread(Ref<Thread<M>>),
    /// An entry, in whose contexts the callers themselves run.
    Entry(Ref<Entry<M>>),
}

impl<M: Machine> Clone for Binding<M> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Machine> Copy for Binding<M> {}
impl<M: Machine> PartialEq for Binding<M> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unbound, Self::Unbound) => true,
            (Self::Thread(a), Self::Thread(b)) => a == b,
            (Self::Entry(a), Self::Entry(b)) => a == b,
            _ => false,
        }
    }
}

/// An IPC gate (L4Re: `L4::Ipc_gate`). Label, target and what limits crossings
/// lie next to each other for the path of a call.
pub struct Gate<M: Machine> {
    /// Delivered with every message, its two low bits zero.
    pub label: u64,
    /// What is bound.
    pub target: Binding<M>,
    /// Most contexts that may be in use through it at a time; 0: no limit.
    pub limit: u32,
    /// Contexts in use through it, orphaned and quarantined ones and callers
    /// that wait for one included; those that do not count themselves
    /// ([`super::Context::counted`]) come on top.
    pub in_use: u32,
    /// Where messages go straight to: the bound thread, or the front context of
    /// the bound entry while the limit allows one more. Nowhere while somebody
    /// waits or the gate is being taken apart (`Kernel::settle_gate`).
    pub direct: Ref<Thread<M>>,
    /// Senders that wait for something to be bound, or for the limit.
    pub waiting: WaitQueue,
    /// Capabilities and charge.
    pub header: Header,
}

impl<M: Machine> Gate<M> {
    /// The bound thread, if it is a thread.
    #[must_use]
    pub fn thread(&self) -> Option<Ref<Thread<M>>> {
        match self.target {
            Binding::Thread(thread) => Some(thread),
            _ => None,
        }
    }
}
