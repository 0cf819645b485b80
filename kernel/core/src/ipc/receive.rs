//! Receiving: notifications first, then senders by priority and arrival.

use postern_abi::code::{Delivery, IpcFlags};
use postern_abi::rights::Kind;
use postern_abi::tag::Tag;
use postern_abi::timeout::Timeout;
use postern_abi::{ErrorCode, ErrorNumber, utcb};
use postern_arena::Ref;

use super::send::{Done, Outcome, Outgoing};
use crate::Kernel;
use crate::machine::Machine;
use crate::object::thread::{Expects, Queue, Source, State};
use crate::object::{Gate, Notification, Thread};

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
        receiver.source = source;
        if self.take_next(thread) {
            return Ok(Done::Settled);
        }
        if timeout != Timeout::NEVER && !self.limit_receive(thread, timeout) {
            return Err(ErrorCode::receive(ErrorNumber::Timeout));
        }
        if self.current == Some(thread) {
            self.current = None;
        }
        if let Some(receiver) = self.threads.get_mut(thread) {
            receiver.state = State::Receiving;
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
        let saved =
            flags.contains(IpcFlags::SAVED).then(|| self.utcb_word(thread, utcb::REPLY_HANDLE));
        let answered = match self.answer(thread, saved, out.handle, out.tag, out.words) {
            Ok(caller) => caller,
            // Nothing to answer, or a caller that has given up: a server that
            // says so just goes on to the next one.
            Err(error)
                if flags.contains(IpcFlags::OPTIONAL)
                    && matches!(error.number, ErrorNumber::NoCaller | ErrorNumber::NotExistent) =>
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
        let (target, _) = self.lookup(task, handle, 0).map_err(|_| gone)?;
        match target.kind {
            Kind::Gate => {
                // Whoever is not bound to it would wait for ever.
                let gate = target.reference();
                let bound = self.gates.get(gate).is_some_and(|it| it.target == Some(thread));
                if bound {
                    Ok(Source::Gate(gate))
                } else {
                    Err(ErrorCode::receive(ErrorNumber::Inval))
                }
            }
            Kind::Notification => {
                let reference = target.reference();
                let bound =
                    self.notifications.get(reference).is_some_and(|it| it.bound == Some(thread));
                if bound {
                    Ok(Source::Notification(reference))
                } else {
                    Err(ErrorCode::receive(ErrorNumber::Inval))
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
                            receiver
                                .fail(ErrorCode { phase: postern_abi::Phase::Receive, ..error });
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
        let target = self.gates.get(gate).and_then(|gate| gate.target);
        self.end_closed(target, |source| matches!(source, Source::Gate(only) if *only == gate));
    }

    /// The same for a notification.
    pub(crate) fn release_listener(&mut self, notification: Ref<Notification<M>>) {
        let bound = self.notifications.get(notification).and_then(|found| found.bound);
        self.end_closed(
            bound,
            |source| matches!(source, Source::Notification(only) if *only == notification),
        );
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

    /// Delivers the signals of the bound notification, if there are any and
    /// the thread wants them.
    fn take_signals(&mut self, receiver: Ref<Thread<M>>) -> bool {
        let Some(thread) = self.threads.get_mut(receiver) else { return false };
        let Some(bound) = thread.notification else { return false };
        match thread.source {
            Source::Open => {}
            Source::Notification(only) if only == bound => {}
            _ => return false,
        }
        let Some(notification) = self.notifications.get_mut(bound) else { return false };
        let bits = core::mem::take(&mut notification.bits);
        if bits == 0 {
            return false;
        }
        thread.succeed(Delivery::Notification as u64, 0, Tag::new(0, 1), [bits, 0, 0, 0]);
        true
    }

    /// Sets bits of a notification and wakes the bound thread if it waits for
    /// them.
    pub(crate) fn signal(&mut self, reference: Ref<Notification<M>>, bits: u64) {
        let Some(notification) = self.notifications.get_mut(reference) else { return };
        notification.bits |= bits;
        let Some(bound) = notification.bound else { return };
        let waits = self
            .threads
            .get(bound)
            .is_some_and(|thread| thread.state == State::Receiving && thread.queue.is_none());
        if waits && self.take_signals(bound) {
            self.detach(bound);
            self.wake(bound);
        }
    }

    /// Cancels what a thread waits for.
    pub(crate) fn cancel(&mut self, thread: Ref<Thread<M>>) {
        let Some(waiting) = self.threads.get(thread) else { return };
        match waiting.state {
            // A fault is not an operation that can be called off.
            _ if waiting.fault.is_some() => {}
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

impl<M: Machine> Queue<M> {
    /// Whether the thread stands in no queue.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Queue::None)
    }
}
