//! Loadable segments: page-aligned, disjoint, writable or executable but never
//! both.

use core::ops::Range;

use elf::abi::{PF_R, PF_W, PF_X};
use elf::segment::ProgramHeader;
use postern_abi::{PAGE, Rights};

use crate::{Error, MAX_SPAN, page_floor};

/// A part of the program that is mapped with one set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Page-aligned address, relative to the load base.
    pub address: u64,
    /// Bytes in memory, a multiple of the page size.
    pub memory: u64,
    /// Where in the first page the contents begin.
    pub offset: u64,
    /// The contents from `offset` on; everything else is zero.
    pub contents: &'a [u8],
    /// R, and W or X.
    pub rights: Rights,
}

impl<'a> Segment<'a> {
    pub(crate) fn read(bytes: &'a [u8], header: &ProgramHeader) -> Result<Self, Error> {
        let end = header.p_vaddr.checked_add(header.p_memsz).ok_or(Error::TooLarge)?;
        if end > MAX_SPAN {
            return Err(Error::TooLarge);
        }
        let address = page_floor(header.p_vaddr);
        let mut rights = Rights::empty();
        rights.set(Rights::R, header.p_flags & PF_R != 0);
        rights.set(Rights::W, header.p_flags & PF_W != 0);
        rights.set(Rights::X, header.p_flags & PF_X != 0);
        if rights.contains(Rights::W | Rights::X) {
            return Err(Error::WritableAndExecutable { address });
        }
        // Code and data that cannot be read are no use to a page table.
        rights |= Rights::R;
        if header.p_filesz > header.p_memsz {
            return Err(Error::Malformed);
        }
        let contents = slice(bytes, header.p_offset, header.p_filesz).ok_or(Error::Truncated)?;
        Ok(Self {
            address,
            memory: end.next_multiple_of(PAGE) - address,
            offset: header.p_vaddr - address,
            contents,
            rights,
        })
    }

    /// First address past the segment.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.address + self.memory
    }

    /// Takes away the right to write if all of the segment is in `relro`: data
    /// that only the relocations write.
    pub(crate) fn seal(&mut self, relro: &Range<u64>) {
        let start = self.address + self.offset;
        if relro.start <= start && self.end() <= relro.end.next_multiple_of(PAGE) {
            self.rights.remove(Rights::W);
        }
    }

    /// The file's bytes at `[address, address + length)`, if all of them are
    /// contents of this segment.
    pub(crate) fn at(&self, address: u64, length: u64) -> Option<&'a [u8]> {
        let start = address.checked_sub(self.address.checked_add(self.offset)?)?;
        slice(self.contents, start, length)
    }
}

/// `length` bytes from `offset` on.
fn slice(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// Refuses segments that share a page.
pub(crate) fn check_disjoint(segments: &[Option<Segment<'_>>]) -> Result<(), Error> {
    for (index, one) in segments.iter().flatten().enumerate() {
        for other in segments.iter().flatten().skip(index + 1) {
            if one.address < other.end() && other.address < one.end() {
                return Err(Error::Overlap { address: one.address.max(other.address) });
            }
        }
    }
    Ok(())
}
