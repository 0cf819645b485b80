//! Receiving: notifications first, then senders by priority and arrival.

use postern_abi::code::IpcFlags;
use postern_abi::rights::Kind;
use postern_abi::tag::Tag;
use postern_abi::timeout::Timeout;
use postern_abi::{ErrorCode, ErrorNumber, Phase, Rights, utcb};
use postern_arena::Ref;

use super::send::{Done, Outcome, Outgoing};
use crate::Kernel;
use crate::machine::Machine;
use crate::object::thread::{Asks, Expects, Queue, Source, State, Wait};
use crate::object::{Gate, Thread};

impl<M: Machine> Kernel<M> {
    /// Waits for a message or notification.
    pub(crate) fn receive(
        &mut self,
        thread: Ref<Thread<M>>,
        closed: bool,
        timeout: Timeout,
    ) -> Outcome {
        let source = if closed { self.source(thread)? } else { Source::Open };
        let Some(receiver) = self.threads.get_mut(thread) else {
            return Err(ErrorCode::receive(ErrorNumber::NotExistent));
        };
        if receiver.is_context() && matches!(source, Source::Open | Source::Partner(_)) {
            return Err(ErrorCode::receive(ErrorNumber::Abroad));
        }
        receiver.source = source;
        if self.take_next(thread) {
            return Ok(Done::Settled);
        }
        if let Source::Partner(partner) = source
            && !self.threads.get(partner).is_some_and(Thread::is_alive)
        {
            return Err(ErrorCode::receive(ErrorNumber::NotExistent));
        }
        if timeout != Timeout::NEVER && !self.limit_receive(thread, timeout) {
            return Err(ErrorCode::receive(ErrorNumber::Timeout));
        }
        if self.current == Some(thread) {
            self.current = None;
        }
        if let Some(receiver) = self.threads.get_mut(thread) {
            receiver.state = State::Receiving;
            let plain = !closed
                && timeout == Timeout::NEVER
                && receiver.caller.is_none()
                && !receiver.uses_fpu;
            receiver.wait = if plain { Wait::Message } else { Wait::Other };
            // A closed one has not looked at everything.
            receiver.pending &= closed;
        }
        match source {
            Source::Notification(only) => self.enter(thread, Queue::Notification(only)),
            Source::Partner(only) => self.enter(thread, Queue::Partner(only)),
            Source::Open | Source::Gate(_) => {}
        }
        Ok(Done::Settled)
    }

