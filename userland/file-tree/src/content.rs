//! The bytes of one file: in the archive, or in pages of the heap.

use alloc::vec::Vec;
use core::fmt;

use postern_protocol::files::Error;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// The bytes of files that nobody has written to.
pub trait Archive {
    /// Copies from `at` on. What lies outside is zero.
    fn read(&self, at: u64, bytes: &mut [u8]);
}

/// The bytes of a file.
pub enum Content {
    /// They lie in the archive.
    Archived {
        /// Where they begin.
        at: u64,
        /// How many there are.
        bytes: u64,
    },
    /// They lie in pages; what is behind the last byte is zero.
    Pages {
        /// All pages that are needed, and no more.
        pages: Vec<Vec<u8>>,
        /// The length of the file.
        bytes: usize,
    },
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} pages", self.bytes(), self.pages())
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Pages { pages: Vec::new(), bytes: 0 }
    }
}

/// A new page, zeroed. The heap may be full.
fn page() -> Result<Vec<u8>, Error> {
    let mut page = Vec::new();
    page.try_reserve_exact(PAGE).map_err(|_| Error::Full)?;
    page.resize(PAGE, 0);
    Ok(page)
}

impl Content {
    /// `bytes` bytes at `at` in the archive.
    pub const fn archived(at: u64, bytes: u64) -> Self {
        Self::Archived { at, bytes }
    }

    /// The length of the file.
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::Archived { bytes, .. } => *bytes,
            Self::Pages { bytes, .. } => *bytes as u64,
        }
    }

    /// The pages that it takes.
    pub const fn pages(&self) -> usize {
        match self {
            Self::Archived { .. } => 0,
            Self::Pages { pages, .. } => pages.len(),
        }
    }

    /// Copies from `offset` on; how many bytes there were.
    pub fn read(&self, archive: &impl Archive, offset: u64, into: &mut [u8]) -> usize {
        let rest = self.bytes().saturating_sub(offset);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(into.len());
        let into = &mut into[..count];
        match self {
            Self::Archived { at, .. } => archive.read(at.saturating_add(offset), into),
            Self::Pages { pages, .. } => {
                let mut at = offset as usize;
                for part in chunks(at, into) {
                    let start = at % PAGE;
                    if let Some(page) = pages.get(at / PAGE) {
                        part.copy_from_slice(&page[start..start + part.len()]);
                    }
                    at += part.len();
                }
            }
        }
        count
    }

    /// Pages of its own for `bytes` bytes, if it may have so many. Its length
    /// stays.
    fn reserve(&mut self, archive: &impl Archive, bytes: u64, room: usize) -> Result<(), Error> {
        let length = self.bytes();
        let needed = usize::try_from(length.max(bytes)).map_err(|_| Error::Full)?;
        let needed = needed.div_ceil(PAGE);
        if needed > room && needed > self.pages() {
            return Err(Error::Full);
        }
        let more = needed.saturating_sub(self.pages());
        let mut fresh = Vec::new();
        fresh.try_reserve_exact(more).map_err(|_| Error::Full)?;
        for _ in 0..more {
            fresh.push(page()?);
        }
        match self {
            Self::Pages { pages, .. } => {
                pages.try_reserve(more).map_err(|_| Error::Full)?;
                pages.append(&mut fresh);
            }
            Self::Archived { at, bytes } => {
                let (at, mut rest) = (*at, *bytes as usize);
                for (index, page) in fresh.iter_mut().enumerate() {
                    let part = rest.min(PAGE);
                    archive.read(at.saturating_add((index * PAGE) as u64), &mut page[..part]);
                    rest -= part;
                }
                *self = Self::Pages { pages: fresh, bytes: *bytes as usize };
            }
        }
        Ok(())
    }

    /// Makes it so long, with at most `room` pages.
    pub fn resize(&mut self, archive: &impl Archive, bytes: u64, room: usize) -> Result<(), Error> {
        if let Self::Archived { bytes: length, .. } = self
            && bytes <= *length
        {
            *length = bytes;
            return Ok(());
        }
        if bytes > self.bytes() {
            self.reserve(archive, bytes, room)?;
        }
        let Self::Pages { pages, bytes: length } = self else { return Ok(()) };
        *length = bytes as usize;
        pages.truncate(length.div_ceil(PAGE));
        // What grows later has to be zero.
        if let Some(last) = pages.last_mut()
            && *length % PAGE != 0
        {
            last[*length % PAGE..].fill(0);
        }
        Ok(())
    }

    /// Writes `data` at `offset`, which is inside or the end, with at most
    /// `room` pages.
    pub fn write(
        &mut self,
        archive: &impl Archive,
        offset: u64,
        mut data: &[u8],
        room: usize,
    ) -> Result<(), Error> {
        let end = offset + data.len() as u64;
        self.reserve(archive, end, room)?;
        let Self::Pages { pages, bytes } = self else { return Ok(()) };
        let mut at = offset as usize;
        while !data.is_empty() {
            let start = at % PAGE;
            let (part, rest) = data.split_at(data.len().min(PAGE - start));
            if let Some(page) = pages.get_mut(at / PAGE) {
                page[start..start + part.len()].copy_from_slice(part);
            }
            (at, data) = (at + part.len(), rest);
        }
        *bytes = (*bytes).max(end as usize);
        Ok(())
    }
}

/// `into` in parts, each of which lies in one page if the first byte is at `at`.
fn chunks(at: usize, into: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let first = into.len().min(PAGE - at % PAGE);
    let (first, rest) = into.split_at_mut(first);
    core::iter::once(first).chain(rest.chunks_mut(PAGE))
}
