//! The right to answer: used once, saved, dropped, or lost with its holder.

use postern_abi::code::Delivery;
use postern_abi::rights::Kind;
use postern_abi::tag::Tag;
use postern_abi::{ErrorCode, ErrorNumber, Phase, Rights, utcb};
use postern_arena::Ref;

use super::send::{Done, Outcome};
use crate::Kernel;
use crate::cap::{SlotId, Target};
use crate::hypercall::Answered;
use crate::machine::Machine;
use crate::object::Thread;
use crate::object::thread::Caller;
use crate::relay::ledger;

/// Why a caller gets `Aborted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AbortReason {
    /// The right to answer was deleted or overwritten.
    Dropped,
    /// Its holder died.
    Died,
}

impl<M: Machine> Kernel<M> {
    /// The caller of call number `number` will not get an answer.
    pub(crate) fn abort_caller(
        &mut self,
        caller: Ref<Thread<M>>,
        number: u32,
        reason: AbortReason,
    ) {
        if self.threads.get(caller).is_some_and(|thread| thread.awaits(number)) {
            // What a saved right carried.
            ledger::give_back(self, caller);
            // Argument 1 tells "dropped" from "died" (0).
            let argument = u8::from(reason == AbortReason::Dropped);
            let error = ErrorCode { number: ErrorNumber::Aborted, phase: Phase::Receive, argument };
            self.interrupt_ipc(caller, error);
        }
    }

    /// Drops the implicit right to answer that `holder` has, if any.
    pub(crate) fn drop_caller(&mut self, holder: Ref<Thread<M>>, reason: AbortReason) {
        if let Some(caller) = self.take_caller(holder) {
            self.abort_caller(caller.thread, caller.number, reason);
        }
    }

    /// Takes the implicit right to answer; the holder's priority falls back to
    /// its own.
    fn take_caller(&mut self, holder: Ref<Thread<M>>) -> Option<Caller<M>> {
        let thread = self.threads.get_mut(holder)?;
        let caller = thread.caller.take()?;
        let (own, borrowed) = (thread.priority, thread.segments.loan.is_some());
        self.set_effective(holder, own);
        let mut waits = false;
        if let Some(waiting) = self.threads.get_mut(caller.thread)
            && waiting.awaits(caller.number)
        {
            waiting.answerer = None;
            waits = true;
        }
        if borrowed {
            ledger::end_loan(self, holder, waits.then_some(caller.thread));
        }
        Some(caller)
    }

    /// A caller stops waiting: who was to answer it runs at its own priority
    /// again, and its right to answer is void. A context that it runs in goes on
    /// as an orphan.
    pub(crate) fn forget_answerer(&mut self, caller: Ref<Thread<M>>) {
        let Some(waiting) = self.threads.get_mut(caller) else { return };
        let answerer = waiting.answerer.take();
        if waiting.segments.lent.is_some() {
            ledger::lender_left(self, caller);
        }
        let Some(answerer) = answerer else { return };
        let Some(thread) = self.threads.get_mut(answerer) else { return };
        // It may have answered by a fast path, which does not say so here.
        if thread.caller.is_none_or(|held| held.thread != caller) {
            return;
        }
        if thread.is_context() {
            return self.orphan(answerer);
        }
        // The void right stays with its holder, so that the late answer is an
        // error there and not a surprise.
        let own = thread.priority;
        self.set_effective(answerer, own);
    }

    /// Answers: through the implicit right, or the saved one in slot `saved`.
    /// The caller that got its answer is returned, to be made ready; `None` if
    /// it asked for something else than to go on, which settles itself.
    pub(crate) fn answer(
        &mut self,
        thread: Ref<Thread<M>>,
        saved: Option<u64>,
        label: u64,
        tag: Tag,
        words: [u64; 4],
    ) -> Result<Option<Ref<Thread<M>>>, ErrorCode> {
        if !tag.is_valid() {
            return Err(ErrorCode::send(ErrorNumber::Inval));
        }
        let (caller, slot, mut carries) = match saved {
            None => {
                // Whether it was used up or never there: as an empty slot.
                let none = ErrorCode::send(ErrorNumber::NotExistent);
                let holder = self.threads.get(thread).ok_or(none)?;
                if holder.is_context() {
                    // A crossing ends by Return.
                    return Err(ErrorCode::send(ErrorNumber::Abroad));
                }
                (holder.caller.ok_or(none)?, None, holder.segments.loan.is_some())
            }
            Some(slot) => {
                let gone = ErrorCode::send(ErrorNumber::NotExistent);
                let task = self.threads.get(thread).and_then(|thread| thread.task).ok_or(gone)?;
                let (target, _) = self.lookup(task, slot, 0).map_err(|_| gone)?;
                if target.kind != Kind::Reply {
                    return Err(ErrorCode::send(ErrorNumber::WrongKind));
                }
                let caller = Caller { thread: target.reference(), number: target.extra };
                (caller, Some(SlotId::new(task.index(), slot as u32)), true)
            }
        };
        carries |= tag.has_relay();
        let (waits, faulted) = match self.threads.get(caller.thread) {
            Some(waiting) => (waiting.awaits(caller.number), waiting.fault.is_some()),
            None => (false, false),
        };
        if waits && faulted && tag.items() > 0 {
            return Err(ErrorCode::send(ErrorNumber::Inval));
        }
        let tag =
            if carries && waits { self.returned(thread, caller.thread, slot, tag)? } else { tag };
        if waits && tag.items() > 0 {
            // A mistake of the replier costs nothing; windows that do not fit
            // end the call for both.
            if let Err(error) = self.transfer_items(thread, caller.thread, tag.items()) {
                if error.number == ErrorNumber::MsgCut {
                    self.use_up(thread, caller, slot);
                    let cut = ErrorCode { phase: Phase::Receive, ..error };
                    self.interrupt_ipc(caller.thread, cut);
                }
                return Err(error);
            }
        }
        self.use_up(thread, caller, slot);
        if !waits {
            return Err(ErrorCode::send(ErrorNumber::NotExistent));
        }
        self.trace_reply(thread, caller.thread, tag, 0);
        if faulted {
            self.detach(caller.thread);
            let answered = Answered { by: thread, label, tag, words };
            return Ok(self.fault_answered(caller.thread, &answered));
        }
        self.copy_words(thread, caller.thread, tag.words());
        self.detach(caller.thread);
        if let Some(waiting) = self.threads.get_mut(caller.thread) {
            waiting.succeed(Delivery::Reply as u64, label, tag, words);
            waiting.answerer = None;
        }
        Ok(Some(caller.thread))
    }

