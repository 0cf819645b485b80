//! The fast paths: the calls and answers that happen all the time, in as few
//! instructions as it takes.
//!
//! A fast path is an optimisation and not a second semantics: a ladder of
//! conditions, each of which leads to the general path ([`Kernel::syscall`])
//! when it does not hold, and below the last of them the change itself. Nothing
//! is changed before the last condition, and what is changed is exactly what
//! the general path would change. It must never read the clock, look at a
//! queue, or allocate.

use postern_abi::code::Delivery;
use postern_abi::op::entry::{ContextState, DEPTH};
use postern_abi::rights::Kind;

use crate::Kernel;
use crate::machine::{Form, Machine, UserState};
use crate::object::thread::{Caller, Source, State, Wait};
use crate::object::{Binding, Role};

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

const CALL: u64 = Delivery::Call as u64;
const REPLY: u64 = Delivery::Reply as u64;

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

impl<M: Machine> Kernel<M> {
    /// A call that waits for ever, with a message that fits into the registers,
    /// through a gate to a thread that waits for one.
    #[inline(always)]
    pub fn fast_call(
        &mut self,
        handle: u64,
        tag: u64,
        words: [u64; 4],
    ) -> Option<Resume<'_, CALL>> {
        if self.general_only() || !is_plain_call(tag) {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let thread = others.chosen();
        let slot = self.tasks.get(from.home)?.table.get(handle as usize)?;
        if !slot.is(Kind::Gate) {
            return None;
        }
        let gate = self.gates.get(slot.reference())?;
        let receiver = gate.direct;
        let to = others.find(receiver)?;
        if to.object().wait != Wait::Message {
            return None;
        }
        // Nothing can go wrong from here on.
        let to = to.choose();
        from.state = State::Calling;
        from.wait = Wait::Answer;
        from.answerer = Some(receiver);
        from.call_number = from.call_number.wrapping_add(1);
        to.state = State::Ready;
        to.wait = Wait::Other;
        to.caller = Some(Caller { thread, number: from.call_number });
        if from.effective > to.effective {
            to.effective = from.effective;
        }
        self.current = Some(receiver);
        self.machine.switch(to.root, to.window);
        Some(Resume { user: &mut to.user, label: gate.label | slot.shown_rights(), tag, words })
    }

    /// The same through a gate to an entry with a free context, for which
    /// nobody waits. A path of its own, so that calls to threads do not pay for
    /// it.
    #[inline(always)]
    pub fn fast_cross(
        &mut self,
        handle: u64,
        tag: u64,
        words: [u64; 4],
    ) -> Option<Resume<'_, CALL>> {
        if self.general_only() || !is_plain_call(tag) {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let thread = others.chosen();
        let slot = self.tasks.get(from.home)?.table.get(handle as usize)?;
        if !slot.is(Kind::Gate) {
            return None;
        }
        let (reference, shown) = (slot.reference(), slot.shown_rights());
        let gate = self.gates.get_mut(reference)?;
        let Binding::Entry(bound) = gate.target else { return None };
        if !gate.waiting.is_empty() || gate.header.dying || gate.is_full() {
            return None;
        }
        let entry = self.entries.get_mut(bound)?;
        if !entry.waiting.is_empty() || entry.header.dying {
            return None;
        }
        if self.tasks.get(entry.task)?.header.dying {
            return None;
        }
        if usize::from(from.depth) >= DEPTH {
            return None;
        }
        let context = others.at(entry.free?)?;
        let to = others.find(context)?;
        if !to.object().is_context() {
            return None;
        }
        // Nothing can go wrong from here on.
        let to = to.choose();
        let Role::Context(home) = &mut to.role else { return None };
        entry.free = home.next_free.take();
        entry.recount(ContextState::Free, ContextState::Active);
        gate.in_use += 1;
        home.state = ContextState::Active;
        home.silent = false;
        home.gate = Some(reference);
        to.user.form = Form::Outputs;
        to.user.registers.rip = entry.handler;
        to.user.registers.rsp = home.stack;
        to.user.fs_base = home.fs_base;
        from.state = State::Calling;
        from.wait = Wait::Answer;
        from.answerer = Some(context);
        from.call_number = from.call_number.wrapping_add(1);
        to.state = State::Ready;
        to.wait = Wait::Other;
        to.caller = Some(Caller { thread, number: from.call_number });
        to.depth = from.depth + 1;
        to.payer = Some(from.payer.unwrap_or(thread));
        to.priority = entry.floor;
        to.effective = entry.floor.max(from.effective);
        to.slice = from.slice;
        to.diagnose = false;
        self.current = Some(context);
        self.machine.switch(to.root, to.window);
        Some(Resume { user: &mut to.user, label: gate.label | shown, tag, words })
    }

