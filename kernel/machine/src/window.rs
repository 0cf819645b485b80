//! The tables of views: what the relay window shows.
//!
//! The window is one slot of the root table, so a view is a table of the level
//! below (level 2) and what it leads to; showing it is one store. The entry in
//! the root says whether writing is allowed, and that nothing can be executed;
//! the tables below allow both. Tables are never changed while they may be
//! shown, and no entry is global.

use postern_abi::address::WINDOW_START;
use postern_core::machine::{Machine, OutOfFrames, Supply};
use postern_core::mem::Frames;

use crate::frame::Frame;
use crate::layout::{LARGE, PAGE};
use crate::paging::{Entry, Flags, Table, covers, index};
use crate::x86::X86;

/// Level of the tables that the root's slots lead to.
const TOP: u32 = 2;
/// Tables that a part needs at most: the top, and two for each level below.
const PART: usize = 5;
/// Flags of the entries of the last level.
const LEAF: Flags = Flags::PRESENT.union(Flags::WRITE).union(Flags::USER);

/// The tables of a view.
#[derive(Debug)]
pub struct ViewTables {
    /// `None` when it was taken apart.
    top: Option<Table>,
    own: Own,
}

/// Which frames come out when a view is taken apart.
#[derive(Debug)]
enum Own {
    /// All tables.
    Tables,
    /// All tables, and the frames that they show.
    Frames,
    /// These tables; the others belong to the whole.
    Part([Option<Table>; PART]),
}

/// The entries of a table, or those that a large page stands for.
#[derive(Clone, Copy)]
enum Source {
    Table(Table),
    Large(Entry),
}

impl Source {
    fn get(self, slot: usize) -> Entry {
        match self {
            Self::Table(table) => table.get(slot),
            Self::Large(page) => Entry::new(page.physical() + slot as u64 * PAGE, LEAF),
        }
    }

    /// Copies entries `from..to` to the same places of a table.
    fn copy(self, table: Table, from: usize, to: usize) {
        match self {
            Self::Table(source) => source.0.copy_words(table.0, from, to),
            Self::Large(page) => {
                let first = Entry::new(page.physical() + from as u64 * PAGE, LEAF);
                table.set_pages(from, to, first);
            }
        }
    }

    fn below(self, slot: usize) -> Option<Self> {
        match self {
            Self::Table(table) if table.get(slot).is_page() => Some(Self::Large(table.get(slot))),
            Self::Table(table) => table.below(slot).map(Self::Table),
            Self::Large(_) => None,
        }
    }
}

impl ViewTables {
    /// Shows nothing; `None` when there is no frame.
    pub fn new(supply: &mut impl Supply) -> Option<Self> {
        Some(Self { top: Some(empty_table(supply)?), own: Own::Tables })
    }

    /// Shows `frames` from page `first` on, as [`Machine::extend`] says.
    ///
    /// # Errors
    /// When the supply is dry.
    pub fn extend(
        &mut self,
        frames: &Frames,
        first: u64,
        supply: &mut impl Supply,
    ) -> Result<u64, OutOfFrames> {
        let (pages, large) = (frames.pages() - first, LARGE / PAGE);
        let (mut done, mut entries) = (0, 0);
        while done < pages && entries < X86::STEP {
            let (at, from) = (address(first + done), (frames.first_page() + first + done) * PAGE);
            let directory = self.table_for(at, 1, supply).ok_or(OutOfFrames)?;
            let slot = index(at, 1);
            if (at | from).is_multiple_of(LARGE) && pages - done >= large {
                directory.set(slot, Entry::new(from, LEAF | Flags::PAGE));
                done += large;
                entries += 1;
                continue;
            }
            let table = below_or_make(directory, slot, supply).ok_or(OutOfFrames)?;
            let first = index(at, 0);
            let count = (512 - first as u64).min(pages - done).min(X86::STEP - entries);
            for page in 0..count {
                table.set(first + page as usize, Entry::new(from + page * PAGE, LEAF));
            }
            done += count;
            entries += count;
        }
        Ok(done)
    }

    /// Shows a frame, which is the view's from now on, as its page `page`.
    ///
    /// # Errors
    /// Gives the frame back when the supply is dry.
    pub fn adopt(
        &mut self,
        page: u64,
        frame: Frames,
        supply: &mut impl Supply,
    ) -> Result<(), Frames> {
        let at = address(page);
        let Some(table) = self.table_for(at, 0, supply) else {
            return Err(frame);
        };
        self.own = Own::Frames;
        table.set(index(at, 0), Entry::new(Frame::of(&frame, 0).physical(), LEAF));
        Ok(())
    }

