//! What can be seen of a running program: its capabilities in words, and what
//! the supervisor wrote into its log.

use core::fmt;

use postern_interface::{Full, Malformed, Reader, Text, Wire, Writer};
use postern_syscall::abi::rights::{Kind, Rights};

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
            Some(Kind::Gate) if *second == u64::MAX => write!(f, "bound to no thread"),
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
            Some(Kind::Scheduler) if self.0.rights.contains(Rights::D) => {
                write!(f, "to trace the system")
            }
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

/// Slot, kind, rights, both names, both details.
impl<'w> Wire<'w> for CapabilityInfo {
    const WORDS: usize = 3 + 2 * Name::WORDS + 2;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        let kind = self.kind.map_or(0, |kind| kind as u8);
        (self.slot, kind, self.rights.bits()).put(to)?;
        (self.name, self.partner, self.details).put(to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        let (slot, kind, rights) = <(u32, u8, u8)>::take(from)?;
        let (name, partner, details) = Wire::take(from)?;
        let (kind, rights) = (Kind::decode(kind.into()), Rights::from_bits_retain(rights));
        Ok(Self { slot, kind, rights, name, partner, details })
    }
}

/// A line of the supervisor's log.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine {
    /// Its number; lines are numbered from 0 on, old ones are forgotten.
    pub number: u64,
    /// When it was written, in nanoseconds since boot.
    pub time: u64,
    /// What it says; what is longer is cut.
    pub text: Text<MAX_LINE>,
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
            (Kind::Gate, [0, u64::MAX], "bound to no thread"),
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
}
