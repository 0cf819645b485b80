//! The fast paths: the calls, answers and events that happen all the time, in
//! as few instructions as it takes.
//!
//! A fast path is an optimisation and not a second semantics: a ladder of
//! conditions, each of which leads to the general path ([`Kernel::syscall`] and
//! the others) when it does not hold, and below the last of them the change
//! itself. Nothing is changed before the last condition, and what is changed is
//! exactly what the general path would change. It must never look through a
//! queue or allocate.
//!
//! Here are messages that fit into the registers; longer ones are in `long`,
//! signals, interrupts, faults and yielding in `events`.

mod events;
mod long;
#[cfg(any(test, feature = "sim"))]
mod simulated;

use postern_abi::code::Delivery;
use postern_abi::op::entry::ContextState;
use postern_abi::op::fault;
use postern_abi::rights::Kind;
use postern_abi::tag::Tag;
use postern_arena::{Arena, Other, Ref};

use crate::Kernel;
use crate::machine::{Machine, UserState};
use crate::object::thread::{Caller, Source, State, Wait};
use crate::object::{Gate, Task, Thread};

/// The thread to go on with, which left by a system call, and what that call
/// returns; output 0 is `KIND`.
pub struct Resume<'a, const KIND: u64> {
    /// Its state: instruction and stack pointer, FS base.
    pub user: &'a mut UserState,
    /// Output 1.
    pub label: u64,
    /// Output 2.
    pub tag: u64,
    /// Outputs 3 to 6.
    pub words: [u64; 4],
}

/// What is done with a thread that a fast path resumes. A trait and not a
/// closure, as it has to be inlined: otherwise the words go through memory.
pub trait GoOn<'a, const KIND: u64, R> {
    /// Does it.
    fn go_on(self, resume: Resume<'a, KIND>) -> R;
}

/// Output 0 of a call that arrives.
pub const CALL: u64 = Delivery::Call as u64;
/// Output 0 of an answer.
pub const REPLY: u64 = Delivery::Reply as u64;
/// Output 0 of signals that arrive.
pub const SIGNALS: u64 = Delivery::Notification as u64;
/// Output 0 of a call that returns nothing.
pub const NOTHING: u64 = 0;

/// A tag of which the general path would do no more than deliver it with the
/// words in the registers: no items, no flags, at most four words.
#[inline(always)]
fn is_plain(tag: u64) -> bool {
    tag & 0xffff <= 4
}

/// The same for a call, whose protocol is one of the users' besides, so that the
/// kernel is not meant.
#[inline(always)]
fn is_plain_call(tag: u64) -> bool {
    tag & 0x8000_0000_0000_ffff <= 4
}

/// The same for a call with which a relay segment goes along.
#[inline(always)]
fn is_lending_call(tag: u64) -> bool {
    (tag & 0x8000_0000_0000_ffff).wrapping_sub(RELAY) <= 4
}

/// The same for an answer with which one comes back.
#[inline(always)]
fn is_returning(tag: u64) -> bool {
    (tag & 0xffff).wrapping_sub(RELAY) <= 4
}

/// The flag of a tag with which a relay segment goes along.
const RELAY: u64 = Tag::new(0, 0).with_relay().bits();

/// From the one who calls to the one who gets the message.
struct Way<'a, M: Machine> {
    /// Who calls.
    from: &'a mut Thread<M>,
    gate: Ref<Gate<M>>,
    /// As it is delivered.
    label: u64,
    /// Where the gate leads to.
    receiver: Ref<Thread<M>>,
    to: Other<'a, Thread<M>>,
}

impl<'a, M: Machine> Way<'a, M> {
    /// From a slot of the current thread.
    #[inline(always)]
    fn find(
        threads: &'a mut Arena<Thread<M>>,
        tasks: &Arena<Task<M>>,
        gates: &Arena<Gate<M>>,
        handle: u64,
    ) -> Option<Self> {
        let (from, others) = threads.chosen()?;
        let slot = tasks.get(from.home)?.table.get(handle as usize)?;
        if !slot.is(Kind::Gate) {
            return None;
        }
        let gate = slot.reference();
        let found = gates.get(gate)?;
        let label = found.label | slot.shown_rights();
        let receiver = found.direct;
        let to = others.find(receiver)?;
        Some(Self { from, gate, label, receiver, to })
    }

