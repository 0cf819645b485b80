//! Sending: from the capability to the receiver or to the queue before it.

use postern_abi::rights::Kind;
use postern_abi::tag::{Tag, protocol};
use postern_abi::timeout::Timeout;
use postern_abi::trace::Event;
use postern_abi::{ErrorCode, ErrorNumber, Phase, Rights, utcb};
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::SlotId;
use crate::invoke::Request;
use crate::machine::Machine;
use crate::object::thread::{Expects, Message, Queue, Source, State, Wait};
use crate::object::{Binding, Gate, Thread};

/// Senders that one step releases from a gate that was bound.
const STEP: usize = 8;

/// What a system call does to its caller.
pub(crate) type Outcome = Result<Done, ErrorCode>;

/// A system call that did not fail.
pub(crate) enum Done {
    /// The outputs are set, or the thread waits and they will be.
    Settled,
    /// Success without outputs.
    Plain,
}

/// What a sender hands over in registers.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing {
    /// Slot of the capability that is called.
    pub handle: u64,
    pub tag: Tag,
    pub words: [u64; 4],
    pub send: Timeout,
    pub receive: Timeout,
}

impl<M: Machine> Kernel<M> {
    /// Call (`expects` an answer) or send through a capability.
    pub(crate) fn send(
        &mut self,
        thread: Ref<Thread<M>>,
        out: Outgoing,
        expects: Expects,
    ) -> Outcome {
        let error = |number| Err(ErrorCode::send(number));
        let Some(task) = self.threads.get(thread).and_then(|thread| thread.task) else {
            return error(ErrorNumber::NotExistent);
        };
        let Ok((target, rights)) = self.lookup(task, out.handle, 0) else {
            return error(ErrorNumber::NotExistent);
        };
        if !out.tag.is_valid() {
            return error(ErrorNumber::Inval);
        }
        let kobject = out.tag.protocol() == protocol::KOBJECT;
        if target.kind == Kind::Gate && !(kobject && rights.contains(Rights::SERVER)) {
            let message = Message {
                gate: target.reference(),
                rights: u64::from((rights & (Rights::W | Rights::S)).bits()),
                label: 0,
                tag: out.tag,
                words: out.words,
                expects,
            };
            if out.tag.has_relay() {
                // It goes back with the answer; without one it would be lost.
                if expects != Expects::Answer {
                    let argument = ErrorCode::SEGMENT;
                    let number = ErrorNumber::Inval;
                    return Err(ErrorCode { number, phase: Phase::Send, argument });
                }
                self.check_lend(thread)?;
            }
            return self.send_through(thread, message, out.send, out.receive);
        }
        if target.kind == Kind::Reply {
            // A right to answer is used by reply, not by calling it.
            return error(ErrorNumber::WrongKind);
        }
        if !kobject {
            return error(ErrorNumber::BadProtocol);
        }
        if out.tag.has_relay() {
            return error(ErrorNumber::Inval);
        }
        self.invoke(Request {
            thread,
            task,
            target,
            slot: SlotId::new(task.index(), out.handle as u32),
            rights,
            tag: out.tag,
            words: out.words,
        })
    }

    /// Forwards a message to whatever is bound to its gate.
    pub(crate) fn send_through(
        &mut self,
        thread: Ref<Thread<M>>,
        mut message: Message<M>,
        send: Timeout,
        receive: Timeout,
    ) -> Outcome {
        let gone = ErrorCode::send(ErrorNumber::NotExistent);
        let gate = self.gates.get(message.gate).ok_or(gone)?;
        let receiver = match gate.target {
            Binding::Thread(receiver) if gate.waiting.is_empty() => receiver,
            Binding::Entry(entry) if gate.waiting.is_empty() => {
                return self.cross_through(thread, message, entry, send, receive);
            }
            _ => {
                let queue = Queue::Gate(message.gate);
                return self.wait_to_send(thread, message, queue, send, receive);
            }
        };
        message.label = gate.label | message.rights;
        let target = self.threads.get(receiver).filter(|thread| thread.is_alive()).ok_or(gone)?;
        if receiver == thread || !target.accepts(message.gate) {
            if target.awaits_partner(thread) {
                return self.send_to_listener(thread, receiver, message, receive);
            }
            return self.wait_to_send(thread, message, Queue::Thread(receiver), send, receive);
        }
        self.transfer(thread, receiver, &message)?;
        self.settle_sender(thread, receiver, message.expects, receive)
    }

