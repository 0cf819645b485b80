//! Slots of capability tables: look up, put in, derive, take out.
//!
//! All capabilities come and go through here, so that the derivation tree and
//! the objects' counts of capabilities are always right.

use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber, Rights};
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::tree::{self, Links, Nodes};
use crate::cap::{Node, NodeId, Slot, SlotId, Target};
use crate::ipc::AbortReason;
use crate::machine::Machine;
use crate::object::{Header, Mapping, Task};

use postern_arena::Arena;

/// The links of slots and mappings, borrowed together.
struct Linked<'a, M: Machine> {
    tasks: &'a mut Arena<Task<M>>,
    mappings: &'a mut Arena<Mapping<M>>,
}

impl<M: Machine> Nodes for Linked<'_, M> {
    fn links(&mut self, id: NodeId) -> &mut Links {
        match id.node() {
            Node::Slot(id) => {
                let task = self.tasks.nth_mut(id.task()).expect("a linked slot has a task");
                &mut task.table[id.slot() as usize].links
            }
            Node::Mapping(index) => {
                &mut self.mappings.nth_mut(index).expect("a linked mapping exists").links
            }
        }
    }
}

impl<M: Machine> Kernel<M> {
    /// The capability in a slot, and its object checked to exist.
    ///
    /// `argument` is what an error names.
    pub(crate) fn lookup(
        &self,
        task: Ref<Task<M>>,
        slot: u64,
        argument: u8,
    ) -> Result<(Target, Rights), ErrorCode> {
        let missing = ErrorCode::new(ErrorNumber::NotExistent, argument);
        let task = self.tasks.get(task).ok_or(missing)?;
        let slot = usize::try_from(slot).ok().and_then(|slot| task.table.get(slot));
        let slot = slot.ok_or(missing)?;
        let target = slot.target().ok_or(missing)?;
        if self.exists(target) { Ok((target, slot.rights())) } else { Err(missing) }
    }

    /// Whether the object is there and not being taken apart.
    pub(crate) fn exists(&self, target: Target) -> bool {
        match target.kind {
            Kind::Irq => (target.index as usize) < self.irqs.len(),
            Kind::Scheduler | Kind::Log => true,
            Kind::Reply => {
                let caller = self.threads.get(target.reference());
                caller.is_some_and(|thread| thread.awaits(target.extra))
            }
            _ => self.header(target).is_some_and(|header| !header.dying),
        }
    }

    /// The header of the object, if its kind has one and it is there (even if
    /// it is being taken apart).
    pub(crate) fn header(&self, target: Target) -> Option<&Header> {
        match target.kind {
            Kind::Factory => self.factories.get(target.reference()).map(|o| &o.header),
            Kind::Task => self.tasks.get(target.reference()).map(|o| &o.header),
            Kind::Thread => self.threads.get(target.reference()).map(|o| &o.header),
            Kind::Gate => self.gates.get(target.reference()).map(|o| &o.header),
            Kind::Entry => self.entries.get(target.reference()).map(|o| &o.header),
            Kind::Memory => self.memories.get(target.reference()).map(|o| &o.header),
            Kind::Notification => self.notifications.get(target.reference()).map(|o| &o.header),
            Kind::IoPort => self.ports.get(target.reference()).map(|o| &o.header),
            Kind::Relay => self.relays.get(target.reference()).map(|o| &o.header),
            Kind::Irq => self.irqs.get(target.index as usize).map(|irq| &irq.header),
            Kind::Scheduler => Some(&self.scheduler),
            Kind::Log => Some(&self.log),
            Kind::Reply => None,
        }
    }

    /// As [`Kernel::header`], to change it.
    pub(crate) fn header_mut(&mut self, target: Target) -> Option<&mut Header> {
        match target.kind {
            Kind::Factory => self.factories.get_mut(target.reference()).map(|o| &mut o.header),
            Kind::Task => self.tasks.get_mut(target.reference()).map(|o| &mut o.header),
            Kind::Thread => self.threads.get_mut(target.reference()).map(|o| &mut o.header),
            Kind::Gate => self.gates.get_mut(target.reference()).map(|o| &mut o.header),
            Kind::Entry => self.entries.get_mut(target.reference()).map(|o| &mut o.header),
            Kind::Memory => self.memories.get_mut(target.reference()).map(|o| &mut o.header),
            Kind::Notification => {
                self.notifications.get_mut(target.reference()).map(|o| &mut o.header)
            }
            Kind::IoPort => self.ports.get_mut(target.reference()).map(|o| &mut o.header),
            Kind::Relay => self.relays.get_mut(target.reference()).map(|o| &mut o.header),
            Kind::Irq => self.irqs.get_mut(target.index as usize).map(|irq| &mut irq.header),
            Kind::Scheduler => Some(&mut self.scheduler),
            Kind::Log => Some(&mut self.log),
            Kind::Reply => None,
        }
    }

