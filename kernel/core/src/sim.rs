//! A simulated machine: what the core runs on in tests on the host.
//!
//! It keeps account of everything that it is given (frames, page tables,
//! mappings), so that a test can see at any moment that nothing is lost or
//! used twice. Time stands still unless a test moves it.

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::string::String;
use std::vec;
use std::vec::Vec;

use core::cell::RefCell;

use postern_abi::PAGE;
use postern_abi::clock::Clock;
use postern_arena::host::Space as HostSpace;
use postern_arena::{Page, Region, Vacant};

use crate::machine::{
    Access, Area, EventKind, Machine, OutOfFrames, Placement, Supply, Trigger, VCPU_STATE,
};
use crate::mem::Frames;

/// Pages that a page table covers in the simulation.
const TABLE: u64 = 512;

/// A simulated address space.
#[derive(Debug, Default)]
pub struct Space {
    /// Tells it from all others that ever were.
    pub id: u64,
    /// Page number of the address to page frame and access.
    pub pages: BTreeMap<u64, (u64, Access)>,
    /// Page tables by the addresses they cover.
    tables: BTreeMap<u64, Frames>,
    /// The two fixed frames.
    fixed: Vec<Frames>,
}

impl Space {
    /// Page tables in which nothing is mapped.
    #[must_use]
    pub fn spare_tables(&self) -> usize {
        let covers = |table: u64| table * TABLE..(table + 1) * TABLE;
        let is_empty = |table: &&u64| self.pages.range(covers(**table)).next().is_none();
        self.tables.keys().filter(is_empty).count()
    }
}

/// The simulated tables of a view.
#[derive(Debug)]
pub struct View {
    id: u64,
    /// Page in the window to page frame.
    pub pages: BTreeMap<u64, u64>,
    tables: BTreeSet<u64>,
    frames: Vec<Frames>,
}

/// What a simulated window shows: a view, and whether it may be written.
pub type Window = Option<(u64, bool)>;

/// A simulated UTCB.
#[derive(Debug)]
pub struct Utcb {
    frame: Frames,
    words: RefCell<Vec<u64>>,
}

/// A simulated place for floating-point registers.
#[derive(Debug)]
pub struct Fpu {
    frame: Frames,
    /// `None`: nothing was saved yet.
    saved: Option<u64>,
}

/// A simulated virtual CPU.
#[derive(Debug)]
pub struct Vcpu {
    frames: Frames,
    state: Box<[u64; VCPU_STATE]>,
    interrupt: Option<u8>,
}

/// The simulated machine.
#[derive(Debug, Default)]
pub struct Sim {
    /// The time.
    pub now: u64,
    /// What the timer is armed for.
    pub armed: Option<u64>,
    /// What was logged.
    pub log: String,
    /// Masked interrupt lines.
    pub masked: u64,
    /// How lines interrupt.
    pub triggers: [Trigger; crate::LINES],
    /// What user memory holds, at every address; `None`: nothing is mapped.
    pub text: Option<u64>,
    /// Page frames that the core has handed over and not got back.
    pub held: u64,
    /// What is in the floating-point registers; 0 after a reset.
    pub fpu: u64,
    /// User code can use them.
    pub fpu_open: bool,
    /// The space and window in use.
    pub shown: Option<(u64, Window)>,
    spaces: u64,
    made: u64,
    /// Views that are not being taken apart.
    views: BTreeSet<u64>,
    areas: HashMap<Area, HostSpace>,
    kernel_pages: HashMap<usize, Frames>,
}

impl Sim {
    /// The area in which a kernel address lies.
    fn area(&self, at: usize) -> &HostSpace {
        let mut areas = self.areas.values();
        areas
            .find(|area| (area.address()..area.address() + area.bytes()).contains(&at))
            .expect("an address in an area")
    }

    fn new_view(&mut self, frames: Vec<Frames>) -> View {
        self.made += 1;
        self.views.insert(self.made);
        View { id: self.made, pages: BTreeMap::new(), tables: BTreeSet::new(), frames }
    }

