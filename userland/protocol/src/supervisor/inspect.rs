//! What can be seen of a running program: its capabilities in words, and what
//! the supervisor wrote into its log.

use core::fmt;

use postern_syscall::abi::rights::{Kind, Rights};
use postern_syscall::{Malformed, Message, Reader};

use crate::Name;

/// Most bytes of one line of the log.
pub const MAX_LINE: usize = 400;

/// The second detail of a gate of which nobody knows where it leads.
pub const UNKNOWN: u64 = u64::MAX - 1;

/// One capability of a running program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilityInfo {
    /// Its slot.
    pub slot: u32,
    /// What is in it; `None` if the supervisor does not know the kind.
    pub kind: Option<Kind>,
    /// With which rights.
    pub rights: Rights,
    /// What the program was told it is called; empty for what it made itself.
    pub name: Name,
    /// The program that answers a gate, or that a task or thread belongs to;
    /// empty if unknown.
    pub partner: Name,
    /// Two details by kind, as the kernel lists them for whoever may see them.
    pub details: [u64; 2],
}

impl CapabilityInfo {
    pub(super) fn write(&self, message: &mut Message) -> Result<(), Malformed> {
        let kind = self.kind.map_or(0, |kind| kind as u64);
        for word in [self.slot.into(), kind, self.rights.bits().into()] {
            message.push(word)?;
        }
        self.name.write(message)?;
        self.partner.write(message)?;
        self.details.into_iter().try_for_each(|word| message.push(word))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            slot: u32::try_from(reader.word()?).map_err(|_| Malformed)?,
            kind: Kind::decode(reader.word()?),
            rights: Rights::from_bits_truncate(reader.word()? as u8),
            name: Name::read(reader)?,
            partner: Name::read(reader)?,
            details: [reader.word()?, reader.word()?],
        })
    }

    /// What it names, in words.
    #[must_use]
    pub const fn target(&self) -> Target<'_> {
        Target(self)
    }

    /// Its rights as letters.
    #[must_use]
    pub const fn rights_letters(&self) -> Letters {
        Letters(self.rights)
    }
}

/// What a capability names, for people.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a>(&'a CapabilityInfo);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CapabilityInfo { kind, partner, details: [first, second], .. } = self.0;
        let partner = partner.as_str();
        match kind {
            Some(Kind::Gate) if *second == u64::MAX => write!(f, "bound to nobody"),
            Some(Kind::Gate) if *second == UNKNOWN => {
                write!(f, "to a server that init does not know")
            }
            Some(Kind::Gate) if partner.is_empty() => {
                write!(f, "to thread {second}, label {first:#x}")
            }
            Some(Kind::Gate) => write!(f, "to {partner}, label {first:#x}"),
            Some(Kind::Memory) => write!(f, "{} KiB, mapped {second} times", first / 1024),
            Some(Kind::Factory) => {
                write!(f, "{} KiB used of {} KiB", second / 1024, first / 1024)
            }
            Some(Kind::IoPort) => {
                write!(
                    f,
                    "ports {first:#x} to {:#x}",
                    first.saturating_add(*second).wrapping_sub(1)
                )
            }
            Some(Kind::Thread) => write!(f, "priority {first}"),
            Some(Kind::Irq) => write!(f, "line {first}"),
            Some(Kind::Scheduler) if !self.0.rights.contains(Rights::W) => {
                write!(f, "to read the time")
            }
            Some(Kind::Scheduler) => write!(f, "priorities up to {first}"),
            Some(Kind::Log) => write!(f, "of the kernel"),
            _ => Ok(()),
        }
    }
}

/// Rights as letters, in the order of their bits from the top: `g-drsw`-like.
#[derive(Debug, Clone, Copy)]
pub struct Letters(Rights);

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (Rights::R, 'r'),
            (Rights::W, 'w'),
            (Rights::S, 's'),
            (Rights::X, 'x'),
            (Rights::D, 'd'),
            (Rights::GRANT, 'g'),
            (Rights::SERVER, 'v'),
            (Rights::PHYS, 'p'),
        ];
        let mut text = [b'-'; 8];
        for (place, (right, letter)) in text.iter_mut().zip(letters) {
            if self.0.contains(right) {
                *place = letter as u8;
            }
        }
        f.pad(core::str::from_utf8(&text).unwrap_or(""))
    }
}

/// A line of the supervisor's log, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// Its number; lines are numbered from 0 on, old ones are forgotten.
    pub number: u64,
    /// When it was written, in nanoseconds since boot.
    pub time: u64,
    /// What it says, at most [`MAX_LINE`] bytes.
    pub text: &'a str,
}

impl LogLine<'_> {
    pub(super) fn write(&self, message: &mut Message) -> Result<(), Malformed> {
        let mut length = self.text.len().min(MAX_LINE);
        while !self.text.is_char_boundary(length) {
            length -= 1;
        }
        message.push(self.number)?;
        message.push(self.time)?;
        message.push_bytes(&self.text.as_bytes()[..length])
    }
}

/// A line of the supervisor's log, as it arrives.
#[derive(Clone, Copy)]
pub struct ReceivedLine {
    /// Its number.
    pub number: u64,
    /// When it was written, in nanoseconds since boot.
    pub time: u64,
    length: usize,
    bytes: [u8; MAX_LINE],
}

impl ReceivedLine {
    /// What it says.
    #[must_use]
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (number, time) = (reader.word()?, reader.word()?);
        let mut bytes = [0; MAX_LINE];
        let length = reader.bytes(&mut bytes)?;
        Ok(Self { number, time, length, bytes })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    fn info(kind: Kind, details: [u64; 2]) -> CapabilityInfo {
        CapabilityInfo {
            slot: 4,
            kind: Some(kind),
            rights: Rights::R | Rights::W,
            name: Name::new("one"),
            partner: Name::new(""),
            details,
        }
    }

    #[test]
    fn every_kind_is_told_in_words() {
        for (kind, details, expected) in [
            (Kind::Gate, [0x100, 7], "to thread 7, label 0x100"),
            (Kind::Gate, [0, u64::MAX], "bound to nobody"),
            (Kind::Memory, [8192, 2], "8 KiB, mapped 2 times"),
            (Kind::Factory, [1 << 20, 4096], "4 KiB used of 1024 KiB"),
            (Kind::IoPort, [0x3f8, 8], "ports 0x3f8 to 0x3ff"),
            (Kind::Irq, [4, 0], "line 4"),
            (Kind::Scheduler, [150, 0], "priorities up to 150"),
            (Kind::Thread, [100, 1], "priority 100"),
            (Kind::Task, [0, 0], ""),
        ] {
            assert_eq!(info(kind, details).target().to_string(), expected);
        }
        let gate = CapabilityInfo { partner: Name::new("console"), ..info(Kind::Gate, [4, 7]) };
        assert_eq!(gate.target().to_string(), "to console, label 0x4");
        assert_eq!(gate.rights_letters().to_string(), "rw------");
    }

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::new(1);
        let sent = info(Kind::Memory, [1, 2]);
        sent.write(&mut message).expect("fits");
        assert_eq!(CapabilityInfo::read(&mut message.reader()), Ok(sent));
        let mut message = Message::new(1);
        let long = "ä".repeat(MAX_LINE);
        LogLine { number: 3, time: 4, text: &long }.write(&mut message).expect("fits");
        let line = ReceivedLine::read(&mut message.reader()).expect("well-formed");
        assert_eq!((line.number, line.time, line.text().len()), (3, 4, MAX_LINE));
    }
}
