//! Hypercalls of user programs: the instruction, which is invalid in ring 3,
//! becomes a call through the hypercall gate of the task.
//!
//! The thread waits as one that faulted does, with its registers as they were
//! at the instruction; the answer's words are what it finds in the registers of
//! the outputs, the low bit of the answer's label is its carry flag. Whatever
//! happens, the instruction is skipped: nobody gets stuck at it.

use postern_abi::hypercall::{INVALID_CODE, IO_FAILED, LENGTH, VMCALL, VMMCALL, WORDS};
use postern_abi::tag::{Tag, protocol};
use postern_abi::timeout::Timeout;
use postern_abi::utcb;
use postern_arena::Ref;

use crate::Kernel;
use crate::machine::{CARRY, Fault, Machine, Registers};
use crate::object::Thread;
use crate::object::thread::{Asks, Expects, Message};

/// The vector of the exception that the instruction is in ring 3.
pub(crate) const INVALID: u8 = 6;

/// What an answer brought, as far as a thread that did not make a system call
/// can use it.
pub(crate) struct Answered<M: Machine> {
    /// Who answered; the words past the fourth are in its UTCB.
    pub by: Ref<Thread<M>>,
    pub label: u64,
    pub tag: Tag,
    pub words: [u64; 4],
}

impl<M: Machine> Kernel<M> {
    /// Word `index` of an answer; `None` if it has fewer.
    pub(crate) fn answered_word(&self, answer: &Answered<M>, index: usize) -> Option<u64> {
        if index >= answer.tag.words() {
            return None;
        }
        Some(match answer.words.get(index) {
            Some(word) => *word,
            None => self.utcb_word(answer.by, index),
        })
    }

    /// The current thread hit an invalid instruction: if it is one of the two,
    /// it is a hypercall, and `true` is returned.
    #[inline(never)]
    pub(crate) fn is_hypercall(&self, thread: Ref<Thread<M>>) -> bool {
        let Some(caller) = self.threads.get(thread) else { return false };
        let task = caller.task.and_then(|task| self.tasks.get(task));
        let Some(space) = task.and_then(|task| task.space.as_ref()) else { return false };
        let rip = caller.user.registers.rip;
        let (first, offset) = (rip & !7, rip % 8);
        // Words never leave a page, so that each has rights of its own.
        let Some(low) = self.machine.peek(space, first) else { return false };
        let high = if offset + LENGTH > 8 {
            match first.checked_add(8).and_then(|next| self.machine.peek(space, next)) {
                Some(word) => word,
                None => return false,
            }
        } else {
            0
        };
        let bytes = (u128::from(high) << 64 | u128::from(low)) >> (8 * offset);
        let bytes = bytes as u32 & 0xff_ffff;
        [VMCALL, VMMCALL].contains(&bytes)
    }

    /// Carries out a hypercall of `thread`, whose registers are saved.
    #[inline(never)]
    pub(crate) fn hypercall(&mut self, thread: Ref<Thread<M>>) {
        let Some(caller) = self.threads.get_mut(thread) else { return };
        let [rax, rdi, rsi, rdx, ..] = inputs(&caller.user.registers);
        let gate = caller.task.and_then(|task| self.tasks.get(task)?.hypercall_gate);
        let bound = gate.and_then(|gate| Some((gate, self.gates.get(gate)?)));
        let Some((gate, found)) = bound.filter(|(_, gate)| gate.thread().is_some()) else {
            return self.finish_hypercall(thread, failure(INVALID_CODE), true);
        };
        let message = Message {
            gate,
            rights: 0,
            label: found.label,
            tag: Tag::new(protocol::HYPERCALL, WORDS),
            words: [rax, rdi, rsi, rdx],
            expects: Expects::Answer,
        };
        if let Some(caller) = self.threads.get_mut(thread) {
            caller.fault = Some(Fault { vector: INVALID, error: 0, address: 0 });
            caller.asks = Asks::Hypercall;
        }
        if self.send_through(thread, message, Timeout::NEVER, Timeout::NEVER).is_err() {
            // Whoever was bound is gone.
            self.finish_hypercall(thread, failure(INVALID_CODE), true);
        }
    }

    /// The words past the fourth of the message of a thread that waits with its
    /// registers: they go to the receiver as they are, past the UTCB of the
    /// thread.
    #[cold]
    #[inline(never)]
    pub(crate) fn copy_from_registers(&self, from: &Thread<M>, to: Ref<Thread<M>>) {
        match from.asks {
            // Never more than four words.
            Asks::Fault | Asks::Nothing => {}
            Asks::Exit(state) => self.copy_exit(from, state, to),
            Asks::Hypercall => {
                let words = inputs(&from.user.registers);
                for (index, word) in words.into_iter().enumerate().skip(utcb::FIRST_WORD) {
                    self.set_utcb_word(to, index, word);
                }
            }
        }
    }

    /// The answer to a hypercall.
    #[inline(never)]
    pub(crate) fn hypercall_answered(&mut self, thread: Ref<Thread<M>>, answer: &Answered<M>) {
        let mut outputs = [0; WORDS];
        for (index, output) in outputs.iter_mut().enumerate() {
            *output = self.answered_word(answer, index).unwrap_or(0);
        }
        self.finish_hypercall(thread, outputs, answer.label & CARRY != 0);
        self.wake(thread);
    }

    /// There will be no answer to a hypercall.
    #[inline(never)]
    pub(crate) fn lose_hypercall(&mut self, thread: Ref<Thread<M>>) {
        self.detach(thread);
        if let Some(caller) = self.threads.get_mut(thread) {
            caller.message = None;
            caller.answerer = None;
        }
        self.finish_hypercall(thread, failure(IO_FAILED), true);
        self.wake(thread);
    }

    /// Sets what the hypercall returns and skips the instruction.
    fn finish_hypercall(&mut self, thread: Ref<Thread<M>>, outputs: [u64; WORDS], failed: bool) {
        let Some(caller) = self.threads.get_mut(thread) else { return };
        caller.fault = None;
        caller.asks = Asks::Fault;
        let r = &mut caller.user.registers;
        [r.rax, r.rdi, r.rsi, r.rdx, r.rcx, r.r8, r.r9] = outputs;
        r.rflags = r.rflags & !CARRY | u64::from(failed);
        r.rip = r.rip.wrapping_add(LENGTH);
    }
}

/// What a hypercall is made with: the code word and the arguments.
fn inputs(r: &Registers) -> [u64; WORDS] {
    [r.rax, r.rdi, r.rsi, r.rdx, r.rcx, r.r8, r.r9]
}

/// The outputs of a call that failed.
fn failure(number: u64) -> [u64; WORDS] {
    let mut outputs = [0; WORDS];
    outputs[0] = number;
    outputs
}