    /// Makes sure that there is a table for a page.
    fn room(&mut self, view: &mut View, page: u64, supply: &mut impl Supply) -> Option<()> {
        if !view.tables.contains(&(page / TABLE)) {
            view.frames.push(supply.frame()?);
            self.held += 1;
            view.tables.insert(page / TABLE);
        }
        Some(())
    }
}

impl Machine for Sim {
    type Space = Space;
    type Root = u64;
    type Utcb = Utcb;
    type Tables = View;
    type Window = Window;
    type Vcpu = Vcpu;
    type Fpu = Fpu;

    fn now(&mut self) -> u64 {
        self.now
    }

    fn clock(&self) -> Clock {
        Clock { start: 0, factor: 1 << 32 }
    }

    fn arm(&mut self, deadline: Option<u64>) {
        self.armed = deadline;
    }

    fn region(&mut self, area: Area) -> Option<Region> {
        let pages = match area {
            // Small, because tests make many kernels.
            Area::Objects(_) | Area::Capabilities(_) => 64,
        };
        let mut space = HostSpace::new(pages);
        let region = space.region();
        let before = self.areas.insert(area, space);
        assert!(before.is_none(), "{area:?} is set aside twice");
        Some(region)
    }

    fn release_region(&mut self, area: Area, region: Region) {
        let space = self.areas.remove(&area).expect("an area that was set aside");
        assert_eq!(region.base().as_ptr() as usize, space.address());
    }

    fn kernel_page(
        &mut self,
        at: usize,
        frame: Frames,
        _supply: &mut impl Supply,
    ) -> Result<Page, Frames> {
        let page = self.area(at).page(at);
        self.held += 1;
        assert!(self.kernel_pages.insert(at, frame).is_none(), "{at:#x} is mapped twice");
        Ok(page)
    }

    fn release_kernel_page(&mut self, page: Page, _supply: &mut impl Supply) -> Frames {
        self.held -= 1;
        let at = page.into_address().as_ptr() as usize;
        self.kernel_pages.remove(&at).expect("a page that was mapped")
    }

    fn vacate_kernel_page(&mut self, page: Vacant) -> Frames {
        self.held -= 1;
        let at = page.address().as_ptr() as usize;
        self.area(at).vacate(page);
        self.kernel_pages.remove(&at).expect("a page that was mapped")
    }

    fn space(&mut self, supply: &mut impl Supply) -> Option<Space> {
        let fixed = vec![supply.frame()?, supply.frame()?];
        self.held += 2;
        self.spaces += 1;
        Some(Space { id: self.spaces, fixed, ..Space::default() })
    }

    fn dismantle(&mut self, space: &mut Space) -> Option<Frames> {
        space.pages.clear();
        let table = space.tables.pop_first().map(|(_, frame)| frame);
        let frame = table.or_else(|| space.fixed.pop())?;
        self.held -= 1;
        Some(frame)
    }

    fn map(
        &mut self,
        space: &mut Space,
        frames: &Frames,
        place: Placement,
        supply: &mut impl Supply,
    ) -> Result<u64, OutOfFrames> {
        let Placement { at, first, pages, access } = place;
        let now = pages.min(Self::STEP);
        assert!(first + pages <= frames.pages(), "mapping past the end of the frames");
        for page in 0..now {
            let virtual_page = at / PAGE + page;
            if let std::collections::btree_map::Entry::Vacant(entry) =
                space.tables.entry(virtual_page / TABLE)
            {
                entry.insert(supply.frame().ok_or(OutOfFrames)?);
                self.held += 1;
            }
            let frame = frames.first_page() + first + page;
            let before = space.pages.insert(virtual_page, (frame, access));
            assert!(before.is_none(), "{:#x} is mapped twice", virtual_page * PAGE);
        }
        Ok(now)
    }

    fn unmap(&mut self, space: &mut Space, at: u64, pages: u64, supply: &mut impl Supply) -> u64 {
        let now = pages.min(Self::STEP);
        let (first, end) = (at / PAGE, at / PAGE + now);
        for page in first..end {
            space.pages.remove(&page);
        }
        for table in first / TABLE..end.div_ceil(TABLE) {
            let empty = space.pages.range(table * TABLE..(table + 1) * TABLE).next().is_none();
            if empty && let Some(frame) = space.tables.remove(&table) {
                self.held -= 1;
                supply.give(frame);
            }
        }
        now
    }

