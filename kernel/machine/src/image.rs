//! The kernel's own image: what the linker says about it, and mapping it with
//! the rights that it asks for.
//!
//! The ELF header is a part of the image. It must never be trusted to be there
//! twice: all that is read is read through it, bounded by the image.

use core::fmt;

use crate::frame::Frame;
use crate::kernel_tables::{CODE, CONSTANTS, DATA, KernelTables};
use crate::layout::{IMAGE, PAGE, PHYSICAL};
use crate::paging::{Table, translate};

/// A segment that is loaded.
const LOAD: u32 = 1;
/// Notes.
const NOTE: u32 = 4;
/// The part of the data that only relocation writes to.
const RELRO: u32 = 0x6474_e552;
/// The build id among the notes.
const BUILD_ID: u32 = 3;
const EXECUTABLE: u32 = 1;
const WRITABLE: u32 = 2;

/// An ELF program header.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_bytes: u64,
    bytes: u64,
    align: u64,
}

/// The part of an ELF file header that matters here.
#[repr(C)]
struct Header {
    identification: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    entry: u64,
    segments: u64,
    sections: u64,
    flags: u32,
    bytes: u16,
    segment_bytes: u16,
    segment_count: u16,
}

unsafe extern "C" {
    /// Where the linker put the ELF header: the first byte of the image.
    #[link_name = "__ehdr_start"]
    static HEADER: Header;
}

/// Address of the first byte of the image.
#[must_use]
pub fn base() -> u64 {
    (&raw const HEADER).addr() as u64
}

fn segments() -> &'static [Segment] {
    // SAFETY: the linker puts the ELF header there, and the program headers
    // into the same read-only segment; their number and place are the linker's.
    unsafe {
        debug_assert!(HEADER.segment_bytes as usize == size_of::<Segment>());
        let first = (&raw const HEADER).byte_add(HEADER.segments as usize).cast();
        core::slice::from_raw_parts(first, HEADER.segment_count.into())
    }
}

/// The build id that the linker computed, in hexadecimal.
pub struct BuildId;

impl BuildId {
    fn bytes() -> Option<&'static [u8]> {
        let note = segments().iter().find(|segment| segment.kind == NOTE)?;
        let start = (base() + note.address) as *const u8;
        // SAFETY: notes are in a loaded, read-only segment of that size.
        let mut notes = unsafe { core::slice::from_raw_parts(start, note.bytes as usize) };
        loop {
            let (head, rest) = notes.split_first_chunk::<12>()?;
            let number = |at: usize| {
                let bytes = head.get(at..at + 4)?;
                Some(u32::from_le_bytes(bytes.try_into().ok()?))
            };
            let name = (number(0)? as usize).next_multiple_of(4);
            let length = number(4)? as usize;
            if number(8)? == BUILD_ID && rest.starts_with(b"GNU\0") {
                return rest.get(name..name + length);
            }
            notes = rest.get(name + length.next_multiple_of(4)..)?;
        }
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = Self::bytes() else { return f.write_str("unknown") };
        // The first eight bytes tell builds apart.
        bytes.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Maps the image into `tables` where it runs now, code executable, data
/// writable, nothing both, and takes the right to write to its code and
/// constants away from the physical map.
///
/// # Panics
/// When the image is not one that can be protected.
pub fn map(current: Table, tables: KernelTables, frame: &mut impl FnMut() -> Option<Frame>) {
    assert!(base() == IMAGE, "the boot loader put the kernel elsewhere");
    let relro = segments().iter().find(|segment| segment.kind == RELRO);
    // What relocation wrote to ends with a page, by the linker's doing.
    let relocated = relro.map_or(0..0, |part| {
        let start = base() + part.address;
        start..(start + part.bytes).next_multiple_of(PAGE)
    });
    for segment in segments().iter().filter(|segment| segment.kind == LOAD) {
        let start = base() + segment.address;
        assert!(
            start.is_multiple_of(PAGE) && segment.offset.is_multiple_of(PAGE),
            "two segments of the kernel share a page"
        );
        let writable = segment.flags & WRITABLE != 0;
        assert!(!writable || segment.flags & EXECUTABLE == 0, "writable code");
        for at in (start..start + segment.bytes).step_by(PAGE as usize) {
            let rights = match () {
                () if segment.flags & EXECUTABLE != 0 => CODE,
                () if writable && !relocated.contains(&at) => DATA,
                () => CONSTANTS,
            };
            let found = translate(current, at).expect("the kernel is mapped");
            let mapped = tables.map_page(at, found.physical, rights, frame);
            mapped.expect("there is memory for page tables");
            if rights != DATA {
                let same = PHYSICAL + found.physical;
                tables.protect(same, frame).expect("there is memory for page tables");
            }
        }
    }
}
