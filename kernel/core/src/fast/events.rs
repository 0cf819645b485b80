//! The fast paths of what is no message between threads: signals and interrupts
//! to a thread that waits for them, faults to a handler that waits, and giving
//! way to an equal.

use postern_abi::op::notification::SIGNAL;
use postern_abi::rights::{Kind, Rights};
use postern_abi::tag::{Tag, protocol};
use postern_arena::Ref;

use super::{CALL, GoOn, NOTHING, Resume, SIGNALS, Way};
use crate::Kernel;
use crate::hypercall::INVALID;
use crate::invoke::Answer;
use crate::machine::{Fault, Form, Machine};
use crate::object::thread::{Asks, Queue, State, Wait};
use crate::object::{Notification, Thread};

/// The tag of an operation with two words on an object of the kernel.
const OPERATION: u64 = Tag::new(protocol::KOBJECT, 2).bits();
/// The tag with which signals arrive.
const ONE_WORD: u64 = Tag::new(0, 1).bits();

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
        let taker = self.taker(slot.reference(), words[1])?;
        let (from, _) = self.threads.chosen()?;
        // What SIGNAL returns.
        Answer::none().store(from);
        self.alert(taker, words[1], then)
    }

    /// An interrupt for whose signal a more urgent thread waits. The line has
    /// been dealt with as for [`Kernel::interrupt`].
    #[inline(always)]
    pub fn fast_interrupt<'a, R>(
        &'a mut self,
        line: u32,
        then: impl GoOn<'a, SIGNALS, R>,
    ) -> Option<R> {
        self.threads.chosen()?;
        let irq = self.irqs.get(line as usize)?;
        if irq.masked {
            return None;
        }
        let (notification, bits) = irq.bound?;
        let taker = self.taker(notification, bits)?;
        let irq = self.irqs.get_mut(line as usize)?;
        irq.count += 1;
        irq.pending = true;
        self.alert(taker, bits, then)
    }

    /// The thread that waits for any signal of a notification, if it is more
    /// urgent than the current one and all that are ready, and the current one
    /// shares its time with nobody.
    #[inline(always)]
    fn taker(&mut self, notification: Ref<Notification<M>>, bits: u64) -> Option<Ref<Thread<M>>> {
        let taker = self.notifications.get(notification)?.bound?;
        let (from, others) = self.threads.chosen()?;
        let to = others.find(taker)?;
        let waiting = to.object();
        let is_urgent = waiting.effective > from.effective;
        if waiting.wait != Wait::Message || !is_urgent || bits == 0 {
            return None;
        }
        if !self.ready.is_below(waiting.effective) || self.clock.has_slice() {
            return None;
        }
        Some(taker)
    }

    /// A more urgent thread, which waits, takes signals and runs in place of the
    /// current one.
    #[inline(always)]
    fn alert<'a, R>(
        &'a mut self,
        taker: Ref<Thread<M>>,
        bits: u64,
        then: impl GoOn<'a, SIGNALS, R>,
    ) -> Option<R> {
        let (from, others) = self.threads.chosen()?;
        let (index, priority, root) = (others.chosen().index(), from.effective, from.root);
        from.queue = Queue::Ready;
        self.ready.push_front(&mut self.threads, index, priority);
        self.charge_time();
        let (_, others) = self.threads.chosen()?;
        let to = others.find(taker)?.choose();
        to.state = State::Ready;
        to.wait = Wait::Other;
        self.clock.change_payer(to.payer);
        self.current = Some(taker);
        self.machine.hand_over(root, to.root, to.window);
        let words = [bits, 0, 0, 0];
        Some(then.go_on(Resume { user: &mut to.user, label: 0, tag: ONE_WORD, words }))
    }

    /// A fault of the current thread, whose handler waits for messages.
    #[inline(always)]
    pub fn fast_fault<'a, R>(&'a mut self, fault: Fault, then: impl GoOn<'a, CALL, R>) -> Option<R> {
        const TAG: u64 = Tag::new(protocol::FAULT, 4).bits();
        if fault.vector == INVALID {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let caller = others.chosen();
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
        let way = Way { from, caller, gate, label, receiver, to };
        let wait = Wait::Handler;
        Some(way.call(&mut self.current, &mut self.machine, (TAG, words), wait, then))
    }

    /// The current thread gives way to the one other thread that is ready and
    /// equal, and gave way, too.
    #[inline(always)]
    pub fn fast_yield<'a, R>(&'a mut self, then: impl GoOn<'a, NOTHING, R>) -> Option<R> {
        let (from, others) = self.threads.chosen()?;
        let (caller, priority) = (others.chosen(), from.effective);
        let next = self.ready.first_of(priority)?;
        let receiver = others.at(next)?;
        let to = others.find(receiver)?;
        let waiting = to.object();
        if waiting.wait != Wait::Yielded || !waiting.links.is_alone(next) {
            return None;
        }
        if waiting.payer != receiver || from.payer != caller {
            return None;
        }
        let slice = waiting.slice;
        let passed = self.clock.turn(caller, receiver, slice, &mut self.machine)?;
        from.time += passed;
        from.wait = Wait::Yielded;
        from.queue = Queue::Ready;
        self.ready.put_alone(&mut from.links, caller.index(), priority);
        let to = to.choose();
        to.queue = Queue::None;
        to.wait = Wait::Other;
        self.current = Some(receiver);
        self.machine.hand_over(from.root, to.root, to.window);
        Some(then.go_on(Resume { user: &mut to.user, label: 0, tag: 0, words: [0; 4] }))
    }
}