    fn protect(&mut self, space: &mut Space, at: u64, pages: u64, access: Access) -> u64 {
        let now = pages.min(Self::STEP);
        for page in at / PAGE..at / PAGE + now {
            space.pages.get_mut(&page).expect("a mapped page").1 = access;
        }
        now
    }

    fn activate(&mut self, space: &Space, window: Window) {
        assert_eq!(space.fixed.len(), 2, "a space that is being dismantled is used");
        if let Some((view, _)) = window {
            assert!(self.views.contains(&view), "a view that was taken apart is shown");
        }
        self.shown = Some((space.id, window));
    }

    fn root(&self, space: &Space) -> u64 {
        space.id
    }

    fn switch(&mut self, root: u64, window: Window) {
        if let Some((view, _)) = window {
            assert!(self.views.contains(&view), "a view that was taken apart is shown");
        }
        self.shown = Some((root, window));
    }

    fn deactivate(&mut self) {
        self.shown = None;
    }

    fn view(&mut self, supply: &mut impl Supply) -> Option<View> {
        let top = supply.frame()?;
        self.held += 1;
        Some(self.new_view(vec![top]))
    }

    fn extend(
        &mut self,
        view: &mut View,
        frames: &Frames,
        first: u64,
        supply: &mut impl Supply,
    ) -> Result<u64, OutOfFrames> {
        let now = (frames.pages() - first).min(Self::STEP);
        for page in first..first + now {
            self.room(view, page, supply).ok_or(OutOfFrames)?;
            let before = view.pages.insert(page, frames.first_page() + page);
            assert!(before.is_none(), "page {page} is shown twice");
        }
        Ok(now)
    }

    fn adopt(
        &mut self,
        view: &mut View,
        page: u64,
        frame: Frames,
        supply: &mut impl Supply,
    ) -> Result<(), Frames> {
        if self.room(view, page, supply).is_none() {
            return Err(frame);
        }
        view.pages.insert(page, frame.first_page());
        view.frames.push(frame);
        self.held += 1;
        Ok(())
    }

    fn narrow(
        &mut self,
        whole: &View,
        first: u64,
        pages: u64,
        supply: &mut impl Supply,
    ) -> (View, bool) {
        // A table for each level, and one more for the other end.
        let wanted = if first / TABLE == (first + pages) / TABLE { 3 } else { 5 };
        let mut part = self.new_view(Vec::new());
        for _ in 0..wanted {
            let Some(frame) = supply.frame() else { return (part, false) };
            self.held += 1;
            part.frames.push(frame);
        }
        let range = whole.pages.range(first..first + pages);
        part.pages = range.map(|(page, frame)| (*page, *frame)).collect();
        (part, true)
    }

    fn window(&self, view: &View, writable: bool) -> Window {
        Some((view.id, writable))
    }

    fn evict(&mut self, view: &View) {
        if self.shown.is_some_and(|(_, window)| window.is_some_and(|it| it.0 == view.id)) {
            self.shown = None;
        }
    }

    fn take_apart(&mut self, view: &mut View) -> Option<Frames> {
        let shown = self.shown.and_then(|(_, window)| window);
        assert!(shown.is_none_or(|it| it.0 != view.id), "a view that is shown is taken apart");
        self.views.remove(&view.id);
        let frame = view.frames.pop()?;
        self.held -= 1;
        Some(frame)
    }

    fn utcb(&mut self, frame: Frames) -> Utcb {
        self.held += 1;
        Utcb { frame, words: RefCell::new(vec![0; 512]) }
    }

    fn map_utcb(
        &mut self,
        space: &mut Space,
        at: u64,
        utcb: &Utcb,
        supply: &mut impl Supply,
    ) -> Result<(), OutOfFrames> {
        let place = Placement { at, first: 0, pages: 1, access: Access::R | Access::W };
        self.map(space, &utcb.frame, place, supply).map(|_| ())
    }

