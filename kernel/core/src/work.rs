//! Long operations: work that grows with the size of something, in bounded
//! steps with interrupts let in between.
//!
//! The progress of a destruction lies in the dying object, so that it goes on
//! when its caller is gone. What a thread does for itself lies in the thread.
//! When the thread goes, memory that nobody has yet goes with it, and a mapping
//! that is half made, changed or undone stays so until its task or memory goes.

use postern_abi::rights::Kind;
use postern_abi::stretch::{Cause, Entry};
use postern_abi::tag::Tag;
use postern_abi::timeout::Timeout;
use postern_abi::{ErrorCode, ErrorNumber, PAGE, Rights};
use postern_arena::Ref;

use crate::Kernel;
use crate::account::{Charged, QUOTA};
use crate::cap::{SlotId, Target};
use crate::invoke::Answer;
use crate::invoke::factory::ALL;
use crate::machine::{Access, Machine, Placement};
use crate::object::{Factory, Mapping, Memory, Relay, Task, Thread};
use crate::report::Place;

/// Pages zeroed in one step (64 KiB).
const ZERO_PAGES: u64 = 16;

/// Mapping records that one step looks at.
const RECORDS: usize = 64;

/// Progress of a change of rights.
pub struct Protection<M: Machine> {
    /// The task.
    pub task: Ref<Task<M>>,
    /// First address of the range.
    pub start: u64,
    /// First address past it.
    pub end: u64,
    /// The new rights.
    pub rights: Rights,
    /// How far it is: everything before this address is done.
    pub at: u64,
    /// Pages done of the mapping there.
    pub inside: u64,
    /// Pages changed.
    pub done: u64,
    /// It is still looking whether all of it is permitted.
    pub checking: bool,
}

impl<M: Machine> Clone for Protection<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Machine> Copy for Protection<M> {}

/// A long operation of a thread.
pub enum Work<M: Machine> {
    /// Zero new memory, then put its capability into a slot.
    Zero {
        /// The memory, of which there is no capability yet.
        memory: Ref<Memory>,
        /// Pages done.
        done: u64,
        /// The slot that the caller named.
        slot: u64,
    },
    /// Zero a new relay segment and make its view, then put its capability
    /// into a slot.
    Relay {
        /// The segment, of which there is no capability yet.
        relay: Ref<Relay<M>>,
        /// The slot that the caller named.
        slot: u64,
    },
    /// Make the capability table of a new task, then put its capability into a
    /// slot.
    Table {
        /// The task, of which there is no capability yet.
        task: Ref<Task<M>>,
        /// Pages of its table.
        pages: u64,
        /// The slot that the caller named.
        slot: u64,
    },
    /// Fill in the page tables of a mapping.
    Map {
        /// The mapping.
        mapping: Ref<Mapping<M>>,
    },
    /// Change the rights of the mappings in a range.
    Protect(Protection<M>),
    /// Unmap what lies in a range.
    Unmap {
        /// The task.
        task: Ref<Task<M>>,
        /// First address.
        start: u64,
        /// First address past the range.
        end: u64,
        /// Pages done.
        done: u64,
        /// What the caller gets in the end.
        error: Option<ErrorCode>,
    },
    /// Wait until an object is gone.
    Destroy(Target),
    /// Take back what was derived from a capability.
    Revoke {
        /// Its slot.
        at: SlotId,
        /// Its object.
        target: Target,
    },
    /// Wait until everything made through a factory is gone.
    Empty(Ref<Factory>),
    /// Describe used slots of a task.
    List {
        /// The task.
        task: Ref<Task<M>>,
        /// The first slot that was not looked at yet.
        from: u64,
    },
    /// Report the fault that the thread has and nobody handles, then end.
    Report(Place),
    /// Look for a message among many senders.
    Receive {
        /// How long to wait if there is none.
        timeout: Timeout,
    },
    /// Change the labels of the senders that wait at a thread.
    ModifySenders {
        /// The thread.
        receiver: Ref<Thread<M>>,
        /// Words 1 to 3 of the message; those of the other rules are in the
        /// UTCB.
        first: [u64; 3],
        /// Number of rules.
        rules: usize,
    },
}

