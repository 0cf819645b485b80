//! Relative relocations: words of data that hold an address of the program.
//!
//! The table is found through the dynamic section, which loaders use, and not
//! through the section headers, which a stripped file may lack.

use elf::ElfBytes;
use elf::abi::{
    DT_JMPREL, DT_NEEDED, DT_PLTRELSZ, DT_REL, DT_RELA, DT_RELAENT, DT_RELASZ, DT_TEXTREL,
    R_X86_64_NONE, R_X86_64_RELATIVE,
};
use elf::endian::LittleEndian;
use postern_abi::Rights;

use crate::{Error, Segment};

/// Packed relative relocations, which linkers write only when asked to.
const DT_RELR: i64 = 36;
/// Bytes of one entry of the table.
const ENTRY: usize = 24;

/// Write `base + addend` to the word at `base + address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Where, relative to the load base.
    pub address: u64,
    /// What, relative to the load base.
    pub addend: u64,
}

/// The checked table of relocations of the file; empty if it has none.
pub(crate) fn find<'a>(
    file: &ElfBytes<'a, LittleEndian>,
    segments: &[Option<Segment<'a>>],
) -> Result<&'a [u8], Error> {
    let Some(dynamic) = file.dynamic().map_err(|error| Error::from_elf(&error))? else {
        return Ok(&[]);
    };
    let (mut address, mut bytes) = (None, 0);
    for entry in dynamic.iter() {
        match entry.d_tag {
            elf::abi::DT_NULL => break,
            DT_RELA => address = Some(entry.d_ptr()),
            DT_RELASZ => bytes = entry.d_val(),
            DT_RELAENT if entry.d_val() != ENTRY as u64 => return Err(Error::Malformed),
            DT_NEEDED => return Err(Error::NeedsLibraries),
            DT_JMPREL | DT_PLTRELSZ if entry.d_val() != 0 => return Err(Error::NeedsLibraries),
            DT_REL | DT_RELR | DT_TEXTREL => return Err(Error::Malformed),
            _ => {}
        }
    }
    let Some(address) = address else { return Ok(&[]) };
    if bytes % ENTRY as u64 != 0 {
        return Err(Error::Malformed);
    }
    let table = segments
        .iter()
        .flatten()
        .find_map(|segment| segment.at(address, bytes))
        .ok_or(Error::Truncated)?;
    for (kind, relocation) in entries(table) {
        match kind {
            R_X86_64_NONE => {}
            R_X86_64_RELATIVE if is_inside(relocation, segments) => {}
            R_X86_64_RELATIVE => {
                return Err(Error::RelocationOutside { address: relocation.address });
            }
            kind => return Err(Error::UnsupportedRelocation { kind }),
        }
    }
    Ok(table)
}

/// Whether the word lies in one segment of data.
fn is_inside(relocation: Relocation, segments: &[Option<Segment<'_>>]) -> bool {
    let Some(end) = relocation.address.checked_add(8) else { return false };
    segments.iter().flatten().any(|segment| {
        segment.address <= relocation.address
            && end <= segment.end()
            && !segment.rights.contains(Rights::X)
    })
}

/// The relative relocations of a checked table.
pub(crate) fn read(table: &[u8]) -> impl Iterator<Item = Relocation> + use<'_> {
    entries(table).filter(|entry| entry.0 == R_X86_64_RELATIVE).map(|entry| entry.1)
}

/// All entries: kind and relocation.
fn entries(table: &[u8]) -> impl Iterator<Item = (u32, Relocation)> + use<'_> {
    table.chunks_exact(ENTRY).map(|entry| {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&entry[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        (word(8) as u32, Relocation { address: word(0), addend: word(16) })
    })
}