    /// A part of it, as [`Machine::narrow`] says.
    pub fn narrow(&self, first: u64, pages: u64, supply: &mut impl Supply) -> (Self, bool) {
        let mut part = Part { first, end: first + pages, made: [None; PART] };
        let top = part.copy(Source::Table(self.table()), TOP, 0, supply);
        (Self { top: part.made[0], own: Own::Part(part.made) }, top.is_some())
    }

    /// The entry of the root that shows it.
    #[must_use]
    pub fn window(&self, writable: bool) -> Entry {
        let mut flags = Flags::PRESENT | Flags::USER | Flags::NO_EXECUTE;
        flags.set(Flags::WRITE, writable);
        Entry::new(self.table().0.physical(), flags)
    }

    /// Whether this entry of a root leads here.
    #[must_use]
    pub fn is_shown_by(&self, window: Entry) -> bool {
        self.top.is_some_and(|top| top.0.physical() == window.physical())
    }

    /// Takes out one frame, the lowest level first.
    pub fn take_apart(&mut self) -> Option<Frames> {
        let top = self.top?;
        if let Own::Part(made) = &mut self.own {
            let last = made.iter_mut().rev().find_map(Option::take);
            if last.is_none() {
                self.top = None;
            }
            return last.map(|table| recover(table.0.physical()));
        }
        let mut way = [(top, 0); TOP as usize + 1];
        let mut depth = 0;
        while depth < TOP as usize {
            let table = way[depth].0;
            let found = (0..512).find_map(|slot| Some((slot, table.below(slot)?)));
            let Some((slot, below)) = found else { break };
            way[depth].1 = slot;
            depth += 1;
            way[depth].0 = below;
        }
        let last = way[depth].0;
        if depth == TOP as usize && matches!(self.own, Own::Frames) {
            let shown = (0..512).find(|slot| last.get(*slot).is_present());
            if let Some(slot) = shown {
                let physical = last.get(slot).physical();
                last.set(slot, Entry::EMPTY);
                return Some(recover(physical));
            }
        }
        match depth.checked_sub(1) {
            Some(above) => way[above].0.set(way[above].1, Entry::EMPTY),
            None => self.top = None,
        }
        Some(recover(last.0.physical()))
    }

    /// The table of `level` for an address.
    fn table_for(&self, address: u64, level: u32, supply: &mut impl Supply) -> Option<Table> {
        let mut table = self.table();
        for upper in (level + 1..=TOP).rev() {
            table = below_or_make(table, index(address, upper), supply)?;
        }
        Some(table)
    }

    fn table(&self) -> Table {
        self.top.expect("a view that was taken apart is not used")
    }
}

/// Address in the window of page `page` of a segment.
const fn address(page: u64) -> u64 {
    WINDOW_START + page * PAGE
}

fn recover(physical: u64) -> Frames {
    Frames::recover(physical / PAGE, 1)
}

/// The table behind an entry, made if it is not there.
fn below_or_make(table: Table, slot: usize, supply: &mut impl Supply) -> Option<Table> {
    if let Some(below) = table.below(slot) {
        return Some(below);
    }
    assert!(!table.get(slot).is_present(), "a large page is in the way");
    let below = empty_table(supply)?;
    table.set(slot, Entry::table(below.0, Flags::USER));
    Some(below)
}

fn empty_table(supply: &mut impl Supply) -> Option<Table> {
    let frame = Frame::of(&supply.frame()?, 0);
    frame.zero();
    Some(Table(frame))
}

/// A part that is being made: pages `first..end`.
struct Part {
    first: u64,
    end: u64,
    made: [Option<Table>; PART],
}

impl Part {
    /// A table of `level`, whose first page is `start`, with what of `source`
    /// belongs to the part.
    fn copy(
        &mut self,
        source: Source,
        level: u32,
        start: u64,
        supply: &mut impl Supply,
    ) -> Option<Table> {
        let table = empty_table(supply)?;
        *self.made.iter_mut().find(|place| place.is_none())? = Some(table);
        let each = covers(level) / PAGE;
        let from = self.first.saturating_sub(start) / each;
        let to = (self.end - start).div_ceil(each).min(512);
        // Only the first and the last can belong to it in part.
        let whole_from = self.first.saturating_sub(start).div_ceil(each);
        let whole_to = ((self.end - start) / each).min(512);
        if whole_from < whole_to {
            source.copy(table, whole_from as usize, whole_to as usize);
        }
        let at_ends = (from..whole_from.min(to)).chain(whole_to.max(whole_from)..to);
        for slot in at_ends {
            if !source.get(slot as usize).is_present() {
                continue;
            }
            let below = source.below(slot as usize)?;
            let below = self.copy(below, level - 1, start + slot * each, supply)?;
            table.set(slot as usize, Entry::table(below.0, Flags::USER));
        }
        Some(table)
    }
}