impl<M: Machine> Work<M> {
    /// The detail of [`Entry::Work`].
    const fn number(&self) -> u32 {
        match self {
            Self::Zero { .. } => 1,
            Self::Table { .. } => 2,
            Self::Map { .. } => 3,
            Self::Protect(_) => 4,
            Self::Unmap { .. } => 5,
            Self::Destroy(_) => 6,
            Self::Revoke { .. } => 7,
            Self::Empty(_) => 8,
            Self::List { .. } => 9,
            Self::Report(_) => 10,
            Self::Relay { .. } => 11,
            Self::ModifySenders { .. } => 12,
            Self::Receive { .. } => 13,
        }
    }
}

impl<M: Machine> Clone for Work<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Machine> Copy for Work<M> {}

/// What user code may do with a mapping that has these rights.
fn access(rights: Rights) -> Access {
    let mut access = Access::R;
    access.set(Access::W, rights.contains(Rights::W));
    access.set(Access::X, rights.contains(Rights::X));
    access
}

impl<M: Machine> Kernel<M> {
    /// One bounded step of the current thread's long operation, or of a
    /// destruction that nobody waits for.
    // Not inlined: the way out of the kernel is that of every system call.
    #[cold]
    #[inline(never)]
    pub fn work(&mut self) {
        self.stretch_begins(Cause::new(Entry::Idle, 0));
        let current = self.current;
        let work = current.and_then(|thread| self.threads.get(thread)?.work);
        let (Some(thread), Some(work)) = (current, work) else {
            self.drain();
            return;
        };
        self.stretch_is(|_step| Cause::new(Entry::Work, work.number()));
        let result = match work {
            Work::Zero { memory, done, slot } => self.zero_step(thread, memory, done, slot),
            Work::Relay { relay, slot } => {
                let target = Target::new(Kind::Relay, relay);
                match self.relay_step(relay) {
                    Ok(false) => Ok(Some(work)),
                    Ok(true) => self.hand_out(thread, target, slot),
                    Err(error) => {
                        self.destroy(target);
                        Err(error)
                    }
                }
            }
            Work::Table { task, pages, slot } => {
                let target = Target::new(Kind::Task, task);
                match self.grow_task(task, pages) {
                    Ok(false) => Ok(Some(work)),
                    Ok(true) => self.hand_out(thread, target, slot),
                    Err(error) => {
                        self.destroy(target);
                        Err(error)
                    }
                }
            }
            Work::Map { mapping } => self.map_step(mapping),
            Work::Protect(protection) => self.protect_step(protection),
            Work::Unmap { task, start, end, done, error } => {
                self.unmap_range_step(task, start, end, done, error)
            }
            Work::Destroy(target) => {
                self.drain();
                if self.header(target).is_some() { Ok(Some(work)) } else { Ok(None) }
            }
            Work::Revoke { at, target } => {
                if self.revoke_step(at, target) {
                    Ok(None)
                } else {
                    Ok(Some(work))
                }
            }
            Work::Empty(factory) => {
                self.drain();
                let emptying = self.factories.get(factory).is_some_and(|it| it.emptying);
                if emptying { Ok(Some(work)) } else { Ok(None) }
            }
            Work::List { task, from } => self.list_step(thread, task, from),
            // Its registers are not to be touched.
            Work::Report(place) => return self.report_step(thread, place),
            Work::Receive { timeout } => {
                return match self.receive_step(thread, timeout) {
                    Ok(_settled) => {}
                    Err(error) => self.fail_receive(thread, error),
                };
            }
            Work::ModifySenders { receiver, first, rules } => {
                self.modify_step(thread, receiver, first, rules).map(|done| (!done).then_some(work))
            }
        };
        // The step may have ended the thread itself.
        let Some(thread) = self.threads.get_mut(thread) else { return };
        match result {
            Ok(Some(more)) => thread.work = Some(more),
            Ok(None) => {
                thread.work = None;
                thread.user.registers.rflags = 0;
            }
            Err(error) => {
                thread.work = None;
                thread.fail(error);
            }
        }
    }