    /// The reference of who calls: looked up late, as registers are few.
    #[inline(always)]
    fn caller(&self) -> Ref<Thread<M>> {
        self.to.chosen()
    }

    /// Delivers a call to a thread that waits for one. The caller waits as
    /// `wait` says.
    #[inline(always)]
    fn call<R>(
        self,
        current: &mut Option<Ref<Thread<M>>>,
        machine: &mut M,
        (tag, words): (u64, [u64; 4]),
        wait: Wait,
        then: impl GoOn<'a, CALL, R>,
    ) -> R {
        let caller = self.caller();
        let Self { from, label, receiver, to, .. } = self;
        let to = to.choose();
        from.state = State::Calling;
        from.wait = wait;
        from.answerer = Some(receiver);
        from.call_number = from.call_number.wrapping_add(1);
        to.state = State::Ready;
        to.wait = Wait::Other;
        to.caller = Some(Caller { thread: caller, number: from.call_number });
        if from.effective > to.effective {
            to.effective = from.effective;
        }
        *current = Some(receiver);
        machine.hand_over(to.root, to.window, from.root);
        then.go_on(Resume { user: &mut to.user, label, tag, words })
    }

    /// Begins a crossing into a front context. The caller waits as `wait` says,
    /// and `levels` more crossings fit behind it.
    #[inline(always)]
    fn cross<R>(
        self,
        current: &mut Option<Ref<Thread<M>>>,
        machine: &mut M,
        (tag, words): (u64, [u64; 4]),
        (wait, levels): (Wait, u8),
        begin: impl GoOn<'a, CALL, R>,
    ) -> R {
        let caller = self.caller();
        let Self { from, gate, label, receiver, to } = self;
        let to = to.choose();
        to.through = Some(gate);
        from.state = State::Calling;
        from.wait = wait;
        from.answerer = Some(receiver);
        from.call_number = from.call_number.wrapping_add(1);
        to.state = State::Ready;
        to.wait = Wait::Other;
        to.context_state = ContextState::Active;
        // It is; but four bytes side by side are one store.
        to.pending = true;
        to.back = caller;
        to.caller = Some(Caller { thread: caller, number: from.call_number });
        to.levels = levels;
        to.payer = from.payer;
        to.effective = to.priority.max(from.effective);
        *current = Some(receiver);
        machine.hand_over(to.root, to.window, from.root);
        begin.go_on(Resume { user: &mut to.user, label, tag, words })
    }
}

/// From the one who answers to the one who gets the answer.
struct Back<'a, M: Machine> {
    from: &'a mut Thread<M>,
    caller: Ref<Thread<M>>,
    to: Other<'a, Thread<M>>,
}

impl<'a, M: Machine> Back<'a, M> {
    /// The answerer, who receives besides, goes on waiting for a message, and
    /// the caller goes on.
    #[inline(always)]
    fn reply<const KIND: u64, R>(
        self,
        current: &mut Option<Ref<Thread<M>>>,
        machine: &mut M,
        (label, tag, words): (u64, u64, [u64; 4]),
        then: impl GoOn<'a, KIND, R>,
    ) -> R {
        let Self { from, caller, to } = self;
        from.caller = None;
        from.effective = from.priority;
        from.state = State::Receiving;
        from.wait = Wait::Message;
        from.source = Source::Open;
        let to = to.choose();
        to.state = State::Ready;
        to.wait = Wait::Other;
        *current = Some(caller);
        machine.hand_over(to.root, to.window, from.root);
        then.go_on(Resume { user: &mut to.user, label, tag, words })
    }

