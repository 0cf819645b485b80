//! Gates: the only way from one task into another.

use postern_arena::Ref;

use super::{Header, Thread};
use crate::machine::Machine;
use crate::sched::WaitQueue;

/// An IPC gate (L4Re: `L4::Ipc_gate`). Label and target lie next to each other
/// for the path of a call.
pub struct Gate<M: Machine> {
    /// Delivered with every message, its two low bits zero.
    pub label: u64,
    /// The bound thread; `None` while unbound. The thread may be gone: then
    /// messages fail with `NotExistent` until the gate is rebound.
    pub target: Option<Ref<Thread<M>>>,
    /// Senders that wait for something to be bound.
    pub waiting: WaitQueue,
    /// Capabilities and charge.
    pub header: Header,
}
