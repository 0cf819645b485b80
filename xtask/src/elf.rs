//! What a program file must be: a static PIE with nothing but relative
//! relocations, as the loaders expect it (docs/abi.md section 8).
//!
//! Must never repair a file. A program that a loader could not start is
//! refused here, with the reason.

use anyhow::{Context, Result, bail, ensure};
use object::LittleEndian as LE;
use object::elf::{
    DT_JMPREL, DT_NEEDED, DT_RELA, DT_RELASZ, DT_RELR, EM_X86_64, ET_DYN, FileHeader64,
    NT_GNU_BUILD_ID, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_TLS, R_X86_64_RELATIVE, Rela64,
};
use object::pod::slice_from_all_bytes;
use object::read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader, Rela};

type Header = FileHeader64<LE>;

/// Bits of a segment's rights as ELF writes them.
pub mod flags {
    /// Executable.
    pub const X: u32 = 1;
    /// Writable.
    pub const W: u32 = 2;
    /// Readable.
    pub const R: u32 = 4;
}

/// A part of the file that is mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Address relative to the load base.
    pub address: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// What lies at its beginning; the rest is zero.
    pub contents: Vec<u8>,
    /// Bits of [`flags`].
    pub flags: u32,
}

/// A program file that was found to be right.
pub struct Executable {
    /// Its segments in ascending order.
    pub segments: Vec<Segment>,
    /// First instruction, relative to the load base.
    pub entry: u64,
    /// The words to relocate: address and addend, both relative to the base.
    pub relocations: Vec<(u64, u64)>,
    /// First eight bytes of the build id, zero if it has none.
    pub build: [u8; 8],
}

impl Executable {
    /// Reads and checks the program in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let header = Header::parse(bytes).context("not an ELF file for 64 bits")?;
        let endian = header.endian().context("not a little-endian ELF file")?;
        ensure!(header.e_machine(endian) == EM_X86_64, "not a program for x86-64");
        ensure!(
            header.e_type(endian) == ET_DYN,
            "not a static PIE (ET_DYN): was it compiled with relocation-model=static, or for \
             another target than x86_64-unknown-none?"
        );
        let mut executable = Self {
            segments: Vec::new(),
            entry: header.e_entry(endian),
            relocations: Vec::new(),
            build: [0; 8],
        };
        let headers = header.program_headers(endian, bytes).context("bad program headers")?;
        for segment in headers {
            match segment.p_type(endian) {
                PT_INTERP => bail!("it asks for a dynamic linker: it must be linked statically"),
                PT_TLS => bail!("it has `#[thread_local]` variables, which no loader sets up"),
                PT_LOAD => executable.segments.push(load(segment, bytes)?),
                _ => {}
            }
            if let Some(notes) = segment.notes(endian, bytes).context("bad notes")? {
                executable.build = build_id(notes).unwrap_or(executable.build);
            }
        }
        ensure!(!executable.segments.is_empty(), "it has no segment to load");
        executable.segments.sort_by_key(|segment| segment.address);
        for segment in headers.iter().filter(|part| part.p_type(endian) == PT_DYNAMIC) {
            let Some(dynamic) = segment.dynamic(endian, bytes).context("bad dynamic section")?
            else {
                continue;
            };
            executable.relocations = executable.relative(dynamic)?;
        }
        Ok(executable)
    }

    /// The relocations that the dynamic section names.
    fn relative(&self, dynamic: &[object::elf::Dyn64<LE>]) -> Result<Vec<(u64, u64)>> {
        let (mut address, mut size) = (0, 0);
        for entry in dynamic {
            let value = entry.d_val(LE);
            match entry.d_tag(LE) {
                DT_NEEDED => bail!("it needs a shared library: it must be linked statically"),
                DT_JMPREL => bail!("it has a procedure linkage table, which no loader fills"),
                DT_RELR => bail!("it has packed relocations (RELR): link without -z pack-relative"),
                DT_RELA => address = value,
                DT_RELASZ => size = value,
                _ => {}
            }
        }
        let table = self.bytes(address, size).context("its relocations lie outside of it")?;
        let entries = slice_from_all_bytes::<Rela64<LE>>(table)
            .map_err(|()| anyhow::anyhow!("its relocations are cut off"))?;
        entries.iter().map(|entry| self.one(entry)).collect()
    }

    fn one(&self, entry: &Rela64<LE>) -> Result<(u64, u64)> {
        let (offset, kind) = (entry.r_offset(LE), entry.r_type(LE, false));
        ensure!(
            kind == R_X86_64_RELATIVE,
            "the relocation at {offset:#x} is of type {kind:?}; loaders only know \
             R_X86_64_RELATIVE (8). Is a symbol undefined, or a weak one unused?"
        );
        self.bytes(offset, 8).with_context(|| {
            format!("the relocation at {offset:#x} lies outside of the file's contents")
        })?;
        Ok((offset, entry.r_addend(LE).cast_unsigned()))
    }

    /// Contents of the file at an address relative to the load base.
    fn bytes(&self, address: u64, size: u64) -> Option<&[u8]> {
        if size == 0 {
            return Some(&[]);
        }
        self.segments.iter().find_map(|segment| {
            let start = usize::try_from(address.checked_sub(segment.address)?).ok()?;
            segment.contents.get(start..start.checked_add(usize::try_from(size).ok()?)?)
        })
    }
}

fn load(segment: &object::elf::ProgramHeader64<LE>, bytes: &[u8]) -> Result<Segment> {
    let address = segment.p_vaddr(LE);
    let contents = segment.data(LE, bytes).map_err(|()| anyhow::anyhow!("it is cut off"))?;
    let part = Segment {
        address,
        memory: segment.p_memsz(LE),
        contents: contents.to_vec(),
        flags: segment.p_flags(LE).0,
    };
    ensure!(part.contents.len() as u64 <= part.memory, "segment {address:#x} overflows its memory");
    ensure!(
        part.flags & (flags::W | flags::X) != flags::W | flags::X,
        "segment {address:#x} is writable and executable"
    );
    Ok(part)
}

fn build_id(mut notes: NoteIterator<'_, Header>) -> Option<[u8; 8]> {
    while let Ok(Some(note)) = notes.next() {
        if note.n_type(LE) == NT_GNU_BUILD_ID && note.name() == b"GNU" {
            return note.desc().get(..8)?.try_into().ok();
        }
    }
    None
}

#[cfg(test)]
mod tests;