    /// Answers, then waits. The one who got its answer runs next if the
    /// answerer has to wait and nobody more urgent is ready.
    pub(crate) fn reply_receive(
        &mut self,
        thread: Ref<Thread<M>>,
        flags: IpcFlags,
        out: Outgoing,
    ) -> Outcome {
        if flags.contains(IpcFlags::SAVED)
            && self.threads.get(thread).is_some_and(Thread::is_context)
        {
            // Nothing is answered by a call that cannot go on.
            return Err(ErrorCode::send(ErrorNumber::Abroad));
        }
        let saved =
            flags.contains(IpcFlags::SAVED).then(|| self.utcb_word(thread, utcb::REPLY_HANDLE));
        let answered = match self.answer(thread, saved, out.handle, out.tag, out.words) {
            Ok(caller) => caller,
            // Nothing to answer, or a caller that has given up: a server that
            // says so just goes on to the next one.
            Err(error)
                if flags.contains(IpcFlags::OPTIONAL)
                    && error.number == ErrorNumber::NotExistent =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let outcome = self.receive(thread, flags.contains(IpcFlags::CLOSED), out.receive);
        if let Some(caller) = answered {
            self.hand_over(caller);
        }
        outcome
    }

    /// The source that the UTCB names.
    fn source(&self, thread: Ref<Thread<M>>) -> Result<Source<M>, ErrorCode> {
        let gone = ErrorCode::receive(ErrorNumber::NotExistent);
        let task = self.threads.get(thread).and_then(|thread| thread.task).ok_or(gone)?;
        let handle = self.utcb_word(thread, utcb::RECEIVE_SOURCE);
        let (target, rights) = self.lookup(task, handle, 0).map_err(|_| gone)?;
        match target.kind {
            Kind::Gate => {
                // Whoever is not bound to it would wait for ever.
                let gate = target.reference();
                let bound = self.gates.get(gate).is_some_and(|it| it.thread() == Some(thread));
                if bound {
                    Ok(Source::Gate(gate))
                } else {
                    Err(ErrorCode::receive(ErrorNumber::Inval))
                }
            }
            Kind::Notification => {
                self.check_rights(rights, Rights::R, 0)
                    .map_err(|error| ErrorCode { phase: Phase::Receive, ..error })?;
                Ok(Source::Notification(target.reference()))
            }
            Kind::Thread => {
                // Nobody receives from himself.
                let partner = target.reference();
                if partner == thread {
                    Err(ErrorCode::receive(ErrorNumber::Inval))
                } else {
                    Ok(Source::Partner(partner))
                }
            }
            _ => Err(ErrorCode::receive(ErrorNumber::WrongKind)),
        }
    }

    /// Delivers what comes first to a thread that is about to wait or waits:
    /// a notification, else a sender. `false`: nothing is there.
    pub(crate) fn take_next(&mut self, receiver: Ref<Thread<M>>) -> bool {
        if self.take_signals(receiver) {
            return true;
        }
        while let Some(sender) = self.next_sender(receiver) {
            let Some(thread) = self.threads.get_mut(sender) else { return false };
            let Some(message) = thread.message.take() else { return false };
            let (receive, before) = (thread.receive_timeout, thread.state);
            // The transfer must see a receiver that waits.
            match self.transfer(sender, receiver, &message) {
                Ok(()) => {
                    self.detach(sender);
                    match message.expects {
                        Expects::Answer => {
                            self.await_answer(sender, receiver, receive);
                        }
                        Expects::Nothing => {
                            if let Some(sender) = self.threads.get_mut(sender) {
                                sender.succeed(0, 0, Tag::default(), [0; 4]);
                            }
                            self.wake(sender);
                        }
                        // The sender has ended; nobody is resumed.
                        Expects::End => {}
                    }
                    return true;
                }
                Err(error) => {
                    if before == State::Sending {
                        self.interrupt_ipc(sender, error);
                    } else {
                        self.detach(sender);
                    }
                    // Windows that do not fit were told to the receiver.
                    if error.number == ErrorNumber::MsgCut {
                        if let Some(receiver) = self.threads.get_mut(receiver)
                            && receiver.state == State::Ready
                        {
                            receiver.fail(ErrorCode { phase: Phase::Receive, ..error });
                        }
                        return true;
                    }
                }
            }
        }
        false
    }

    /// A gate is about to lose its binding: who waits for messages through it
    /// only is told, because none will come.
    pub(crate) fn release_receiver(&mut self, gate: Ref<Gate<M>>) {
        let target = self.gates.get(gate).and_then(Gate::thread);
        self.end_closed(target, |source| matches!(source, Source::Gate(only) if *only == gate));
    }

    fn end_closed(
        &mut self,
        thread: Option<Ref<Thread<M>>>,
        is_source: impl Fn(&Source<M>) -> bool,
    ) {
        let Some(reference) = thread else { return };
        let Some(thread) = self.threads.get(reference) else { return };
        if thread.state == State::Receiving && is_source(&thread.source) {
            self.interrupt_ipc(reference, ErrorCode::receive(ErrorNumber::NotExistent));
        }
    }

    /// The sender that `receiver` is to serve next.
    fn next_sender(&mut self, receiver: Ref<Thread<M>>) -> Option<Ref<Thread<M>>> {
        let thread = self.threads.get(receiver)?;
        let senders = thread.senders;
        let only = match thread.source {
            Source::Open => return self.threads.at(senders.first()?),
            Source::Gate(gate) => gate,
            Source::Notification(_) => return None,
            Source::Partner(partner) => {
                let queue = self.threads.get(partner)?.queue;
                let is_here = matches!(queue, Queue::Thread(at) if at == receiver);
                return is_here.then_some(partner);
            }
        };
        let mut at = senders.first();
        while let Some(index) = at {
            let sender = self.threads.nth(index)?;
            if sender.message.is_some_and(|message| message.gate == only) {
                return self.threads.at(index);
            }
            at = senders.after(&mut self.threads, index);
        }
        None
    }

    /// Cancels what a thread waits for.
    pub(crate) fn cancel(&mut self, thread: Ref<Thread<M>>) {
        let Some(waiting) = self.threads.get(thread) else { return };
        match waiting.state {
            // A fault is not an operation that can be called off.
            _ if waiting.fault.is_some() && waiting.asks != Asks::Hypercall => {}
            State::Sending => self.interrupt_ipc(thread, ErrorCode::send(ErrorNumber::Cancelled)),
            State::Receiving | State::Calling => {
                self.interrupt_ipc(thread, ErrorCode::receive(ErrorNumber::Cancelled));
            }
            State::Sleeping => {
                self.detach(thread);
                if let Some(sleeping) = self.threads.get_mut(thread) {
                    sleeping.fail(ErrorCode::new(ErrorNumber::Cancelled, 0));
                }
                self.wake(thread);
            }
            _ => {}
        }
    }
}