    /// The return from a crossing with an answer that fits into the registers,
    /// to a caller that waits for ever, when nobody waits for the context.
    #[inline(always)]
    pub fn fast_return(
        &mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
    ) -> Option<Resume<'_, REPLY>> {
        if self.general_only() || !is_plain(tag) {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let reference = others.chosen();
        let Role::Context(home) = &mut from.role else { return None };
        let caller = from.caller?;
        if home.silent || !from.segments.is_empty() {
            return None;
        }
        let to = others.find(caller.thread)?;
        let waiting = to.object();
        if waiting.wait != Wait::Answer || waiting.call_number != caller.number {
            return None;
        }
        if waiting.stop_pending || self.clock.has_rival(&self.ready, waiting.effective) {
            return None;
        }
        let entry = self.entries.get_mut(home.entry)?;
        if !entry.waiting.is_empty() {
            return None;
        }
        if let Some(gate) = home.gate.and_then(|gate| self.gates.get_mut(gate)) {
            if !gate.waiting.is_empty() {
                return None;
            }
            gate.in_use -= 1;
        }
        // Nothing can go wrong from here on.
        home.gate = None;
        home.state = ContextState::Free;
        entry.recount(ContextState::Active, ContextState::Free);
        home.next_free = entry.free.replace(reference.index());
        from.caller = None;
        from.state = State::Idle;
        from.effective = from.priority;
        from.payer = None;
        from.depth = 0;
        from.slice_left = None;
        let to = to.choose();
        to.state = State::Ready;
        to.wait = Wait::Other;
        to.answerer = None;
        self.current = Some(caller.thread);
        self.machine.switch(to.root, to.window);
        Some(Resume { user: &mut to.user, label, tag, words })
    }

    /// An answer that fits into the registers, to a caller that waits for ever,
    /// by a thread for which nothing else is there to receive.
    #[inline(always)]
    pub fn fast_reply_receive(
        &mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
    ) -> Option<Resume<'_, REPLY>> {
        if self.general_only() || !is_plain(tag) {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let caller = from.caller?;
        let to = others.find(caller.thread)?;
        let waiting = to.object();
        if waiting.wait != Wait::Answer || waiting.call_number != caller.number {
            return None;
        }
        if from.pending || self.clock.has_rival(&self.ready, waiting.effective) {
            return None;
        }
        // Nothing can go wrong from here on.
        let to = to.choose();
        from.caller = None;
        from.effective = from.priority;
        from.state = State::Receiving;
        from.wait = Wait::Message;
        from.source = Source::Open;
        to.state = State::Ready;
        to.wait = Wait::Other;
        self.current = Some(caller.thread);
        self.machine.switch(to.root, to.window);
        Some(Resume { user: &mut to.user, label, tag, words })
    }

    /// Whether the general path has to be taken whatever is asked for: it does
    /// a step of the work that nobody waits for, or switches floating-point
    /// registers, or the fast paths are off.
    #[inline(always)]
    fn general_only(&self) -> bool {
        self.general_only
    }

    /// Switches the fast paths on or off: without them everything is the same,
    /// only slower.
    pub(crate) fn set_fast_paths(&mut self, on: bool) {
        self.fast_paths = on;
        self.settle_paths();
    }

    /// To be called after each change of what [`Kernel::general_only`] tells.
    pub(crate) fn settle_paths(&mut self) {
        let special = self.fpu_owner.is_some() || self.trace.is_some();
        self.general_only = !self.fast_paths || self.work_list.is_some() || special;
    }
}

#[cfg(any(test, feature = "sim"))]
impl<M: Machine> Kernel<M> {
    /// A system call as a machine makes it: by the fast path, if there is one
    /// and it can be taken. Says whether it was.
    pub fn system_call(&mut self, rax: u64, args: [u64; 6]) -> bool {
        use postern_abi::Code;
        let [rdi, rsi, w0, w1, w2, w3] = args;
        let words = [w0, w1, w2, w3];
        let done = if rax == Code::Call.plain() {
            let there = self.fast_call(rdi, rsi, words).map(Resume::settle);
            there.or_else(|| self.fast_cross(rdi, rsi, words).map(Resume::settle))
        } else if rax == Code::ReplyReceive.plain() {
            self.fast_reply_receive(rdi, rsi, words).map(Resume::settle)
        } else if rax == Code::Return.plain() {
            self.fast_return(rdi, rsi, words).map(Resume::settle)
        } else {
            None
        };
        if done.is_none() {
            self.syscall(rax, args);
        }
        done.is_some()
    }
}

#[cfg(any(test, feature = "sim"))]
impl<const KIND: u64> Resume<'_, KIND> {
    /// Puts the outputs where the general path puts them.
    fn settle(self) {
        let registers = &mut self.user.registers;
        assert_eq!(self.user.form, crate::machine::Form::Outputs);
        (registers.rax, registers.rdi, registers.rsi) = (KIND, self.label, self.tag);
        [registers.rdx, registers.r10, registers.r8, registers.r9] = self.words;
        registers.rflags = 0;
    }
}
