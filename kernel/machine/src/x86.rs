//! The machine that the core asks: x86_64.
//!
//! Only forwards to the modules that know. It must never decide anything, and
//! every method is safe to call with any argument: what the core gets wrong is
//! a panic, not broken memory.

use core::ptr::NonNull;

use postern_arena::{Page, Region, Vacant};
use postern_core::machine::{
    Access, Area, EventKind, Machine, OutOfFrames, Placement, Supply, Trigger, VCPU_STATE,
};
use postern_core::mem::Frames;

use crate::apic::LocalApic;
use crate::clock::Clock;
use crate::fpu::{self, Fpu};
use crate::frame::{self, Frame};
use crate::kernel_tables::{CONSTANTS, DATA, KernelTables};
use crate::layout::{
    CAPABILITIES, CAPABILITIES_EACH, CAPABILITIES_TABLES, LARGE, OBJECTS, OBJECTS_EACH,
    OBJECTS_KINDS, PAGE, SLOT,
};
use crate::lines::Lines;
use crate::paging::Entry;
use crate::serial::Log;
use crate::space::{Root, Space};
use crate::svm::{Svm, Vcpu};
use crate::timer::{OneShot, Timer};
use crate::window::ViewTables;
use crate::{cpu, port};

/// Which of a number of things are taken.
struct Taken<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Taken<WORDS> {
    /// Takes thing `index`; `false` if it is taken already or does not exist.
    fn take(&mut self, index: usize) -> bool {
        let Some(word) = self.0.get_mut(index / 64) else { return false };
        let bit = 1 << (index % 64);
        let free = *word & bit == 0;
        *word |= bit;
        free
    }

    fn release(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }
}

/// The UTCB of a thread: its frame, as the kernel sees it.
#[derive(Debug)]
pub struct Utcb {
    frames: Frames,
    frame: Frame,
}

/// The x86_64 machine.
pub struct X86 {
    tables: KernelTables,
    /// Never written: what is read where an arena has no page.
    zeros: Frame,
    clock: Clock,
    timer: Timer,
    apic: LocalApic,
    lines: Lines,
    log: Log,
    /// Absent where the CPU runs no guests.
    svm: Option<Svm>,
    /// The request under way, so that the same one is not made twice.
    armed: Option<u64>,
    /// What the relay window of the root in use shows.
    shown: Entry,
    objects: Taken<{ OBJECTS_KINDS / 64 }>,
    capabilities: Taken<{ CAPABILITIES_TABLES / 64 }>,
}

impl X86 {
    /// The machine, from its parts. `zeros` is a frame that nobody else uses.
    #[must_use]
    pub fn new(
        tables: KernelTables,
        zeros: Frame,
        clock: Clock,
        timer: Timer,
        apic: LocalApic,
        lines: Lines,
        svm: Option<Svm>,
    ) -> Self {
        zeros.zero();
        Self {
            tables,
            zeros,
            clock,
            timer,
            apic,
            lines,
            log: Log::new(),
            svm,
            armed: None,
            shown: Entry::EMPTY,
            objects: Taken([0; _]),
            capabilities: Taken([0; _]),
        }
    }

    /// Physical address of the block for the host's state around a guest.
    ///
    /// # Panics
    /// Where the CPU runs no guests.
    #[must_use]
    pub fn host_block(&self) -> u64 {
        self.svm.expect("there are guests").host_block()
    }

    /// The timer has interrupted, and does not count any more.
    #[inline]
    pub fn timer_fired(&mut self) {
        self.apic.end_of_interrupt();
        self.armed = None;
    }

    /// A line has interrupted. A level-triggered one would again at once, so
    /// it is masked until the core unmasks it.
    #[inline]
    pub fn line_fired(&mut self, line: u32) {
        if self.lines.trigger(line).level {
            self.lines.mask(line, true);
        }
        if self.lines.are_answered() {
            self.apic.end_of_interrupt();
        }
    }

    /// Something else has interrupted.
    pub fn end_of_interrupt(&mut self) {
        self.apic.end_of_interrupt();
    }
}

/// Base and size of an area, and its number among those of its kind.
fn place(area: Area) -> (u64, u64, usize) {
    match area {
        Area::Objects(kind) => {
            (OBJECTS + u64::from(kind) * OBJECTS_EACH, OBJECTS_EACH, usize::from(kind))
        }
        Area::Capabilities(task) => {
            let base = CAPABILITIES + u64::from(task) * CAPABILITIES_EACH;
            (base, CAPABILITIES_EACH, task as usize)
        }
    }
}

impl Machine for X86 {
    type Space = Space;
    type Root = Root;
    type Utcb = Utcb;
    type Tables = ViewTables;
    type Window = Entry;
    type Vcpu = Vcpu;
    type Fpu = Fpu;

    #[inline]
    fn now(&mut self) -> u64 {
        self.clock.now()
    }

    fn clock(&self) -> postern_abi::clock::Clock {
        self.clock.shared()
    }

    #[inline]
    fn arm(&mut self, deadline: Option<u64>) {
        if self.armed == deadline {
            return;
        }
        self.armed = deadline;
        match deadline {
            Some(time) => self.timer.start(&mut self.apic, &self.clock, time),
            None => self.timer.stop(&mut self.apic),
        }
    }

