//! Entries: where crossings arrive (XPC's x-entry), and their contexts.

use postern_abi::op::entry::ContextState;
use postern_arena::Ref;

use super::{Gate, Header, Notification, Task, Thread};
use crate::machine::Machine;
use crate::sched::WaitQueue;

/// A handler of a task, with a bounded pool of contexts that callers run in.
/// What a crossing reads comes first.
pub struct Entry<M: Machine> {
    /// The context that the fast path uses (`crossing/front.rs`), if there is
    /// any: it comes first, and stands neither in the list of free ones nor in
    /// the counts.
    pub front: Option<Ref<Thread<M>>>,
    /// First of the other free contexts, by index in the arena of threads; the
    /// next one is in [`Context::next_free`].
    pub free: Option<u32>,
    /// Lowest priority that the handler runs at.
    pub floor: u8,
    /// First instruction of the handler, a user address.
    pub handler: u64,
    /// Whose code it is. It dies with this task.
    pub task: Ref<Task<M>>,
    /// Callers that wait for a free context, each counted in its gate.
    pub waiting: WaitQueue,
    /// Number of those.
    pub waiters: u32,
    /// Number of contexts in each [`ContextState`], but for the front one.
    pub counts: [u32; 4],
    /// First of all its contexts, by arena index.
    pub contexts: Option<u32>,
    /// Nanoseconds that a context may go on without a caller.
    pub grace: u64,
    /// Who is told of faults in its contexts.
    pub fault_gate: Option<Ref<Gate<M>>>,
    /// What is signalled, and with which bits, when a context is quarantined
    /// and when the entry goes.
    pub notification: Option<(Ref<Notification<M>>, u64)>,
    /// `S_self` and `S_all`: what the server said of message sizes.
    pub sizes: [u64; 2],
    /// Capabilities and charge, that of the contexts included.
    pub header: Header,
    /// Next and previous entry of the same task, by arena index.
    pub of_task: (Option<u32>, Option<u32>),
}

impl<M: Machine> Entry<M> {
    /// Number of its contexts.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.counts.iter().sum::<u32>() + u32::from(self.front.is_some())
    }

    /// Moves a context from one count to another.
    pub(crate) fn recount(&mut self, from: ContextState, to: ContextState) {
        self.counts[from as usize] -= 1;
        self.counts[to as usize] += 1;
    }
}

/// What makes a thread object a context of an entry (docs/decisions: "A context
/// of an entry is a thread object"). Nobody has a capability to it.
pub struct Context<M: Machine> {
    /// Whose context it is.
    pub entry: Ref<Entry<M>>,
    /// Its caller only sent: the result is dropped.
    pub silent: bool,
    /// Stack pointer at which the handler begins.
    pub stack: u64,
    /// FS base with which it begins.
    pub fs_base: u64,
    /// The gate that the crossing came through ([`Thread::through`]) counts it. The front one that was entered by the fast path is
    /// not counted there.
    pub counted: bool,
    /// The free context behind this one.
    pub next_free: Option<u32>,
    /// Position of the end of its grace time in the heap of timeouts.
    pub grace: Option<u32>,
    /// Next and previous context of the same entry.
    pub of_entry: (Option<u32>, Option<u32>),
}

/// What a thread object stands for.
pub enum Role<M: Machine> {
    /// A thread, at home in its task.
    Home,
    /// A context: an activation that other threads run in.
    Context(Context<M>),
}
