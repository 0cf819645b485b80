//! Tasks: mappings and capabilities.

use postern_abi::op::task;
use postern_abi::rights::Kind;
use postern_abi::{ErrorCode, ErrorNumber, PAGE, Rights, address};
use postern_arena::Ref;

use super::{Answer, Reaction, Request, Result, refuse};
use crate::Kernel;
use crate::cap::{NodeId, Slot, SlotId, Target};
use crate::machine::Machine;
use crate::object::{Memory, Task, Thread};
use crate::work::{Protection, Work};

/// Most slots that one LIST describes.
const LISTED: usize = 15;
/// Slots that one step of LIST looks at.
const LOOKED: usize = 256;

impl<M: Machine> Kernel<M> {
    pub(super) fn invoke_task(&mut self, request: &Request<M>, operation: u64) -> Result {
        let reference: Ref<Task<M>> = request.target.reference();
        match operation {
            task::MAP => {
                self.need(request, Rights::W)?;
                self.map(request, reference)
            }
            task::UNMAP => {
                self.need(request, Rights::W)?;
                let (at, bytes) = (self.word(request, 1)?, self.word(request, 2)?);
                self.check_range(reference, at, bytes, 1, 2)?;
                let end = at + bytes;
                if self.is_cut(reference, at, end) {
                    return Err(refuse(ErrorNumber::Inval, 1));
                }
                let work = Work::Unmap { task: reference, start: at, end, done: 0, error: None };
                self.start_work(request.thread, work);
                Ok(Reaction::Settled)
            }
            task::DERIVE => {
                self.need(request, Rights::W)?;
                let (from, to) = (self.word(request, 1)?, self.word(request, 2)?);
                let mask = Rights::from_bits_truncate(self.word(request, 3)? as u8);
                let (target, rights) = self.lookup(reference, from, 1)?;
                if target.kind == Kind::Reply {
                    return Err(refuse(ErrorNumber::WrongKind, 1));
                }
                self.check_derivable(target, 1)?;
                let at = self.check_empty(reference, to, 2)?;
                let parent = NodeId::slot(SlotId::new(reference.index(), from as u32));
                self.install(at, target, rights & mask, Some(parent));
                Ok(Answer::none().into())
            }
            task::DELEGATE => {
                self.need(request, Rights::W)?;
                let to = self.word(request, 1)?;
                let item = self.item(request, 0)?;
                if item.target.kind == Kind::Reply {
                    return Err(refuse(ErrorNumber::WrongKind, ErrorCode::ITEM));
                }
                if reference != request.task {
                    self.check_rights(item.rights, Rights::GRANT, ErrorCode::ITEM)?;
                }
                self.check_derivable(item.target, ErrorCode::ITEM)?;
                let at = self.check_empty(reference, to, 1)?;
                let parent = Some(NodeId::slot(item.slot));
                self.install(at, item.target, item.rights & item.mask, parent);
                Ok(Answer::none().into())
            }
            task::DELETE => {
                self.need(request, Rights::W)?;
                self.delete_slot(request, reference)
            }
            task::REVOKE => {
                self.need(request, Rights::W)?;
                let slot = self.word(request, 1)?;
                let (target, _) = self.lookup(reference, slot, 1)?;
                if target.kind == Kind::Reply {
                    return Err(refuse(ErrorNumber::WrongKind, 1));
                }
                self.check_derivable(target, 1)?;
                let at = SlotId::new(reference.index(), slot as u32);
                self.begin_revoke(at, target);
                self.start_work(request.thread, Work::Revoke { at, target });
                Ok(Reaction::Settled)
            }
            task::MOVE => {
                self.need(request, Rights::W)?;
                let (from, to) = (self.word(request, 1)?, self.word(request, 2)?);
                self.lookup(reference, from, 1)?;
                let to = self.check_empty(reference, to, 2)?;
                let from = SlotId::new(reference.index(), from as u32);
                if self.is_revoking(from) {
                    return Err(refuse(ErrorNumber::Busy, 1));
                }
                self.move_slot(from, to);
                Ok(Answer::none().into())
            }
            task::PROTECT => {
                self.need(request, Rights::W)?;
                let (start, bytes) = (self.word(request, 1)?, self.word(request, 2)?);
                let rights = self.mapping_rights(reference, self.word(request, 3)?, 3)?;
                self.check_range(reference, start, bytes, 1, 2)?;
                let end = start + bytes;
                if self.is_cut(reference, start, end) {
                    return Err(refuse(ErrorNumber::Inval, 1));
                }
                self.start_work(
                    request.thread,
                    Work::Protect(Protection {
                        task: reference,
                        start,
                        end,
                        rights,
                        at: start,
                        inside: 0,
                        done: 0,
                        checking: true,
                    }),
                );
                Ok(Reaction::Settled)
            }
            task::LIST => {
                self.need(request, Rights::R)?;
                let from = self.word(request, 1)?;
                self.start_work(request.thread, Work::List { task: reference, from });
                Ok(Reaction::Settled)
            }
            task::SET_NAME => {
                self.need(request, Rights::W)?;
                let mut name = [0; 32];
                for (index, chunk) in name.chunks_exact_mut(8).enumerate() {
                    chunk.copy_from_slice(&self.word(request, 1 + index)?.to_le_bytes());
                }
                let (build, base) = (self.word(request, 5)?, self.word(request, 6)?);
                let gone = refuse(ErrorNumber::NotExistent, 0);
                let task = self.tasks.get_mut(reference).ok_or(gone)?;
                (task.name, task.build, task.base) = (name, build, base);
                Ok(Answer::none().into())
            }
            task::SET_HYPERCALL_GATE => {
                self.need(request, Rights::W)?;
                let gate = self.gate_item(request)?;
                if let Some(task) = self.tasks.get_mut(reference) {
                    task.hypercall_gate = gate;
                }
                Ok(Answer::none().into())
            }
            task::INFO => {
                self.need(request, Rights::R)?;
                let gone = refuse(ErrorNumber::NotExistent, 0);
                let task = self.tasks.get(reference).ok_or(gone)?;
                let words = [
                    u64::from(task.slots_used),
                    task.table.len() as u64,
                    task.mapped,
                    u64::from(task.thread_count),
                ];
                for (index, chunk) in task.name.as_chunks::<8>().0.iter().enumerate() {
                    self.put(request, 4 + index, u64::from_le_bytes(*chunk));
                }
                Ok(Answer::many(8, words).into())
            }
            _ => Err(refuse(ErrorNumber::NoSys, 1)),
        }
    }

