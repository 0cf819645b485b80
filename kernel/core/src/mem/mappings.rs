//! What is mapped where: the record of every mapping, found by task and
//! address, by memory, and by the capability that it was made with. Writing the
//! page tables is the machine's.

use postern_abi::{ErrorCode, ErrorNumber, PAGE, Rights};
use postern_arena::{Arena, Ref};

use super::tree::{TreeLinks, TreeNodes};
use crate::Kernel;
use crate::account::{NO_FRAMES, make_room, take_out};
use crate::cap::SlotId;
use crate::cap::tree::Links;
use crate::machine::Machine;
use crate::object::{Mapping, Memory, Task};

/// What a mapping record is charged, to the factory of its task. (Its size is
/// below this and does not depend on the machine.)
pub(crate) const MAPPING_COST: u64 = 128;

impl<M: Machine> TreeNodes for Arena<Mapping<M>> {
    fn links(&mut self, node: u32) -> &mut TreeLinks {
        &mut self.nth_mut(node).expect("a mapping in a tree exists").of_task
    }

    fn key(&self, node: u32) -> u64 {
        self.nth(node).expect("a mapping in a tree exists").at
    }
}

impl<M: Machine> Kernel<M> {
    /// The last mapping of a task that begins before `limit`, and its end.
    fn last_below(&mut self, task: Ref<Task<M>>, limit: u64) -> Option<(u64, u64)> {
        let tree = self.tasks.get(task)?.mappings;
        let index = tree.last_below(&mut self.mappings, limit)?;
        let mapping = self.mappings.nth(index)?;
        Some((mapping.at, mapping.at + mapping.pages * PAGE))
    }

    /// Whether something is mapped in `[start, end)`. Mappings do not overlap,
    /// so the last one that begins before `end` tells.
    fn is_mapped(&mut self, task: Ref<Task<M>>, start: u64, end: u64) -> bool {
        self.last_below(task, end).is_some_and(|(_, last)| last > start)
    }

    /// Whether an end of `[start, end)` lies inside of a mapping.
    pub(crate) fn is_cut(&mut self, task: Ref<Task<M>>, start: u64, end: u64) -> bool {
        self.last_below(task, start).is_some_and(|(_, last)| last > start)
            || self.last_below(task, end).is_some_and(|(_, last)| last > end)
    }

    /// First mapping that begins in `[start, end)`.
    pub(crate) fn mapping_in(&mut self, task: Ref<Task<M>>, start: u64, end: u64) -> Option<u32> {
        let tree = self.tasks.get(task)?.mappings;
        let index = tree.first_from(&mut self.mappings, start)?;
        (self.mappings.nth(index)?.at < end).then_some(index)
    }

    /// Makes the record of a mapping whose pages are still to be filled in.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of the record")]
    pub(crate) fn add_mapping(
        &mut self,
        reference: Ref<Task<M>>,
        memory_ref: Ref<Memory>,
        slot: SlotId,
        at: u64,
        offset: u64,
        bytes: u64,
        rights: Rights,
    ) -> Result<Ref<Mapping<M>>, ErrorCode> {
        let limit = self.slot(slot).map_or(rights, |slot| slot.rights());
        if self.is_mapped(reference, at, at + bytes) {
            return Err(ErrorCode::new(ErrorNumber::Exists, 1));
        }
        let gone = ErrorCode::new(ErrorNumber::NotExistent, 0);
        let factory = self.tasks.get(reference).ok_or(gone)?.header.factory;
        let of_memory = self.memories.get(memory_ref).ok_or(gone)?.mappings;
        self.charge(factory, MAPPING_COST)?;
        if let Err(error) = make_room(&mut self.mappings, &mut self.machine, &mut self.frames) {
            self.refund(factory, MAPPING_COST);
            return Err(error);
        }
        let mapping = Mapping {
            links: Links::default(),
            task: reference,
            memory: memory_ref,
            at,
            pages: bytes / PAGE,
            first: offset / PAGE,
            rights,
            limit,
            filled: 0,
            dying: false,
            of_memory: (of_memory, None),
            of_task: TreeLinks::default(),
        };
        let Ok(made) = self.mappings.insert(mapping) else {
            self.refund(factory, MAPPING_COST);
            return Err(NO_FRAMES);
        };
        let index = made.index();
        if let Some(next) = of_memory.and_then(|next| self.mappings.nth_mut(next)) {
            next.of_memory.1 = Some(index);
        }
        if let Some(memory) = self.memories.get_mut(memory_ref) {
            memory.mappings = Some(index);
            memory.mapped += 1;
        }
        if let Some(task) = self.tasks.get_mut(reference) {
            task.mappings.insert(&mut self.mappings, index);
            task.mapped += bytes;
        }
        self.adopt_mapping(slot, index);
        Ok(made)
    }

    /// Removes a mapping record whose pages are unmapped.
    pub(crate) fn remove_mapping(&mut self, reference: Ref<Mapping<M>>) {
        self.unlink_mapping(reference.index());
        let Some(mapping) = self.mappings.get(reference) else { return };
        let owner = mapping.task;
        if let Some(task) = self.tasks.get_mut(owner) {
            task.mappings.remove(&mut self.mappings, reference.index());
        }
        let gone = take_out(&mut self.mappings, &mut self.machine, &mut self.frames, reference);
        let Some(gone) = gone else { return };
        let (next, previous) = gone.of_memory;
        if let Some(memory) = self.memories.get_mut(gone.memory) {
            memory.mapped -= 1;
            if previous.is_none() {
                memory.mappings = next;
            }
        }
        if let Some(next) = next.and_then(|index| self.mappings.nth_mut(index)) {
            next.of_memory.1 = previous;
        }
        if let Some(previous) = previous.and_then(|index| self.mappings.nth_mut(index)) {
            previous.of_memory.0 = next;
        }
        if let Some(task) = self.tasks.get(owner) {
            self.refund(task.header.factory, MAPPING_COST);
        }
    }
}
