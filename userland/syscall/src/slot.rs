//! Slots, capability items, and what all typed handles have in common.

use abi::rights::Kind;
use core::fmt;
use postern_abi as abi;

use crate::Rights;

/// A place in the calling task's capability table. Any number can be written
/// here: what is in the slot, the kernel checks at every use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

impl Slot {
    /// Slot 0, which is always empty: "no capability".
    pub const NULL: Self = Self(0);

    /// The slot with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number as it travels in a register.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0 as u64
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A capability item of a message: which capability, with which rights at
/// most, and whether it is handed over for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The sender's slot.
    pub slot: Slot,
    /// The receiver gets the sender's rights AND these.
    pub rights: Rights,
    /// Whether the sender's capability is deleted on delivery.
    pub moved: bool,
}

impl Item {
    /// The capability in `slot` with all rights that the sender has.
    #[must_use]
    pub const fn all(slot: Slot) -> Self {
        Self { slot, rights: Rights::all(), moved: false }
    }

    /// The capability in `slot` with at most `rights`.
    #[must_use]
    pub const fn with(slot: Slot, rights: Rights) -> Self {
        Self { slot, rights, moved: false }
    }

    /// The capability in `slot`, handed over for good.
    #[must_use]
    pub const fn moved(slot: Slot) -> Self {
        Self { slot, rights: Rights::all(), moved: true }
    }

    /// The two words of the item in the UTCB.
    #[inline]
    #[must_use]
    pub const fn encode(self) -> [u64; 2] {
        let moved = if self.moved { abi::utcb::ITEM_MOVE } else { 0 };
        [self.slot.word(), self.rights.bits() as u64 | moved]
    }
}

/// A typed handle: a slot number, and the kind of object that its holder
/// expects there. Wrong expectations are found by the kernel: an operation of
/// another kind is `NoSys`, an item of another kind `Inval`.
pub trait Capability: Copy {
    /// The kind of object.
    const KIND: Kind;

    /// The handle for the capability in `slot`.
    fn from_slot(slot: Slot) -> Self;

    /// The slot of the capability.
    fn slot(self) -> Slot;

    /// The capability as an item of a message, with at most `rights`.
    fn item(self, rights: Rights) -> Item {
        Item::with(self.slot(), rights)
    }
}

/// Declares a handle type over a slot.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub(crate) $crate::Slot);

        impl $name {
            /// The handle for the capability in `slot`.
            #[must_use]
            pub const fn new(slot: $crate::Slot) -> Self {
                Self(slot)
            }
        }

        impl $crate::Capability for $name {
            const KIND: $crate::abi::rights::Kind = $crate::abi::rights::Kind::$name;

            fn from_slot(slot: $crate::Slot) -> Self {
                Self(slot)
            }

            #[inline(always)]
            fn slot(self) -> $crate::Slot {
                self.0
            }
        }
    };
}
pub(crate) use handle;