    fn linked(&mut self) -> Linked<'_, M> {
        Linked { tasks: &mut self.tasks, mappings: &mut self.mappings }
    }

    /// Checks that `slot` of `task` can take a capability: `NoWindow` for
    /// slot 0, `Inval` out of range, `Exists` in use. A capability whose object
    /// is gone does not count.
    pub(crate) fn check_empty(
        &self,
        task: Ref<Task<M>>,
        slot: u64,
        argument: u8,
    ) -> Result<SlotId, ErrorCode> {
        let error = |number| Err(ErrorCode::new(number, argument));
        let Some(at) = self.tasks.get(task) else { return error(ErrorNumber::NotExistent) };
        if slot == 0 {
            return error(ErrorNumber::NoWindow);
        }
        let Some(found) = usize::try_from(slot).ok().and_then(|slot| at.table.get(slot)) else {
            return error(ErrorNumber::Inval);
        };
        match found.target() {
            Some(target) if self.exists(target) => error(ErrorNumber::Exists),
            _ => Ok(SlotId::new(task.index(), slot as u32)),
        }
    }

    /// The slot with this id.
    pub(crate) fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.tasks.nth(id.task())?.table.get(id.slot() as usize)
    }

    /// Puts a capability into a slot that [`Kernel::check_empty`] has passed,
    /// derived from `parent` or as a root.
    pub(crate) fn install(
        &mut self,
        at: SlotId,
        target: Target,
        rights: Rights,
        parent: Option<NodeId>,
    ) {
        // A capability of a dead object may still be there, with children.
        self.clear(at);
        let Some(task) = self.tasks.nth_mut(at.task()) else { return };
        let Some(slot) = task.table.get_mut(at.slot() as usize) else { return };
        *slot = Slot::new(target, rights);
        task.slots_used += 1;
        if let Some(header) = self.header_mut(target) {
            header.capabilities += 1;
        }
        if let Some(parent) = parent {
            tree::adopt(&mut self.linked(), parent, NodeId::slot(at));
        }
    }

    /// `node` comes behind a sibling that was just adopted.
    pub(crate) fn follow(&mut self, node: NodeId, first: NodeId) {
        tree::follow(&mut self.linked(), node, first);
    }

    /// Makes a mapping record a child of the capability it was made with.
    pub(crate) fn adopt_mapping(&mut self, parent: SlotId, mapping: u32) {
        tree::adopt(&mut self.linked(), NodeId::slot(parent), NodeId::mapping(mapping));
    }

    /// Takes a mapping record out of the derivation tree.
    pub(crate) fn unlink_mapping(&mut self, mapping: u32) {
        tree::remove(&mut self.linked(), NodeId::mapping(mapping));
    }

    /// Moves a capability to a slot that [`Kernel::check_empty`] has passed.
    pub(crate) fn move_slot(&mut self, from: SlotId, to: SlotId) {
        let Some(slot) = self.slot(from).copied() else { return };
        let Some(target) = slot.target() else { return };
        self.clear(to);
        if let Some(task) = self.tasks.nth_mut(to.task()) {
            task.table[to.slot() as usize] = Slot::new(target, slot.rights());
            task.slots_used += 1;
        }
        tree::replace(&mut self.linked(), NodeId::slot(from), NodeId::slot(to));
        if let Some(task) = self.tasks.nth_mut(from.task()) {
            task.table[from.slot() as usize] = Slot::default();
            task.slots_used -= 1;
        }
    }

    /// Empties a slot: the capability goes, what was derived from it stays.
    /// The object goes with its last capability; a right to answer that goes
    /// aborts the caller.
    pub(crate) fn clear(&mut self, at: SlotId) {
        let Some(target) = self.slot(at).and_then(Slot::target) else { return };
        tree::remove(&mut self.linked(), NodeId::slot(at));
        if let Some(task) = self.tasks.nth_mut(at.task()) {
            task.table[at.slot() as usize] = Slot::default();
            task.slots_used -= 1;
        }
        if target.kind == Kind::Reply {
            self.abort_caller(target.reference(), target.extra, AbortReason::Dropped);
            return;
        }
        let Some(header) = self.header_mut(target) else { return };
        header.capabilities -= 1;
        if header.capabilities == 0 {
            self.destroy(target);
        }
    }
}
