//! The objects that are little more than a few numbers.

use postern_abi::Rights;
use postern_arena::Ref;

use super::{Header, Task, Thread};
use crate::cap::tree::Links;
use crate::machine::Machine;
use crate::mem::Frames;
use crate::mem::parts::Family;
use crate::mem::tree::TreeLinks;
use crate::sched::WaitQueue;

/// Physical memory that can be mapped.
#[derive(Debug)]
pub struct Memory {
    /// Capabilities and charge.
    pub header: Header,
    /// The frames; taken out when the memory goes.
    pub frames: Frames,
    /// First mapping of it, by index in the arena of mappings.
    pub mappings: Option<u32>,
    /// Number of mappings.
    pub mapped: u32,
    /// What it was cut off, and what was cut off it.
    pub family: Family,
}

/// A run of pages of a [`Memory`] in a task: what revocation and destruction
/// must undo. Charged to the factory of the task.
pub struct Mapping<M: Machine> {
    /// Place in the derivation tree, below the capability it was made with.
    pub links: Links,
    /// Where it is mapped.
    pub task: Ref<Task<M>>,
    /// What is mapped.
    pub memory: Ref<Memory>,
    /// First address.
    pub at: u64,
    /// Number of pages.
    pub pages: u64,
    /// Offset in the memory, in pages.
    pub first: u64,
    /// R, W, X.
    pub rights: Rights,
    /// Those of the capability that it was made with: more it never gets.
    pub limit: Rights,
    /// Pages, from the first on, that are in the page tables. Fewer than all
    /// while the mapping is being made.
    pub filled: u64,
    /// It is being undone: whoever is still making it stops.
    pub dying: bool,
    /// Next and previous mapping of the same memory.
    pub of_memory: (Option<u32>, Option<u32>),
    /// Place among the mappings of the task, by address.
    pub of_task: TreeLinks,
}

/// A word of signal bits.
pub struct Notification<M: Machine> {
    /// Capabilities and charge.
    pub header: Header,
    /// Signals not received yet.
    pub bits: u64,
    /// The thread that receives them in its open waits.
    pub bound: Option<Ref<Thread<M>>>,
    /// Threads that wait for them and for nothing else.
    pub waiting: WaitQueue,
}

/// A hardware interrupt line.
pub struct Irq<M: Machine> {
    /// Capabilities; no factory made it and none is charged.
    pub header: Header,
    /// What it signals, and with which bits.
    pub bound: Option<(Ref<Notification<M>>, u64)>,
    /// An interrupt was signalled and is not acknowledged yet.
    pub pending: bool,
    /// Its holder wants no interrupts for now.
    pub masked: bool,
    /// An edge came meanwhile; it is signalled when the holder unmasks.
    pub missed: bool,
    /// Interrupts since boot.
    pub count: u64,
}

impl<M: Machine> Irq<M> {
    /// A line of nobody.
    pub const UNBOUND: Self = Self {
        header: Header::BUILT_IN,
        bound: None,
        pending: false,
        masked: false,
        missed: false,
        count: 0,
    };
}

/// A range of x86 I/O ports.
#[derive(Debug)]
pub struct IoPort {
    /// Capabilities and charge.
    pub header: Header,
    /// First port.
    pub first: u16,
    /// Number of ports, up to 65536.
    pub count: u32,
}
