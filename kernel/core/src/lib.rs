//! The Postern kernel as a state machine.
//!
//! Everything that the kernel decides is decided here: who runs, who may do
//! what to whom, who owns which memory, which message goes where. The crate
//! touches no hardware and no raw pointer, keeps no statics, and is generic
//! over the machine below ([`machine::Machine`]), so the same code runs in the
//! kernel and on the host, where property tests drive it against a simulated
//! machine (`sim`).
//!
//! Rules of the house:
//!
//! - An entry ([`Kernel::syscall`], [`Kernel::timer`], ...) runs to completion
//!   and leaves a state in which [`Kernel::decide`] says what the CPU does. There
//!   is one kernel stack, and nothing blocks inside of the kernel.
//! - Nothing is allocated on the way of a message. Objects are made by
//!   factories, ahead of time, on their quota.
//! - Work that grows with the size of something is cut into steps
//!   ([`Kernel::work`]) with interrupts let in between.
//! - After any operation "the current thread" is looked up again: the caller
//!   may have destroyed itself.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "sim"))]
extern crate std;

mod account;
mod boot;
pub mod cap;
#[cfg(any(test, feature = "sim"))]
mod check;
mod crossing;
mod destroy;
mod diagnosis;
mod entry;
mod fast;
mod fault;
mod fpu;
mod guest;
mod hypercall;
mod invoke;
mod ipc;
pub mod machine;
pub mod mem;
pub mod object;
pub mod relay;
mod report;
mod revoke;
mod run;
pub mod sched;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod slots;
#[cfg(test)]
mod tests;
mod trace;
pub mod work;

pub use boot::BootError;
pub use fast::{CALL, GoOn, NOTHING, REPLY, Resume, SIGNALS};

use core::cell::Cell;

use machine::{Area, Machine};
use mem::{FrameAllocator, FrameInfo};
use object::{
    Entry, Factory, Gate, Header, IoPort, Irq, Mapping, Memory, Notification, Relay, Task, Thread,
};
use postern_abi::Rights;
use postern_arena::{Arena, Ref, Table};
use sched::{ReadyQueue, Timeouts};

/// Number of interrupt lines that the kernel knows.
pub const LINES: usize = postern_abi::image::init::IRQ_COUNT as usize;

/// The kernel: all of its state and the machine it runs on.
pub struct Kernel<M: Machine> {
    /// The machine.
    pub machine: M,
    frames: FrameAllocator,
    threads: Arena<Thread<M>>,
    gates: Arena<Gate<M>>,
    entries: Arena<Entry<M>>,
    tasks: Arena<Task<M>>,
    factories: Arena<Factory>,
    memories: Arena<Memory>,
    mappings: Arena<Mapping<M>>,
    notifications: Arena<Notification<M>>,
    ports: Arena<IoPort>,
    relays: Arena<Relay<M>>,
    views: Arena<relay::View<M>>,
    irqs: [Irq<M>; LINES],
    /// Capabilities of the scheduler, whatever their maximum.
    scheduler: Header,
    /// Capabilities of the log.
    log: Header,
    ready: ReadyQueue,
    timeouts: Timeouts,
    /// The running thread; ready, and in no queue.
    current: Option<Ref<Thread<M>>>,
    /// Runs next unless somebody more urgent is ready; ready, in no queue.
    handoff: Option<Ref<Thread<M>>>,
    /// The context that holds what was lent last by a fast path and is not
    /// settled ([`relay::unsettled`]).
    loan: Option<Ref<Thread<M>>>,
    /// What the way out has to look at.
    attention: run::Attention,
    clock: run::Clock<M>,
    /// Number of contexts, which can have two deadlines each.
    contexts: usize,
    /// The first thread of `init`, without which nothing useful can happen.
    init: Option<Ref<Thread<M>>>,
    /// Rights that the last refusal found missing, for the diagnosis.
    missing: Cell<Rights>,
    /// Objects that have work to be done for (being taken apart, revoked,
    /// emptied), first one.
    work_list: Option<object::Listed>,
    /// The trace, while it is on.
    trace: Option<trace::Trace>,
    /// Whether the fast paths may be taken at all.
    fast_paths: bool,
    /// Whether the general path has to be taken now ([`Kernel::settle_paths`]).
    general_only: bool,
    /// A step of destruction or revocation was done since the last one on a way
    /// out.
    stepped: bool,
    /// Whose floating-point and SIMD registers are in the CPU; nobody can use
    /// them otherwise.
    fpu_owner: Option<Ref<Thread<M>>>,
}

impl<M: Machine> Kernel<M> {
    /// A kernel without memory. `infos` has one element for each page frame
    /// from physical address 0 on; frames past its end are never used.
    ///
    /// # Panics
    /// If the machine has no addresses for the kernel's tables.
    pub fn new(mut machine: M, infos: &'static mut [FrameInfo]) -> Self {
        let mut area = 0;
        let mut region = |machine: &mut M| {
            area += 1;
            machine.region(Area::Objects(area - 1)).expect("addresses for the kernel's tables")
        };
        macro_rules! arena {
            () => {
                Arena::new(region(&mut machine), region(&mut machine))
            };
        }
        Self {
            frames: FrameAllocator::new(infos),
            threads: arena!(),
            gates: arena!(),
            entries: arena!(),
            tasks: arena!(),
            factories: arena!(),
            memories: arena!(),
            mappings: arena!(),
            notifications: arena!(),
            ports: arena!(),
            relays: arena!(),
            views: arena!(),
            irqs: [const { Irq::UNBOUND }; LINES],
            scheduler: Header::BUILT_IN,
            log: Header::BUILT_IN,
            ready: ReadyQueue::default(),
            timeouts: Timeouts::new(Table::new(region(&mut machine))),
            current: None,
            handoff: None,
            loan: None,
            attention: run::Attention::empty(),
            clock: run::Clock::default(),
            contexts: 0,
            init: None,
            missing: Cell::new(Rights::empty()),
            work_list: None,
            trace: None,
            fast_paths: true,
            general_only: false,
            stepped: false,
            fpu_owner: None,
            machine,
        }
    }

    /// Hands usable RAM to the kernel, before `start_init`.
    pub fn add_memory(&mut self, first_page: u64, pages: u64) {
        self.frames.add(first_page, pages);
    }
}
