//! Entries, operated by who registered them.

use postern_abi::op::entry::{self, ContextState};
use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber, PAGE, Rights, address};
use postern_arena::{Arena, Ref};

use super::{Answer, Request, Result, refuse};
use crate::Kernel;
use crate::account::{Charged, NO_FRAMES, cost, make_room, take_out};
use crate::machine::Machine;
use crate::object::thread::State;
use crate::object::{Context, Entry, Header, Role, Thread};

/// Most contexts of one entry: taking a free one out of their list looks through
/// it, with interrupts off.
const CONTEXTS: u32 = 512;

/// Where the UTCB of the context with this arena index is, in its task.
const fn context_utcb_address(index: u32) -> u64 {
    address::CONTEXT_UTCB_START + index as u64 * PAGE
}

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_entry(&mut self, request: &Request<M>, operation: u64) -> Result {
        let reference: Ref<Entry<M>> = request.target.reference();
        let gone = refuse(ErrorNumber::NotExistent, 0);
        match operation {
            entry::ADD_CONTEXT => {
                self.need(request, Rights::W)?;
                let stack = self.user_address(request, 1)?;
                let fs_base = match request.tag.words() {
                    0..=2 => None,
                    _ => Some(self.user_address(request, 2)?),
                };
                let (index, utcb) = self.add_context(reference, stack, fs_base)?;
                Ok(Answer::many(2, [u64::from(index), utcb, 0, 0]).into())
            }
            entry::REMOVE_CONTEXT => {
                self.need(request, Rights::W)?;
                let context = self.context_word(request, reference)?;
                let state = self.threads.get(context).and_then(Thread::context).map(|it| it.state);
                if !matches!(state, Some(ContextState::Free | ContextState::Quarantined)) {
                    return Err(refuse(ErrorNumber::Busy, 1));
                }
                self.remove_context(context);
                Ok(Answer::none().into())
            }
            entry::RESET_CONTEXT => {
                self.need(request, Rights::W)?;
                let reference = self.context_word(request, reference)?;
                let stack = match request.tag.words() {
                    0..=2 => None,
                    _ => Some(self.user_address(request, 2)?),
                };
                let context = self.threads.get_mut(reference).and_then(Thread::context_mut);
                let context = context
                    .filter(|context| context.state == ContextState::Quarantined)
                    .ok_or(refuse(ErrorNumber::Busy, 1))?;
                context.stack = stack.unwrap_or(context.stack);
                self.reset_context(reference);
                Ok(Answer::none().into())
            }
            entry::SET_FAULT_GATE => {
                self.need(request, Rights::W)?;
                let gate = self.gate_item(request)?;
                self.entries.get_mut(reference).ok_or(gone)?.fault_gate = gate;
                Ok(Answer::none().into())
            }
            entry::BIND_NOTIFICATION => {
                self.need(request, Rights::W)?;
                let bound = if request.tag.items() > 0 {
                    let bits = self.word(request, 1)?;
                    let item = self.item_of(request, 0, Kind::Notification, Rights::W)?;
                    Some((item.target.reference(), bits))
                } else {
                    None
                };
                self.entries.get_mut(reference).ok_or(gone)?.notification = bound;
                Ok(Answer::none().into())
            }
            entry::SET => {
                self.need(request, Rights::W)?;
                let handler = self.user_address(request, 1)?;
                let floor = self.floor(request, 2, 0)?;
                let grace = self.word(request, 3)?;
                let sizes = [self.word(request, 4)?, self.word(request, 5)?];
                let found = self.entries.get_mut(reference).ok_or(gone)?;
                (found.handler, found.floor, found.grace) = (handler, floor, grace);
                found.sizes = sizes;
                Ok(Answer::none().into())
            }
            entry::INFO => {
                self.need(request, Rights::R)?;
                let found = self.entries.get(reference).ok_or(gone)?;
                let [free, active, orphaned, quarantined] = found.counts;
                let words = [found.handler, u64::from(found.floor), found.grace];
                let more = [free, active, orphaned, quarantined, found.waiters].map(u64::from);
                let (total, sizes) = (u64::from(found.total()), found.sizes);
                for (index, word) in more.into_iter().chain(sizes).enumerate() {
                    self.put(request, 4 + index, word);
                }
                Ok(Answer::many(11, [words[0], words[1], words[2], total]).into())
            }
            entry::CONTEXT => {
                self.need(request, Rights::R)?;
                let reference = self.context_word(request, reference)?;
                let thread = self.threads.get(reference).ok_or(gone)?;
                let context = thread.context().ok_or(gone)?;
                let utcb = context_utcb_address(reference.index());
                let words = [context.state as u64, context.stack, context.fs_base, utcb];
                Ok(Answer::many(4, words).into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    /// The user address in word `index`.
    pub(super) fn user_address(
        &self,
        request: &Request<M>,
        index: usize,
    ) -> core::result::Result<u64, ErrorCode> {
        let at = self.word(request, index)?;
        if address::is_user(at) { Ok(at) } else { Err(refuse(ErrorNumber::Inval, index as u8)) }
    }

    /// The floor priority in word `index`: at most the maximum of the scheduler
    /// in item `item`, or without one the caller's own priority.
    pub(super) fn floor(
        &self,
        request: &Request<M>,
        index: usize,
        item: usize,
    ) -> core::result::Result<u8, ErrorCode> {
        let floor = self.word(request, index)?;
        let maximum = if request.tag.items() > item {
            self.item_of(request, item, Kind::Scheduler, Rights::W)?.target.index
        } else {
            self.threads.get(request.thread).map_or(0, |thread| u32::from(thread.priority))
        };
        if floor > u64::from(maximum) {
            let number = if floor > 255 { ErrorNumber::Inval } else { ErrorNumber::Perm };
            return Err(refuse(number, index as u8));
        }
        Ok(floor as u8)
    }

    /// The context of this entry whose number is word 1.
    fn context_word(
        &self,
        request: &Request<M>,
        entry: Ref<Entry<M>>,
    ) -> core::result::Result<Ref<Thread<M>>, ErrorCode> {
        let number = self.word(request, 1)?;
        u32::try_from(number)
            .ok()
            .and_then(|index| self.threads.at(index))
            .filter(|found| {
                let context = self.threads.get(*found).and_then(Thread::context);
                context.is_some_and(|context| context.entry == entry)
            })
            .ok_or(refuse(ErrorNumber::Inval, 1))
    }

    /// Gives an entry one context more; returns its arena index and the address
    /// of its UTCB.
    fn add_context(
        &mut self,
        reference: Ref<Entry<M>>,
        stack: u64,
        fs_base: Option<u64>,
    ) -> core::result::Result<(u32, u64), ErrorCode> {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        if !self.is_open(reference) {
            return Err(gone);
        }
        let entry = self.entries.get(reference).ok_or(gone)?;
        let (task, floor, factory, first) =
            (entry.task, entry.floor, entry.header.factory, entry.contexts);
        let limit = (address::CONTEXT_UTCB_END - address::CONTEXT_UTCB_START) / PAGE;
        if entry.total() >= CONTEXTS || self.threads.len() as u64 >= limit {
            return Err(NO_FRAMES);
        }
        let fixed = context_cost::<M>();
        self.charge(factory, fixed)?;
        let room = self
            .room_for_timeouts()
            .and_then(|()| make_room(&mut self.threads, &mut self.machine, &mut self.frames));
        if let Err(error) = room {
            self.trim_timeouts();
            self.refund(factory, fixed);
            return Err(error);
        }
        let mut thread = Thread::new(floor, Header::new(factory, 0));
        thread.state = State::Idle;
        // It never receives from everybody, so never by the fast path.
        thread.pending = true;
        thread.task = Some(task);
        thread.home = task;
        thread.root = self.root_of(task);
        let Ok(context) = self.threads.insert(thread) else {
            self.refund(factory, fixed);
            return Err(NO_FRAMES);
        };
        let at = context_utcb_address(context.index());
        let utcb = match self.new_utcb(factory, task, at) {
            Ok(utcb) => utcb,
            Err(error) => {
                self.take_thread(context);
                self.refund(factory, fixed);
                return Err(error);
            }
        };
        self.contexts += 1;
        if let Some(thread) = self.threads.get_mut(context) {
            thread.utcb = Some(utcb);
            thread.role = Role::Context(Context {
                entry: reference,
                state: ContextState::Quarantined,
                silent: false,
                stack,
                fs_base: fs_base.unwrap_or(at),
                gate: None,
                next_free: None,
                grace: None,
                of_entry: (first, None),
            });
        }
        if let Some(first) =
            first.and_then(|first| self.threads.nth_mut(first)).and_then(Thread::context_mut)
        {
            first.of_entry.1 = Some(context.index());
        }
        if let Some(entry) = self.entries.get_mut(reference) {
            entry.contexts = Some(context.index());
            entry.counts[ContextState::Quarantined as usize] += 1;
            entry.header.charge += fixed + PAGE;
        }
        self.reset_context(context);
        Ok((context.index(), at))
    }

    /// Removes a context, whatever it is doing, and gives back what it was
    /// charged.
    pub(crate) fn remove_context(&mut self, reference: Ref<Thread<M>>) {
        let Some(context) = self.threads.get(reference).and_then(Thread::context) else { return };
        let (home, state) = (context.entry, context.state);
        if state == ContextState::Free {
            self.unlink_free(home, reference.index());
        }
        self.unlink_context(reference);
        self.contexts -= 1;
        let Some(mut thread) = self.take_thread(reference) else { return };
        if let Some(utcb) = thread.utcb.take() {
            if let Some(task) = thread.task.and_then(|task| self.tasks.get_mut(task))
                && let Some(space) = task.space.as_mut()
                && let Some(factory) = self.factories.get_mut(task.header.factory)
            {
                let at = context_utcb_address(reference.index());
                let mut supply = Charged::new(&mut self.frames, factory, &mut task.page_tables);
                self.machine.unmap(space, at, 1, &mut supply);
            }
            self.frames.give(self.machine.release_utcb(utcb));
        }
        let bytes = context_cost::<M>() + PAGE + self.release_fpu(&mut thread);
        if let Some(entry) = self.entries.get_mut(home) {
            entry.header.charge -= bytes;
        }
        self.refund(thread.header.factory, bytes);
    }

    /// Takes a thread object out of its arena, and gives back the memory that
    /// nothing lies in any more.
    fn take_thread(&mut self, reference: Ref<Thread<M>>) -> Option<Thread<M>> {
        let threads = &mut self.threads;
        let gone = take_out(threads, &mut self.machine, &mut self.frames, reference);
        self.trim_timeouts();
        gone
    }

    /// Takes a context out of the list of free ones; that of a dying entry is
    /// empty already.
    fn unlink_free(&mut self, home: Ref<Entry<M>>, index: u32) {
        let Some(entry) = self.entries.get_mut(home) else { return };
        let mut at = entry.free;
        let next = |kernel: &Self, at: u32| {
            kernel.threads.nth(at).and_then(Thread::context).and_then(|it| it.next_free)
        };
        if at == Some(index) {
            let after = next(self, index);
            if let Some(entry) = self.entries.get_mut(home) {
                entry.free = after;
            }
            return;
        }
        while let Some(found) = at {
            let after = next(self, found);
            if after == Some(index) {
                let rest = next(self, index);
                let before = self.threads.nth_mut(found).and_then(Thread::context_mut);
                if let Some(context) = before {
                    context.next_free = rest;
                }
                return;
            }
            at = after;
        }
    }
}

/// What a context is charged, but for its UTCB: a thread, with two deadlines.
fn context_cost<M: Machine>() -> u64 {
    cost(Arena::<Thread<M>>::OBJECT_BYTES) + 32
}
