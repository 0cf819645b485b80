//! The transfer of one message, words and capability items.

use postern_abi::code::Delivery;
use postern_abi::rights::Kind;
use postern_abi::tag::MAX_ITEMS;
use postern_abi::{ErrorCode, ErrorNumber, Phase, Rights, utcb};
use postern_arena::Ref;

use super::AbortReason;
use crate::Kernel;
use crate::cap::{NodeId, SlotId, Target};
use crate::machine::Machine;
use crate::object::Thread;
use crate::object::thread::{Caller, Expects, Message};
use crate::relay::ledger;

/// A capability item that has passed all checks.
#[derive(Clone, Copy)]
struct Item {
    from: SlotId,
    to: SlotId,
    target: Target,
    rights: Rights,
    moved: bool,
}

impl<M: Machine> Kernel<M> {
    /// Moves a message into the outputs and UTCB of a receiver that waits for
    /// it and will be made ready by the caller of this function.
    ///
    /// # Errors
    /// When its items do not fit; nothing has changed then, except that the
    /// receiver learns of it: it becomes ready with `MsgCut`.
    pub(super) fn transfer(
        &mut self,
        sender: Ref<Thread<M>>,
        receiver: Ref<Thread<M>>,
        message: &Message<M>,
    ) -> Result<(), ErrorCode> {
        if message.tag.has_relay() {
            self.check_lend(sender)?;
        }
        if message.tag.items() > 0
            && let Err(error) = self.transfer_items(sender, receiver, message.tag.items())
        {
            // A refusal of what the sender wrote is the sender's alone; one of
            // what the receiver declared is told to both.
            if error.number == ErrorNumber::MsgCut {
                self.interrupt_ipc(receiver, ErrorCode { phase: Phase::Receive, ..error });
            }
            return Err(error);
        }
        self.copy_words(sender, receiver, message.tag.words());
        let kind = match message.expects {
            Expects::Answer => Delivery::Call,
            Expects::Nothing | Expects::End => Delivery::Message,
        };
        self.clear_timeout(receiver);
        if message.expects == Expects::Answer {
            self.drop_caller(receiver, AbortReason::Dropped);
        }
        let Some((from, to)) = self.threads.pair(sender, receiver) else {
            return Err(ErrorCode::send(ErrorNumber::NotExistent));
        };
        to.succeed(kind as u64, message.label, message.tag, message.words);
        if message.expects == Expects::Answer {
            from.call_number = from.call_number.wrapping_add(1);
            to.caller = Some(Caller { thread: sender, number: from.call_number });
            // Copied at delivery, never walked: the receiver is in no queue.
            to.effective = to.effective.max(from.effective);
        }
        if message.tag.has_relay() {
            ledger::lend(self, sender, receiver);
        }
        self.trace_call(sender, receiver, message, 0);
        Ok(())
    }

    /// Whether a thread has a relay segment that can go along with a call.
    #[inline(never)]
    pub(crate) fn check_lend(&self, sender: Ref<Thread<M>>) -> Result<(), ErrorCode> {
        let error = |number| ErrorCode { number, phase: Phase::Send, argument: ErrorCode::SEGMENT };
        let held = self.threads.get(sender).map(|thread| &thread.segments);
        ledger::check_lend(held.ok_or(error(ErrorNumber::Inval))?).map_err(error)
    }

    /// Copies message words past the fourth.
    pub(crate) fn copy_words(&self, from: Ref<Thread<M>>, to: Ref<Thread<M>>, words: usize) {
        if words <= utcb::FIRST_WORD {
            return;
        }
        let Some(sender) = self.threads.get(from) else { return };
        if sender.fault.is_some() {
            return self.copy_from_registers(sender, to);
        }
        let from = sender.utcb.as_ref();
        let to = self.threads.get(to).and_then(|thread| thread.utcb.as_ref());
        if let (Some(from), Some(to)) = (from, to) {
            self.machine.copy_words(from, to, utcb::FIRST_WORD, words);
        }
    }

    /// Checks all items, then transfers all of them.
    pub(crate) fn transfer_items(
        &mut self,
        sender: Ref<Thread<M>>,
        receiver: Ref<Thread<M>>,
        count: usize,
    ) -> Result<(), ErrorCode> {
        let mut items = [None; MAX_ITEMS];
        for (index, place) in items.iter_mut().enumerate().take(count) {
            *place = Some(self.check_item(sender, receiver, index)?);
        }
        // Two windows onto one slot would lose a capability.
        for (index, item) in items.iter().enumerate() {
            let Some(item) = item else { break };
            let earlier = || items[..index].iter().flatten();
            if earlier().any(|other| other.to == item.to) {
                return Err(item_error(ErrorNumber::MsgCut, index));
            }
            // Neither can be moved away what is sent a second time.
            if earlier().any(|other| other.from == item.from && (other.moved || item.moved)) {
                return Err(item_error(ErrorNumber::Inval, index));
            }
        }
        for (index, item) in items.into_iter().enumerate() {
            let Some(Item { from, to, target, rights, moved }) = item else { continue };
            if moved {
                self.move_slot(from, to);
            } else {
                self.install(to, target, rights, Some(NodeId::slot(from)));
            }
            let what = received(to.slot(), rights, target.kind);
            self.set_utcb_word(receiver, utcb::RECEIVED + index, what);
        }
        Ok(())
    }

    fn check_item(
        &self,
        sender: Ref<Thread<M>>,
        receiver: Ref<Thread<M>>,
        index: usize,
    ) -> Result<Item, ErrorCode> {
        let gone = item_error(ErrorNumber::NotExistent, index);
        let home = |thread| self.threads.get(thread).and_then(|thread| thread.task).ok_or(gone);
        let (from_task, to_task) = (home(sender)?, home(receiver)?);
        let handle = self.utcb_word(sender, utcb::ITEMS + 2 * index);
        let word = self.utcb_word(sender, utcb::ITEMS + 2 * index + 1);
        let (target, held) =
            self.lookup(from_task, handle, 0).map_err(|error| item_error(error.number, index))?;
        let moved = word & utcb::ITEM_MOVE != 0;
        if target.kind == Kind::Reply && !moved {
            return Err(item_error(ErrorNumber::Inval, index));
        }
        if from_task != to_task && target.kind != Kind::Reply {
            self.check_rights(held, Rights::GRANT, 0)
                .map_err(|error| item_error(error.number, index))?;
        }
        self.check_derivable(target, 0).map_err(|error| item_error(error.number, index))?;
        let mask = Rights::from_bits_truncate(word as u8);
        // A moved capability is the same one: it keeps its place in the tree,
        // so its rights stay what they are unless all are asked for.
        if moved && held & mask != held {
            return Err(item_error(ErrorNumber::Inval, index));
        }
        let window = self.utcb_word(receiver, utcb::WINDOWS + index);
        let to = self
            .check_empty(to_task, window, 0)
            .map_err(|_| item_error(ErrorNumber::MsgCut, index))?;
        let from = SlotId::new(from_task.index(), handle as u32);
        Ok(Item { from, to, target, rights: held & mask, moved })
    }
}

/// What the receiver of a capability finds in its UTCB.
#[inline(always)]
pub(crate) const fn received(slot: u32, rights: Rights, kind: Kind) -> u64 {
    slot as u64 | (rights.bits() as u64) << 32 | (kind as u64) << 40
}

/// An error in the send phase about item `index`.
pub(super) const fn item_error(number: ErrorNumber, index: usize) -> ErrorCode {
    ErrorCode { number, phase: Phase::Send, argument: ErrorCode::ITEM + index as u8 }
}
