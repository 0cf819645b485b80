//! The boot archive (the bootloader's ramdisk) and the flat image of `init`
//! (docs/abi.md section 8). Readers only; `xtask` writes them.
//!
//! Both are little-endian and every content begins on a page boundary, so that
//! pages can be mapped without copying.

use core::ops::Range;

/// First bytes of a boot archive.
pub const ARCHIVE_MAGIC: [u8; 8] = *b"POSTERN\x01";
/// Bytes of the archive's header: magic, count (u64).
pub const ARCHIVE_HEADER: usize = 16;
/// Bytes of an entry: name (32, NUL-padded), offset (u64), length (u64).
pub const ARCHIVE_ENTRY: usize = 48;
/// First bytes of a flat image.
pub const FLAT_MAGIC: [u8; 8] = *b"PFLAT\0\0\x01";
/// Bytes of a flat image's header: magic, entry (u64), segments (u64), build id (u64), load base (u64).
pub const FLAT_HEADER: usize = 40;
/// Bytes of a segment: address, memory bytes, offset in the image, bytes in
/// the image, rights (u64 each).
pub const FLAT_SEGMENT: usize = 40;

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let raw = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(raw.try_into().ok()?))
}

/// A boot archive in memory.
#[derive(Clone, Copy)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Archive<'a> {
    /// Reads the header; `None` if this is not an archive.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.get(..8)? != ARCHIVE_MAGIC {
            return None;
        }
        Some(Self { bytes, count: usize::try_from(word(bytes, 8)?).ok()? })
    }

    /// Entry number `index`: its name, and where its contents lie in the
    /// archive. The archive's first bytes, up to the last entry, are enough for
    /// that; whether the contents are there is not looked at. `None` past the
    /// end or when the entry is malformed.
    #[must_use]
    pub fn place(&self, index: usize) -> Option<(&'a str, Range<usize>)> {
        if index >= self.count {
            return None;
        }
        let at = ARCHIVE_HEADER.checked_add(index.checked_mul(ARCHIVE_ENTRY)?)?;
        let name = self.bytes.get(at..at.checked_add(32)?)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(32);
        let name = core::str::from_utf8(&name[..end]).ok()?;
        let offset = usize::try_from(word(self.bytes, at + 32)?).ok()?;
        let length = usize::try_from(word(self.bytes, at + 40)?).ok()?;
        Some((name, offset..offset.checked_add(length)?))
    }

    /// Entry number `index`: its name and contents. `None` past the end or
    /// when the entry is malformed.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<(&'a str, &'a [u8])> {
        let (name, place) = self.place(index)?;
        Some((name, self.bytes.get(place)?))
    }

    /// All entries, in order.
    pub fn entries(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        (0..self.count).map_while(move |index| self.entry(index))
    }

    /// The contents of the entry called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.entries().find(|entry| entry.0 == name).map(|entry| entry.1)
    }
}

/// One segment of a flat image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Page-aligned address in the task.
    pub address: u64,
    /// Bytes in memory, a multiple of the page size.
    pub memory: u64,
    /// The contents; the rest of the memory is zero.
    pub contents: &'a [u8],
    /// Bits of [`crate::Rights`]: R, W, X.
    pub rights: u8,
}

/// A program with its relocations applied, ready to be mapped: how `init` is
/// packed, so that the kernel needs no ELF reader.
#[derive(Clone, Copy)]
pub struct Flat<'a> {
    bytes: &'a [u8],
    /// Address of the first instruction.
    pub entry: u64,
    /// Number of segments.
    pub segments: usize,
    /// First eight bytes of the program's build id.
    pub build: u64,
    /// Address at which offset 0 of the ELF file's address space lies.
    pub base: u64,
}

impl<'a> Flat<'a> {
    /// Reads the header; `None` if this is not a flat image.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.get(..8)? != FLAT_MAGIC {
            return None;
        }
        Some(Self {
            bytes,
            entry: word(bytes, 8)?,
            segments: usize::try_from(word(bytes, 16)?).ok()?,
            build: word(bytes, 24)?,
            base: word(bytes, 32)?,
        })
    }

    /// Segment number `index`; `None` past the end or when it is malformed.
    #[must_use]
    pub fn segment(&self, index: usize) -> Option<Segment<'a>> {
        if index >= self.segments {
            return None;
        }
        let at = FLAT_HEADER.checked_add(index.checked_mul(FLAT_SEGMENT)?)?;
        let offset = usize::try_from(word(self.bytes, at + 16)?).ok()?;
        let length = usize::try_from(word(self.bytes, at + 24)?).ok()?;
        let segment = Segment {
            address: word(self.bytes, at)?,
            memory: word(self.bytes, at + 8)?,
            contents: self.bytes.get(offset..offset.checked_add(length)?)?,
            rights: u8::try_from(word(self.bytes, at + 32)?).ok()?,
        };
        (length as u64 <= segment.memory).then_some(segment)
    }
}

/// What the kernel gives to `init`: the slots of its first capabilities and
/// the registers of its first thread (docs/abi.md section 8.3).
pub mod init {
    /// Its own task.
    pub const TASK: u32 = 1;
    /// Its own thread.
    pub const THREAD: u32 = 2;
    /// The root factory: all memory of the machine.
    pub const FACTORY: u32 = 3;
    /// The kernel's log.
    pub const LOG: u32 = 4;
    /// The scheduler, maximum priority 255.
    pub const SCHEDULER: u32 = 5;
    /// All I/O ports.
    pub const IO_PORTS: u32 = 6;
    /// The boot archive, as memory (R only).
    pub const ARCHIVE: u32 = 7;
    /// Interrupt line `i` (0 to 23) is slot `IRQS + i`.
    pub const IRQS: u32 = 8;
    /// Number of interrupt lines.
    pub const IRQ_COUNT: u32 = 24;
    /// Memory of init's own image and stack, one slot a segment, from here on.
    pub const IMAGE: u32 = 48;
    /// First slot that is empty when `init` starts, if its image has at most 15
    /// segments.
    pub const FREE: u32 = 64;
    /// Number of slots of init's table.
    pub const SLOTS: u32 = 4096;

    /// Where the kernel maps the archive, read-only. The first thread starts
    /// with this address in rdi and the archive's length in bytes in rsi.
    pub const ARCHIVE_ADDRESS: u64 = 0x10_0000_0000;
    /// Top of init's stack.
    pub const STACK_TOP: u64 = 0x8_0000_0000;
    /// Bytes of init's stack; the page below it is never mapped.
    pub const STACK_BYTES: u64 = 64 * 1024;
    /// Priority of init's first thread.
    pub const PRIORITY: u8 = 200;
}