    /// Delivers to a thread that waits for messages of this sender only.
    #[cold]
    fn send_to_listener(
        &mut self,
        thread: Ref<Thread<M>>,
        receiver: Ref<Thread<M>>,
        message: Message<M>,
        receive: Timeout,
    ) -> Outcome {
        self.transfer(thread, receiver, &message)?;
        // Other receivers stand in no queue.
        self.detach(receiver);
        self.settle_sender(thread, receiver, message.expects, receive)
    }

    /// What becomes of the two after a delivery to a receiver that waited.
    #[inline(always)]
    fn settle_sender(
        &mut self,
        thread: Ref<Thread<M>>,
        receiver: Ref<Thread<M>>,
        expects: Expects,
        receive: Timeout,
    ) -> Outcome {
        match expects {
            Expects::Answer => {
                if self.await_answer(thread, receiver, receive) {
                    self.hand_over(receiver);
                } else {
                    self.wake(receiver);
                }
                Ok(Done::Settled)
            }
            Expects::Nothing | Expects::End => {
                self.wake(receiver);
                Ok(Done::Plain)
            }
        }
    }

    /// Sets the sender waiting in a queue; the label of a message that waits
    /// at a thread is final, that of one at an unbound gate is not.
    pub(crate) fn wait_to_send(
        &mut self,
        thread: Ref<Thread<M>>,
        message: Message<M>,
        queue: Queue<M>,
        send: Timeout,
        receive: Timeout,
    ) -> Outcome {
        if !self.limit(thread, send, utcb::SEND_DEADLINE) {
            return Err(self.not_sent_in_time(queue));
        }
        self.trace(Event::Wait, Some(thread), [0, message.subject()]);
        if self.current == Some(thread) {
            self.current = None;
        }
        if let Some(sender) = self.threads.get_mut(thread) {
            sender.state = State::Sending;
            sender.message = Some(message);
            sender.receive_timeout = receive;
        }
        self.enter(thread, queue);
        Ok(Done::Settled)
    }

    /// The error of a sender whose timeout passes in this queue; the argument
    /// says what it has waited for.
    pub(crate) fn not_sent_in_time(&self, queue: Queue<M>) -> ErrorCode {
        let is_entry = |gate: &Gate<M>| matches!(gate.target, Binding::Entry(_));
        let argument = match queue {
            Queue::Entry(_) => ErrorCode::NO_CONTEXT,
            Queue::Gate(gate) if self.gates.get(gate).is_some_and(is_entry) => ErrorCode::LIMIT,
            _ => 0,
        };
        ErrorCode { argument, ..ErrorCode::send(ErrorNumber::Timeout) }
    }

    /// Moves a waiting sender to another queue; its deadline stays.
    pub(crate) fn move_to_queue(&mut self, sender: Ref<Thread<M>>, to: Queue<M>) {
        let Some(waiting) = self.threads.get_mut(sender) else { return };
        let queue = core::mem::replace(&mut waiting.queue, Queue::None);
        self.leave(sender, queue);
        self.enter(sender, to);
    }

    /// A sender whose call was just delivered to `answerer` starts to wait for
    /// the answer. `false`: its receive timeout has passed already, and it is
    /// ready with that error.
    pub(crate) fn await_answer(
        &mut self,
        thread: Ref<Thread<M>>,
        answerer: Ref<Thread<M>>,
        receive: Timeout,
    ) -> bool {
        if self.current == Some(thread) {
            self.current = None;
        }
        let Some(sender) = self.threads.get_mut(thread) else { return false };
        sender.state = State::Calling;
        let plain = receive == Timeout::NEVER
            && sender.fault.is_none()
            && sender.segments.lent.is_none()
            && !sender.uses_fpu;
        sender.wait = if plain { Wait::Answer } else { Wait::Other };
        sender.answerer = Some(answerer);
        if receive == Timeout::NEVER {
            return true;
        }
        if self.limit_receive(thread, receive) {
            return true;
        }
        self.interrupt_ipc(thread, ErrorCode::receive(ErrorNumber::Timeout));
        false
    }