    /// Gives up the long operation of a thread that is being destroyed.
    pub(crate) fn abandon(&mut self, work: Work<M>) {
        match work {
            Work::Zero { memory, .. } => self.destroy(Target::new(Kind::Memory, memory)),
            Work::Relay { relay, .. } => self.destroy(Target::new(Kind::Relay, relay)),
            Work::Table { task, .. } => self.destroy(Target::new(Kind::Task, task)),
            // The mapping exists and is undone with its task; a half-filled
            // one is as good as a whole one for that.
            Work::Map { .. } | Work::Unmap { .. } | Work::Protect(_) => {}
            // These go on without whoever asked for them.
            Work::Destroy(_) | Work::Empty(_) => {}
            Work::List { .. } | Work::Report(_) | Work::Receive { .. } => {}
            // A dying object has its turn without this.
            Work::Revoke { target, .. } => {
                if self.exists(target) {
                    self.list_work(target);
                }
            }
            // The other senders keep their labels.
            Work::ModifySenders { receiver, .. } => self.end_modifying(receiver),
        }
    }

    fn zero_step(
        &mut self,
        thread: Ref<Thread<M>>,
        reference: Ref<Memory>,
        done: u64,
        slot: u64,
    ) -> Result<Option<Work<M>>, ErrorCode> {
        let gone = ErrorCode::new(ErrorNumber::NotExistent, 2);
        let memory = self.memories.get(reference).ok_or(gone)?;
        let pages = (memory.frames.pages() - done).min(ZERO_PAGES);
        self.machine.zero(&memory.frames, done, pages);
        let done = done + pages;
        if done < memory.frames.pages() {
            return Ok(Some(Work::Zero { memory: reference, done, slot }));
        }
        self.hand_out(thread, Target::new(Kind::Memory, reference), slot)
    }

    /// Puts the capability of an object that took long to make into the slot
    /// that the caller named; ends the object if that has become impossible.
    fn hand_out(
        &mut self,
        thread: Ref<Thread<M>>,
        target: Target,
        slot: u64,
    ) -> Result<Option<Work<M>>, ErrorCode> {
        let gone = ErrorCode::new(ErrorNumber::NotExistent, 2);
        let task = self.threads.get(thread).and_then(|thread| thread.task).ok_or(gone)?;
        // Another thread of the task may have filled the slot in the meantime.
        match self.check_empty(task, slot, 2) {
            Ok(slot) => self.install(slot, target, ALL, None),
            Err(error) => {
                self.destroy(target);
                return Err(error);
            }
        }
        Ok(None)
    }

    pub(crate) fn map_step(
        &mut self,
        reference: Ref<Mapping<M>>,
    ) -> Result<Option<Work<M>>, ErrorCode> {
        let gone = ErrorCode::new(ErrorNumber::NotExistent, ErrorCode::ITEM);
        let mapping = self.mappings.get(reference).filter(|mapping| !mapping.dying).ok_or(gone)?;
        let (start, pages, task) = (mapping.at, mapping.pages, mapping.task);
        match self.write_tables(reference, mapping.filled) {
            Ok(done) => {
                let mapping = self.mappings.get_mut(reference).ok_or(gone)?;
                mapping.filled += done;
                let more = mapping.filled < pages;
                Ok(more.then_some(Work::Map { mapping: reference }))
            }
            Err(error) => {
                let end = start + pages * PAGE;
                Ok(Some(Work::Unmap { task, start, end, done: 0, error: Some(error) }))
            }
        }
    }

    /// Enters the pages of a mapping from `first` on into the page tables, a
    /// step's worth of them; returns how many.
    fn write_tables(&mut self, reference: Ref<Mapping<M>>, first: u64) -> Result<u64, ErrorCode> {
        let gone = ErrorCode::new(ErrorNumber::NotExistent, ErrorCode::ITEM);
        let mapping = self.mappings.get(reference).ok_or(gone)?;
        let access = access(mapping.rights);
        let place = Placement {
            at: mapping.at + first * PAGE,
            first: mapping.first + first,
            pages: mapping.pages - first,
            access,
        };
        let memory = self.memories.get(mapping.memory).ok_or(gone)?;
        let task = self.tasks.get_mut(mapping.task).ok_or(gone)?;
        let factory = self.factories.get_mut(task.header.factory).ok_or(QUOTA)?;
        let space = task.space.as_mut().ok_or(gone)?;
        let mut supply = Charged::new(&mut self.frames, factory, &mut task.page_tables);
        let mapped = self.machine.map(space, &memory.frames, place, &mut supply);
        mapped.map_err(|_dry| supply.refusal)
    }