    fn map(&mut self, request: &Request<M>, reference: Ref<Task<M>>) -> Result {
        let (at, offset) = (self.word(request, 1)?, self.word(request, 2)?);
        let (bytes, rights) = (self.word(request, 3)?, self.word(request, 4)?);
        let memory = self.item_of(request, 0, Kind::Memory, Rights::empty())?;
        self.check_range(reference, at, bytes, 1, 3)?;
        let rights = self.mapping_rights(reference, rights, 4)?;
        self.check_rights(memory.rights, rights, ErrorCode::ITEM)?;
        self.check_derivable(memory.target, ErrorCode::ITEM)?;
        let memory_ref: Ref<Memory> = memory.target.reference();
        let gone = refuse(ErrorNumber::NotExistent, ErrorCode::ITEM);
        let size = self.memories.get(memory_ref).ok_or(gone)?.frames.bytes();
        if !offset.is_multiple_of(PAGE) || offset >= size {
            return Err(refuse(ErrorNumber::Inval, 2));
        }
        if bytes > size - offset {
            return Err(refuse(ErrorNumber::Inval, 3));
        }
        self.add_mapping(reference, memory_ref, memory.slot, at, offset, bytes, rights).map(
            |mapping| {
                self.start_work(request.thread, Work::Map { mapping });
                Reaction::Settled
            },
        )
    }

    fn delete_slot(&mut self, request: &Request<M>, reference: Ref<Task<M>>) -> Result {
        let slot = self.word(request, 1)?;
        let whole = match request.tag.words() {
            2 => false,
            _ => match self.word(request, 2)? {
                0 => false,
                1 => true,
                _ => return Err(refuse(ErrorNumber::Inval, 2)),
            },
        };
        let at = SlotId::new(reference.index(), slot as u32);
        let (target, rights) = match self.lookup(reference, slot, 1) {
            Ok(found) => found,
            Err(error) => {
                // A capability of an object that is gone may be cleared away,
                // and is told to have been empty already.
                if slot < u64::from(SlotId::MAX_SLOTS) {
                    self.clear(at);
                }
                return Err(error);
            }
        };
        let destroys = whole || self.header(target).is_some_and(|h| h.capabilities == 1);
        if !whole && self.is_revoking(at) {
            return Err(refuse(ErrorNumber::Busy, 1));
        }
        if whole {
            self.check_rights(rights, Rights::D, 1)?;
            self.destroy(target);
        }
        // Without D only this capability goes; the object with its last one.
        self.clear(at);
        if destroys
            && matches!(target.kind, Kind::Task | Kind::Memory | Kind::Relay)
            && self.header(target).is_some_and(|header| header.listed)
            && self.threads.get(request.thread).is_some()
        {
            self.start_work(request.thread, Work::Destroy(target));
            return Ok(Reaction::Settled);
        }
        Ok(Answer::none().into())
    }