    fn region(&mut self, area: Area) -> Option<Region> {
        let (base, bytes, number) = place(area);
        let free = match area {
            Area::Objects(_) => self.objects.take(number),
            Area::Capabilities(_) => self.capabilities.take(number),
        };
        if !free {
            return None;
        }
        // SAFETY: areas do not overlap, and this one was free; only
        // `kernel_page` makes pages in it, and `vacate_kernel_page` leaves
        // zeros.
        NonNull::new(base as *mut u8).map(|base| unsafe { Region::new(base, bytes as usize) })
    }

    fn release_region(&mut self, area: Area, region: Region) {
        let (base, bytes, number) = place(area);
        assert!(region.base().addr().get() as u64 == base && region.capacity() as u64 == bytes);
        match area {
            Area::Objects(_) => self.objects.release(number),
            Area::Capabilities(_) => self.capabilities.release(number),
        }
    }

    fn kernel_page(
        &mut self,
        at: usize,
        frame: Frames,
        supply: &mut impl Supply,
    ) -> Result<Page, Frames> {
        let address = at as u64;
        let areas = [OBJECTS, CAPABILITIES];
        assert!(areas.iter().any(|area| (*area..*area + SLOT).contains(&address)));
        assert!(address.is_multiple_of(PAGE));
        let page = Frame::of(&frame, 0);
        if self.tables.translate(address).is_some_and(|it| it.physical == self.zeros.physical()) {
            // An arena's page comes back.
            let _zeros = self.tables.unmap_page(address);
        }
        let mut table = || supply.frame().map(|frames| Frame::of(&frames, 0));
        if self.tables.map_page(address, page.physical(), DATA, &mut table).is_err() {
            return Err(frame);
        }
        page.zero();
        let address = NonNull::new(at as *mut u8).expect("areas are not at zero");
        // SAFETY: page-aligned, just mapped where nothing was, zeroed; the
        // frame's token went into the page table.
        Ok(unsafe { Page::new(address) })
    }

    fn release_kernel_page(&mut self, page: Page, supply: &mut impl Supply) -> Frames {
        let at = page.into_address().addr().get() as u64;
        let frame = self.tables.unmap_page(at).expect("a page that exists is mapped");
        // Tables shrink from their end.
        if let Some(table) = at.is_multiple_of(LARGE).then(|| self.tables.take_table(at)).flatten()
        {
            supply.give(table);
        }
        frame
    }

    fn vacate_kernel_page(&mut self, page: Vacant) -> Frames {
        let at = page.address().addr().get() as u64;
        let frame = self.tables.unmap_page(at).expect("a page that exists is mapped");
        let zeros = self.tables.map_page(at, self.zeros.physical(), CONSTANTS, &mut || None);
        zeros.expect("its page table is there");
        frame
    }

    fn space(&mut self, supply: &mut impl Supply) -> Option<Space> {
        Space::new(self.tables, supply)
    }

    fn guest_space(&mut self, supply: &mut impl Supply) -> Option<Space> {
        Space::for_guest(self.tables, supply)
    }

    fn has_guests(&self) -> bool {
        self.svm.is_some()
    }

    fn vcpu(&mut self, frames: Frames) -> Vcpu {
        Vcpu::new(frames, &self.svm.expect("there are guests"))
    }

    fn release_vcpu(&mut self, vcpu: Vcpu) -> Frames {
        vcpu.into_frames()
    }

    fn vcpu_state(&self, vcpu: &Vcpu) -> [u64; VCPU_STATE] {
        vcpu.state()
    }

    fn set_vcpu_state(&mut self, vcpu: &mut Vcpu, state: &[u64; VCPU_STATE]) -> Result<(), usize> {
        vcpu.set_state(state)
    }

    fn inject(&mut self, vcpu: &mut Vcpu, kind: EventKind, vector: u8, error: Option<u32>) {
        vcpu.inject(kind, vector, error);
    }

    fn interrupt(&mut self, vcpu: &mut Vcpu, vector: u8) -> bool {
        vcpu.interrupt(vector)
    }

    fn dismantle(&mut self, space: &mut Space) -> Option<Frames> {
        if space.root() == Some(cpu::root()) {
            self.deactivate();
        }
        space.dismantle()
    }

    fn map(
        &mut self,
        space: &mut Space,
        frames: &Frames,
        place: Placement,
        supply: &mut impl Supply,
    ) -> Result<u64, OutOfFrames> {
        let Placement { at, first, pages, access } = place;
        assert!(first.checked_add(pages).is_some_and(|end| end <= frames.pages()));
        space.map(at, (frames.first_page() + first) * PAGE, pages, access, supply)
    }

    fn unmap(&mut self, space: &mut Space, at: u64, pages: u64, supply: &mut impl Supply) -> u64 {
        space.unmap(at, pages, supply)
    }

    fn protect(&mut self, space: &mut Space, at: u64, pages: u64, access: Access) -> u64 {
        space.protect(at, pages, access)
    }