    /// First looks whether all mappings may have the rights, then changes them.
    fn protect_step(&mut self, mut work: Protection<M>) -> Result<Option<Work<M>>, ErrorCode> {
        for _ in 0..RECORDS {
            let Some(index) = self.mapping_in(work.task, work.at, work.end) else {
                if work.checking {
                    (work.checking, work.at) = (false, work.start);
                    return Ok(Some(Work::Protect(work)));
                }
                let current = self.current;
                if let Some(thread) = current.and_then(|thread| self.threads.get_mut(thread)) {
                    Answer::one(work.done * PAGE).store(thread);
                }
                return Ok(None);
            };
            let Some(reference) = self.mappings.at(index) else { return Ok(None) };
            let Some(mapping) = self.mappings.get(reference) else { return Ok(None) };
            let (start, pages, limit) = (mapping.at, mapping.pages, mapping.limit);
            let settled = mapping.filled == pages && !mapping.dying;
            if work.checking {
                if !settled {
                    return Err(ErrorCode::new(ErrorNumber::Busy, 1));
                }
                if !limit.contains(work.rights) {
                    return Err(ErrorCode::new(ErrorNumber::Perm, 3));
                }
            } else if settled && limit.contains(work.rights) {
                let owner = self.tasks.get_mut(work.task);
                let Some(space) = owner.and_then(|task| task.space.as_mut()) else {
                    return Ok(None);
                };
                let (at, rest) = (start + work.inside * PAGE, pages - work.inside);
                let changed = self.machine.protect(space, at, rest, access(work.rights));
                work.inside += changed;
                work.done += changed;
                if work.inside < pages {
                    return Ok(Some(Work::Protect(work)));
                }
                if let Some(mapping) = self.mappings.get_mut(reference) {
                    mapping.rights = work.rights;
                }
            }
            work.inside = 0;
            work.at = start + pages * PAGE;
            if !work.checking {
                return Ok(Some(Work::Protect(work)));
            }
        }
        Ok(Some(Work::Protect(work)))
    }

    fn unmap_range_step(
        &mut self,
        task_ref: Ref<Task<M>>,
        start: u64,
        end: u64,
        done: u64,
        error: Option<ErrorCode>,
    ) -> Result<Option<Work<M>>, ErrorCode> {
        // A mapping made meanwhile may begin in the range and end outside.
        let whole = self.mapping_in(task_ref, start, end).filter(|index| {
            self.mappings.nth(*index).is_some_and(|it| it.at + it.pages * PAGE <= end)
        });
        let Some(found) = whole else {
            return match error {
                Some(error) => Err(error),
                None => {
                    let current = self.current;
                    if let Some(thread) = current.and_then(|t| self.threads.get_mut(t)) {
                        Answer::one(done * PAGE).store(thread);
                    }
                    Ok(None)
                }
            };
        };
        let now = self.unmap_step(found);
        Ok(Some(Work::Unmap { task: task_ref, start, end, done: done + now, error }))
    }

    /// Unmaps up to a step's worth of a mapping from its front, and removes the
    /// record with its last page. Returns the pages done.
    pub(crate) fn unmap_step(&mut self, index: u32) -> u64 {
        let Some(reference) = self.mappings.at(index) else { return 0 };
        let Some(mapping) = self.mappings.get_mut(reference) else { return 0 };
        mapping.dying = true;
        let mut done = mapping.pages;
        if let Some(task) = self.tasks.get_mut(mapping.task) {
            // The tables of a dying task go as a whole.
            if let Some(space) = task.space.as_mut().filter(|_| !task.header.dying)
                && let Some(factory) = self.factories.get_mut(task.header.factory)
            {
                let mut supply = Charged::new(&mut self.frames, factory, &mut task.page_tables);
                done = self.machine.unmap(space, mapping.at, mapping.pages, &mut supply);
            }
            task.mapped -= done * PAGE;
        }
        if done == mapping.pages {
            // Its place in the tree is found by its address, so that must not
            // become its neighbour's.
            self.remove_mapping(reference);
        } else {
            mapping.at += done * PAGE;
            mapping.first += done;
            mapping.pages -= done;
        }
        done
    }

    /// What a thread's system call returns when its work is done, unless the
    /// work itself says otherwise.
    pub(crate) fn start_work(&mut self, thread: Ref<Thread<M>>, work: Work<M>) {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.work = Some(work);
            thread.succeed(postern_abi::code::Delivery::Reply as u64, 0, Tag::default(), [0; 4]);
        }
    }
}