    /// Delivers to a gate that was just bound some of what waits at it: they
    /// take their place at the thread, with the new label. Who is left over is
    /// released from the list of work; until then later senders queue behind.
    pub(crate) fn release_waiting(&mut self, reference: Ref<Gate<M>>) -> bool {
        for _ in 0..STEP {
            let Some(gate) = self.gates.get(reference) else { return true };
            let (label, target) = (gate.label, gate.target);
            let Some(first) = gate.waiting.first() else { return true };
            let Some(sender) = self.threads.at(first) else { return true };
            let receiver = match target {
                Binding::Unbound => return true,
                Binding::Thread(receiver) => receiver,
                Binding::Entry(entry) => {
                    if self.admit(reference, sender, entry) {
                        continue;
                    }
                    return true;
                }
            };
            if !self.threads.get(receiver).is_some_and(Thread::is_alive) {
                self.interrupt_ipc(sender, ErrorCode::send(ErrorNumber::NotExistent));
                continue;
            }
            // The deadline stays; only the queue changes.
            let Some(waiting) = self.threads.get_mut(sender) else { return true };
            if let Some(message) = &mut waiting.message {
                message.label = label | message.rights;
            }
            self.move_to_queue(sender, Queue::Thread(receiver));
            self.serve(receiver, sender);
        }
        false
    }

    /// A sender has just come to a thread: delivers, if that waits for it. No
    /// other one can have been there that it waits for.
    fn serve(&mut self, receiver: Ref<Thread<M>>, sender: Ref<Thread<M>>) {
        let Some(waiting) = self.threads.get(receiver) else { return };
        let message = self.threads.get(sender).and_then(|sender| sender.message);
        let Some(message) = message else { return };
        if (waiting.accepts(message.gate) || waiting.awaits_partner(sender))
            && self.take(sender, receiver)
        {
            self.detach(receiver);
            self.wake(receiver);
        }
    }

    /// The kernel tells `gate` that a thread has ended, in that thread's name.
    pub(crate) fn send_end(&mut self, thread: Ref<Thread<M>>, gate: Ref<Gate<M>>, words: [u64; 4]) {
        let Some(found) = self.gates.get(gate) else { return };
        let mut message = Message {
            gate,
            rights: 0,
            label: found.label,
            tag: Tag::new(protocol::EXIT, 4),
            words,
            expects: Expects::End,
        };
        let receiver = match found.target {
            Binding::Thread(receiver) => receiver,
            Binding::Unbound => return self.hold_end(thread, message, Queue::Gate(gate)),
            // Nobody crosses in the name of a thread that has ended.
            Binding::Entry(_) => return,
        };
        message.label = found.label;
        let Some(target) = self.threads.get(receiver).filter(|thread| thread.is_alive()) else {
            return;
        };
        if receiver != thread && target.accepts(gate) {
            if self.transfer(thread, receiver, &message).is_ok() {
                self.wake(receiver);
            }
        } else {
            self.hold_end(thread, message, Queue::Thread(receiver));
        }
    }

    fn hold_end(&mut self, thread: Ref<Thread<M>>, message: Message<M>, queue: Queue<M>) {
        if let Some(sender) = self.threads.get_mut(thread) {
            sender.message = Some(message);
        }
        self.enter(thread, queue);
    }
}

impl<M: Machine> Thread<M> {
    /// Whether a message through `gate` can be delivered right now.
    #[inline]
    pub(super) fn accepts(&self, gate: Ref<Gate<M>>) -> bool {
        self.state == State::Receiving
            && match self.source {
                Source::Open => true,
                Source::Gate(only) => only == gate,
                Source::Notification(_) | Source::Partner(_) => false,
            }
    }

    /// Whether it waits for messages of `sender` only.
    #[inline]
    fn awaits_partner(&self, sender: Ref<Self>) -> bool {
        self.state == State::Receiving
            && matches!(self.source, Source::Partner(only) if only == sender)
    }
}
