//! The fast paths of messages that do not fit into the registers: with more
//! words, which are copied, and with capabilities, which are transferred as
//! the general path does it.
//!
//! Tried after those in [`super`], so that the short messages do not pay for
//! it.

use postern_abi::rights::{Kind, Rights};
use postern_abi::tag::MAX_ITEMS;
use postern_abi::utcb;
use postern_arena::Ref;

use super::{Back, CALL, GoOn, REPLY, Way};
use crate::Kernel;
use crate::cap::{NodeId, Slot, SlotId, tree};
use crate::ipc::received;
use crate::machine::Machine;
use crate::object::thread::{Caller, Wait};
use crate::object::{Task, Thread};

/// A message of any length, without flags.
#[derive(Clone, Copy)]
struct Shape {
    words: usize,
    items: usize,
}

impl Shape {
    /// Of an answer.
    #[inline(always)]
    fn of(tag: u64) -> Option<Self> {
        let (words, items) = ((tag & 0x3f) as usize, (tag >> 6 & 0x3f) as usize);
        (tag & 0xf000 == 0 && items <= MAX_ITEMS).then_some(Self { words, items })
    }

    /// Of a call that does not mean the kernel.
    #[inline(always)]
    fn of_call(tag: u64) -> Option<Self> {
        if tag >> 63 != 0 { None } else { Self::of(tag) }
    }

    /// Copies the words past the fourth.
    #[inline(always)]
    fn copy<M: Machine>(self, machine: &M, from: &Thread<M>, to: &Thread<M>) {
        if self.words > utcb::FIRST_WORD
            && let (Some(from), Some(to)) = (&from.utcb, &to.utcb)
        {
            machine.copy_words(from, to, utcb::FIRST_WORD, self.words);
        }
    }
}

/// A capability that goes along with a message.
struct Copied<M: Machine> {
    from: Ref<Task<M>>,
    slot: u64,
    /// What its item says: a mask of rights, and whether it moves.
    asked: u64,
    to: Ref<Task<M>>,
    window: u64,
}

/// Whether a call begins a crossing, and how many more fit behind it then;
/// `None`: it cannot be delivered here.
#[inline(always)]
fn crosses<M: Machine>(way: &Way<'_, M>) -> Option<Option<u8>> {
    match way.to.object().wait {
        Wait::Message => Some(None),
        Wait::Front => way.from.levels.checked_sub(1).map(Some),
        _ => None,
    }
}

impl<M: Machine> Kernel<M> {
    /// Transfers the capabilities of a call that can be delivered: all or none,
    /// and it is the last thing that can be refused.
    #[inline(always)]
    fn fast_items(&mut self, handle: u64, items: usize) -> Option<()> {
        let way = Way::find(&mut self.threads, &self.tasks, &self.gates, handle)?;
        crosses(&way)?;
        let (caller, receiver) = (way.caller(), way.receiver);
        if items == 1
            && let (Some(from), Some(to)) = (&way.from.utcb, &way.to.object().utcb)
        {
            let read = |utcb, index| self.machine.read_word(utcb, index);
            let copy = Copied {
                from: way.from.home,
                slot: read(from, utcb::ITEMS),
                asked: read(from, utcb::ITEMS + 1),
                to: way.to.object().home,
                window: read(to, utcb::WINDOWS),
            };
            if let Some(what) = self.copy_capability(&copy) {
                self.set_utcb_word(receiver, utcb::RECEIVED, what);
                return Some(());
            }
        }
        self.transfer_items(caller, receiver, items).ok()
    }

