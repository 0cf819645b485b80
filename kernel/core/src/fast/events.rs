//! The fast paths of what is no message between threads: signals and interrupts
//! to a thread that waits for them, faults to a handler that waits, and giving
//! way to an equal.

use postern_abi::op::notification::SIGNAL;
use postern_abi::rights::{Kind, Rights};
use postern_abi::tag::{Tag, protocol};
use postern_arena::{Arena, Ref};

use super::{CALL, GoOn, NOTHING, Resume, SIGNALS, Way};
use crate::Kernel;
use crate::fpu::NOT_AVAILABLE;
use crate::hypercall::INVALID;
use crate::invoke::Answer;
use crate::machine::{Fault, Form, Machine};
use crate::object::thread::{Asks, Queue, State, Wait};
use crate::object::{Notification, Thread};
use crate::run::Clock;
use crate::sched::ReadyQueue;

/// The tag of an operation with two words on an object of the kernel.
const OPERATION: u64 = Tag::new(protocol::KOBJECT, 2).bits();
/// The tag with which signals arrive.
const ONE_WORD: u64 = Tag::new(0, 1).bits();

/// What an alert needs of the kernel.
struct Alert<'a, M: Machine> {
    threads: &'a mut Arena<Thread<M>>,
    notifications: &'a Arena<Notification<M>>,
    ready: &'a mut ReadyQueue,
    clock: &'a mut Clock<M>,
    current: &'a mut Option<Ref<Thread<M>>>,
    machine: &'a mut M,
}

/// The parts of a kernel that an alert needs.
macro_rules! alert {
    ($kernel:expr) => {
        Alert {
            threads: &mut $kernel.threads,
            notifications: &$kernel.notifications,
            ready: &mut $kernel.ready,
            clock: &mut $kernel.clock,
            current: &mut $kernel.current,
            machine: &mut $kernel.machine,
        }
    };
}

impl<'a, M: Machine> Alert<'a, M> {
    /// The thread that waits for any signal of a notification takes these and
    /// runs, if it is more urgent than the current one and all that are ready,
    /// and if the current one shares its time with nobody. `before` is done to
    /// the current one.
    #[inline(always)]
    fn run<R>(
        self,
        notification: Ref<Notification<M>>,
        bits: u64,
        before: impl FnOnce(&mut Thread<M>),
        then: impl GoOn<'a, SIGNALS, R>,
    ) -> Option<R> {
        let Self { threads, notifications, ready, clock, current, machine } = self;
        let taker = notifications.get(notification)?.bound?;
        let (from, others) = threads.chosen()?;
        let caller = others.chosen();
        let to = others.find(taker)?;
        let waiting = to.object();
        let (priority, urgency) = (from.effective, waiting.effective);
        if waiting.wait != Wait::Message || urgency <= priority || bits == 0 {
            return None;
        }
        if clock.has_slice() || !clock.charges(caller) {
            return None;
        }
        // The last condition, and the first change: nobody else is as urgent.
        if !ready.push_top(&mut from.links, caller.index(), priority) {
            return None;
        }
        before(from);
        from.queue = Queue::Ready;
        let to = to.choose();
        clock.pass(&mut from.time, machine.now(), to.payer);
        to.state = State::Ready;
        to.wait = Wait::Other;
        *current = Some(taker);
        machine.hand_over(to.root, to.window, from.root);
        let words = [bits, 0, 0, 0];
        Some(then.go_on(Resume { user: &mut to.user, label: 0, tag: ONE_WORD, words }))
    }
}

impl<M: Machine> Kernel<M> {
    /// SIGNAL of a notification for which a more urgent thread waits: it takes
    /// the bits and runs.
    #[inline(always)]
    pub fn fast_signal<'a, R>(
        &'a mut self,
        handle: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, SIGNALS, R>,
    ) -> Option<R> {
        if tag != OPERATION || words[0] != SIGNAL {
            return None;
        }
        let (from, _) = self.threads.chosen()?;
        let slot = self.tasks.get(from.home)?.table.get(handle as usize)?;
        if !slot.is(Kind::Notification) || !slot.rights().contains(Rights::W) {
            return None;
        }
        // What SIGNAL returns.
        let before = |from: &mut Thread<M>| Answer::none().store(from);
        alert!(self).run(slot.reference(), words[1], before, then)
    }

    /// An interrupt for whose signal a more urgent thread waits. The line has
    /// been dealt with as for [`Kernel::interrupt`].
    #[inline(always)]
    pub fn fast_interrupt<'a, R>(
        &'a mut self,
        line: u32,
        then: impl GoOn<'a, SIGNALS, R>,
    ) -> Option<R> {
        let irq = self.irqs.get_mut(line as usize)?;
        if irq.masked {
            return None;
        }
        let (notification, bits) = irq.bound?;
        let before = |_: &mut Thread<M>| {
            irq.count += 1;
            irq.pending = true;
        };
        alert!(self).run(notification, bits, before, then)
    }

    /// A fault of the current thread, whose handler waits for messages.
    #[inline(always)]
    pub fn fast_fault<'a, R>(
        &'a mut self,
        fault: Fault,
        then: impl GoOn<'a, CALL, R>,
    ) -> Option<R> {
        const TAG: u64 = Tag::new(protocol::FAULT, 4).bits();
        // These two may be something else than a fault.
        if matches!(fault.vector, INVALID | NOT_AVAILABLE) {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let gate = from.fault_gate?;
        let found = self.gates.get(gate)?;
        let (label, receiver) = (found.label, found.direct);
        let to = others.find(receiver)?;
        if to.object().wait != Wait::Message {
            return None;
        }
        from.user.form = Form::Full;
        (from.fault, from.asks) = (Some(fault), Asks::Fault);
        let rip = from.user.registers.rip;
        let words = [u64::from(fault.vector), fault.detail(), rip, fault.error];
        let way = Way { from, gate, label, receiver, to };
        let wait = Wait::Handler;
        Some(way.call(&mut self.current, &mut self.machine, (TAG, words), wait, then))
    }

    /// The current thread gives way to the one other thread that is ready and
    /// equal, and gave way, too.
    #[inline(always)]
    pub fn fast_yield<'a, R>(&'a mut self, then: impl GoOn<'a, NOTHING, R>) -> Option<R> {
        let (from, others) = self.threads.chosen()?;
        let (caller, priority) = (others.chosen(), from.effective);
        let next = self.ready.first(priority);
        let (receiver, to) = others.nth(next)?;
        let waiting = to.object();
        if waiting.wait != Wait::Yielded || !waiting.links.is_alone(next) {
            return None;
        }
        if !self.ready.is_top(priority) || !self.clock.charges(caller) {
            return None;
        }
        let now = self.machine.now();
        if !self.clock.begin_slice(now + waiting.slice) {
            return None;
        }
        self.clock.pass(&mut from.time, now, receiver);
        from.wait = Wait::Yielded;
        from.queue = Queue::Ready;
        self.ready.put_alone(&mut from.links, caller.index(), priority);
        let to = to.choose();
        to.queue = Queue::None;
        to.wait = Wait::Other;
        self.current = Some(receiver);
        self.machine.hand_over(to.root, to.window, from.root);
        Some(then.go_on(Resume { user: &mut to.user, label: 0, tag: 0, words: [0; 4] }))
    }
}
