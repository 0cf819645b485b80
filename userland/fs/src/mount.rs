//! The boot archive as a disk: which files are on it, and their bytes.
//!
//! It is copied out of, never looked at where it lies: nothing here could say
//! that nobody writes to it.

use alloc::string::String;
use alloc::vec::Vec;

use postern_file_tree::Archive;
use postern_runtime::memory::Mapping;
use postern_runtime::syscall::abi::harness::CMDLINE;
use postern_runtime::syscall::abi::image::{self, ARCHIVE_ENTRY, ARCHIVE_HEADER};
use postern_runtime::syscall::{Memory, Rights};
use postern_runtime::{Explain, Result};

/// Most entries that are looked at.
const ENTRIES: usize = 512;
/// First bytes of a program.
const ELF: [u8; 4] = *b"\x7fELF";

/// The archive, mapped.
pub struct Disk(Mapping);

/// A file on it.
pub struct File {
    /// Its path.
    pub path: String,
    /// Where its bytes begin.
    pub at: u64,
    /// How many they are.
    pub bytes: u64,
}

impl Disk {
    pub fn new(memory: Memory) -> Result<Self> {
        let bytes = memory.info().explain("looking at the boot archive", "archive")?.bytes;
        Mapping::new(memory, bytes, Rights::R).map(Self)
    }

    /// Entries with a path for a name, and the programs in `/bin`.
    pub fn files(&self) -> Vec<File> {
        let mut head = alloc::vec![0; ARCHIVE_HEADER + ENTRIES * ARCHIVE_ENTRY];
        self.read(0, &mut head);
        let Some(archive) = image::Archive::new(&head) else { return Vec::new() };
        let places = (0..ENTRIES).map_while(|index| archive.place(index));
        places
            .filter_map(|(name, place)| self.file(name, place.start as u64, place.len() as u64))
            .collect()
    }

    fn file(&self, name: &str, at: u64, bytes: u64) -> Option<File> {
        if name.starts_with('/') {
            return Some(File { path: name.into(), at, bytes });
        }
        let mut start = [0; ELF.len()];
        self.read(at, &mut start);
        let is_program = name != CMDLINE && start == ELF;
        is_program.then(|| File { path: alloc::format!("/bin/{name}"), at, bytes })
    }
}

impl Archive for Disk {
    fn read(&self, at: u64, bytes: &mut [u8]) {
        let rest = self.0.bytes().saturating_sub(at);
        let there = bytes.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        let (there, outside) = bytes.split_at_mut(there);
        if !there.is_empty() {
            self.0.read(at, there);
        }
        outside.fill(0);
    }
}
