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

/// From the slot to the one who gets the message, for the paths of a call.
struct Way<'a, M: Machine> {
    /// Who calls.
    from: &'a mut Thread<M>,
    /// Its reference.
    caller: Ref<Thread<M>>,
    gate: Ref<Gate<M>>,
    /// As it is delivered.
    label: u64,
    /// Where the gate leads to.
    receiver: Ref<Thread<M>>,
    to: Other<'a, Thread<M>>,
}

impl<'a, M: Machine> Way<'a, M> {
    #[inline(always)]
    fn find(
        threads: &'a mut Arena<Thread<M>>,
        tasks: &Arena<Task<M>>,
        gates: &Arena<Gate<M>>,
        handle: u64,
    ) -> Option<Self> {
        let (from, others) = threads.chosen()?;
        let caller = others.chosen();
        let slot = tasks.get(from.home)?.table.get(handle as usize)?;
        if !slot.is(Kind::Gate) {
            return None;
        }
        let gate = slot.reference();
        let found = gates.get(gate)?;
        let label = found.label | slot.shown_rights();
        let receiver = found.direct;
        let to = others.find(receiver)?;
        Some(Self { from, caller, gate, label, receiver, to })
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
            return None;
        }
        let way = Way::find(&mut self.threads, &self.tasks, &self.gates, handle)?;
        let Way { from, caller, gate, label, receiver, to } = way;
        match to.object().wait {
            Wait::Message => {
                // Nothing can go wrong from here on.
                let to = to.choose();
                from.state = State::Calling;
                from.wait = Wait::Answer;
                from.answerer = Some(receiver);
                from.call_number = from.call_number.wrapping_add(1);
                to.state = State::Ready;
                to.wait = Wait::Other;
                to.caller = Some(Caller { thread: caller, number: from.call_number });
                if from.effective > to.effective {
                    to.effective = from.effective;
                }
                self.current = Some(receiver);
                self.machine.hand_over(from.root, to.root, to.window);
                Some(then.go_on(Resume { user: &mut to.user, label, tag, words }))
            }
            Wait::Front => {
                if usize::from(from.depth) >= DEPTH {
                    return None;
                }
                // Nothing can go wrong from here on.
                let to = to.choose();
                to.through = Some(gate);
                from.state = State::Calling;
                from.wait = Wait::Answer;
                from.answerer = Some(receiver);
                from.call_number = from.call_number.wrapping_add(1);
                to.state = State::Ready;
                to.wait = Wait::Other;
                to.context_state = ContextState::Active;
                // It is; but four bytes side by side are one store.
                to.pending = true;
                to.back = caller;
                to.caller = Some(Caller { thread: caller, number: from.call_number });
                to.depth = from.depth + 1;
                to.payer = from.payer;
                to.effective = to.priority.max(from.effective);
                self.current = Some(receiver);
                self.machine.hand_over(from.root, to.root, to.window);
                Some(begin.go_on(Resume { user: &mut to.user, label, tag, words }))
            }
            _ => None,
        }
    }

    /// The return from a front context which the fast path has entered, with an
    /// answer that fits into the registers.
    #[inline(always)]
    pub fn fast_return(
        &mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
    ) -> Option<Resume<'_, REPLY>> {
        if !is_plain(tag) {
            return None;
        }
        let (from, others) = self.threads.chosen()?;
        let caller = from.back;
        let to = others.find(caller)?;
        let waiting = to.object();
        if waiting.wait != Wait::Answer || self.clock.has_rival(&self.ready, waiting.effective) {
            return None;
        }
        // Nothing can go wrong from here on.
        from.caller = None;
        from.state = State::Idle;
        from.wait = Wait::Front;
        from.context_state = ContextState::Free;
        from.pending = true;
        from.back = Ref::NOWHERE;
        let to = to.choose();
        to.state = State::Ready;
        to.wait = Wait::Other;
        self.current = Some(caller);
        self.machine.hand_over(from.root, to.root, to.window);
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
        if !is_plain(tag) {
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
        self.machine.hand_over(from.root, to.root, to.window);
        Some(Resume { user: &mut to.user, label, tag, words })
    }

    /// Switches the fast paths on or off: without them everything is the same,
    /// only slower.
    pub(crate) fn set_fast_paths(&mut self, on: bool) {
        self.fast_paths = on;
        self.settle_paths();
    }

    /// To be called after each change of what decides whether the general path
    /// has to be taken whatever is asked for: it does a step of the work that
    /// nobody waits for, or the fast paths are off. Then no thread is the chosen
    /// one at the next way out.
    pub(crate) fn settle_paths(&mut self) {
        self.general_only = !self.fast_paths || self.work_list.is_some();
    }
}

#[cfg(any(test, feature = "sim"))]
mod simulated {
    use postern_abi::Code;

    use super::{CALL, GoOn, Resume};
    use crate::Kernel;
    use crate::machine::{Form, Machine};

    /// Behind the system call.
    struct Behind;
    /// At the beginning of a crossing.
    struct Begin;

    impl<const KIND: u64> GoOn<'_, KIND, ()> for Behind {
        /// Puts the outputs where the general path puts them.
        fn go_on(self, resume: Resume<'_, KIND>) {
            assert_eq!(resume.user.form, Form::Outputs);
            let registers = &mut resume.user.registers;
            (registers.rax, registers.rdi, registers.rsi) = (KIND, resume.label, resume.tag);
            [registers.rdx, registers.r10, registers.r8, registers.r9] = resume.words;
            registers.rflags = 0;
        }
    }

    impl GoOn<'_, CALL, ()> for Begin {
        fn go_on(self, resume: Resume<'_, CALL>) {
            resume.user.form = Form::Outputs;
            (resume.user.registers.rip, resume.user.registers.rsp) = resume.user.begin;
            Behind.go_on(resume);
        }
    }

    impl<M: Machine> Kernel<M> {
        /// A system call as a machine makes it: by the fast path, if there is
        /// one and it can be taken. Says whether it was.
        pub fn system_call(&mut self, rax: u64, args: [u64; 6]) -> bool {
            let [rdi, rsi, w0, w1, w2, w3] = args;
            let words = [w0, w1, w2, w3];
            let done = if rax == Code::Call.plain() {
                self.fast_call(rdi, rsi, words, Behind, Begin)
            } else if rax == Code::ReplyReceive.plain() {
                self.fast_reply_receive(rdi, rsi, words).map(|resume| Behind.go_on(resume))
            } else if rax == Code::Return.plain() {
                self.fast_return(rdi, rsi, words).map(|resume| Behind.go_on(resume))
            } else {
                None
            };
            if done.is_none() {
                self.syscall(rax, args);
            }
            done.is_some()
        }
    }
}
