//! Task: an address space and a capability table.

use abi::op::task::{
    DELEGATE, DELETE, DERIVE, INFO, LIST, MAP, MOVE, PROTECT, REVOKE, SET_HYPERCALL_GATE, SET_NAME,
    UNMAP,
};
use abi::rights::Kind;
use postern_abi as abi;

use crate::slot::handle;
use crate::{Capability, Gate, Item, Memory, Result, Rights, Slot, operate, utcb};

handle! {
    /// An address space and a capability table.
    Task
}

/// Figures of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskInfo {
    /// Capability slots in use.
    pub slots_used: u64,
    /// Capability slots.
    pub slots: u64,
    /// Bytes mapped.
    pub mapped: u64,
    /// Threads bound to it.
    pub threads: u64,
    /// Its name, NUL-padded.
    pub name: [u8; 32],
}

/// One line of a capability list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedCapability {
    /// The slot.
    pub slot: Slot,
    /// What is in it.
    pub kind: Option<Kind>,
    /// With which rights.
    pub rights: Rights,
    /// Which object: equal ids are the same object.
    pub object: u64,
    /// Two details by kind; a gate: label and bound thread's id.
    pub details: [u64; 2],
}

impl Task {
    /// Most capabilities of one [`Task::list`].
    pub const LIST_MAX: usize = 15;

    /// Maps `bytes` of `memory` from `offset` on at `address`, all multiples
    /// of 4096. `rights` are R, W and X; W and X exclude each other. The
    /// range must be unmapped. Needs W, and the rights on the memory.
    ///
    /// # Errors
    /// `Perm`, `Inval` (which argument is in the error), `Exists` if something
    /// is mapped there, `NoMem` for page tables.
    pub fn map(
        self,
        memory: Memory,
        address: u64,
        offset: u64,
        bytes: u64,
        rights: Rights,
    ) -> Result<()> {
        let words = [MAP, address, offset, bytes, rights.bits().into()];
        operate(self.0, &words, &[Item::all(memory.0)]).map(drop)
    }

    /// Unmaps the whole mappings that lie in `bytes` from `address` on; how
    /// many bytes that were. Needs W.
    ///
    /// # Errors
    /// `Perm`, `Inval`.
    pub fn unmap(self, address: u64, bytes: u64) -> Result<u64> {
        Ok(operate(self.0, &[UNMAP, address, bytes], &[])?.words[0])
    }

    /// Derives the capability in `source` of this task into its empty slot
    /// `target`, with at most `rights`. Needs W.
    ///
    /// # Errors
    /// `Perm`, `NotExistent` (argument 1), `Exists` (argument 2).
    pub fn derive(self, source: Slot, target: Slot, rights: Rights) -> Result<()> {
        let words = [DERIVE, source.word(), target.word(), rights.bits().into()];
        operate(self.0, &words, &[]).map(drop)
    }

    /// Puts a capability of the *caller* into the empty slot `target` of this
    /// task. Needs W; handing to another task needs GRANT on the capability.
    ///
    /// # Errors
    /// `Perm` (argument 0, or item 0 without GRANT), `NotExistent` (item 0),
    /// `Exists` or `Inval` (argument 1).
    pub fn delegate(self, item: Item, target: Slot) -> Result<()> {
        operate(self.0, &[DELEGATE, target.word()], &[item]).map(drop)
    }

    /// Deletes the capability in `slot` of this task; the object lives on.
    /// Needs W.
    ///
    /// # Errors
    /// `Perm`, `NotExistent`.
    pub fn delete(self, slot: Slot) -> Result<()> {
        operate(self.0, &[DELETE, slot.word(), 0], &[]).map(drop)
    }

    /// Destroys the object behind `slot` of this task, for everybody. Needs W
    /// here and D on the capability in the slot.
    ///
    /// # Errors
    /// `Perm`, `NotExistent`.
    pub fn destroy(self, slot: Slot) -> Result<()> {
        operate(self.0, &[DELETE, slot.word(), 1], &[]).map(drop)
    }

