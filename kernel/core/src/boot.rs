//! The start of `init`: the only task that the kernel makes by itself.

use core::fmt;

use postern_abi::image::{Flat, init};
use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, PAGE, Rights};
use postern_arena::{Arena, Ref};

use crate::Kernel;
use crate::account::{cost, forgo_room, make_room};
use crate::cap::{Slot, SlotId, Target};
use crate::invoke::factory::ALL;
use crate::machine::{Machine, Next};
use crate::mem::Frames;
use crate::mem::parts::Family;
use crate::object::{Factory, Header, IoPort, Memory, Task};
use crate::work::Work;

/// Why `init` could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootError {
    /// Its image is malformed: which segment.
    Image(usize),
    /// The kernel refused something: at which step, and why.
    Refused(&'static str, ErrorCode),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(segment) => write!(f, "segment {segment} of its image is malformed"),
            Self::Refused(step, error) => write!(f, "{step}: {error}"),
        }
    }
}

impl<M: Machine> Kernel<M> {
    /// Makes the root factory and starts `init` with capabilities to
    /// everything (slots: [`init`]). `archive` are the frames of the boot
    /// archive, mapped read-only into `init`.
    ///
    /// # Errors
    /// See [`BootError`]; the kernel cannot go on then.
    pub fn start_init(
        &mut self,
        archive: Frames,
        archive_bytes: u64,
        image: Flat<'_>,
    ) -> Result<(), BootError> {
        let at = |step| move |error| BootError::Refused(step, error);
        self.prepare_relays().map_err(at("tables of relay segments"))?;
        let root = self.root_factory().map_err(at("the root factory"))?;
        let slots = u64::from(init::SLOTS);
        let task = self.create_task(root, slots, false).map_err(at("its task"))?;
        let pages = (slots * size_of::<Slot>() as u64).div_ceil(PAGE);
        while !self.grow_task(task, pages).map_err(at("its capability table"))? {}
        let thread = self.create_thread(root, init::PRIORITY).map_err(at("its thread"))?;
        self.init = Some(thread);
        self.bind_thread(thread, task).map_err(at("its UTCB"))?;
        self.first_capabilities(task, root, archive).map_err(at("its capabilities"))?;
        self.give(task, init::TASK, Target::new(Kind::Task, task), ALL);
        self.give(task, init::THREAD, Target::new(Kind::Thread, thread), ALL);
        for index in 0..image.segments {
            let segment = image.segment(index).ok_or(BootError::Image(index))?;
            let rights = Rights::from_bits(segment.rights).ok_or(BootError::Image(index))?;
            let memory = self.filled(root, segment.memory, segment.contents);
            let memory = memory.map_err(at("memory for its image"))?;
            self.map_now(task, memory, segment.address, rights).map_err(at("mapping its image"))?;
        }
        let stack = self.filled(root, init::STACK_BYTES, &[]).map_err(at("its stack"))?;
        let bottom = init::STACK_TOP - init::STACK_BYTES;
        self.map_now(task, stack, bottom, Rights::R | Rights::W).map_err(at("its stack"))?;
        let archive = self.slot(SlotId::new(task.index(), init::ARCHIVE));
        if let Some(target) = archive.and_then(|slot| slot.target()) {
            let memory = target.reference();
            self.map_now(task, memory, init::ARCHIVE_ADDRESS, Rights::R)
                .map_err(at("mapping the boot archive"))?;
        }
        if let Some(task) = self.tasks.get_mut(task) {
            task.name[..4].copy_from_slice(b"init");
            (task.build, task.base) = (image.build, image.base);
        }
        self.start_thread(
            thread,
            image.entry,
            init::STACK_TOP,
            init::ARCHIVE_ADDRESS,
            archive_bytes,
        )
        .map_err(at("its thread"))
    }

    /// Makes the tables that the arenas of relay segments need before their first
    /// object, of which a first CREATE would need those of two at once.
    fn prepare_relays(&mut self) -> Result<(), ErrorCode> {
        make_room(&mut self.views, &mut self.machine, &mut self.frames)?;
        forgo_room(&mut self.views, &mut self.machine, &mut self.frames);
        make_room(&mut self.relays, &mut self.machine, &mut self.frames)?;
        forgo_room(&mut self.relays, &mut self.machine, &mut self.frames);
        Ok(())
    }