    #[inline]
    fn activate(&mut self, space: &Space, window: Entry) {
        self.switch(space.root_table(), window);
    }

    #[inline(always)]
    fn root(&self, space: &Space) -> Root {
        space.root_table()
    }

    #[inline(always)]
    fn switch(&mut self, root: Root, window: Entry) {
        // In every case, and before the root is loaded: nobody else's view must
        // be left there.
        let root = root.show(window);
        if cpu::is_root(root) {
            core::hint::cold_path();
            if self.shown == window {
                return;
            }
        }
        self.shown = window;
        // SAFETY: the root's upper half is the kernel's (`Space::new`), the
        // window's slot leads to tables of a view, and `dismantle` and `evict`
        // leave what is in use first.
        unsafe { cpu::set_root(root) };
    }

    fn deactivate(&mut self) {
        self.shown = Entry::EMPTY;
        // SAFETY: the kernel's own root is never freed.
        unsafe { cpu::set_root(self.tables.root().0.physical()) };
    }

    fn view(&mut self, supply: &mut impl Supply) -> Option<ViewTables> {
        ViewTables::new(supply)
    }

    fn extend(
        &mut self,
        view: &mut ViewTables,
        frames: &Frames,
        first: u64,
        supply: &mut impl Supply,
    ) -> Result<u64, OutOfFrames> {
        view.extend(frames, first, supply)
    }

    fn adopt(
        &mut self,
        view: &mut ViewTables,
        page: u64,
        frame: Frames,
        supply: &mut impl Supply,
    ) -> Result<(), Frames> {
        view.adopt(page, frame, supply)
    }

    fn narrow(
        &mut self,
        whole: &ViewTables,
        first: u64,
        pages: u64,
        supply: &mut impl Supply,
    ) -> (ViewTables, bool) {
        whole.narrow(first, pages, supply)
    }

    fn window(&self, view: &ViewTables, writable: bool) -> Entry {
        view.window(writable)
    }

    fn evict(&mut self, view: &ViewTables) {
        if self.shown.is_present() && view.is_shown_by(self.shown) {
            // The root that is loaded has it in its slot.
            self.deactivate();
        }
    }

    fn take_apart(&mut self, view: &mut ViewTables) -> Option<Frames> {
        view.take_apart()
    }

    fn utcb(&mut self, frames: Frames) -> Utcb {
        let frame = Frame::of(&frames, 0);
        frame.zero();
        Utcb { frames, frame }
    }

    fn map_utcb(
        &mut self,
        space: &mut Space,
        at: u64,
        utcb: &Utcb,
        supply: &mut impl Supply,
    ) -> Result<(), OutOfFrames> {
        let access = Access::R | Access::W;
        space.map(at, utcb.frame.physical(), 1, access, supply).map(|_one| ())
    }

    fn release_utcb(&mut self, utcb: Utcb) -> Frames {
        utcb.frames
    }

    #[inline(always)]
    fn read_word(&self, utcb: &Utcb, index: usize) -> u64 {
        utcb.frame.word(index)
    }

    #[inline(always)]
    fn write_word(&self, utcb: &Utcb, index: usize, value: u64) {
        utcb.frame.set_word(index, value);
    }

    #[inline(always)]
    fn copy_words(&self, from: &Utcb, to: &Utcb, first: usize, end: usize) {
        from.frame.copy_words(to.frame, first, end);
    }

    fn fpu(&mut self, frame: Frames) -> Fpu {
        Fpu::new(frame)
    }

    fn release_fpu(&mut self, fpu: Fpu) -> Frames {
        fpu.into_frames()
    }

    fn open_fpu(&mut self) {
        fpu::open_first();
    }

    fn save_fpu(&mut self, fpu: &mut Fpu) {
        fpu.place.save();
    }

    fn load_fpu(&mut self, fpu: &Fpu) {
        fpu.place.load();
    }

    fn close_fpu(&mut self) {
        fpu::close();
    }

    fn zero(&mut self, frames: &Frames, first: u64, pages: u64) {
        frame::zero_frames(frames, first, pages);
    }

    fn fill(&mut self, frames: &Frames, offset: u64, bytes: &[u8]) {
        frame::fill_frames(frames, offset, bytes);
    }

    fn peek(&self, space: &Space, at: u64) -> Option<u64> {
        space.peek(self.tables, at)
    }

    fn lines(&self) -> u32 {
        self.lines.count()
    }

    fn mask(&mut self, line: u32, masked: bool) {
        self.lines.mask(line, masked);
    }

    fn trigger(&self, line: u32) -> Trigger {
        self.lines.trigger(line)
    }

    fn set_trigger(&mut self, line: u32, trigger: Trigger) {
        self.lines.set_trigger(line, trigger);
    }

    fn port_in(&mut self, port: u16, width: u8) -> u32 {
        port::read(port, width)
    }

    fn port_out(&mut self, port: u16, width: u8, value: u32) {
        port::write(port, width, value);
    }

    fn give_up(&mut self) {
        cpu::exit(postern_abi::harness::EXIT_INIT_DIED);
    }

    fn log(&mut self, bytes: &[u8]) {
        self.log.write(bytes);
    }
}
