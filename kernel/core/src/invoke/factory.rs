//! Factories: making objects.

use postern_abi::op::factory;
use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber, PAGE, Rights, address};
use postern_arena::{Arena, Ref, Region, Table};

use super::{Answer, Reaction, Request, Result, refuse};
use crate::Kernel;
use crate::account::{Charged, NO_FRAMES, QUOTA, cost, forgo_room, grow_table, make_room};
use crate::cap::{NodeId, Slot, SlotId, Target};
use crate::machine::{Area, Machine};
use crate::mem::Frames;
use crate::mem::parts::Family;
use crate::mem::tree::Tree;
use crate::object::{
    Binding, Entry, Factory, Gate, Header, IoPort, Memory, Notification, Task, Thread,
};
use crate::sched::WaitQueue;
use crate::work::Work;

/// Slots in one page of a table.
const SLOTS_PER_PAGE: u64 = PAGE / size_of::<Slot>() as u64;
/// Pages of a table that one step makes.
const GROWTH: usize = 4;
/// Bytes of the tables that an empty address space begins with.
const ROOT_TABLES: u64 = 2 * PAGE;
/// All rights but the one that only gates have.
pub(crate) const ALL: Rights = Rights::all().difference(Rights::SERVER);

/// Creates an object of `$arena`: charge, room, insert.
macro_rules! create {
    ($kernel:ident, $factory:expr, $kind:ident, $arena:ident, $type:ty, $extra:expr, |$header:ident| $value:expr) => {{
        let bytes = cost(Arena::<$type>::OBJECT_BYTES) + $extra;
        $kernel.charge($factory, bytes)?;
        let room = make_room(&mut $kernel.$arena, &mut $kernel.machine, &mut $kernel.frames);
        if let Err(error) = room {
            $kernel.refund($factory, bytes);
            return Err(error);
        }
        let $header = Header::new($factory, bytes);
        match $kernel.$arena.insert($value) {
            Ok(reference) => {
                $kernel.enlist(Target::new(Kind::$kind, reference));
                reference
            }
            Err(_) => {
                $kernel.refund($factory, bytes);
                return Err(NO_FRAMES);
            }
        }
    }};
}

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_factory(&mut self, request: &Request<M>, operation: u64) -> Result {
        let reference: Ref<Factory> = request.target.reference();
        match operation {
            factory::CREATE => {
                self.need(request, Rights::S)?;
                self.create(request, reference)
            }
            factory::INFO => {
                self.need(request, Rights::R)?;
                let gone = refuse(ErrorNumber::NotExistent, 0);
                let factory = self.factories.get(reference).ok_or(gone)?;
                // Only the root factory stands for the whole machine.
                let (free, total) = if factory.header.factory == reference {
                    (self.frames.free_pages() * PAGE, self.frames.total_pages() * PAGE)
                } else {
                    (0, 0)
                };
                Ok(Answer::many(4, [factory.quota, factory.used, free, total]).into())
            }
            factory::EMPTY => {
                self.need(request, Rights::D)?;
                self.empty_factory(reference);
                self.start_work(request.thread, Work::Empty(reference));
                Ok(Reaction::Settled)
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    fn create(&mut self, request: &Request<M>, factory: Ref<Factory>) -> Result {
        let kind = self.word(request, 1)?;
        let slot = self.word(request, 2)?;
        let unknown = refuse(ErrorNumber::NoDevice, 1);
        let kind = Kind::decode(kind).ok_or(unknown)?;
        let at = self.check_empty(request.task, slot, 2)?;
        let (target, rights) = match kind {
            Kind::Factory => (self.create_factory(request, factory)?, ALL),
            Kind::Task => {
                let slots = self.word(request, 3)?;
                let guest = match request.tag.words() {
                    4 => false,
                    _ => match self.word(request, 4)? {
                        0 => false,
                        1 if self.machine.has_guests() => true,
                        1 => return Err(refuse(ErrorNumber::Unsupported, 4)),
                        _ => return Err(refuse(ErrorNumber::Inval, 4)),
                    },
                };
                let task = self.create_task(factory, slots, guest)?;
                let pages = slots.div_ceil(SLOTS_PER_PAGE);
                self.start_work(request.thread, Work::Table { task, pages, slot });
                return Ok(Reaction::Settled);
            }
            Kind::Thread => (self.create_thread_for(request, factory)?, ALL),
            Kind::Entry => (self.create_entry(request, factory)?, ALL),
            Kind::Gate => (self.create_gate(request, factory)?, ALL | Rights::SERVER),
            Kind::Memory => {
                let bytes = self.word(request, 3)?;
                let memory = self.create_memory(factory, bytes)?;
                self.start_work(request.thread, Work::Zero { memory, done: 0, slot });
                return Ok(Reaction::Settled);
            }
            Kind::Relay => {
                let bytes = self.word(request, 3)?;
                let flags = if request.tag.words() > 4 { self.word(request, 4)? } else { 0 };
                let relay = self.create_relay(factory, bytes, flags)?;
                self.start_work(request.thread, Work::Relay { relay, slot });
                return Ok(Reaction::Settled);
            }
            Kind::Notification => {
                let made = create!(
                    self,
                    factory,
                    Notification,
                    notifications,
                    Notification<M>,
                    0,
                    |header| Notification {
                        header,
                        bits: 0,
                        bound: None,
                        waiting: WaitQueue::default(),
                    }
                );
                (Target::new(kind, made), ALL)
            }
            Kind::IoPort => (self.create_io_port(request, factory)?, ALL),
            Kind::Scheduler => {
                // A capability with a lower maximum, below the one in item 0.
                let maximum = self.word(request, 3)?;
                let whole = self.item_of(request, 0, Kind::Scheduler, Rights::W)?;
                if maximum > u64::from(whole.target.index) {
                    return Err(refuse(ErrorNumber::Perm, 3));
                }
                self.check_derivable(whole.target, ErrorCode::ITEM)?;
                let parent = Some(NodeId::slot(whole.slot));
                let target = Target::value(Kind::Scheduler, maximum as u32);
                self.install(at, target, whole.rights, parent);
                return Ok(Answer::none().into());
            }
            // These exist from boot on or are not objects.
            Kind::Irq | Kind::Log | Kind::Reply => return Err(unknown),
        };
        self.install(at, target, rights, None);
        Ok(Answer::none().into())
    }

    fn create_factory(
        &mut self,
        request: &Request<M>,
        parent: Ref<Factory>,
    ) -> core::result::Result<Target, ErrorCode> {
        let quota = self.word(request, 3)?;
        if quota == 0 || quota > 1 << 48 {
            return Err(refuse(ErrorNumber::Inval, 3));
        }
        let made = create!(self, parent, Factory, factories, Factory, quota, |header| Factory {
            header,
            quota,
            used: 0,
            closed: false,
            emptying: false,
            objects: None,
        });
        Ok(Target::new(Kind::Factory, made))
    }

    /// A task that is charged for `slots` capabilities, without room for any
    /// yet ([`Kernel::grow_task`]).
    pub(crate) fn create_task(
        &mut self,
        factory: Ref<Factory>,
        slots: u64,
        guest: bool,
    ) -> core::result::Result<Ref<Task<M>>, ErrorCode> {
        if slots == 0 || slots > u64::from(SlotId::MAX_SLOTS) {
            return Err(refuse(ErrorNumber::Inval, 3));
        }
        let pages = slots.div_ceil(SLOTS_PER_PAGE);
        // The table's pages, and a page table of the kernel's for them.
        let fixed = cost(Arena::<Task<M>>::OBJECT_BYTES) + (pages + 1) * PAGE;
        // The root tables are charged as they are taken; a quota that has no
        // room for them is found out before anything is.
        self.charge(factory, fixed + ROOT_TABLES)?;
        self.refund(factory, ROOT_TABLES);
        let mut page_tables = 0;
        let made = self.new_space(factory, &mut page_tables, guest).and_then(|space| {
            match self.task_region() {
                Ok(region) => Ok((space, region)),
                Err(error) => {
                    self.discard_space(space);
                    Err(error)
                }
            }
        });
        let (space, region) = match made {
            Ok(made) => made,
            Err(error) => {
                self.refund(factory, fixed + page_tables);
                return Err(error);
            }
        };
        let task = Task {
            guest,
            table: Table::new(region),
            space: Some(space),
            header: Header::new(factory, fixed),
            page_tables,
            slots_used: 0,
            segments: [None; _],
            threads: None,
            entries: None,
            thread_count: 0,
            mappings: Tree::default(),
            mapped: 0,
            hypercall_gate: None,
            name: [0; 32],
            build: 0,
            base: 0,
        };
        let reference = self.tasks.insert(task).map_err(|_| NO_FRAMES)?;
        self.enlist(Target::new(Kind::Task, reference));
        Ok(reference)
    }

    /// An empty address space, whose tables are charged to `factory` and counted
    /// in `bytes`.
    fn new_space(
        &mut self,
        factory: Ref<Factory>,
        bytes: &mut u64,
        guest: bool,
    ) -> core::result::Result<M::Space, ErrorCode> {
        let factory = self.factories.get_mut(factory).ok_or(QUOTA)?;
        let mut supply = Charged::new(&mut self.frames, factory, bytes);
        let space = if guest {
            self.machine.guest_space(&mut supply)
        } else {
            self.machine.space(&mut supply)
        };
        space.ok_or(supply.refusal)
    }

    /// Room for one more task, and the addresses of its capability table: they
    /// depend on its index.
    fn task_region(&mut self) -> core::result::Result<Region, ErrorCode> {
        make_room(&mut self.tasks, &mut self.machine, &mut self.frames)?;
        let index = self.tasks.next_index().filter(|index| *index < SlotId::MAX_TASKS);
        let region = index.and_then(|index| self.machine.region(Area::Capabilities(index)));
        if region.is_none() {
            forgo_room(&mut self.tasks, &mut self.machine, &mut self.frames);
        }
        region.ok_or(NO_FRAMES)
    }

    /// Gives a new task's table more pages, up to `pages` in all; `true` when
    /// it has them.
    pub(crate) fn grow_task(
        &mut self,
        reference: Ref<Task<M>>,
        pages: u64,
    ) -> core::result::Result<bool, ErrorCode> {
        for _ in 0..GROWTH {
            let gone = refuse(ErrorNumber::NotExistent, 0);
            let table = &mut self.tasks.get_mut(reference).ok_or(gone)?.table;
            if table.pages() as u64 >= pages {
                return Ok(true);
            }
            grow_table(table, &mut self.machine, &mut self.frames, |_| Slot::default())?;
        }
        Ok(false)
    }

    fn discard_space(&mut self, mut space: M::Space) {
        while let Some(frame) = self.machine.dismantle(&mut space) {
            self.frames.give(frame);
        }
    }

    /// A thread that belongs to no task yet.
    pub(crate) fn create_thread(
        &mut self,
        factory: Ref<Factory>,
        priority: u8,
    ) -> core::result::Result<Ref<Thread<M>>, ErrorCode> {
        let made = self.room_for_timeouts().and_then(|()| self.new_thread(factory, priority));
        if made.is_err() {
            self.trim_timeouts();
        }
        made
    }

    fn new_thread(
        &mut self,
        factory: Ref<Factory>,
        priority: u8,
    ) -> core::result::Result<Ref<Thread<M>>, ErrorCode> {
        let made = create!(self, factory, Thread, threads, Thread<M>, 16, |header| Thread::new(
            priority, header
        ));
        if let Some(thread) = self.threads.get_mut(made) {
            thread.payer = made;
        }
        Ok(made)
    }

    fn create_thread_for(
        &mut self,
        request: &Request<M>,
        factory: Ref<Factory>,
    ) -> core::result::Result<Target, ErrorCode> {
        let priority = self.word(request, 3)?;
        let own = self.threads.get(request.thread).map_or(0, |thread| thread.priority);
        if priority > u64::from(own) {
            let number = if priority > 255 { ErrorNumber::Inval } else { ErrorNumber::Perm };
            return Err(refuse(number, 3));
        }
        let limit = (address::UTCB_END - address::UTCB_START) / PAGE;
        if self.threads.len() as u64 >= limit {
            return Err(NO_FRAMES);
        }
        Ok(Target::new(Kind::Thread, self.create_thread(factory, priority as u8)?))
    }

    fn create_entry(
        &mut self,
        request: &Request<M>,
        factory: Ref<Factory>,
    ) -> core::result::Result<Target, ErrorCode> {
        let handler = self.user_address(request, 3)?;
        let floor = self.floor(request, 4, 1)?;
        let grace = self.word(request, 5)?;
        let item = self.item_of(request, 0, Kind::Task, Rights::W)?;
        let task: Ref<Task<M>> = item.target.reference();
        if self.tasks.get(task).is_some_and(|task| task.guest) {
            // Nobody can cross into a guest.
            return Err(refuse(ErrorNumber::Inval, ErrorCode::ITEM));
        }
        let first = self.tasks.get(task).and_then(|task| task.entries);
        let made = create!(self, factory, Entry, entries, Entry<M>, 0, |header| Entry {
            front: None,
            free: None,
            floor,
            handler,
            task,
            waiting: WaitQueue::default(),
            waiters: 0,
            counts: [0; 4],
            contexts: None,
            grace,
            fault_gate: None,
            notification: None,
            sizes: [0; 2],
            header,
            of_task: (first, None),
        });
        if let Some(first) = first.and_then(|first| self.entries.nth_mut(first)) {
            first.of_task.1 = Some(made.index());
        }
        if let Some(task) = self.tasks.get_mut(task) {
            task.entries = Some(made.index());
        }
        Ok(Target::new(Kind::Entry, made))
    }

    fn create_gate(
        &mut self,
        request: &Request<M>,
        factory: Ref<Factory>,
    ) -> core::result::Result<Target, ErrorCode> {
        let (label, target) = if request.tag.items() > 0 {
            let label = self.word(request, 3)?;
            let target = self.binding(request)?;
            if label & 3 != 0 {
                return Err(refuse(ErrorNumber::Inval, 3));
            }
            (label, target)
        } else {
            (0, Binding::Unbound)
        };
        let limit = self.limit_word(request, target, 4)?;
        let made = create!(self, factory, Gate, gates, Gate<M>, 0, |header| Gate {
            label,
            target,
            limit,
            in_use: 0,
            direct: Ref::NOWHERE,
            waiting: WaitQueue::default(),
            header,
        });
        self.settle_gate(made);
        Ok(Target::new(Kind::Gate, made))
    }

    /// Memory whose contents are not zeroed yet and that has no capability.
    pub(crate) fn create_memory(
        &mut self,
        factory: Ref<Factory>,
        bytes: u64,
    ) -> core::result::Result<Ref<Memory>, ErrorCode> {
        if bytes == 0 || !bytes.is_multiple_of(PAGE) || bytes > 1 << 48 {
            return Err(refuse(ErrorNumber::Inval, 3));
        }
        let charge = cost(Arena::<Memory>::OBJECT_BYTES) + bytes;
        self.charge(factory, charge)?;
        let Some(frames) = self.frames.take(bytes / PAGE) else {
            self.refund(factory, charge);
            return Err(NO_FRAMES);
        };
        self.insert_memory(Header::new(factory, charge), frames).map_err(|frames| {
            self.frames.give(frames);
            self.refund(factory, charge);
            NO_FRAMES
        })
    }

    /// Makes a memory of frames that are charged already; gives them back when
    /// the machine has no room for it.
    fn insert_memory(
        &mut self,
        header: Header,
        frames: Frames,
    ) -> core::result::Result<Ref<Memory>, Frames> {
        if make_room(&mut self.memories, &mut self.machine, &mut self.frames).is_err() {
            return Err(frames);
        }
        let memory =
            Memory { header, frames, mappings: None, mapped: 0, family: Family::default() };
        let made = self.memories.insert(memory).map_err(|memory| memory.frames)?;
        self.enlist(Target::new(Kind::Memory, made));
        Ok(made)
    }

    /// Makes the pages of a memory from `pages` on a memory of its own.
    pub(super) fn split_memory(
        &mut self,
        reference: Ref<Memory>,
        pages: u64,
    ) -> core::result::Result<Target, ErrorCode> {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let factory = self.memories.get(reference).ok_or(gone)?.header.factory;
        let fixed = cost(Arena::<Memory>::OBJECT_BYTES);
        self.charge(factory, fixed)?;
        // Before anything is cut.
        if make_room(&mut self.memories, &mut self.machine, &mut self.frames).is_err() {
            self.refund(factory, fixed);
            return Err(NO_FRAMES);
        }
        let memory = self.memories.get_mut(reference).ok_or(gone)?;
        let frames = memory.frames.split(pages);
        // What was charged for the pages goes with them (the boot archive's
        // were never charged).
        let moved = frames.bytes().min(memory.header.charge.saturating_sub(fixed));
        memory.header.charge -= moved;
        let made = self.insert_memory(Header::new(factory, fixed + moved), frames);
        let made = made.map_err(|_frames| NO_FRAMES)?;
        self.join_family(made, reference);
        Ok(Target::new(Kind::Memory, made))
    }

    fn create_io_port(
        &mut self,
        request: &Request<M>,
        factory: Ref<Factory>,
    ) -> core::result::Result<Target, ErrorCode> {
        let first = self.word(request, 3)?;
        let count = self.word(request, 4)?;
        let whole = self.item_of(request, 0, Kind::IoPort, Rights::W)?;
        let inval = |argument| refuse(ErrorNumber::Inval, argument);
        let whole = self.ports.get(whole.target.reference()).ok_or(inval(ErrorCode::ITEM))?;
        let (start, end) =
            (u64::from(whole.first), u64::from(whole.first) + u64::from(whole.count));
        if first < start || first >= end {
            return Err(inval(3));
        }
        if count == 0 || count > end - first {
            return Err(inval(4));
        }
        let made = create!(self, factory, IoPort, ports, IoPort, 0, |header| IoPort {
            header,
            first: first as u16,
            count: count as u32,
        });
        Ok(Target::new(Kind::IoPort, made))
    }
}
