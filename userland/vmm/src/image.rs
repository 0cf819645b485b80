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

/// Where the parts of an image lie in the boot archive; empty if there is none.
pub struct Image {
    /// The kernel's file.
    pub kernel: Range<u64>,
    /// The ramdisk.
    pub ramdisk: Range<u64>,
    /// The command line.
    pub command_line: Range<u64>,
}

impl Archive {
    /// Maps the archive.
    pub fn open(memory: Memory) -> Result<Self, Error> {
        let bytes = memory.info().explain("looking at the archive", "archive")?.bytes;
        Ok(Self { mapping: Mapping::new(memory, bytes, Rights::R)? })
    }

    /// The archive.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Copies out what lies in `range`.
    pub fn bytes(&self, range: Range<u64>) -> Result<Vec<u8>, Error> {
        if range.end > self.mapping.bytes() || range.start > range.end {
            return Err(Error::Archive("the boot archive is cut off"));
        }
        let mut bytes = Vec::new();
        let length = (range.end - range.start) as usize;
        let room = bytes.try_reserve_exact(length);
        room.map_err(|_full| Error::Archive("the kernel is larger than the monitor's heap"))?;
        bytes.resize(length, 0);
        self.mapping.read(range.start, &mut bytes);
        Ok(bytes)
    }

    /// The entries of the archive that lies in `whole`, with their places in the
    /// boot archive.
    fn entries(&self, whole: Range<u64>) -> Result<Vec<(String, Range<u64>)>, Error> {
        let most = (ARCHIVE_HEADER + ENTRIES * ARCHIVE_ENTRY) as u64;
        let head = self.bytes(whole.start..whole.end.min(whole.start + most))?;
        let index = Index::new(&head).ok_or(Error::Archive("the image is no archive"))?;
        let mut entries = Vec::new();
        while let Some((name, place)) = index.place(entries.len()) {
            let (start, end) = (whole.start + place.start as u64, place.end as u64);
            let end = whole.start.checked_add(end).filter(|end| (start..=whole.end).contains(end));
            let end = end.ok_or(Error::Archive("the image is cut off"))?;
            entries.push((name.into(), start..end));
        }
        Ok(entries)
    }

    /// The image called `name`.
    pub fn image(&self, name: &str) -> Result<Image, Error> {
        let entries = self.entries(0..self.mapping.bytes())?;
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
        if !ramdisk.start.is_multiple_of(PAGE) {
            return Err(Error::Archive("the ramdisk does not begin on a page"));
        }
        let command_line = find("cmdline").unwrap_or(0..0);
        Ok(Image { kernel, ramdisk, command_line })
    }
}
