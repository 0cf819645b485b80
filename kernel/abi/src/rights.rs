//! Rights of a capability (docs/abi.md section 4), and the kinds of objects.

bitflags::bitflags! {
    /// What the holder of a capability may do. `W`, `S`, `R` and `D` have the
    /// values that L4Re gives them; the low two are what a gate shows to its
    /// server in the two low bits of the label.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Rights: u8 {
        /// Write: change the object (map into a task, start a thread, ...).
        const W = 1;
        /// Special: bind to it, create with it.
        const S = 2;
        /// Read: get its state, map it readable.
        const R = 4;
        /// Destroy the object itself, for everybody; empty a factory, split
        /// memory.
        const D = 8;
        /// Hand the capability on to another task.
        const GRANT = 16;
        /// Gates: operate the gate itself (L4Re: `L4_FPAGE_C_IPCGATE_SVR`).
        const SERVER = 32;
        /// Memory: map executable.
        const X = 64;
        /// Memory: ask for the physical address.
        const PHYS = 128;
    }
}

/// Kinds of kernel objects, as seen in creation and in capability lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A factory: creates objects on its quota.
    Factory = 1,
    /// An address space with a capability table.
    Task = 2,
    /// A thread.
    Thread = 3,
    /// An IPC gate.
    Gate = 4,
    /// Mappable physical memory.
    Memory = 5,
    /// A word of signal bits.
    Notification = 6,
    /// A hardware interrupt line.
    Irq = 7,
    /// A range of x86 I/O ports.
    IoPort = 8,
    /// The right to set priorities.
    Scheduler = 9,
    /// The kernel's serial log.
    Log = 10,
    /// A saved right to answer: a slot value, not an object.
    Reply = 11,
    /// Where crossings arrive: a handler of a task, with contexts.
    Entry = 12,
    /// A relay segment: memory that changes hands instead of being copied.
    Relay = 13,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Factory,
        Self::Task,
        Self::Thread,
        Self::Gate,
        Self::Memory,
        Self::Notification,
        Self::Irq,
        Self::IoPort,
        Self::Scheduler,
        Self::Log,
        Self::Reply,
        Self::Entry,
        Self::Relay,
    ];

    /// The kind with this number.
    #[inline]
    #[must_use]
    pub const fn decode(number: u64) -> Option<Self> {
        // Written out, so that it becomes a range check: every use of a
        // capability comes through here.
        Some(match number {
            1 => Self::Factory,
            2 => Self::Task,
            3 => Self::Thread,
            4 => Self::Gate,
            5 => Self::Memory,
            6 => Self::Notification,
            7 => Self::Irq,
            8 => Self::IoPort,
            9 => Self::Scheduler,
            10 => Self::Log,
            11 => Self::Reply,
            12 => Self::Entry,
            13 => Self::Relay,
            _ => return None,
        })
    }

    /// The kind in words, for messages to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Factory => "factory",
            Self::Task => "task",
            Self::Thread => "thread",
            Self::Gate => "gate",
            Self::Memory => "memory",
            Self::Notification => "notification",
            Self::Irq => "interrupt",
            Self::IoPort => "I/O ports",
            Self::Scheduler => "scheduler",
            Self::Log => "log",
            Self::Reply => "right to answer",
            Self::Entry => "entry",
            Self::Relay => "relay segment",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn kinds_are_numbered_in_order() {
        assert!(Kind::ALL.is_sorted_by(|a, b| (*a as u8) < *b as u8));
        for number in 0..=255 {
            let known = Kind::ALL.into_iter().find(|kind| *kind as u64 == number);
            assert_eq!(Kind::decode(number), known);
        }
    }
}
