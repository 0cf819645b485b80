//! A user-level pager: demand paging and copy-on-write for one region.
//!
//! The region begins empty. A read maps the page of the *template*, which all
//! clients can share, read-only; a write copies the page into memory of the
//! pager's own and maps that instead. The kernel knows nothing of this: it only
//! turns faults into calls.
//!
//! The pager never trusts a fault: what is not in its region, or cannot be
//! repaired by a page, ends the thread, as if there were no handler.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use postern_runtime::memory::Mapping;
use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::abi::op::fault::{GIVE_UP, RESUME};
use postern_runtime::syscall::{Memory, Rights, Task};
use postern_runtime::{Error, Explain};

/// The vector of a page fault.
const PAGE_FAULT: u64 = 14;
/// Bit of a page fault's error code: it was a write.
const WRITE: u64 = 1 << 1;
/// Bit of a page fault's error code: it was an instruction fetch.
const FETCH: u64 = 1 << 4;

/// What the client finds at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    /// Nothing: the next access faults.
    Absent,
    /// The template's page, read-only.
    Shared,
    /// A page of its own.
    Private,
}

/// What a pager did about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Mapped this page of the template.
    Mapped(u64),
    /// Copied this page, and mapped the copy.
    Copied(u64),
    /// Nothing: the fault is not its business.
    Refused,
}

impl Repair {
    /// Word 0 of the answer to the fault.
    #[must_use]
    pub const fn answer(self) -> u64 {
        match self {
            Self::Mapped(_) | Self::Copied(_) => RESUME,
            Self::Refused => GIVE_UP,
        }
    }
}

/// The pager of one region of one task.
#[derive(Debug)]
pub struct Pager {
    /// Whose faults it repairs.
    task: Task,
    /// Where the region begins there.
    address: u64,
    /// The template, mapped here so that it can be copied.
    template: Mapping,
    /// The copies, page for page at the offsets of their originals.
    copies: Mapping,
    pages: Vec<Page>,
}

impl Pager {
    /// The pager of the region at `address` of `task` (W needed), which looks
    /// as large as `template`. Nothing may be mapped there.
    ///
    /// # Errors
    /// No memory for the copies, or no access to the template.
    pub fn new(task: Task, address: u64, template: Memory) -> Result<Self, Error> {
        let bytes = template.info().explain("looking at the template", "memory")?.bytes;
        Ok(Self {
            task,
            address,
            template: Mapping::new(template, bytes, Rights::R)?,
            copies: Mapping::create(bytes)?,
            pages: vec![Page::Absent; (bytes / PAGE) as usize],
        })
    }

    /// Repairs the fault that these words of a FAULT message tell of.
    ///
    /// # Errors
    /// The kernel refused to map: the quota is used up, or the task is gone.
    pub fn handle(&mut self, words: [u64; 4]) -> Result<Repair, Error> {
        let [vector, address, _, code] = words;
        if vector != PAGE_FAULT || code & FETCH != 0 {
            return Ok(Repair::Refused);
        }
        let Some(offset) = address.checked_sub(self.address) else { return Ok(Repair::Refused) };
        let number = offset / PAGE;
        let found = usize::try_from(number).ok().and_then(|index| self.pages.get(index));
        let Some(state) = found.copied() else { return Ok(Repair::Refused) };
        let (repair, next) = match (state, code & WRITE != 0) {
            (Page::Absent, false) => {
                self.map(number, self.template.memory(), Rights::R)?;
                (Repair::Mapped(number), Page::Shared)
            }
            (Page::Absent | Page::Shared, true) => {
                self.copy(number);
                if state == Page::Shared {
                    let at = self.address + number * PAGE;
                    self.task.unmap(at, PAGE).explain("unmapping a page", "task")?;
                    self.pages[number as usize] = Page::Absent;
                }
                self.map(number, self.copies.memory(), Rights::R | Rights::W)?;
                (Repair::Copied(number), Page::Private)
            }
            // Two threads met at this page, and the other one was first.
            (Page::Shared | Page::Private, _) => (Repair::Mapped(number), state),
        };
        self.pages[number as usize] = next;
        Ok(repair)
    }

    /// How many pages are the client's own.
    #[must_use]
    pub fn private_pages(&self) -> usize {
        self.pages.iter().filter(|page| **page == Page::Private).count()
    }

    /// Maps a page of `memory` at its place in the client.
    fn map(&self, number: u64, memory: Memory, rights: Rights) -> Result<(), Error> {
        let offset = number * PAGE;
        self.task
            .map(memory, self.address + offset, offset, PAGE, rights)
            .explain("mapping a page", "task")
    }

    /// Copies a page of the template.
    fn copy(&mut self, number: u64) {
        let mut buffer = [0; 512];
        for part in (0..PAGE).step_by(buffer.len()) {
            self.template.read(number * PAGE + part, &mut buffer);
            self.copies.write(number * PAGE + part, &buffer);
        }
    }
}