    /// Moves the capability in `from` of this task to its empty slot `to`; what
    /// was derived from it stays derived from it. Needs W.
    ///
    /// # Errors
    /// `Perm`, `NotExistent` (argument 1), `Exists` or `Inval` (argument 2),
    /// `Busy` while it is being revoked.
    pub fn move_slot(self, from: Slot, to: Slot) -> Result<()> {
        operate(self.0, &[MOVE, from.word(), to.word()], &[]).map(drop)
    }

    /// Changes the rights (R, W, X) of the whole mappings that lie in `bytes`
    /// from `address` on; how many bytes that were. Needs W.
    ///
    /// # Errors
    /// `Perm` (argument 3) if the capability that one of them was made with
    /// lacks a right, `Inval` for a range that cuts a mapping (1) or rights
    /// that no mapping can have (3), `Busy` while one of them is being made.
    pub fn protect(self, address: u64, bytes: u64, rights: Rights) -> Result<u64> {
        let words = [PROTECT, address, bytes, rights.bits().into()];
        Ok(operate(self.0, &words, &[])?.words[0])
    }

    /// Takes back everything that was derived from the capability in `slot` of
    /// this task, in every task, mappings included; the capability itself
    /// stays. Needs W.
    ///
    /// # Errors
    /// `Perm`, `NotExistent`, `Busy` while another revocation of the same
    /// object is under way, `WrongKind` for a right to answer.
    pub fn revoke(self, slot: Slot) -> Result<()> {
        operate(self.0, &[REVOKE, slot.word()], &[]).map(drop)
    }

    /// Describes used slots from `first` on in `list`; how many there were, at
    /// most [`Task::LIST_MAX`]. Go on behind the last slot described. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn list(self, first: Slot, list: &mut [ListedCapability]) -> Result<usize> {
        let delivery = operate(self.0, &[LIST, first.word()], &[])?;
        let word = |index: usize| match delivery.words.get(index) {
            Some(word) => *word,
            None => utcb::word(index),
        };
        let count = (word(0) as usize).min(Self::LIST_MAX).min(list.len());
        for (index, entry) in list[..count].iter_mut().enumerate() {
            let at = 1 + index * 4;
            *entry = ListedCapability {
                slot: Slot::new(word(at) as u32),
                kind: Kind::decode(word(at) >> 32 & 0xff),
                rights: Rights::from_bits_truncate((word(at) >> 40) as u8),
                object: word(at + 1),
                details: [word(at + 2), word(at + 3)],
            };
        }
        Ok(count)
    }

    /// Says what crash reports call the program: a name (cut after 32 bytes),
    /// its build id and the address it was loaded at. Needs W.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn set_name(self, name: &str, build_id: u64, base: u64) -> Result<()> {
        let mut bytes = [0; 32];
        let length = name.len().min(32);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        let mut words = [SET_NAME, 0, 0, 0, 0, build_id, base];
        for (word, chunk) in words[1..5].iter_mut().zip(bytes.chunks(8)) {
            *word = crate::message::pack(chunk);
        }
        operate(self.0, &words, &[]).map(drop)
    }

    /// Says which gate the hypercalls of this task's threads go to; `None`:
    /// they fail. The message is a call with protocol HYPERCALL, see
    /// [`abi::hypercall`]. Needs W.
    ///
    /// # Errors
    /// `Perm` without W, `Inval` (item 0) if it is not a gate.
    pub fn set_hypercall_gate(self, gate: Option<Gate>) -> Result<()> {
        match gate {
            Some(gate) => operate(self.0, &[SET_HYPERCALL_GATE], &[Item::all(gate.0)]).map(drop),
            None => operate(self.0, &[SET_HYPERCALL_GATE], &[]).map(drop),
        }
    }

    /// Figures and name. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn info(self) -> Result<TaskInfo> {
        let [slots_used, slots, mapped, threads] = operate(self.0, &[INFO], &[])?.words;
        let mut name = [0; 32];
        for (index, chunk) in name.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&utcb::word(4 + index).to_le_bytes());
        }
        Ok(TaskInfo { slots_used, slots, mapped, threads, name })
    }

    /// Derives `capability` inside this task; see [`Task::derive`].
    ///
    /// # Errors
    /// As [`Task::derive`].
    pub fn copy<C: Capability>(self, capability: C, target: Slot, rights: Rights) -> Result<C> {
        self.derive(capability.slot(), target, rights)?;
        Ok(C::from_slot(target))
    }
}