    /// The front context is free again, and the caller goes on.
    #[inline(always)]
    fn leave<R>(
        self,
        current: &mut Option<Ref<Thread<M>>>,
        machine: &mut M,
        (label, tag, words): (u64, u64, [u64; 4]),
        then: impl GoOn<'a, REPLY, R>,
    ) -> R {
        let Self { from, caller, to } = self;
        from.caller = None;
        from.state = State::Idle;
        from.wait = Wait::Front;
        from.context_state = ContextState::Free;
        from.pending = true;
        from.back = Ref::NOWHERE;
        let to = to.choose();
        to.state = State::Ready;
        to.wait = Wait::Other;
        *current = Some(caller);
        machine.hand_over(to.root, to.window, from.root);
        then.go_on(Resume { user: &mut to.user, label, tag, words })
    }
}

impl<M: Machine> Kernel<M> {
    /// A call that waits for ever, with a message that fits into the registers:
    /// through a gate to a thread that waits for one, which goes on in `then`,
    /// or to an entry whose front context is free, which begins in `begin`.
    #[inline(always)]
    pub fn fast_call<'a, R>(
        &'a mut self,
        handle: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, CALL, R>,
        begin: impl GoOn<'a, CALL, R>,
    ) -> Option<R> {
        if !is_plain_call(tag) {
            if is_lending_call(tag) {
                return self.fast_lend(handle, tag, words, begin);
            }
            return None;
        }
        let way = Way::find(&mut self.threads, &self.tasks, &self.gates, handle)?;
        let (message, wait) = ((tag, words), Wait::Answer);
        match way.to.object().wait {
            Wait::Message if self.loan.is_none() => {
                Some(way.call(&mut self.current, &mut self.machine, message, wait, then))
            }
            Wait::Front => {
                let way_in = (wait, way.from.levels.checked_sub(1)?);
                Some(way.cross(&mut self.current, &mut self.machine, message, way_in, begin))
            }
            _ => None,
        }
    }

    /// A crossing with the relay segment in the caller's window
    /// ([`crate::relay::unsettled`]), narrowed by its mask, while no other loan is
    /// unsettled.
    #[inline(always)]
    fn fast_lend<'a, R>(
        &'a mut self,
        handle: u64,
        tag: u64,
        words: [u64; 4],
        begin: impl GoOn<'a, CALL, R>,
    ) -> Option<R> {
        let mut way = Way::find(&mut self.threads, &self.tasks, &self.gates, handle)?;
        if way.to.object().wait != Wait::Front {
            return None;
        }
        let levels = way.from.levels.checked_sub(1)?;
        if self.loan.is_some() {
            return None;
        }
        let given = way.from.given;
        if given == M::Window::default() {
            return None;
        }
        self.loan = Some(way.receiver);
        way.to.object_mut().window = given;
        let (message, way_in) = ((tag, words), (Wait::Lent, levels));
        Some(way.cross(&mut self.current, &mut self.machine, message, way_in, begin))
    }

    /// As [`Kernel::fast_call`], by the one who borrowed last; a path of its own,
    /// so that the others do not pay for it.
    #[inline(always)]
    pub fn fast_lend_on<'a, R>(
        &'a mut self,
        handle: u64,
        tag: u64,
        words: [u64; 4],
        begin: impl GoOn<'a, CALL, R>,
    ) -> Option<R> {
        if self.loan.is_none() || !is_lending_call(tag) {
            return None;
        }
        let mut way = Way::find(&mut self.threads, &self.tasks, &self.gates, handle)?;
        if way.to.object().wait != Wait::Front {
            return None;
        }
        let levels = way.from.levels.checked_sub(1)?;
        if self.loan != Some(way.caller()) {
            return None;
        }
        self.loan = Some(way.receiver);
        way.to.object_mut().window = way.from.window;
        let (message, way_in) = ((tag, words), (Wait::LentOn, levels));
        Some(way.cross(&mut self.current, &mut self.machine, message, way_in, begin))
    }

    /// The return from a front context which the fast path has entered, with an
    /// answer that fits into the registers.
    #[inline(always)]
    pub fn fast_return<'a, R>(
        &'a mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, REPLY, R>,
    ) -> Option<R> {
        if !is_plain(tag) {
            if is_returning(tag) {
                return self.fast_give_back(label, tag, words, then);
            }
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let caller = from.back;
        let to = others.find(caller)?;
        let waiting = to.object();
        if waiting.wait != Wait::Answer || self.clock.has_rival(&self.ready, waiting.effective) {
            return None;
        }
        let back = Back { from, caller, to };
        Some(back.leave(&mut self.current, &mut self.machine, (label, tag, words), then))
    }

    /// The return from a crossing with a relay segment, which the answer says
    /// comes back.
    #[inline(always)]
    fn fast_give_back<'a, R>(
        &'a mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, REPLY, R>,
    ) -> Option<R> {
        let (from, others) = self.threads.chosen()?;
        let caller = from.back;
        let to = others.find(caller)?;
        let waiting = to.object();
        if self.clock.has_rival(&self.ready, waiting.effective) {
            return None;
        }
        if waiting.wait != Wait::Lent {
            return None;
        }
        self.loan = None;
        from.window = M::Window::default();
        let back = Back { from, caller, to };
        Some(back.leave(&mut self.current, &mut self.machine, (label, tag, words), then))
    }

    /// As [`Kernel::fast_return`] with a relay segment, to one who had borrowed
    /// it, too, or when the answer does not say that it comes back: it does.
    #[inline(always)]
    pub fn fast_give_back_on<'a, R>(
        &'a mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, REPLY, R>,
    ) -> Option<R> {
        if self.loan.is_none() || !is_plain(tag & !RELAY) {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let caller = from.back;
        let to = others.find(caller)?;
        let waiting = to.object();
        if self.clock.has_rival(&self.ready, waiting.effective) {
            return None;
        }
        self.loan = match waiting.wait {
            Wait::Lent => None,
            Wait::LentOn => Some(caller),
            _ => return None,
        };
        from.window = M::Window::default();
        let (back, answer) = (Back { from, caller, to }, (label, tag | RELAY, words));
        Some(back.leave(&mut self.current, &mut self.machine, answer, then))
    }

    /// An answer that fits into the registers, to a caller that waits for ever,
    /// by a thread for which nothing else is there to receive. A caller that
    /// made a system call goes on in `then`, one whose fault was handled, with
    /// all of its registers, in `again`.
    #[inline(always)]
    pub fn fast_reply_receive<'a, R>(
        &'a mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, REPLY, R>,
        again: impl GoOn<'a, NOTHING, R>,
    ) -> Option<R> {
        if !is_plain(tag) {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let Caller { thread: caller, number } = from.caller?;
        let to = others.find(caller)?;
        let waiting = to.object();
        if waiting.call_number != number {
            return None;
        }
        if from.pending || self.clock.has_rival(&self.ready, waiting.effective) {
            return None;
        }
        let (wait, answer) = (waiting.wait, (label, tag, words));
        let mut back = Back { from, caller, to };
        if wait == Wait::Answer {
            return Some(back.reply(&mut self.current, &mut self.machine, answer, then));
        }
        core::hint::cold_path();
        if wait != Wait::Handler || tag & 0x3f != 0 && words[0] != fault::RESUME {
            return None;
        }
        back.to.object_mut().fault = None;
        Some(back.reply(&mut self.current, &mut self.machine, answer, again))
    }

    /// Switches the fast paths on or off: without them everything is the same,
    /// only slower.
    pub(crate) fn set_fast_paths(&mut self, on: bool) {
        self.fast_paths = on;
        self.settle_paths();
    }

    /// To be called after each change of what decides whether the general path
    /// has to be taken whatever is asked for: it does a step of the work that
    /// nobody waits for, or switches floating-point registers, or the fast paths
    /// are off. Then no thread is the chosen
    /// one at the next way out.
    pub(crate) fn settle_paths(&mut self) {
        let special = self.fpu_owner.is_some() || self.trace.is_some();
        self.general_only = !self.fast_paths || self.work_list.is_some() || special;
    }
}
