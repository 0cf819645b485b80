//! What a program is given: a name in its environment and what is behind it.

use postern_abi::Rights;

use crate::cursor::Cursor;
use crate::list::Element;

/// One capability of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability<'a> {
    /// What the program calls it.
    pub name: &'a str,
    /// What it is.
    pub object: Object<'a>,
}

/// What a capability is. The numbers of the format are those of
/// `Object::number`; what follows each is its fields in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object<'a> {
    /// The kernel's log, to write.
    Log,
    /// The scheduler without the right to set anything: time, idle time,
    /// number of switches.
    Clock,
    /// The boot archive, to read.
    Archive,
    /// The scheduler with the right to turn the kernel's trace on.
    Trace,
    /// The right to set priorities up to `maximum`.
    Scheduler {
        /// The highest priority that it can set.
        maximum: u8,
    },
    /// A range of I/O ports.
    Ports {
        /// The first one.
        first: u16,
        /// How many; at least 1.
        count: u32,
    },
    /// An interrupt line.
    Irq {
        /// Its number.
        line: u32,
    },
    /// A second factory, with a quota of its own.
    Factory {
        /// Bytes that can be charged to it.
        quota: u64,
    },
    /// A gate to another program.
    Gate(GateTo<'a>),
}

/// A gate that a program may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateTo<'a> {
    /// The program that it is bound to, or [`crate::INIT`].
    pub server: &'a str,
    /// The rights of the client's capability: W and S show in the label's low
    /// bits, GRANT lets the client hand it on.
    pub rights: Rights,
    /// The label that the server sees, a multiple of 4; `None`: one that no
    /// other client has.
    pub label: Option<u64>,
}

impl Object<'_> {
    /// The number that tells what it is.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Clock => 2,
            Self::Archive => 3,
            Self::Scheduler { .. } => 4,
            Self::Ports { .. } => 5,
            Self::Irq { .. } => 6,
            Self::Factory { .. } => 7,
            Self::Gate(_) => 8,
            Self::Trace => 9,
        }
    }
}

impl<'a> Element<'a> for Capability<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let name = cursor.text()?;
        let object = match cursor.u8()? {
            1 => Object::Log,
            2 => Object::Clock,
            3 => Object::Archive,
            4 => Object::Scheduler { maximum: cursor.u8()? },
            5 => Object::Ports { first: cursor.u16()?, count: cursor.u32()? },
            6 => Object::Irq { line: cursor.u32()? },
            7 => Object::Factory { quota: cursor.u64()? },
            9 => Object::Trace,
            8 => {
                let server = cursor.text()?;
                let rights = Rights::from_bits(cursor.u8()?)?;
                // 0 is no label that a manifest can ask for.
                let label = Some(cursor.u64()?).filter(|label| *label != 0);
                Object::Gate(GateTo { server, rights, label })
            }
            _ => return None,
        };
        Some(Self { name, object })
    }
}
