//! Guest images in the boot archive.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use postern_runtime::memory::Mapping;
use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::abi::image::{ARCHIVE_ENTRY, ARCHIVE_HEADER, Archive as Index};
use postern_runtime::syscall::{Memory, Rights};
use postern_runtime::{Error as RuntimeError, Explain};
use postern_vm_model::boot;

/// Begins the names of the archive's entries that are guest images.
const PREFIX: &str = "guest-";
/// Most entries of an archive.
const ENTRIES: usize = 256;

/// Why a guest cannot be started.
#[derive(Debug)]
pub enum Error {
    /// There is no image of this name; these are there.
    Unknown(Vec<String>),
    /// An archive cannot be read.
    Archive(&'static str),
    /// The kernel cannot be loaded.
    Load(boot::Error<RuntimeError>),
    /// A system call failed.
    Runtime(RuntimeError),
    /// This CPU runs no guests.
    NoGuests,
    /// The clock is not the time stamp counter.
    NoClock,
}

impl From<RuntimeError> for Error {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(names) if names.is_empty() => f.write_str(
                "there are no guest images in this system (`cargo xtask run --guests` packs them)",
            ),
            Self::Unknown(names) => write!(f, "there is no such image, but {}", names.join(", ")),
            Self::Archive(what) => f.write_str(what),
            Self::Load(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
            Self::NoGuests => f.write_str("this CPU runs no guests (no SVM with nested paging)"),
            Self::NoClock => f.write_str("this machine's time stamp counter tells no time"),
        }
    }
}

/// The boot archive, mapped.
pub struct Archive {
    mapping: Mapping,
}

/// An image, and where its parts lie in the boot archive.
pub struct Image {
    /// The kernel's file.
    pub kernel: Vec<u8>,
    /// The ramdisk; empty if there is none.
    pub ramdisk: Range<u64>,
}

impl Archive {
    /// Maps the archive.
    pub fn open(memory: Memory) -> Result<Self, Error> {
        let bytes = memory.info().explain("looking at the archive", "archive")?.bytes;
        Ok(Self { mapping: Mapping::new(memory, bytes, Rights::R)? })
    }

    /// The archive's memory.
    pub fn memory(&self) -> Memory {
        self.mapping.memory()
    }

    /// Copies out what lies in `range`.
    fn bytes(&self, range: Range<usize>) -> Result<Vec<u8>, Error> {
        if range.end as u64 > self.mapping.bytes() || range.start > range.end {
            return Err(Error::Archive("the boot archive is cut off"));
        }
        let mut bytes = Vec::new();
        let room = bytes.try_reserve_exact(range.len());
        room.map_err(|_full| Error::Archive("the kernel is larger than the monitor's heap"))?;
        bytes.resize(range.len(), 0);
        self.mapping.read(range.start as u64, &mut bytes);
        Ok(bytes)
    }

    /// The entries of the archive that lies in `whole`, with their places in the
    /// boot archive.
    fn entries(&self, whole: Range<usize>) -> Result<Vec<(String, Range<usize>)>, Error> {
        let most = ARCHIVE_HEADER + ENTRIES * ARCHIVE_ENTRY;
        let head = self.bytes(whole.start..whole.end.min(whole.start + most))?;
        let index = Index::new(&head).ok_or(Error::Archive("the image is no archive"))?;
        let mut entries = Vec::new();
        while let Some((name, place)) = index.place(entries.len()) {
            let end = whole.start.checked_add(place.end).filter(|end| *end <= whole.end);
            let end = end.ok_or(Error::Archive("the image is cut off"))?;
            entries.push((name.into(), whole.start + place.start..end));
        }
        Ok(entries)
    }

    /// The image called `name`.
    pub fn image(&self, name: &str) -> Result<Image, Error> {
        let entries = self.entries(0..self.mapping.bytes() as usize)?;
        let mut images = entries.iter().filter_map(|(entry, place)| {
            entry.strip_prefix(PREFIX).map(|name| (name, place.clone()))
        });
        let Some((_, place)) = images.clone().find(|image| image.0 == name) else {
            return Err(Error::Unknown(images.by_ref().map(|image| image.0.into()).collect()));
        };
        let parts = self.entries(place)?;
        let find = |part: &str| {
            let found = parts.iter().find(|entry| entry.0 == part);
            found.map(|(_, place)| place.clone())
        };
        let kernel = find("kernel").ok_or(Error::Archive("the image has no kernel"))?;
        let ramdisk = find("ramdisk").unwrap_or(0..0);
        if !(ramdisk.start as u64).is_multiple_of(PAGE) {
            return Err(Error::Archive("the ramdisk does not begin on a page"));
        }
        let ramdisk = ramdisk.start as u64..ramdisk.end as u64;
        Ok(Image { kernel: self.bytes(kernel)?, ramdisk })
    }
}
