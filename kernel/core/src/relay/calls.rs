//! The system calls of an activation about the segment that it holds. They act
//! on the calling activation and on the list of the task that it runs in.

use postern_abi::code::Held;
use postern_abi::rights::Kind;
use postern_abi::tag::Tag;
use postern_abi::{Code, ErrorCode, ErrorNumber, Rights};
use postern_arena::Ref;

use super::ledger::{self, Ledger, Place};
use super::view::Fields;
use crate::Kernel;
use crate::cap::SlotId;
use crate::ipc::{Done, Outcome};
use crate::machine::Machine;
use crate::object::Thread;
use crate::object::thread::Caller;

impl<M: Machine> Kernel<M> {
    /// One of the calls about segments.
    pub(crate) fn segment_call(
        &mut self,
        thread: Ref<Thread<M>>,
        code: Code,
        args: [u64; 6],
    ) -> Outcome {
        let gone = ErrorCode::new(ErrorNumber::NotExistent, 0);
        let found = self.threads.get(thread).ok_or(gone)?;
        let task = found.task.ok_or(gone)?;
        let index = usize::try_from(args[0]).unwrap_or(usize::MAX);
        let placed = |error| about_place(error, index);
        match code {
            Code::Swap => ledger::swap(self, thread, task, index).map_err(placed)?,
            Code::Park => ledger::park(self, thread, task, index).map_err(placed)?,
            Code::Release => ledger::release(self, thread).map_err(plain)?,
            Code::Mask => self.mask(thread, args)?,
            Code::Unmask => ledger::unmask(self, thread),
            _ => return self.window_info(thread),
        }
        Ok(Done::Plain)
    }

    fn mask(&mut self, thread: Ref<Thread<M>>, args: [u64; 6]) -> Result<(), ErrorCode> {
        let bad = |argument| ErrorCode::new(ErrorNumber::InvalidMask, argument);
        let held = &self.threads.get(thread).ok_or(bad(0))?.segments;
        if held.place() == Some(Place::On) {
            return Err(plain(ErrorNumber::Lent));
        }
        let active = held.active.ok_or(bad(0))?;
        let rights = u8::try_from(args[2]).ok().and_then(Rights::from_bits).ok_or(bad(3))?;
        let mask = self.narrowed(thread, active, [args[0], args[1]], rights)?;
        self.keep(mask);
        ledger::unmask(self, thread);
        if let Some(found) = self.threads.get_mut(thread) {
            found.segments.mask = Some(mask);
        }
        self.changed(thread);
        Ok(())
    }

    fn window_info(&mut self, thread: Ref<Thread<M>>) -> Outcome {
        let gone = ErrorCode::new(ErrorNumber::NotExistent, 0);
        let held = &self.threads.get(thread).ok_or(gone)?.segments;
        let whose = match (held.place(), held.active) {
            (Some(Place::Shown), _) => Held::Borrowed,
            (Some(Place::Aside), _) => Held::Aside,
            (Some(Place::On), _) => Held::LentOn,
            (None, Some(_)) => Held::Own,
            (None, None) => Held::Nothing,
        };
        let fields = held.active.and_then(|active| self.fields(active));
        if let Some(found) = self.threads.get_mut(thread) {
            found.tell_window(fields, whose);
        }
        Ok(Done::Settled)
    }

    /// Makes a saved right to answer the implicit one again.
    pub(crate) fn take_reply(&mut self, thread: Ref<Thread<M>>, slot: u64) -> Outcome {
        let gone = ErrorCode::new(ErrorNumber::NotExistent, 1);
        let holder = self.threads.get(thread).ok_or(gone)?;
        if holder.is_context() {
            // It handles the call that it was made for.
            return Err(ErrorCode::new(ErrorNumber::Unsupported, 0));
        }
        let (task, held) = (holder.task.ok_or(gone)?, holder.caller);
        let (target, _) = self.lookup(task, slot, 1)?;
        if target.kind != Kind::Reply {
            return Err(ErrorCode::new(ErrorNumber::WrongKind, 1));
        }
        let waits =
            |it: Caller<M>| self.threads.get(it.thread).is_some_and(|t| t.awaits(it.number));
        if held.is_some_and(waits) {
            return Err(ErrorCode::new(ErrorNumber::Exists, 0));
        }
        // What is left is void.
        self.drop_caller(thread, crate::ipc::AbortReason::Dropped);
        self.forget_reply(SlotId::new(task.index(), slot as u32));
        let caller = Caller { thread: target.reference(), number: target.extra };
        let lent = self.threads.get(caller.thread).map_or(0, |waiting| waiting.effective);
        if let Some(waiting) = self.threads.get_mut(caller.thread) {
            waiting.answerer = Some(thread);
        }
        if let Some(holder) = self.threads.get_mut(thread) {
            holder.caller = Some(caller);
            let effective = holder.effective.max(lent);
            self.set_effective(thread, effective);
        }
        ledger::take_up(self, thread, caller.thread);
        Ok(Done::Plain)
    }
}

impl<M: Machine> Thread<M> {
    /// What Window returns.
    pub(super) fn tell_window(&mut self, fields: Option<Fields>, whose: Held) {
        let (address, bytes, rights, physical) = fields.map_or((0, 0, 0, 0), |it| {
            (it.address, it.bytes, u64::from(it.rights.bits()), it.physical)
        });
        self.succeed(address, bytes, Tag::from_bits(rights), [physical, whose as u64, 0, 0]);
    }
}

/// A refusal about the activation's own state.
fn plain(number: ErrorNumber) -> ErrorCode {
    ErrorCode::new(number, 0)
}

/// A refusal that may be about the place.
fn about_place(number: ErrorNumber, index: usize) -> ErrorCode {
    let outside = index >= postern_abi::op::relay::PLACES;
    let argument = outside || number == ErrorNumber::Exists;
    ErrorCode::new(number, argument.into())
}
