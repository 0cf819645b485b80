//! Linux kernels (`bzImage`), by their 64-bit boot protocol: the kernel's own
//! start is left out, and it begins in 64-bit mode with memory mapped one to
//! one, and a page that says what there is.
//!
//! Field offsets are those of the kernel's `Documentation/x86/boot.rst`.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use postern_abi::PAGE;
use postern_syscall::vcpu::{Segment, segment};

use super::tables::{Flags, Tables};
use super::{Error, LARGE, LEAST_MEMORY, Memory, Start, system};

/// Bytes of the file that must be there to know what it is.
pub const HEAD: usize = 4096;

/// Where things lie, below the first MiB.
mod place {
    pub const SEGMENTS: u64 = 0x6000;
    pub const INFO: u64 = 0x7000;
    pub const COMMAND_LINE: u64 = 0x8000;
    pub const TABLES: u64 = 0x1_0000;
    /// First byte that does not belong to low memory.
    pub const LOW_END: u64 = 0x9_fc00;
}
/// Where memory begins that is not low.
const HIGH: u64 = 1 << 20;
/// Everything below this is mapped.
const MAPPED: u64 = 4 << 30;

/// Offsets in the file's head and in the page of information.
mod field {
    pub const E820_COUNT: usize = 0x1e8;
    pub const HEADER: usize = 0x1f1;
    pub const SETUP_SECTORS: usize = 0x1f1;
    pub const BOOT_FLAG: usize = 0x1fe;
    pub const MAGIC: usize = 0x202;
    pub const HEADER_LENGTH: usize = 0x201;
    pub const VERSION: usize = 0x206;
    pub const LOADER: usize = 0x210;
    pub const RAMDISK: usize = 0x218;
    pub const RAMDISK_LENGTH: usize = 0x21c;
    pub const COMMAND_LINE: usize = 0x228;
    pub const LOAD_FLAGS: usize = 0x236;
    pub const COMMAND_LINE_LENGTH: usize = 0x238;
    pub const PREFERRED: usize = 0x258;
    pub const INIT_SIZE: usize = 0x260;
    pub const E820: usize = 0x2d0;
}
/// The oldest protocol that has all of these.
const VERSION: u64 = 0x20c;
/// Loaders without a number of their own.
const UNKNOWN_LOADER: u8 = 0xff;
/// In the page of information: memory, and not.
const USABLE: u64 = 1;
const RESERVED: u64 = 2;

/// What is to be loaded.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The first bytes of the kernel's file: [`HEAD`], or all if it is shorter.
    pub head: &'a [u8],
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of the ramdisk; 0: none.
    pub ramdisk: u64,
    /// The command line.
    pub command_line: &'a [u8],
    /// Bytes of the guest's memory, a multiple of 2 MiB.
    pub memory: u64,
}

/// How the guest starts, and what the caller has to put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How it starts; the ramdisk has to be put there, writable.
    pub start: Start,
    /// The part of the kernel's file that has to be copied ...
    pub part: Range<u64>,
    /// ... to this place.
    pub to: u64,
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let field = bytes.get(at..at + length).unwrap_or_default();
    field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether this is the head of such a kernel.
#[must_use]
pub fn is_one(head: &[u8]) -> bool {
    number(head, field::BOOT_FLAG, 2) == 0xaa55
        && head.get(field::MAGIC..field::MAGIC + 4) == Some(b"HdrS")
}

