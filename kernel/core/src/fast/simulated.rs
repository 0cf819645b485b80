//! System calls and events as a machine makes them, for the tests: by the fast
//! path if there is one and it can be taken, else by the general one.

use postern_abi::Code;

use super::{CALL, GoOn, NOTHING, Resume};
use crate::Kernel;
use crate::machine::{Fault, Form, Machine};

/// Behind the system call.
struct Behind;
/// At the beginning of a crossing.
struct Begin;
/// Where it was, with all of its registers.
struct Again;

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

impl GoOn<'_, NOTHING, ()> for Again {
    fn go_on(self, resume: Resume<'_, NOTHING>) {
        assert_eq!(resume.user.form, Form::Full);
    }
}

impl<M: Machine> Kernel<M> {
    /// A system call. Says whether the fast path was taken.
    pub fn system_call(&mut self, rax: u64, args: [u64; 6]) -> bool {
        let [rdi, rsi, w0, w1, w2, w3] = args;
        let words = [w0, w1, w2, w3];
        let done = if rax == Code::Call.plain() {
            self.fast_call(rdi, rsi, words, Behind, Begin)
                .or_else(|| self.fast_signal(rdi, rsi, words, Behind))
                .or_else(|| self.fast_lend_on(rdi, rsi, words, Begin))
                .or_else(|| self.fast_long_call(rdi, rsi, words, Behind, Begin))
        } else if rax == Code::ReplyReceive.plain() {
            self.fast_reply_receive(rdi, rsi, words, Behind, Again)
                .or_else(|| self.fast_long_reply_receive(rdi, rsi, words, Behind))
        } else if rax == Code::Return.plain() {
            self.fast_return(rdi, rsi, words, Behind)
                .or_else(|| self.fast_give_back_on(rdi, rsi, words, Behind))
                .or_else(|| self.fast_long_return(rdi, rsi, words, Behind))
        } else if rax == Code::Yield.plain() {
            self.fast_yield(Behind)
        } else {
            None
        };
        if done.is_none() {
            self.syscall(rax, args);
        }
        done.is_some()
    }

    /// An interrupt that hit user code. Says whether the fast path was taken.
    pub fn interrupted(&mut self, line: u32) -> bool {
        let done = self.fast_interrupt(line, Behind);
        if done.is_none() {
            self.interrupt(line);
        }
        done.is_some()
    }

    /// An exception in user code. Says whether the fast path was taken.
    pub fn faulted(&mut self, fault: Fault) -> bool {
        let done = self.fast_fault(fault, Behind);
        if done.is_none() {
            self.fault(fault);
        }
        done.is_some()
    }
}
