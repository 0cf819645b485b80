//! Page-table entries, and walking the tables.
//!
//! Knows the format and nothing else: who may map what is the core's business,
//! which tables exist that of [`crate::kernel_tables`] and [`crate::space`]. It
//! must never write a table.

use crate::frame::Frame;
use crate::layout::PAGE;

bitflags::bitflags! {
    /// Flags of a page-table entry.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flags: u64 {
        /// The entry counts.
        const PRESENT = 1;
        /// Writes are allowed.
        const WRITE = 1 << 1;
        /// User code may use it.
        const USER = 1 << 2;
        /// With [`Flags::UNCACHED`]: strictly uncached, for devices.
        const WRITE_THROUGH = 1 << 3;
        /// Not cached.
        const UNCACHED = 1 << 4;
        /// A large or huge page, not a table.
        const PAGE = 1 << 7;
        /// Stays in the TLB when the root changes; kernel pages only.
        const GLOBAL = 1 << 8;
        /// No instruction fetches.
        const NO_EXECUTE = 1 << 63;
    }
}

/// The bits of an entry that hold a physical address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// The lowest of ten bits that the CPU ignores in an entry for a table: how
/// many entries of that table are in use (user tables only).
const USED: u32 = 52;

/// One page-table entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry(u64);

impl Entry {
    /// Nothing is mapped.
    pub const EMPTY: Self = Self(0);

    /// An entry for the table or page at `physical`.
    #[must_use]
    pub const fn new(physical: u64, flags: Flags) -> Self {
        Self(physical & ADDRESS | flags.bits())
    }

    /// An entry for a table, with all rights: the last level decides.
    #[must_use]
    pub const fn table(table: Frame, flags: Flags) -> Self {
        Self::new(table.physical(), Flags::PRESENT.union(Flags::WRITE).union(flags))
    }

    /// Its flags.
    #[must_use]
    pub const fn flags(self) -> Flags {
        Flags::from_bits_truncate(self.0)
    }

    /// Physical address of the table or page.
    #[must_use]
    pub const fn physical(self) -> u64 {
        self.0 & ADDRESS
    }

    /// How many entries of the table it points to are in use.
    #[must_use]
    pub const fn used(self) -> u64 {
        self.0 >> USED & 0x3ff
    }

    /// The same entry for a table with that many (up to 512) in use.
    #[must_use]
    pub const fn with_used(self, used: u64) -> Self {
        Self(self.0 & !(0x3ff << USED) | used << USED)
    }

    /// Whether it maps anything.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & Flags::PRESENT.bits() != 0
    }

    /// Whether it is a large or huge page. Not for entries of the last level.
    #[must_use]
    pub const fn is_page(self) -> bool {
        self.flags().contains(Flags::PRESENT.union(Flags::PAGE))
    }
}

/// A page table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table(pub Frame);

impl Table {
    /// Entry `index`, modulo 512.
    #[inline(always)]
    #[must_use]
    pub fn get(self, index: usize) -> Entry {
        Entry(self.0.word(index))
    }

    /// Writes entry `index`, modulo 512.
    #[inline(always)]
    pub fn set(self, index: usize, entry: Entry) {
        self.0.set_word(index, entry.0);
    }

    /// Lets entries `from..to` map pages one after the other, beginning with
    /// `first`.
    pub fn set_pages(self, from: usize, to: usize, first: Entry) {
        let mut entry = first.0;
        for index in from..to {
            self.0.set_word(index, entry);
            entry = entry.wrapping_add(PAGE);
        }
    }

    /// The table that entry `index` points to, if it does.
    #[must_use]
    pub fn below(self, index: usize) -> Option<Self> {
        let entry = self.get(index);
        if !entry.is_present() || entry.is_page() {
            return None;
        }
        // SAFETY: an entry that is present and not a page names a frame that
        // was made a table, in RAM; tables are not freed while one points here.
        Some(Self(unsafe { Frame::new(entry.physical()) }))
    }
}

/// Index of `address` in a table of `level` (0 holds small pages, 3 is a root).
#[must_use]
pub const fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % 512
}

/// Bytes that an entry of `level` covers.
#[must_use]
pub const fn covers(level: u32) -> u64 {
    PAGE << (9 * level)
}

/// What an address is translated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translation {
    /// Physical address of the very byte.
    pub physical: u64,
    /// Rights of all levels together.
    pub flags: Flags,
}

/// Walks the tables below `root`, as the CPU does.
#[must_use]
pub fn translate(root: Table, address: u64) -> Option<Translation> {
    let mut table = root;
    let mut rights = Flags::WRITE | Flags::USER;
    let mut forbidden = Flags::empty();
    for level in (0..4).rev() {
        let entry = table.get(index(address, level));
        if !entry.is_present() {
            return None;
        }
        rights &= entry.flags();
        forbidden |= entry.flags() & Flags::NO_EXECUTE;
        if level == 0 || entry.is_page() {
            let offset = address % covers(level);
            return Some(Translation {
                physical: (entry.physical() & !(covers(level) - 1)) + offset,
                flags: Flags::PRESENT | rights | forbidden,
            });
        }
        table = table.below(index(address, level))?;
    }
    None
}