    /// Derives a capability into a slot of another task that nothing is in;
    /// returns what the receiver is told of it. `None`, and nothing has changed:
    /// it may not be done, or it is not as simple as that.
    #[inline(always)]
    fn copy_capability(&mut self, copy: &Copied<M>) -> Option<u64> {
        let held = self.tasks.get(copy.from)?.table.get(copy.slot as usize)?;
        let (target, rights) = (held.target()?, held.rights());
        let place = self.tasks.get(copy.to)?.table.get(copy.window as usize)?;
        if !place.is_empty() || copy.window == 0 || copy.from == copy.to {
            return None;
        }
        if copy.asked & utcb::ITEM_MOVE != 0 || !rights.contains(Rights::GRANT) {
            return None;
        }
        // What may be revoked from above, or has no header.
        if matches!(target.kind, Kind::Memory | Kind::Reply) {
            return None;
        }
        let header = self.header_mut(target)?;
        if header.dying || header.revoking.is_some() {
            return None;
        }
        header.capabilities += 1;
        let rights = rights & Rights::from_bits_truncate(copy.asked as u8);
        let (giver, taker) = self.tasks.pair(copy.from, copy.to)?;
        let parent = &mut giver.table[copy.slot as usize];
        let child = &mut taker.table[copy.window as usize];
        taker.slots_used += 1;
        *child = Slot::new(target, rights);
        let from = NodeId::slot(SlotId::new(copy.from.index(), copy.slot as u32));
        let to = NodeId::slot(SlotId::new(copy.to.index(), copy.window as u32));
        if let Some(sibling) = tree::adopt_first((&mut parent.links, from), (&mut child.links, to))
        {
            self.follow(sibling, to);
        }
        Some(received(copy.window as u32, rights, target.kind))
    }

    /// As [`Kernel::fast_call`], for messages of any length.
    #[inline(always)]
    pub fn fast_long_call<'a, R>(
        &'a mut self,
        handle: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, CALL, R>,
        begin: impl GoOn<'a, CALL, R>,
    ) -> Option<R> {
        let shape = Shape::of_call(tag)?;
        if self.loan.is_some() {
            return None;
        }
        if shape.items > 0 {
            self.fast_items(handle, shape.items)?;
        }
        let way = Way::find(&mut self.threads, &self.tasks, &self.gates, handle)?;
        let crosses = crosses(&way)?;
        let wait = Wait::Answer;
        shape.copy(&self.machine, way.from, way.to.object());
        let message = (tag, words);
        Some(if let Some(levels) = crosses {
            way.cross(&mut self.current, &mut self.machine, message, (wait, levels), begin)
        } else {
            way.call(&mut self.current, &mut self.machine, message, wait, then)
        })
    }

    /// As [`Kernel::fast_reply_receive`], for answers of any length.
    #[inline(always)]
    pub fn fast_long_reply_receive<'a, R>(
        &'a mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, REPLY, R>,
    ) -> Option<R> {
        let shape = Shape::of(tag)?;
        let (from, _) = self.threads.chosen()?;
        let caller = from.caller?;
        if from.pending {
            return None;
        }
        let back = self.long_back(caller.thread, Some(caller), shape)?;
        Some(back.0.reply(back.1, back.2, (label, tag, words), then))
    }

    /// As [`Kernel::fast_return`], for answers of any length.
    #[inline(always)]
    pub fn fast_long_return<'a, R>(
        &'a mut self,
        label: u64,
        tag: u64,
        words: [u64; 4],
        then: impl GoOn<'a, REPLY, R>,
    ) -> Option<R> {
        let shape = Shape::of(tag)?;
        let (from, _) = self.threads.chosen()?;
        let caller = from.back;
        let back = self.long_back(caller, None, shape)?;
        Some(back.0.leave(back.1, back.2, (label, tag, words), then))
    }

    /// The way back to a caller that waits (for this very answer, if `number`
    /// says which), when the rest of the answer has been transferred.
    #[inline(always)]
    #[expect(clippy::type_complexity, reason = "three fields of one kernel")]
    fn long_back(
        &mut self,
        caller: Ref<Thread<M>>,
        number: Option<Caller<M>>,
        shape: Shape,
    ) -> Option<(Back<'_, M>, &mut Option<Ref<Thread<M>>>, &mut M)> {
        let (_, others) = self.threads.chosen()?;
        let answerer = others.chosen();
        let to = others.find(caller)?;
        let waiting = to.object();
        if waiting.wait != Wait::Answer
            || number.is_some_and(|it| it.number != waiting.call_number)
            || self.clock.has_rival(&self.ready, waiting.effective)
        {
            return None;
        }
        if shape.items > 0 {
            self.transfer_items(answerer, caller, shape.items).ok()?;
        }
        let (from, others) = self.threads.chosen()?;
        let to = others.find(caller)?;
        shape.copy(&self.machine, from, to.object());
        Some((Back { from, caller, to }, &mut self.current, &mut self.machine))
    }
}
