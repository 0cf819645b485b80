//! Ways into the kernel: a system call is a function from (state, caller) to
//! what the caller gets and who runs next.

use postern_abi::code::{Code, IpcFlags};
use postern_abi::op::reason;
use postern_abi::stretch::{Cause, Entry};
use postern_abi::tag::Tag;
use postern_abi::timeout::Timeout;
use postern_abi::trace::Event;
use postern_abi::{ABI_VERSION, ErrorCode, ErrorNumber, address};
use postern_arena::Ref;

use crate::Kernel;
use crate::ipc::{Done, Outcome, Outgoing};
use crate::machine::{Form, Machine, UserState};
use crate::object::Thread;
use crate::object::thread::{Expects, State, Wait};

impl<M: Machine> Kernel<M> {
    /// A system call of the current thread: `rax` and the arguments `rdi rsi
    /// rdx r10 r8 r9`. `rip` and `rsp` are in its [`UserState`] already.
    pub fn syscall(&mut self, rax: u64, args: [u64; 6]) {
        self.stretch_begins(Cause::new(Entry::SystemCall, rax as u32 & 0xff));
        if rax == Code::Window.plain() && self.tell_loan() {
            return;
        }
        self.settle_loans();
        let Some(thread) = self.current else { return };
        let Some(caller) = self.threads.get_mut(thread) else { return };
        caller.user.form = Form::Outputs;
        let outcome = match Code::decode(rax) {
            Some((code, flags)) => self.dispatch(thread, code, flags, rax, args),
            None => Err(ErrorCode::new(ErrorNumber::NoSys, 0)),
        };
        match outcome {
            Ok(Done::Settled) => {}
            Ok(Done::Plain) => {
                if let Some(thread) = self.threads.get_mut(thread) {
                    thread.succeed(0, 0, Tag::default(), [0; 4]);
                }
            }
            Err(error) => {
                if let Some(caller) = self.threads.get_mut(thread) {
                    caller.fail(error);
                    if caller.diagnose {
                        self.explain(thread, error, rax, args);
                    }
                }
            }
        }
    }

    fn dispatch(
        &mut self,
        thread: Ref<Thread<M>>,
        code: Code,
        flags: IpcFlags,
        rax: u64,
        args: [u64; 6],
    ) -> Outcome {
        let out = Outgoing {
            handle: args[0],
            tag: Tag::from_bits(args[1]),
            words: [args[2], args[3], args[4], args[5]],
            send: Timeout::from_bits((rax >> 32) as u16),
            receive: Timeout::from_bits((rax >> 48) as u16),
        };
        match code {
            Code::Null => self.output(thread, u64::from(ABI_VERSION)),
            Code::Call => self.send(thread, out, Expects::Answer),
            Code::Send => self.send(thread, out, Expects::Nothing),
            Code::Receive => self.receive(thread, flags.contains(IpcFlags::CLOSED), out.receive),
            Code::Reply => {
                let saved = flags.contains(IpcFlags::SAVED);
                self.reply(thread, saved, out.handle, out.tag, out.words)
            }
            Code::ReplyReceive => self.reply_receive(thread, flags, out),
            Code::Yield => {
                self.output(thread, 0)?;
                self.yield_current();
                if let Some(thread) =
                    self.threads.get_mut(thread).filter(|it| !it.is_context() && !it.uses_fpu)
                {
                    thread.wait = Wait::Yielded;
                }
                Ok(Done::Settled)
            }
            Code::Sleep => self.sleep(thread, args[0]),
            Code::Exit if self.threads.get(thread).is_some_and(Thread::is_context) => {
                self.quarantine(thread);
                Ok(Done::Settled)
            }
            Code::Exit => {
                self.end_thread(thread, State::Exited, [reason::EXIT, args[0], 0, 0]);
                Ok(Done::Settled)
            }
            Code::Panic => {
                self.panic(thread, args[0], args[1]);
                Ok(Done::Settled)
            }
            Code::SetFsBase => {
                if !address::is_user(args[0]) {
                    return Err(ErrorCode::new(ErrorNumber::Inval, 1));
                }
                if let Some(thread) = self.threads.get_mut(thread) {
                    thread.user.fs_base = args[0];
                    thread.back = Ref::NOWHERE;
                }
                self.output(thread, 0)
            }
            Code::Clock => {
                let now = self.machine.now();
                self.output(thread, now)
            }
            Code::SaveReply => self.save_reply(thread, args[0]),
            Code::Return => self.return_from(thread, out.handle, out.tag, out.words),
            Code::TakeReply => self.take_reply(thread, args[0]),
            Code::Swap | Code::Park | Code::Release | Code::Mask | Code::Unmask | Code::Window => {
                self.segment_call(thread, code, args)
            }
            Code::Diagnose => {
                if args[0] > 1 {
                    return Err(ErrorCode::new(ErrorNumber::Inval, 1));
                }
                if let Some(thread) = self.threads.get_mut(thread) {
                    thread.diagnose = args[0] == 1;
                    thread.back = Ref::NOWHERE;
                }
                self.output(thread, 0)
            }
        }
    }

    /// Success with output 0 and nothing else.
    fn output(&mut self, thread: Ref<Thread<M>>, value: u64) -> Outcome {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.succeed(value, 0, Tag::default(), [0; 4]);
        }
        Ok(Done::Settled)
    }

    fn sleep(&mut self, thread: Ref<Thread<M>>, until: u64) -> Outcome {
        self.output(thread, 0)?;
        if until > self.machine.now() {
            self.detach(thread);
            if let Some(thread) = self.threads.get_mut(thread) {
                thread.state = State::Sleeping;
            }
            self.set_timeout(thread, until);
        }
        Ok(Done::Settled)
    }

    /// Ends the current thread for good: it keeps its registers for whoever
    /// looks at the body, and nobody waits for it any more.
    pub(crate) fn end_thread(&mut self, thread: Ref<Thread<M>>, state: State, words: [u64; 4]) {
        self.trace(Event::End, Some(thread), [words[0], words[1]]);
        self.retire_thread(thread);
        self.detach(thread);
        let Some(ended) = self.threads.get_mut(thread) else { return };
        ended.state = state;
        ended.ended = (words[0], words[1]);
        if let Some(gate) = ended.exit_gate.take() {
            self.send_end(thread, gate, words);
        }
        if self.init == Some(thread) {
            self.init_ended();
        }
    }

    /// The first thread of `init` is no more.
    pub(crate) fn init_ended(&mut self) {
        self.machine.log(b"init has ended; nothing more can happen\n");
        self.machine.give_up();
    }

    /// The registers of the current thread, for the machine to load and store.
    ///
    /// # Panics
    /// If there is no current thread: [`Kernel::decide`] said otherwise.
    pub fn user_state(&mut self) -> &mut UserState {
        let current = self.current.and_then(|thread| self.threads.get_mut(thread));
        &mut current.expect("a current thread").user
    }
}