/// Prepares the guest's memory for the kernel of `image`.
///
/// # Errors
/// See [`Error`]; then the memory holds anything.
pub fn load<M: Memory>(image: &Image<'_>, memory: &mut M) -> Result<Plan, Error<M::Error>> {
    let head = image.head;
    if image.memory < LEAST_MEMORY || !image.memory.is_multiple_of(LARGE) || image.memory > MAPPED {
        return Err(Error::Size(image.memory));
    }
    let number = |at, length| number(head, at, length);
    if !is_one(head) || number(field::VERSION, 2) < VERSION {
        return Err(Error::NoConfig("its boot protocol is older than 2.12"));
    }
    if number(field::LOAD_FLAGS, 2) & 1 == 0 {
        return Err(Error::NoConfig("it has no 64-bit entry"));
    }
    let sectors = match number(field::SETUP_SECTORS, 1) {
        0 => 4,
        sectors => sectors,
    };
    let first = (sectors + 1) * 512;
    if first >= image.bytes {
        return Err(Error::NoConfig("it is cut off"));
    }
    if image.command_line.len() as u64 > number(field::COMMAND_LINE_LENGTH, 4).min(PAGE - 1) {
        return Err(Error::NoConfig("it takes no command line of this length"));
    }
    let (to, room) = (number(field::PREFERRED, 8), number(field::INIT_SIZE, 4));
    let end = to.checked_add(room.max(image.bytes - first));
    // The ramdisk as high as it fits, behind all that the kernel needs.
    let ramdisk = image.memory.checked_sub(image.ramdisk).map(|at| at & !(PAGE - 1));
    let fits = to >= HIGH && end.is_some_and(|end| ramdisk.is_some_and(|at| end <= at));
    let Some(ramdisk) = ramdisk.filter(|_| fits) else {
        let needed = end.unwrap_or(u64::MAX).saturating_add(image.ramdisk);
        return Err(Error::TooLarge { needed });
    };

    let mut tables = Tables::new(place::TABLES);
    let flags = Flags::PRESENT | Flags::WRITE | Flags::LARGE;
    tables.map(0, 0, MAPPED, flags).map_err(Error::Mapping)?;
    tables.write(memory).map_err(Error::Memory)?;
    let info = information(image, ramdisk);
    // Code and data at the selectors that the protocol names.
    let segments = [0_u64, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
    for (at, bytes) in [
        (place::INFO, info.as_slice()),
        (place::COMMAND_LINE, image.command_line),
        (place::SEGMENTS, segments.map(u64::to_le_bytes).as_flattened()),
    ] {
        memory.write(at, bytes).map_err(Error::Memory)?;
    }
    let mut system = system(place::TABLES);
    for (index, register) in system.segments[..6].iter_mut().enumerate() {
        register.selector = if index == segment::CS { 0x10 } else { 0x18 };
    }
    system.segments[segment::GDTR] =
        Segment { limit: 31, base: place::SEGMENTS, ..Segment::default() };
    let start = Start {
        entry: to + 0x200,
        stack: place::INFO,
        arguments: [0, place::INFO],
        system,
        ramdisk,
    };
    Ok(Plan { start, part: first..image.bytes, to })
}

/// The page that says what there is.
fn information(image: &Image<'_>, ramdisk: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE as usize];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    // The head's own fields, as long as it says they are.
    let length = number(image.head, field::HEADER_LENGTH, 1) as usize;
    let end = (field::MAGIC + length).min(field::E820).min(image.head.len());
    put(field::HEADER, image.head.get(field::HEADER..end).unwrap_or_default());
    put(field::LOADER, &[UNKNOWN_LOADER]);
    put(field::COMMAND_LINE, &(place::COMMAND_LINE as u32).to_le_bytes());
    if image.ramdisk != 0 {
        put(field::RAMDISK, &(ramdisk as u32).to_le_bytes());
        put(field::RAMDISK_LENGTH, &(image.ramdisk as u32).to_le_bytes());
    }
    let regions = [
        (0, place::LOW_END, USABLE),
        (place::LOW_END, HIGH, RESERVED),
        (HIGH, image.memory, USABLE),
    ];
    put(field::E820_COUNT, &[regions.len() as u8]);
    for (index, (start, end, kind)) in regions.into_iter().enumerate() {
        let at = field::E820 + 20 * index;
        put(at, &start.to_le_bytes());
        put(at + 8, &(end - start).to_le_bytes());
        put(at + 16, &(kind as u32).to_le_bytes());
    }
    page
}
