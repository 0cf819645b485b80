//! Address spaces of tasks.
//!
//! A root table whose upper half is the kernel's and whose lower half holds one
//! slot for ordinary mappings and UTCBs, and one for the relay window, which
//! [`crate::window`] knows about and nothing else here touches. Every frame of a table came from the core and goes back to it. It
//! must never map a page that is writable and executable, or one without the
//! user bit below the lower half's root.

use core::ops::Range;

use postern_abi::address::WINDOW_START;
use postern_core::machine::{Access, Machine, OutOfFrames, Supply};
use postern_core::mem::Frames;

use crate::cpu;
use crate::frame::Frame;
use crate::kernel_tables::KernelTables;
use crate::layout::{LARGE, PAGE};
use crate::paging::{Entry, Flags, Table, covers, index, translate};
use crate::x86::X86;

/// Slot of the root table that is the relay window.
const WINDOW_SLOT: usize = index(WINDOW_START, 3);
/// Slots of the root table that are the kernel's half.
const KERNEL_SLOTS: Range<usize> = 256..512;
/// From this many pages on, a whole TLB flush is cheaper than single ones.
const FLUSH_ALL: u64 = 32;

/// The page tables of a task.
#[derive(Debug)]
pub struct Space {
    /// `None` when it was dismantled.
    root: Option<Table>,
    /// What the CPU is given while a thread of the space runs: the same, or for
    /// a guest's tables, which only translate what the guest's own lead to, the
    /// kernel's.
    loaded: Option<Table>,
    /// These are a guest's.
    guest: bool,
}

/// Names the root table of a space that is not dismantled, which is the core's
/// to see to: it forgets the threads of a task before it takes its space apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Root(u64);

impl Root {
    /// The one in use.
    #[must_use]
    pub fn in_use() -> Self {
        Self(cpu::root())
    }

    /// What the relay window shows while this root is in use.
    #[must_use]
    pub fn shown(self) -> Entry {
        // SAFETY: the frame of a root table, as for `show`.
        Table(unsafe { Frame::new(self.0) }).get(WINDOW_SLOT)
    }

    /// Sets what the relay window shows while this root is in use; its physical
    /// address.
    #[inline(always)]
    #[must_use]
    pub fn show(self, window: Entry) -> u64 {
        debug_assert!(self.0 != 0, "a thread without a space runs");
        // SAFETY: the frame of a root table (above), which nobody else writes.
        Table(unsafe { Frame::new(self.0) }).set(WINDOW_SLOT, window);
        self.0
    }
}

impl Space {
    /// An empty space, or `None` when there is no frame for its root. Where
    /// the second frame is missing, `map` asks for it again.
    pub fn new(kernel: KernelTables, supply: &mut impl Supply) -> Option<Self> {
        let root = Table(Frame::of(&supply.frame()?, 0));
        for slot in 0..KERNEL_SLOTS.start {
            root.set(slot, Entry::EMPTY);
        }
        for slot in KERNEL_SLOTS {
            root.set(slot, kernel.root().get(slot));
        }
        let _later = Way::top(root).below_or_make(0, supply);
        Some(Self { root: Some(root), loaded: Some(root), guest: false })
    }

    /// An empty space of guest-physical addresses: no kernel half, nothing that
    /// is not the guest's.
    pub fn for_guest(kernel: KernelTables, supply: &mut impl Supply) -> Option<Self> {
        let root = Table(Frame::of(&supply.frame()?, 0));
        root.0.zero();
        let _later = Way::top(root).below_or_make(0, supply);
        Some(Self { root: Some(root), loaded: Some(kernel.root()), guest: true })
    }

    /// Physical address of the root table.
    #[must_use]
    pub fn root(&self) -> Option<u64> {
        self.root.map(|table| table.0.physical())
    }

    /// Takes out one frame of a table, the lowest level first.
    pub fn dismantle(&mut self) -> Option<Frames> {
        let root = self.root?;
        let mut way = [(root, 0); 4];
        let mut depth = 0;
        for level in (1..4).rev() {
            let table = way[depth].0;
            let slots = if level == 3 { 1 } else { 512 };
            let found = (0..slots).find_map(|slot| Some((slot, table.below(slot)?)));
            let Some((slot, below)) = found else { break };
            way[depth].1 = slot;
            depth += 1;
            way[depth].0 = below;
        }
        let (last, _) = way[depth];
        match depth.checked_sub(1) {
            Some(above) => way[above].0.set(way[above].1, Entry::EMPTY),
            None => (self.root, self.loaded) = (None, None),
        }
        Some(Frames::recover(last.0.physical() / PAGE, 1))
    }