    /// The tag of an answer, which tells whether a relay segment comes back
    /// with it.
    ///
    /// # Errors
    /// What was lent is not what would come back; or the replier says that
    /// something comes back, and nothing was lent.
    #[inline(never)]
    pub(crate) fn returned(
        &self,
        thread: Ref<Thread<M>>,
        caller: Ref<Thread<M>>,
        saved: Option<SlotId>,
        tag: Tag,
    ) -> Result<Tag, ErrorCode> {
        let error = |number| {
            let argument = ErrorCode::SEGMENT;
            ErrorCode { number, phase: Phase::Send, argument }
        };
        let holdings = |of| self.threads.get(of).map(|thread| &thread.segments);
        let carried = if saved.is_some() {
            holdings(caller).is_some_and(|held| held.lent.is_some())
        } else if let Some(held) = holdings(thread).filter(|held| held.loan.is_some()) {
            ledger::check_return(held).map_err(error)?;
            true
        } else {
            false
        };
        match (carried, tag.has_relay()) {
            (true, _) => Ok(tag.with_relay()),
            (false, false) => Ok(tag),
            (false, true) => Err(error(ErrorNumber::Inval)),
        }
    }

    /// The right to answer that was just used is gone, and what it carried goes
    /// back.
    fn use_up(&mut self, thread: Ref<Thread<M>>, caller: Caller<M>, slot: Option<SlotId>) {
        match slot {
            None => {
                let _used = self.take_caller(thread);
            }
            Some(slot) => {
                self.forget_reply(slot);
                if self.threads.get(caller.thread).is_some_and(|it| it.awaits(caller.number)) {
                    ledger::give_back(self, caller.thread);
                }
            }
        }
    }

    /// Empties a slot with a right to answer, without aborting the caller.
    pub(crate) fn forget_reply(&mut self, at: SlotId) {
        if let Some(task) = self.tasks.nth_mut(at.task())
            && let Some(slot) = task.table.get_mut(at.slot() as usize)
        {
            *slot = crate::cap::Slot::default();
            task.slots_used -= 1;
        }
    }

    /// Moves the implicit right to answer into a slot.
    pub(crate) fn save_reply(&mut self, thread: Ref<Thread<M>>, slot: u64) -> Outcome {
        let gone = ErrorCode::new(ErrorNumber::NotExistent, 1);
        let holder = self.threads.get(thread).ok_or(gone)?;
        if holder.is_context() {
            return Err(ErrorCode::new(ErrorNumber::Unsupported, 0));
        }
        let task = holder.task.ok_or(gone)?;
        let at = self.check_empty(task, slot, 1)?;
        let none = ErrorCode::new(ErrorNumber::NoCaller, 0);
        let held = self.threads.get(thread).and_then(|thread| thread.caller).ok_or(none)?;
        let waits = self.threads.get(held.thread).is_some_and(|it| it.awaits(held.number));
        ledger::set_aside(self, thread, waits.then_some(held.thread))
            .map_err(|number| ErrorCode::new(number, 0))?;
        let caller = self.take_caller(thread).ok_or(none)?;
        let mut target = Target::new(Kind::Reply, caller.thread);
        target.extra = caller.number;
        self.install(at, target, Rights::GRANT, None);
        Ok(Done::Plain)
    }

    /// Reply, with whatever the UTCB says.
    pub(crate) fn reply(
        &mut self,
        thread: Ref<Thread<M>>,
        saved: bool,
        label: u64,
        tag: Tag,
        words: [u64; 4],
    ) -> Outcome {
        let saved = saved.then(|| self.utcb_word(thread, utcb::REPLY_HANDLE));
        if let Some(caller) = self.answer(thread, saved, label, tag, words)? {
            self.wake(caller);
        }
        Ok(Done::Plain)
    }
}
