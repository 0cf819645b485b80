//! A slot of a capability table: 32 bytes, two of them a cache line.

use postern_abi::Rights;
use postern_abi::rights::Kind;
use postern_arena::Ref;

use super::tree::Links;

/// Names a slot of any task: arena index of the task and number of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(u32);

impl SlotId {
    /// Most tasks that can exist at one time: bits 30 and 31 are for
    /// [`NodeId`] and for the tree's own mark.
    pub const MAX_TASKS: u32 = 1 << 14;
    /// Most slots of one table.
    pub const MAX_SLOTS: u32 = 1 << 16;

    /// The slot `slot` of the task with arena index `task`. Both must be below
    /// their maximum; higher bits are cut off.
    #[must_use]
    pub const fn new(task: u32, slot: u32) -> Self {
        Self((task % Self::MAX_TASKS) << 16 | (slot % Self::MAX_SLOTS))
    }

    /// Arena index of the task.
    #[must_use]
    pub const fn task(self) -> u32 {
        self.0 >> 16
    }

    /// Number of the slot in the task's table.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 & 0xffff
    }
}

/// A node of the derivation tree: a slot or a mapping record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

/// What a [`NodeId`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A capability.
    Slot(SlotId),
    /// A mapping, by its index in the arena of mappings.
    Mapping(u32),
}

impl NodeId {
    const MAPPING: u32 = 1 << 31;

    /// The node of a slot.
    #[must_use]
    pub const fn slot(id: SlotId) -> Self {
        Self(id.0)
    }

    /// The node of a mapping record (index below 2^30).
    #[must_use]
    pub const fn mapping(index: u32) -> Self {
        Self(index | Self::MAPPING)
    }

    /// What it names.
    #[must_use]
    pub const fn node(self) -> Node {
        if self.0 & Self::MAPPING != 0 {
            Node::Mapping(self.0 & !Self::MAPPING)
        } else {
            Node::Slot(SlotId(self.0))
        }
    }
}

/// Which object a capability names. Index and generation are those of the
/// arena of its kind; [`Kind::Scheduler`] keeps its maximum priority in
/// `index`, [`Kind::Log`] is one for all, and [`Kind::Reply`] names the thread
/// that waits, with the number of its call in `extra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Kind of the object.
    pub kind: Kind,
    /// Index in the arena of that kind.
    pub index: u32,
    /// Generation there.
    pub generation: u32,
    /// A detail by kind.
    pub extra: u32,
}

impl Target {
    /// The object behind a reference.
    #[must_use]
    pub const fn new<T>(kind: Kind, reference: Ref<T>) -> Self {
        Self { kind, index: reference.index(), generation: reference.generation(), extra: 0 }
    }

    /// A target without an object of its own.
    #[must_use]
    pub const fn value(kind: Kind, index: u32) -> Self {
        // As a slot gives it back, which keeps odd generations only.
        Self { kind, index, generation: 1, extra: 0 }
    }

    /// The reference into the arena of its kind. The caller has looked at
    /// `kind`.
    #[must_use]
    pub const fn reference<T>(self) -> Ref<T> {
        Ref::new(self.index, self.generation)
    }
}

/// A slot: empty, or a capability with its place in the derivation tree.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Slot {
    /// Index and generation, one word for the path of a call.
    name: Ref<()>,
    kind: u8,
    rights: u8,
    /// The rights as a gate shows them in the low bits of the label.
    shown: u8,
    extra: u32,
    /// Place in the derivation tree.
    pub links: Links,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            name: Ref::new(0, 0),
            kind: 0,
            rights: 0,
            shown: 0,
            extra: 0,
            links: Links::default(),
        }
    }
}

impl Slot {
    /// A slot with a capability that is in no tree yet.
    #[must_use]
    pub fn new(target: Target, rights: Rights) -> Self {
        Self {
            kind: target.kind as u8,
            rights: rights.bits(),
            shown: (rights & (Rights::W | Rights::S)).bits(),
            name: Ref::new(target.index, target.generation),
            extra: target.extra,
            links: Links::default(),
        }
    }

    /// What it names; `None` when it is empty.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let kind = Kind::decode(u64::from(self.kind))?;
        let (index, generation) = (self.name.index(), self.name.generation());
        Some(Target { kind, index, generation, extra: self.extra })
    }

    /// Whether it holds a capability of this kind.
    #[inline(always)]
    #[must_use]
    pub const fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u8
    }

    /// The reference of the object; the caller has looked at the kind.
    #[inline(always)]
    #[must_use]
    pub const fn reference<T>(&self) -> Ref<T> {
        self.name.cast()
    }

    /// The rights as a gate shows them in the low bits of the label.
    #[inline(always)]
    #[must_use]
    pub const fn shown_rights(&self) -> u64 {
        self.shown as u64
    }

    /// Whether there is no capability in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.kind == 0
    }

    /// The capability's rights.
    #[must_use]
    pub const fn rights(&self) -> Rights {
        Rights::from_bits_retain(self.rights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_half_a_cache_line() {
        assert_eq!(size_of::<Slot>(), 32);
        assert!(Slot::default().is_empty());
        assert_eq!(Slot::default().target(), None);
    }

    #[test]
    fn ids_keep_their_parts() {
        let id = SlotId::new(SlotId::MAX_TASKS - 1, SlotId::MAX_SLOTS - 1);
        assert_eq!((id.task(), id.slot()), (SlotId::MAX_TASKS - 1, SlotId::MAX_SLOTS - 1));
        assert_eq!(NodeId::slot(id).node(), Node::Slot(id));
        assert_eq!(NodeId::mapping(5).node(), Node::Mapping(5));
    }
}