    /// Maps as [`Machine::map`] says.
    ///
    /// # Errors
    /// When a table is missing and the supply is dry.
    pub fn map(
        &mut self,
        at: u64,
        physical: u64,
        pages: u64,
        access: Access,
        supply: &mut impl Supply,
    ) -> Result<u64, OutOfFrames> {
        let root = self.table();
        assert!(is_ours(at, pages));
        let flags = self.flags(access);
        let (mut done, mut entries) = (0, 0);
        while done < pages && entries < X86::STEP {
            let (to, from) = (at + done * PAGE, physical + done * PAGE);
            let mut directory = Way::top(root);
            for level in [3, 2] {
                directory = directory.below_or_make(index(to, level), supply).ok_or(OutOfFrames)?;
            }
            let slot = index(to, 1);
            let fits = (to | from).is_multiple_of(LARGE) && pages - done >= LARGE / PAGE;
            if fits && directory.table.below(slot).is_none() {
                directory.table.set(slot, Entry::new(from, flags | Flags::PAGE));
                directory.count(1);
                done += LARGE / PAGE;
                entries += 1;
                continue;
            }
            let below = directory.below_or_make(slot, supply).ok_or(OutOfFrames)?;
            let first = index(to, 0);
            let count = (512 - first as u64).min(pages - done).min(X86::STEP - entries);
            for page in 0..count {
                let entry = Entry::new(from + page * PAGE, flags);
                below.table.set(first + page as usize, entry);
            }
            below.count(count as i64);
            done += count;
            entries += count;
        }
        Ok(done)
    }

    /// Names its root table.
    ///
    /// # Panics
    /// When it was dismantled.
    #[inline(always)]
    #[must_use]
    pub fn root_table(&self) -> Root {
        Root(self.loaded.expect("a dismantled space is not used").0.physical())
    }

    /// Unmaps as [`Machine::unmap`] says. A large page goes as a whole.
    pub fn unmap(&mut self, at: u64, pages: u64, supply: &mut impl Supply) -> u64 {
        let root = self.table();
        assert!(is_ours(at, pages));
        let mut stale = Stale::new(root);
        let (mut done, mut left) = (0, X86::STEP);
        while done < pages && left > 0 {
            let from = at + done * PAGE;
            done += entries(root, from, pages - done, &mut left, |way, slot, _level, to| {
                if way.table.get(slot).is_present() {
                    way.table.set(slot, Entry::EMPTY);
                    way.count(-1);
                    stale.one(to);
                }
            });
            prune(Way::top(root), 3, from, supply, &mut stale);
        }
        done.min(pages)
    }

    /// Changes rights as [`Machine::protect`] says.
    pub fn protect(&mut self, at: u64, pages: u64, access: Access) -> u64 {
        let root = self.table();
        assert!(is_ours(at, pages));
        let flags = self.flags(access);
        let mut stale = Stale::new(root);
        let (mut done, mut left) = (0, X86::STEP);
        while done < pages && left > 0 {
            let from = at + done * PAGE;
            done += entries(root, from, pages - done, &mut left, |way, slot, level, to| {
                let entry = way.table.get(slot);
                if entry.is_present() {
                    let size = if level > 0 { Flags::PAGE } else { Flags::empty() };
                    way.table.set(slot, Entry::new(entry.physical(), flags | size));
                    stale.one(to);
                }
            });
        }
        done.min(pages)
    }

    /// Reads the word at a user address, if user code could.
    #[must_use]
    pub fn peek(&self, kernel: KernelTables, at: u64) -> Option<u64> {
        if !at.is_multiple_of(8) || at >= WINDOW_START {
            return None;
        }
        let found = translate(self.root?, at)?;
        if !found.flags.contains(Flags::USER) {
            return None;
        }
        // A device's memory is not in the physical map, and reading it may
        // have effects.
        kernel.translate(crate::layout::PHYSICAL.checked_add(found.physical)?)?;
        // SAFETY: the frame is in the physical map, as was just looked up; it
        // is only read.
        let frame = unsafe { Frame::new(found.physical & !(PAGE - 1)) };
        Some(frame.word((at % PAGE / 8) as usize))
    }

    /// Rights of a page here.
    fn flags(&self, access: Access) -> Flags {
        let mut flags = user_flags(access);
        if self.guest {
            // What a guest executes is its own business.
            flags.set(Flags::NO_EXECUTE, !access.contains(Access::X));
        }
        flags
    }

    fn table(&self) -> Table {
        self.root.expect("a dismantled space is not used")
    }
}

