//! What is asked for on the command line.

use core::fmt;

use postern_vm_model::boot::LEAST_MEMORY;

/// Bytes of a guest's memory if nothing is said.
const MEMORY: u64 = 64 << 20;
/// Most bytes of a guest's memory.
const MOST_MEMORY: u64 = 1 << 30;
/// Memory is given in units of this size.
const UNIT: u64 = 2 << 20;

/// What is asked for.
pub struct Options {
    /// Name of the image.
    pub image: &'static str,
    /// Bytes of the guest's memory.
    pub memory: u64,
    /// Whether the guest has no keyboard.
    pub background: bool,
}

/// What is wrong with the command line.
pub enum Mistake {
    /// No image is named.
    NoImage,
    /// This is not a size of memory.
    Memory(&'static str),
    /// Nobody knows what this is.
    Unknown(&'static str),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImage => f.write_str("which image?"),
            Self::Memory(text) => {
                write!(f, "`{text}` is no size for a guest: an even number from 8M to 1024M")
            }
            Self::Unknown(text) => write!(f, "what is `{text}`?"),
        }
    }
}

impl Options {
    /// Reads the words behind the program's name.
    pub fn read(mut words: impl Iterator<Item = &'static str>) -> Result<Self, Mistake> {
        let image = words.next().ok_or(Mistake::NoImage)?;
        let mut options = Self { image, memory: MEMORY, background: false };
        for word in words {
            if word == "--background" {
                options.background = true;
            } else if word.starts_with(|first: char| first.is_ascii_digit()) {
                options.memory = memory(word).ok_or(Mistake::Memory(word))?;
            } else {
                return Err(Mistake::Unknown(word));
            }
        }
        Ok(options)
    }
}

fn memory(text: &str) -> Option<u64> {
    let number: u64 = text.strip_suffix(['M', 'm'])?.parse().ok()?;
    let bytes = number.checked_mul(1 << 20)?;
    ((LEAST_MEMORY..=MOST_MEMORY).contains(&bytes) && bytes.is_multiple_of(UNIT)).then_some(bytes)
}
