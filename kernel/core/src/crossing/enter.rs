//! The way in: from the gate to the first instruction of the handler.

use postern_abi::code::Delivery;
use postern_abi::op::entry::ContextState;
use postern_abi::timeout::Timeout;
use postern_abi::trace::flag;
use postern_abi::{ErrorCode, ErrorNumber};
use postern_arena::Ref;

use crate::Kernel;
use crate::ipc::{Done, Outcome};
use crate::machine::{Form, Machine};
use crate::object::thread::{Caller, Expects, Message, Queue, State, Wait};
use crate::object::{Entry, Thread};
use crate::relay::ledger;

/// Waiting callers that one step lets into a context.
const STEP: usize = 4;

/// The entry, or the task that it is in, is gone.
const GONE: ErrorCode = ErrorCode::send(ErrorNumber::NotExistent);

impl<M: Machine> Kernel<M> {
    /// Whether callers may cross into an entry: it and its task live.
    pub(crate) fn is_open(&self, entry: Ref<Entry<M>>) -> bool {
        self.entries.get(entry).is_some_and(|entry| {
            !entry.header.dying && self.tasks.get(entry.task).is_some_and(|it| !it.header.dying)
        })
    }

    /// A message through a gate that is bound to an entry and at which nobody
    /// waits: the caller crosses, or waits for a context.
    pub(crate) fn cross_through(
        &mut self,
        thread: Ref<Thread<M>>,
        mut message: Message<M>,
        reference: Ref<Entry<M>>,
        send: Timeout,
        receive: Timeout,
    ) -> Outcome {
        if !self.is_open(reference) {
            return Err(GONE);
        }
        if self.threads.get(thread).is_none_or(|caller| caller.levels == 0) {
            return Err(ErrorCode::send(ErrorNumber::LinkOverflow));
        }
        message.label = self.gates.get(message.gate).ok_or(GONE)?.label | message.rights;
        if self.is_full(message.gate) {
            return self.wait_to_send(thread, message, Queue::Gate(message.gate), send, receive);
        }
        let entry = self.entries.get(reference).ok_or(GONE)?;
        if !entry.waiting.is_empty() || self.free_context_of(reference).is_none() {
            let queue = Queue::Entry(reference);
            let outcome = self.wait_to_send(thread, message, queue, send, receive)?;
            self.take_place(message.gate, reference);
            return Ok(outcome);
        }
        let context = self.cross(thread, reference, &message)?;
        self.count(message.gate);
        if self.await_answer(thread, context, receive) {
            self.hand_over(context);
        } else {
            self.wake(context);
        }
        Ok(Done::Settled)
    }

    /// Puts a message into a free context, which then stands before the first
    /// instruction of the handler; it is the caller of this function who makes
    /// it ready, and the sender wait.
    ///
    /// # Errors
    /// When the items do not fit; nothing has changed then.
    pub(super) fn cross(
        &mut self,
        sender: Ref<Thread<M>>,
        reference: Ref<Entry<M>>,
        message: &Message<M>,
    ) -> Result<Ref<Thread<M>>, ErrorCode> {
        let context = self.free_context_of(reference).ok_or(GONE)?;
        if message.tag.has_relay() {
            self.check_lend(sender)?;
        }
        if message.tag.items() > 0 {
            self.transfer_items(sender, context, message.tag.items())?;
        }
        self.copy_words(sender, context, message.tag.words());
        let entry = self.entries.get_mut(reference).ok_or(GONE)?;
        let (from, to) = self.threads.pair(sender, context).ok_or(GONE)?;
        let silent = message.expects != Expects::Answer;
        let kind = if silent { Delivery::Message } else { Delivery::Call };
        to.succeed(kind as u64, message.label, message.tag, message.words);
        to.wait = Wait::Other;
        to.back = Ref::NOWHERE;
        to.context_state = ContextState::Active;
        to.through = Some(message.gate);
        let home = to.context_mut().ok_or(GONE)?;
        home.silent = silent;
        home.counted = true;
        if entry.front != Some(context) {
            entry.free = home.next_free.take();
            entry.recount(ContextState::Free, ContextState::Active);
        }
        let (stack, fs_base) = (home.stack, home.fs_base);
        to.user.form = Form::Outputs;
        to.user.registers.rip = entry.handler;
        to.user.registers.rsp = stack;
        to.user.fs_base = fs_base;
        from.call_number = from.call_number.wrapping_add(1);
        to.caller = Some(Caller { thread: sender, number: from.call_number });
        to.levels = from.levels - 1;
        to.payer = from.payer;
        to.priority = entry.floor;
        to.effective = entry.floor.max(from.effective);
        to.diagnose = false;
        if message.tag.has_relay() {
            ledger::lend(self, sender, context);
        }
        self.trace_call(sender, context, message, flag::CROSSING);
        Ok(context)
    }

    /// Lets callers that wait for a context of this entry into free ones;
    /// `false`: there is more to do.
    pub(crate) fn serve_entry(&mut self, reference: Ref<Entry<M>>) -> bool {
        for _ in 0..STEP {
            if !self.is_open(reference) {
                // Its end tells those who wait.
                return true;
            }
            let Some(entry) = self.entries.get(reference) else { return true };
            let Some(first) = entry.waiting.first() else { return true };
            if self.free_context_of(reference).is_none() {
                return true;
            }
            let Some(sender) = self.threads.at(first) else { return true };
            let Some(message) = self.threads.get(sender).and_then(|waiting| waiting.message) else {
                return true;
            };
            match self.cross(sender, reference, &message) {
                Ok(context) => {
                    self.leave_place(sender, reference);
                    self.begin_abroad(sender, context);
                }
                // It gives up its place.
                Err(error) => self.interrupt_ipc(sender, error),
            }
        }
        false
    }

    /// A caller that has waited is in a context now.
    pub(super) fn begin_abroad(&mut self, sender: Ref<Thread<M>>, context: Ref<Thread<M>>) {
        self.clear_timeout(sender);
        let Some(waiting) = self.threads.get_mut(sender) else { return };
        waiting.message = None;
        let receive = waiting.receive_timeout;
        // On time or late: the context runs, with its caller or as an orphan.
        let _on_time = self.await_answer(sender, context, receive);
        debug_assert!(self.threads.get(context).is_some_and(|it| it.state == State::Idle));
        self.wake(context);
    }
}
