//! The environment of a program (docs/abi.md section 9): who started it tells
//! it here which capabilities it has, by name. The kernel knows nothing of it.
//!
//! A page-aligned, read-only block of little-endian 8-byte words. Header:
//! [`MAGIC`], ABI version, bytes in use. Then records: kind | bytes of the
//! whole record << 32, two values, and a name of up to the rest of the record,
//! NUL-padded to a multiple of 8. The first thread starts with the block's
//! address in rdi and its length in rsi.

/// First word of an environment.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PSTNENV\x01");

/// A capability: value 1 is its slot, value 2 its kind.
pub const CAPABILITY: u32 = 1;
/// An argument: the name is its text, value 1 its position.
pub const ARGUMENT: u32 = 2;
/// A mapped region: value 1 its address, value 2 its bytes; names: `heap`,
/// `stack`, `image`.
pub const REGION: u32 = 3;
/// Slots from value 1 up to but not including value 2 are empty.
pub const FREE_SLOTS: u32 = 4;
/// A segment of the program's image: value 1 its address, value 2 bytes |
/// rights << 56. The name is the name of a capability to its memory.
pub const SEGMENT: u32 = 5;
/// The program serves behind its entry, a capability called [`name::ENTRY`]:
/// value 1 is the number of contexts that it is to have.
pub const CONTEXTS: u32 = 6;
/// Value 1: the how manieth instance of this program it is; the first is 1.
pub const GENERATION: u32 = 7;

/// Bytes of the header.
pub const HEADER: usize = 24;
/// Bytes of a record without its name.
pub const RECORD: usize = 24;

/// Names that every program can rely on.
pub mod name {
    /// The program's own task.
    pub const TASK: &str = "task";
    /// Its first thread.
    pub const THREAD: &str = "thread";
    /// Its factory.
    pub const FACTORY: &str = "factory";
    /// The kernel's log.
    pub const LOG: &str = "log";
    /// The entry behind which it serves.
    pub const ENTRY: &str = "entry";
}

/// One record of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// [`CAPABILITY`], [`ARGUMENT`], ...
    pub kind: u32,
    /// First value; see the kinds.
    pub first: u64,
    /// Second value; see the kinds.
    pub second: u64,
    /// The name; empty if it is not UTF-8.
    pub name: &'a str,
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// The records of the environment in `bytes`; none if it is malformed.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let end = match (word(bytes, 0), word(bytes, 16)) {
        (Some(MAGIC), Some(end)) => usize::try_from(end).unwrap_or(0).min(bytes.len()),
        _ => 0,
    };
    let mut at = HEADER;
    core::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let head = word(bytes, at)?;
        let size = usize::try_from(head >> 32).ok()?;
        let record = bytes.get(at..at.checked_add(size)?)?;
        let name = record.get(RECORD..)?;
        let used = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        at += size;
        Some(Record {
            kind: head as u32,
            first: word(record, 8)?,
            second: word(record, 16)?,
            name: core::str::from_utf8(&name[..used]).unwrap_or(""),
        })
    })
}

/// The ABI version that the environment in `bytes` was written for.
#[must_use]
pub fn version(bytes: &[u8]) -> Option<u64> {
    (word(bytes, 0)? == MAGIC).then(|| word(bytes, 8))?
}

/// Writes an environment into a buffer.
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    used: usize,
}

impl<'a> Writer<'a> {
    /// Starts an environment in `bytes`; `None` if not even the header fits.
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Option<Self> {
        let header = bytes.get_mut(..HEADER)?;
        header[..8].copy_from_slice(&MAGIC.to_le_bytes());
        header[8..16].copy_from_slice(&u64::from(crate::ABI_VERSION).to_le_bytes());
        header[16..24].copy_from_slice(&(HEADER as u64).to_le_bytes());
        Some(Self { bytes, used: HEADER })
    }

    /// Appends a record; `None` (and nothing written) if it does not fit.
    #[must_use]
    pub fn push(&mut self, kind: u32, first: u64, second: u64, name: &str) -> Option<()> {
        let size = RECORD + name.len().next_multiple_of(8);
        let record = self.bytes.get_mut(self.used..self.used.checked_add(size)?)?;
        record.fill(0);
        let head = u64::from(kind) | (size as u64) << 32;
        record[..8].copy_from_slice(&head.to_le_bytes());
        record[8..16].copy_from_slice(&first.to_le_bytes());
        record[16..24].copy_from_slice(&second.to_le_bytes());
        record[RECORD..RECORD + name.len()].copy_from_slice(name.as_bytes());
        self.used += size;
        self.bytes[16..24].copy_from_slice(&(self.used as u64).to_le_bytes());
        Some(())
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is no record yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == HEADER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = [0; 256];
        let mut writer = Writer::new(&mut bytes).expect("fits");
        writer.push(CAPABILITY, 7, 4, "console").expect("fits");
        writer.push(ARGUMENT, 0, 0, "8 bytes!").expect("fits");
        let read: [Record<'_>; 2] = {
            let mut all = records(&bytes);
            [all.next().expect("first"), all.next().expect("second")]
        };
        assert_eq!(read[0], Record { kind: CAPABILITY, first: 7, second: 4, name: "console" });
        assert_eq!(read[1].name, "8 bytes!");
        assert_eq!(records(&bytes).count(), 2);
        assert_eq!(version(&bytes), Some(u64::from(crate::ABI_VERSION)));
    }

    #[test]
    fn malformed_input_ends_the_records() {
        assert_eq!(records(&[]).count(), 0);
        let mut bytes = [0; 64];
        Writer::new(&mut bytes).expect("fits").push(CAPABILITY, 1, 1, "x").expect("fits");
        bytes[28] = 0;
        assert_eq!(records(&bytes).count(), 0, "a record of size zero");
        bytes[28] = 255;
        assert_eq!(records(&bytes).count(), 0, "a record past the end");
    }
}
