//! Receiving: notifications first, then senders by priority and arrival.

use postern_abi::code::{Code, IpcFlags};
use postern_abi::rights::Kind;
use postern_abi::tag::Tag;
use postern_abi::timeout::Timeout;
use postern_abi::{ErrorCode, ErrorNumber, Phase, Rights, utcb};
use postern_arena::Ref;

use super::send::{Done, Outcome, Outgoing};
use crate::Kernel;
use crate::machine::Machine;
use crate::object::thread::{Asks, Expects, Queue, Search, Source, State, Wait};
use crate::object::{Gate, Thread};
use crate::sched::WaitQueue;
use crate::work::Work;

/// Senders that one step of a receive looks at.
const LOOKED: usize = if cfg!(test) { 2 } else { 64 };
/// Senders that one step tells that they are refused.
const REFUSED: usize = if cfg!(test) { 2 } else { 4 };

/// What a receive has come to.
enum Found {
    /// The thread has its delivery, or an error.
    Delivered,
    /// Nothing is there.
    Nothing,
    /// There is more to look at.
    More,
}

/// Whom a thread serves next.
enum Next<M: Machine> {
    Sender(Ref<Thread<M>>),
    Nobody,
    /// There are senders that were not looked at yet.
    Unknown,
}

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
        self.receive_step(thread, timeout)
    }

    /// Delivers what is there, or lets the thread wait for it; or looks at some
    /// of what is there, and goes on with that as work.
    pub(crate) fn receive_step(&mut self, thread: Ref<Thread<M>>, timeout: Timeout) -> Outcome {
        let gone = Err(ErrorCode::receive(ErrorNumber::NotExistent));
        let found = self.take_next(thread);
        let Some(receiver) = self.threads.get_mut(thread) else { return gone };
        let source = receiver.source;
        if matches!(found, Found::More) {
            receiver.work = Some(Work::Receive { timeout });
            return Ok(Done::Settled);
        }
        (receiver.work, receiver.search) = (None, Search::default());
        if matches!(found, Found::Delivered) {
            return Ok(Done::Settled);
        }
        // A partner that has died, a gate that was unbound during the search.
        let will_come = match source {
            Source::Partner(partner) => self.threads.get(partner).is_some_and(Thread::is_alive),
            Source::Gate(gate) => {
                self.gates.get(gate).is_some_and(|gate| gate.thread() == Some(thread))
            }
            Source::Open | Source::Notification(_) => true,
        };
        if !will_come {
            return gone;
        }
        if timeout != Timeout::NEVER && !self.limit_receive(thread, timeout) {
            return Err(ErrorCode::receive(ErrorNumber::Timeout));
        }
        if self.current == Some(thread) {
            self.current = None;
        }
        if let Some(receiver) = self.threads.get_mut(thread) {
            receiver.state = State::Receiving;
            let closed = !matches!(source, Source::Open);
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

    /// Delivers what comes first to a thread that is about to wait: a
    /// notification, else a sender. Looks at a bounded number of them.
    fn take_next(&mut self, receiver: Ref<Thread<M>>) -> Found {
        if self.take_signals(receiver) {
            return Found::Delivered;
        }
        // Those who are refused are told, one after the other.
        for _ in 0..REFUSED {
            match self.next_sender(receiver) {
                Next::Sender(sender) if self.take(sender, receiver) => return Found::Delivered,
                Next::Sender(_) => {}
                Next::Nobody => return Found::Nothing,
                Next::Unknown => return Found::More,
            }
        }
        Found::More
    }

    /// Delivers the message of a waiting sender to a thread that is about to
    /// wait or waits; `false`: it was refused, and the sender knows.
    pub(super) fn take(&mut self, sender: Ref<Thread<M>>, receiver: Ref<Thread<M>>) -> bool {
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
                true
            }
            Err(error) => {
                if before == State::Sending {
                    self.interrupt_ipc(sender, error);
                } else {
                    self.detach(sender);
                }
                // Windows that do not fit were told to the receiver.
                let is_cut = error.number == ErrorNumber::MsgCut;
                if is_cut
                    && let Some(receiver) = self.threads.get_mut(receiver)
                    && receiver.state == State::Ready
                {
                    receiver.fail(ErrorCode { phase: Phase::Receive, ..error });
                }
                is_cut
            }
        }
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
    fn next_sender(&mut self, receiver: Ref<Thread<M>>) -> Next<M> {
        let Some(thread) = self.threads.get(receiver) else { return Next::Nobody };
        let (senders, search) = (thread.senders, thread.search);
        let sender = match thread.source {
            Source::Open => senders.first().and_then(|first| self.threads.at(first)),
            Source::Gate(gate) => {
                let begin = if search.is_running { search.cursor } else { senders.first() };
                return self.search_senders(receiver, senders, gate, begin);
            }
            Source::Notification(_) => None,
            Source::Partner(partner) => {
                let queue = self.threads.get(partner).map(|partner| partner.queue);
                let is_here = matches!(queue, Some(Queue::Thread(at)) if at == receiver);
                is_here.then_some(partner)
            }
        };
        sender.map_or(Next::Nobody, Next::Sender)
    }

    /// Looks at some senders, from `at` on, for one that came through `gate`.
    fn search_senders(
        &mut self,
        receiver: Ref<Thread<M>>,
        senders: WaitQueue,
        gate: Ref<Gate<M>>,
        mut at: Option<u32>,
    ) -> Next<M> {
        let mut next = Next::Unknown;
        for _ in 0..LOOKED {
            let Some(index) = at else {
                next = Next::Nobody;
                break;
            };
            let sender = self.threads.nth(index).and_then(|sender| sender.message);
            if sender.is_some_and(|message| message.gate == gate)
                && let Some(sender) = self.threads.at(index)
            {
                next = Next::Sender(sender);
                break;
            }
            at = senders.after(&mut self.threads, index);
        }
        // One that is found takes the cursor along when it leaves the queue.
        if let Some(thread) = self.threads.get_mut(receiver) {
            thread.search = Search { is_running: true, cursor: at };
        }
        next
    }

    /// Somebody has come into the queue of a thread that searches it: if he came
    /// through its gate, and stands before the cursor, he is the first.
    pub(crate) fn lead_search(&mut self, receiver: Ref<Thread<M>>, sender: Ref<Thread<M>>) {
        let Some(searching) = self.threads.get(receiver) else { return };
        let Some(came) = self.threads.get(sender) else { return };
        let (Source::Gate(gate), Some(message)) = (searching.source, &came.message) else {
            return;
        };
        let cursor = searching.search.cursor.and_then(|cursor| self.threads.nth(cursor));
        let is_before = cursor.is_none_or(|cursor| came.effective > cursor.effective);
        if message.gate == gate
            && is_before
            && let Some(searching) = self.threads.get_mut(receiver)
        {
            searching.search.cursor = Some(sender.index());
        }
    }

    /// A receive fails after it has gone on as work. What it was called with is
    /// not known any more.
    pub(crate) fn fail_receive(&mut self, thread: Ref<Thread<M>>, error: ErrorCode) {
        let Some(receiver) = self.threads.get_mut(thread) else { return };
        receiver.work = None;
        receiver.fail(error);
        if receiver.diagnose {
            self.explain(thread, error, Code::Receive.plain(), [0; 6]);
        }
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