/// Whether the range lies in the slot of ordinary mappings and UTCBs: nothing
/// here may touch another one.
fn is_ours(at: u64, pages: u64) -> bool {
    let end = pages.checked_mul(PAGE).and_then(|bytes| at.checked_add(bytes));
    at.is_multiple_of(PAGE) && end.is_some_and(|end| end <= WINDOW_START)
}

/// Rights of a user page; write and execute exclude each other.
fn user_flags(access: Access) -> Flags {
    let write = access.contains(Access::W);
    let mut flags = Flags::PRESENT | Flags::USER;
    flags.set(Flags::WRITE, write);
    flags.set(Flags::NO_EXECUTE, write || !access.contains(Access::X));
    flags
}

/// Whether the CPU uses the tables below `root` now.
fn is_current(root: Table) -> bool {
    crate::cpu::root() == root.0.physical()
}

/// Translations of a space that must leave the TLB; done when it is dropped,
/// before a frame can be used for something else.
struct Stale {
    current: bool,
    count: u64,
}

impl Stale {
    fn new(root: Table) -> Self {
        Self { current: is_current(root), count: 0 }
    }

    /// That of the page at `at`.
    fn one(&mut self, at: u64) {
        self.count += 1;
        if self.current && self.count <= FLUSH_ALL {
            x86_64::instructions::tlb::flush(x86_64::VirtAddr::new_truncate(at));
        }
    }

    /// All, and what the CPU knows about tables.
    fn all(&mut self) {
        self.count = FLUSH_ALL + 1;
    }
}

impl Drop for Stale {
    fn drop(&mut self) {
        if self.current && self.count > FLUSH_ALL {
            x86_64::instructions::tlb::flush_all();
        }
    }
}

/// A table with the entry that leads to it, in which the entries that are in
/// use are counted; the root has none.
#[derive(Clone, Copy)]
struct Way {
    table: Table,
    above: Option<(Table, usize)>,
}

impl Way {
    const fn top(root: Table) -> Self {
        Self { table: root, above: None }
    }

    /// The table behind entry `slot`.
    fn below(self, slot: usize) -> Option<Self> {
        Some(Self { table: self.table.below(slot)?, above: Some((self.table, slot)) })
    }

    /// The same, made if it is not there.
    fn below_or_make(self, slot: usize, supply: &mut impl Supply) -> Option<Self> {
        if let Some(below) = self.below(slot) {
            return Some(below);
        }
        assert!(!self.table.get(slot).is_present(), "a large page is in the way");
        let below = Frame::of(&supply.frame()?, 0);
        below.zero();
        self.table.set(slot, Entry::table(below, Flags::USER));
        self.count(1);
        self.below(slot)
    }

    /// That many entries more are in use.
    fn count(self, change: i64) {
        let Some((table, slot)) = self.above else { return };
        let entry = table.get(slot);
        table.set(slot, entry.with_used(entry.used().wrapping_add_signed(change)));
    }

    /// Whether no entry is in use.
    fn is_empty(self) -> bool {
        self.above.is_some_and(|(table, slot)| table.get(slot).used() == 0)
    }
}

/// Calls `work` for each entry, in the deepest table on the way to `at`, that
/// maps a page of the range or would: with its table and place, its level, and
/// the address. Stops when `left` are done; returns the pages.
fn entries(
    root: Table,
    at: u64,
    pages: u64,
    left: &mut u64,
    mut work: impl FnMut(Way, usize, u32, u64),
) -> u64 {
    let (way, level) = deepest(root, at);
    let mut done = 0;
    for slot in index(at, level)..512 {
        let descends = level > 0 && way.table.below(slot).is_some();
        if done >= pages || *left == 0 || descends {
            break;
        }
        let to = at + done * PAGE;
        work(way, slot, level, to);
        done += (covers(level) - to % covers(level)) / PAGE;
        *left -= 1;
    }
    done
}

/// Gives the tables on the way to `address` back that are empty, from the
/// lowest up. That below the root stays: entries of the root never change.
fn prune(way: Way, level: u32, address: u64, supply: &mut impl Supply, stale: &mut Stale) {
    let slot = index(address, level);
    let Some(below) = (level > 0).then(|| way.below(slot)).flatten() else { return };
    prune(below, level - 1, address, supply, stale);
    if level < 3 && below.is_empty() {
        way.table.set(slot, Entry::EMPTY);
        way.count(-1);
        stale.all();
        supply.give(Frames::recover(below.table.0.physical() / PAGE, 1));
    }
}

/// The deepest table on the way to `address`, and its level.
fn deepest(root: Table, address: u64) -> (Way, u32) {
    let mut found = (Way::top(root), 3);
    while found.1 > 0 {
        let Some(below) = found.0.below(index(address, found.1)) else { break };
        found = (below, found.1 - 1);
    }
    found
}
