//! A subject, loaded once: what never changes is shared by all of its tests,
//! and the data is kept as it was before the first.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use postern_loader::{Program as Elf, Segment};
use postern_runtime::memory::{IMAGE_ADDRESS, Mapping};
use postern_runtime::syscall::{Memory, Rights};
use postern_runtime::{Boot, Error, loader, slots};

/// Why a subject cannot be loaded.
pub enum LoadError {
    /// The file is no program.
    File(loader::Error),
    /// There is no memory for it, or the like.
    Runtime(Error),
}

impl From<Error> for LoadError {
    fn from(error: Error) -> Self {
        Self::Runtime(error)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
        }
    }
}

/// What a segment is made of.
pub enum Contents {
    /// Memory that all tests share.
    Shared(Memory),
    /// The bytes that each test gets a copy of; zeros behind them are left out.
    Copied(Vec<u8>),
}

/// A segment of the image, at its address in a task.
pub struct Part {
    /// Where it is mapped.
    pub address: u64,
    /// Its size, a multiple of the page size.
    pub bytes: u64,
    /// R, and W or X.
    pub rights: Rights,
    /// What is in it.
    pub contents: Contents,
}

/// A subject.
pub struct Subject<'a> {
    name: &'a str,
    build: u64,
    entry: u64,
    parts: Vec<Part>,
}

impl<'a> Subject<'a> {
    /// Loads the program in `file`.
    pub fn load(boot: &Boot, name: &'a str, file: &'a [u8]) -> Result<Self, LoadError> {
        let elf = Elf::parse(file).map_err(LoadError::File)?;
        let mut parts = Vec::new();
        for segment in elf.segments() {
            let bytes = contents(&elf, segment);
            let contents = if segment.rights.contains(Rights::W) {
                Contents::Copied(bytes)
            } else {
                let memory = slots::fill("creating memory for the image", "factory", |slot| {
                    boot.factory.create_memory(slot, segment.memory)
                })?;
                Mapping::new(memory, segment.memory, Rights::W)?.write(0, &bytes);
                Contents::Shared(memory)
            };
            parts.push(Part {
                address: IMAGE_ADDRESS + segment.address,
                bytes: segment.memory,
                rights: segment.rights,
                contents,
            });
        }
        let entry = IMAGE_ADDRESS + elf.entry();
        Ok(Self { name, build: elf.build_id(), entry, parts })
    }

    /// Its name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Its build id.
    pub const fn build(&self) -> u64 {
        self.build
    }

    /// Address of its first instruction.
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// Its segments.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl Drop for Subject<'_> {
    fn drop(&mut self) {
        for part in &self.parts {
            if let Contents::Shared(memory) = part.contents {
                // A subject that keeps its memory is found by the next one.
                let _ = slots::destroy(postern_runtime::syscall::Capability::slot(memory));
            }
        }
    }
}

/// The bytes of a segment with its relocations applied.
fn contents(elf: &Elf<'_>, segment: &Segment<'_>) -> Vec<u8> {
    let used = segment.offset as usize + segment.contents.len();
    let mut bytes = vec![0; used];
    bytes[segment.offset as usize..].copy_from_slice(segment.contents);
    let range = segment.address..segment.end();
    for relocation in elf.relocations().filter(|entry| range.contains(&entry.address)) {
        let at = (relocation.address - segment.address) as usize;
        if bytes.len() < at + 8 {
            bytes.resize(at + 8, 0);
        }
        let value = IMAGE_ADDRESS.wrapping_add(relocation.addend);
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// The name of segment number `index` in the environment.
pub fn segment_name(index: usize) -> String {
    alloc::format!("segment{index}")
}