    /// Describes used slots from `from` on, if there are some among the next
    /// ones; else goes on behind them.
    pub(crate) fn list_step(
        &mut self,
        thread: Ref<Thread<M>>,
        reference: Ref<Task<M>>,
        from: u64,
    ) -> core::result::Result<Option<Work<M>>, ErrorCode> {
        let gone = refuse(ErrorNumber::NotExistent, 0);
        let found = self.tasks.get(reference).filter(|task| !task.header.dying);
        let table = &found.ok_or(gone)?.table;
        let start = usize::try_from(from).map_or(table.len(), |from| from.min(table.len()));
        let end = table.len().min(start + LOOKED);
        let mut words = [0; 1 + 4 * LISTED];
        let mut count = 0;
        for (slot, number) in table[start..end].iter().zip(start..) {
            // Capabilities of dead objects are as good as empty.
            let target = slot.target().filter(|target| self.exists(*target));
            let Some(target) = target else { continue };
            let (a, b) = self.details(target, slot.rights());
            let described = &mut words[1 + 4 * count..5 + 4 * count];
            described.copy_from_slice(&[
                describe(slot, number as u64, target),
                u64::from(target.index) | u64::from(target.generation) << 32,
                a,
                b,
            ]);
            count += 1;
            if count == LISTED {
                break;
            }
        }
        if count == 0 && end < table.len() {
            return Ok(Some(Work::List { task: reference, from: end as u64 }));
        }
        words[0] = count as u64;
        for (index, word) in words.iter().enumerate().skip(4) {
            self.set_utcb_word(thread, index, *word);
        }
        if let Some(thread) = self.threads.get_mut(thread) {
            Answer::many(1 + 4 * count, [words[0], words[1], words[2], words[3]]).store(thread);
        }
        Ok(None)
    }

    /// Two numbers that tell more about an object.
    fn details(&self, target: Target, rights: Rights) -> (u64, u64) {
        match target.kind {
            // The label is for who holds SERVER, as in INFO of the gate.
            Kind::Gate if !rights.contains(Rights::SERVER) => (0, 0),
            Kind::Gate => self.gates.get(target.reference()).map_or((0, 0), |gate| {
                (gate.label, gate.thread().map_or(u64::MAX, |thread| u64::from(thread.index())))
            }),
            Kind::Memory => self
                .memories
                .get(target.reference())
                .map_or((0, 0), |memory| (memory.frames.bytes(), u64::from(memory.mapped))),
            Kind::Factory => self
                .factories
                .get(target.reference())
                .map_or((0, 0), |factory| (factory.quota, factory.used)),
            Kind::IoPort => self
                .ports
                .get(target.reference())
                .map_or((0, 0), |ports| (u64::from(ports.first), u64::from(ports.count))),
            Kind::Thread => self
                .threads
                .get(target.reference())
                .map_or((0, 0), |thread| (u64::from(thread.priority), thread.info_state() as u64)),
            Kind::Relay => self
                .relays
                .get(target.reference())
                .map_or((0, 0), |relay| (relay.pages * PAGE, relay.owner.told() as u64)),
            Kind::Irq | Kind::Scheduler => (u64::from(target.index), 0),
            _ => (0, 0),
        }
    }
}

fn describe(slot: &Slot, number: u64, target: Target) -> u64 {
    number | (target.kind as u64) << 32 | u64::from(slot.rights().bits()) << 40
}

impl<M: Machine> Kernel<M> {
    /// Rights that a mapping can have: R, and W or X or neither; in the memory
    /// of a guest both.
    fn mapping_rights(
        &self,
        task: Ref<Task<M>>,
        word: u64,
        argument: u8,
    ) -> core::result::Result<Rights, ErrorCode> {
        let guest = self.tasks.get(task).is_some_and(|task| task.guest);
        u8::try_from(word)
            .ok()
            .and_then(Rights::from_bits)
            .filter(|rights| {
                (Rights::R | Rights::W | Rights::X).contains(*rights)
                    && rights.contains(Rights::R)
                    && (guest || !rights.contains(Rights::W | Rights::X))
            })
            .ok_or(refuse(ErrorNumber::Inval, argument))
    }

    /// Whether something can be mapped there; a guest's memory begins at 0.
    fn check_range(
        &self,
        task: Ref<Task<M>>,
        at: u64,
        bytes: u64,
        at_argument: u8,
        bytes_argument: u8,
    ) -> core::result::Result<(), ErrorCode> {
        let guest = self.tasks.get(task).is_some_and(|task| task.guest);
        let start = if guest { 0 } else { address::USER_START };
        let starts = at.is_multiple_of(PAGE) && (start..address::USER_END).contains(&at);
        let ends = bytes != 0 && bytes.is_multiple_of(PAGE);
        if starts && ends && bytes <= address::USER_END - at {
            return Ok(());
        }
        Err(refuse(ErrorNumber::Inval, if starts { bytes_argument } else { at_argument }))
    }
}
