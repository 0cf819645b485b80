//! The kernel's half of the address spaces.
//!
//! Built once at boot; afterwards only pages of arenas come and go, below
//! top-level slots that never change. Nothing here may ever be reachable for
//! user code, or be writable and executable at once.

use postern_core::mem::Frames;

use crate::frame::Frame;
use crate::layout::{HUGE, LARGE, PAGE, UPPER_HALF};
use crate::paging::{Entry, Flags, Table, Translation, covers, index, translate};

/// Rights of kernel data.
pub const DATA: Flags =
    Flags::PRESENT.union(Flags::WRITE).union(Flags::GLOBAL).union(Flags::NO_EXECUTE);
/// Rights of kernel constants.
pub const CONSTANTS: Flags = Flags::PRESENT.union(Flags::GLOBAL).union(Flags::NO_EXECUTE);
/// Rights of kernel code.
pub const CODE: Flags = Flags::PRESENT.union(Flags::GLOBAL);
/// Rights of device registers.
pub const DEVICE: Flags = DATA.union(Flags::UNCACHED).union(Flags::WRITE_THROUGH);

/// A frame for a page table was needed and there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTable;

/// The kernel's page tables; there is one for all CPUs.
#[derive(Debug, Clone, Copy)]
pub struct KernelTables {
    root: Table,
}

impl KernelTables {
    /// Tables that map nothing; takes over a zeroed frame.
    #[must_use]
    pub const fn new(root: Frame) -> Self {
        Self { root: Table(root) }
    }

    /// The root table, whose upper half every address space shares.
    #[must_use]
    pub const fn root(self) -> Table {
        self.root
    }

    /// Fills the top-level slot of `address`, so that it never changes again.
    pub fn reserve(self, address: u64, frame: &mut impl FnMut() -> Option<Frame>) {
        let _full = self.descend(address, 2, frame);
    }

    /// The table of `level` for `address`, made if it is not there yet.
    fn descend(
        self,
        address: u64,
        level: u32,
        frame: &mut impl FnMut() -> Option<Frame>,
    ) -> Result<Table, NoTable> {
        assert!(address >= UPPER_HALF, "the kernel lives in the upper half");
        let mut table = self.root;
        for upper in (level + 1..4).rev() {
            let at = index(address, upper);
            table = match table.below(at) {
                Some(below) => below,
                None => {
                    assert!(!table.get(at).is_present(), "a large page is in the way");
                    let below = frame().ok_or(NoTable)?;
                    below.zero();
                    table.set(at, Entry::table(below, Flags::empty()));
                    Table(below)
                }
            };
        }
        Ok(table)
    }

    /// Maps one small page where nothing is mapped.
    ///
    /// # Errors
    /// When a table is missing and `frame` gives none.
    pub fn map_page(
        self,
        at: u64,
        physical: u64,
        flags: Flags,
        frame: &mut impl FnMut() -> Option<Frame>,
    ) -> Result<(), NoTable> {
        let table = self.descend(at, 0, frame)?;
        assert!(!table.get(index(at, 0)).is_present(), "mapped already");
        table.set(index(at, 0), Entry::new(physical, flags));
        Ok(())
    }

    /// Maps a contiguous range in the largest pages that fit (boot only).
    ///
    /// # Errors
    /// When a table is missing and `frame` gives none.
    pub fn map_range(
        self,
        (mut at, mut physical): (u64, u64),
        bytes: u64,
        flags: Flags,
        huge: bool,
        frame: &mut impl FnMut() -> Option<Frame>,
    ) -> Result<(), NoTable> {
        let end = at + bytes;
        while at < end {
            let fits = |size: u64| (at | physical).is_multiple_of(size) && end - at >= size;
            let (level, size) = match () {
                () if huge && fits(HUGE) => (2, HUGE),
                () if fits(LARGE) => (1, LARGE),
                () => (0, PAGE),
            };
            let table = self.descend(at, level, frame)?;
            let page = if level == 0 { flags } else { flags | Flags::PAGE };
            table.set(index(at, level), Entry::new(physical, page));
            at += size;
            physical += size;
        }
        Ok(())
    }

    /// Takes the right to write to the small page at `at` away, splitting
    /// larger pages around it (boot only; the caller flushes).
    ///
    /// # Errors
    /// When a table is missing and `frame` gives none.
    pub fn protect(
        self,
        at: u64,
        frame: &mut impl FnMut() -> Option<Frame>,
    ) -> Result<(), NoTable> {
        let mut table = self.root;
        for level in (1..4).rev() {
            let entry = table.get(index(at, level));
            if entry.is_page() {
                let below = Table(frame().ok_or(NoTable)?);
                let part = covers(level - 1);
                let flags = if level == 1 { entry.flags() - Flags::PAGE } else { entry.flags() };
                for piece in 0..512 {
                    let physical = entry.physical() + piece as u64 * part;
                    below.set(piece, Entry::new(physical, flags));
                }
                table.set(index(at, level), Entry::table(below.0, Flags::empty()));
            }
            let Some(below) = table.below(index(at, level)) else { return Ok(()) };
            table = below;
        }
        let entry = table.get(index(at, 0));
        table.set(index(at, 0), Entry::new(entry.physical(), entry.flags() - Flags::WRITE));
        Ok(())
    }

    /// Takes away the small page at `at` and returns its frame.
    pub fn unmap_page(self, at: u64) -> Option<Frames> {
        let table = self.root.below(index(at, 3))?.below(index(at, 2))?.below(index(at, 1))?;
        let entry = table.get(index(at, 0));
        if !entry.is_present() {
            return None;
        }
        table.set(index(at, 0), Entry::EMPTY);
        x86_64::instructions::tlb::flush(x86_64::VirtAddr::new_truncate(at));
        Some(Frames::recover(entry.physical() / PAGE, 1))
    }

    /// Takes away the lowest page table on the way to `at`, of which nothing is
    /// in use any more.
    ///
    /// # Panics
    /// If something is.
    pub fn take_table(self, at: u64) -> Option<Frames> {
        let directory = self.root.below(index(at, 3))?.below(index(at, 2))?;
        let table = directory.below(index(at, 1))?;
        assert!((0..512).all(|slot| !table.get(slot).is_present()), "a table in use");
        directory.set(index(at, 1), Entry::EMPTY);
        // What the CPU knows about tables goes with any translation.
        x86_64::instructions::tlb::flush(x86_64::VirtAddr::new_truncate(at));
        Some(Frames::recover(table.0.physical() / PAGE, 1))
    }

    /// What the kernel sees at `address`.
    #[must_use]
    pub fn translate(self, address: u64) -> Option<Translation> {
        translate(self.root, address)
    }
}
