//! Reads a program: an ELF file that is a static PIE for x86_64.
//!
//! Pure: bytes in, segments and relocations out. It maps nothing, allocates
//! nothing, has no unsafe code, and must never panic, whatever the bytes: every
//! malformed or unsuitable file is a typed [`Error`] that says what is wrong.
//! Everything is checked in [`Program::parse`], so that whoever maps the
//! program can rely on it: segments are page-aligned, do not overlap, are
//! never writable and executable, and every relocation lies inside a segment.
//!
//! All addresses are relative to the load base.
#![no_std]
#![forbid(unsafe_code)]

mod error;
mod relocation;
mod segment;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use relocation::Relocation;
pub use segment::Segment;

use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_DYN, PT_GNU_RELRO, PT_INTERP, PT_LOAD, PT_NOTE, PT_TLS};
use elf::endian::LittleEndian;
use elf::note::Note;
use postern_abi::{PAGE, Rights};

/// Most loadable segments of a program.
pub const MAX_SEGMENTS: usize = 16;
/// Most bytes of address space that a program may cover.
pub const MAX_SPAN: u64 = 1 << 30;

/// A program that can be mapped.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    entry: u64,
    segments: [Option<Segment<'a>>; MAX_SEGMENTS],
    relocations: &'a [u8],
    build_id: u64,
    span: u64,
}

impl<'a> Program<'a> {
    /// Reads and checks an ELF file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        // Asked first: the headers of a 32-bit file have other sizes.
        if bytes.starts_with(b"\x7fELF") && bytes.get(4..6).is_some_and(|kind| kind != [2, 1]) {
            return Err(Error::WrongMachine);
        }
        let file = ElfBytes::<LittleEndian>::minimal_parse(bytes)
            .map_err(|error| Error::from_elf(&error))?;
        let header = &file.ehdr;
        if header.e_machine != EM_X86_64 {
            return Err(Error::WrongMachine);
        }
        if header.e_type != ET_DYN {
            return Err(Error::NotPie);
        }
        let headers = file.segments().ok_or(Error::NoSegments)?;

        let mut segments = [None; MAX_SEGMENTS];
        let mut count = 0;
        let mut build_id = 0;
        let mut relro = 0..0;
        for header in headers.iter() {
            match header.p_type {
                PT_LOAD if header.p_memsz != 0 => {
                    let segment = Segment::read(bytes, &header)?;
                    *segments.get_mut(count).ok_or(Error::TooManySegments)? = Some(segment);
                    count += 1;
                }
                PT_INTERP => return Err(Error::NeedsInterpreter),
                PT_TLS if header.p_memsz != 0 => return Err(Error::ThreadLocalStorage),
                PT_GNU_RELRO => {
                    let end = header.p_vaddr.checked_add(header.p_memsz).ok_or(Error::TooLarge)?;
                    relro = header.p_vaddr..end;
                }
                PT_NOTE => {
                    let notes = file
                        .segment_data_as_notes(&header)
                        .map_err(|error| Error::from_elf(&error))?;
                    build_id = find_build_id(notes).unwrap_or(build_id);
                }
                _ => {}
            }
        }
        if count == 0 {
            return Err(Error::NoSegments);
        }
        segment::check_disjoint(&segments[..count])?;
        let relocations = relocation::find(&file, &segments[..count])?;
        for segment in segments.iter_mut().flatten() {
            segment.seal(&relro);
        }

        let mut program = Self { entry: header.e_entry, segments, relocations, build_id, span: 0 };
        program.span = program.segments().map(Segment::end).max().unwrap_or(0);
        let executable = program.segments().any(|segment| {
            segment.rights.contains(Rights::X)
                && (segment.address..segment.end()).contains(&program.entry)
        });
        if !executable {
            return Err(Error::BadEntry { address: header.e_entry });
        }
        Ok(program)
    }

    /// Address of the first instruction.
    #[must_use]
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// The segments, in the order of the file.
    pub fn segments(&self) -> impl Iterator<Item = &Segment<'a>> {
        self.segments.iter().flatten()
    }

    /// The relocations that have to be applied before the program runs.
    pub fn relocations(&self) -> impl Iterator<Item = Relocation> + use<'a> {
        relocation::read(self.relocations)
    }

    /// The first eight bytes of the build id (little-endian); 0 without one.
    #[must_use]
    pub const fn build_id(&self) -> u64 {
        self.build_id
    }

    /// Bytes of address space from the load base to the end of the last
    /// segment, a multiple of the page size.
    #[must_use]
    pub const fn span(&self) -> u64 {
        self.span
    }
}

fn find_build_id<'a>(notes: impl Iterator<Item = Note<'a>>) -> Option<u64> {
    for note in notes {
        if let Note::GnuBuildId(id) = note {
            return Some(u64::from_le_bytes(id.0.get(..8)?.try_into().ok()?));
        }
    }
    None
}

/// Rounds `address` down to a page.
const fn page_floor(address: u64) -> u64 {
    address & !(PAGE - 1)
}