    /// All memory but a reserve for the kernel's own page tables and the last,
    /// partly used page of each table.
    fn root_factory(&mut self) -> Result<Ref<Factory>, ErrorCode> {
        make_room(&mut self.factories, &mut self.machine, &mut self.frames)?;
        let free = self.frames.free_pages();
        let quota = (free - (free / 64).max(64).min(free)) * PAGE;
        // It is its own parent: nothing is charged, and it never goes.
        let header = Header::new(Ref::new(0, 0), 0);
        let factory =
            Factory { header, quota, used: 0, closed: false, emptying: false, objects: None };
        let Ok(root) = self.factories.insert(factory) else {
            return Err(crate::account::NO_FRAMES);
        };
        if let Some(factory) = self.factories.get_mut(root) {
            factory.header.factory = root;
        }
        Ok(root)
    }

    fn give(&mut self, task: Ref<Task<M>>, slot: u32, target: Target, rights: Rights) {
        self.install(SlotId::new(task.index(), slot), target, rights, None);
    }

    fn first_capabilities(
        &mut self,
        task: Ref<Task<M>>,
        root: Ref<Factory>,
        archive: Frames,
    ) -> Result<(), ErrorCode> {
        self.give(task, init::FACTORY, Target::new(Kind::Factory, root), ALL);
        self.give(task, init::LOG, Target::value(Kind::Log, 0), ALL);
        self.give(task, init::SCHEDULER, Target::value(Kind::Scheduler, 255), ALL);
        make_room(&mut self.ports, &mut self.machine, &mut self.frames)?;
        let charge = cost(Arena::<IoPort>::OBJECT_BYTES);
        self.charge(root, charge)?;
        let ports = IoPort { header: Header::new(root, charge), first: 0, count: 0x1_0000 };
        if let Ok(ports) = self.ports.insert(ports) {
            self.enlist(Target::new(Kind::IoPort, ports));
            self.give(task, init::IO_PORTS, Target::new(Kind::IoPort, ports), ALL);
        }
        make_room(&mut self.memories, &mut self.machine, &mut self.frames)?;
        let charge = cost(Arena::<Memory>::OBJECT_BYTES);
        self.charge(root, charge)?;
        let header = Header::new(root, charge);
        let memory = Memory {
            header,
            frames: archive,
            mappings: None,
            mapped: 0,
            family: Family::default(),
        };
        if let Ok(memory) = self.memories.insert(memory) {
            let target = Target::new(Kind::Memory, memory);
            self.enlist(target);
            self.give(task, init::ARCHIVE, target, Rights::R | Rights::GRANT);
        }
        for line in 0..self.machine.lines().min(init::IRQ_COUNT) {
            self.give(task, init::IRQS + line, Target::value(Kind::Irq, line), ALL);
        }
        Ok(())
    }

    /// Zeroed memory with the given contents at its beginning.
    fn filled(
        &mut self,
        root: Ref<Factory>,
        bytes: u64,
        contents: &[u8],
    ) -> Result<Ref<Memory>, ErrorCode> {
        let memory = self.create_memory(root, bytes)?;
        if let Some(memory) = self.memories.get(memory) {
            self.machine.zero(&memory.frames, 0, memory.frames.pages());
            self.machine.fill(&memory.frames, 0, contents);
        }
        Ok(memory)
    }

    /// Maps a whole memory at once, without stopping in between.
    fn map_now(
        &mut self,
        task: Ref<Task<M>>,
        memory: Ref<Memory>,
        at: u64,
        rights: Rights,
    ) -> Result<(), ErrorCode> {
        let gone = crate::account::NO_FRAMES;
        let bytes = self.memories.get(memory).ok_or(gone)?.frames.bytes();
        // Mappings hang below a capability: a slot past the fixed ones, one a
        // memory, which `init` can use to hand its image on.
        let table = &self.tasks.get(task).ok_or(gone)?.table;
        let target = Target::new(Kind::Memory, memory);
        let present = table.iter().position(|slot| slot.target() == Some(target));
        let slot = match present {
            Some(slot) => slot as u32,
            None => {
                let first = init::IMAGE as usize;
                let free = table[first..].iter().position(|slot| slot.is_empty());
                let slot = first + free.ok_or(gone)?;
                self.give(task, slot as u32, target, ALL);
                slot as u32
            }
        };
        let slot = SlotId::new(task.index(), slot);
        let mapping = self.add_mapping(task, memory, slot, at, 0, bytes, rights)?;
        let mut work = Work::Map { mapping };
        while let Work::Map { mapping } = work {
            match self.map_step(mapping)? {
                Some(next) => work = next,
                None => return Ok(()),
            }
        }
        Err(gone)
    }

    /// Runs long operations of the current thread to their end, for callers
    /// that have no interrupts to let in (tests on the host).
    pub fn settle(&mut self) -> Next {
        loop {
            match self.decide() {
                Next::Work => self.work(),
                other => return other,
            }
        }
    }
}