    fn release_utcb(&mut self, utcb: Utcb) -> Frames {
        self.held -= 1;
        utcb.frame
    }

    fn read_word(&self, utcb: &Utcb, index: usize) -> u64 {
        utcb.words.borrow()[index]
    }

    fn write_word(&self, utcb: &Utcb, index: usize, value: u64) {
        utcb.words.borrow_mut()[index] = value;
    }

    fn copy_words(&self, from: &Utcb, to: &Utcb, first: usize, end: usize) {
        to.words.borrow_mut()[first..end].copy_from_slice(&from.words.borrow()[first..end]);
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn guest_space(&mut self, supply: &mut impl Supply) -> Option<Space> {
        self.space(supply)
    }

    fn vcpu(&mut self, frames: Frames) -> Vcpu {
        self.held += frames.pages();
        Vcpu { frames, state: Box::new([0; VCPU_STATE]), interrupt: None }
    }

    fn release_vcpu(&mut self, vcpu: Vcpu) -> Frames {
        self.held -= vcpu.frames.pages();
        vcpu.frames
    }

    fn vcpu_state(&self, vcpu: &Vcpu) -> [u64; VCPU_STATE] {
        *vcpu.state
    }

    fn set_vcpu_state(&mut self, vcpu: &mut Vcpu, state: &[u64; VCPU_STATE]) -> Result<(), usize> {
        *vcpu.state = *state;
        Ok(())
    }

    fn inject(&mut self, _vcpu: &mut Vcpu, _kind: EventKind, _vector: u8, _error: Option<u32>) {}

    fn interrupt(&mut self, vcpu: &mut Vcpu, vector: u8) -> bool {
        let free = vcpu.interrupt.is_none();
        vcpu.interrupt.get_or_insert(vector);
        free
    }

    fn fpu(&mut self, frame: Frames) -> Fpu {
        self.held += 1;
        Fpu { frame, saved: None }
    }

    fn release_fpu(&mut self, fpu: Fpu) -> Frames {
        self.held -= 1;
        fpu.frame
    }

    fn open_fpu(&mut self) {
        assert!(!self.fpu_open && self.fpu == 0, "somebody's registers are handed out");
        self.fpu_open = true;
    }

    fn save_fpu(&mut self, fpu: &mut Fpu) {
        assert!(self.fpu_open, "saves registers that nobody uses");
        fpu.saved = Some(self.fpu);
    }

    fn load_fpu(&mut self, fpu: &Fpu) {
        self.fpu = fpu.saved.expect("was saved before");
        self.fpu_open = true;
    }

    fn close_fpu(&mut self) {
        assert!(self.fpu_open, "closes what is closed");
        (self.fpu, self.fpu_open) = (0, false);
    }

    fn zero(&mut self, frames: &Frames, first: u64, pages: u64) {
        assert!(first + pages <= frames.pages(), "zeroing past the end of the frames");
    }

    fn fill(&mut self, frames: &Frames, offset: u64, bytes: &[u8]) {
        assert!(offset + bytes.len() as u64 <= frames.bytes());
    }

    fn peek(&self, _space: &Space, _at: u64) -> Option<u64> {
        self.text
    }

    fn lines(&self) -> u32 {
        24
    }

    fn mask(&mut self, line: u32, masked: bool) {
        self.masked = self.masked & !(1 << line) | u64::from(masked) << line;
    }

    fn trigger(&self, line: u32) -> Trigger {
        self.triggers[line as usize]
    }

    fn set_trigger(&mut self, line: u32, trigger: Trigger) {
        self.triggers[line as usize] = trigger;
    }

    fn port_in(&mut self, port: u16, _width: u8) -> u32 {
        u32::from(port)
    }

    fn port_out(&mut self, _port: u16, _width: u8, _value: u32) {}

    fn give_up(&mut self) {}

    fn log(&mut self, bytes: &[u8]) {
        self.log.push_str(&String::from_utf8_lossy(bytes));
    }
}
