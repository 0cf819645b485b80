//! Entry: where crossings arrive.

use abi::op::entry::{
    ADD_CONTEXT, BIND_NOTIFICATION, CONTEXT, ContextState, INFO, REMOVE_CONTEXT, RESET_CONTEXT,
    SET, SET_FAULT_GATE,
};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Gate, Item, Notification, Result, Scheduler, operate, utcb};

handle! {
    /// A handler of a task and the contexts in which callers run it. A gate
    /// that is bound to it ([`Gate::bind_entry`]) lets callers cross.
    Entry
}

/// A context that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedContext {
    /// Its number, for the other operations.
    pub number: u64,
    /// Address of its UTCB in the entry's task.
    pub utcb: u64,
}

/// What an entry tells its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryInfo {
    /// Address of the handler.
    pub handler: u64,
    /// Lowest priority that it runs at.
    pub floor: u8,
    /// Nanoseconds that a context may go on without its caller.
    pub grace: u64,
    /// Number of contexts.
    pub contexts: u64,
    /// Contexts that wait for a caller.
    pub free: u64,
    /// Contexts that run for one.
    pub active: u64,
    /// Contexts whose caller is gone.
    pub orphaned: u64,
    /// Contexts that are not used until they are reset.
    pub quarantined: u64,
    /// Callers that wait for a context.
    pub waiting: u64,
    /// Bytes that the handler itself adds to a message.
    pub size_self: u64,
    /// Bytes that it and everything it calls need at most.
    pub size_all: u64,
}

/// What a context is doing, and with what it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextInfo {
    /// Its state; `None` for one that a newer kernel has.
    pub state: Option<ContextState>,
    /// Stack pointer at which the handler begins.
    pub stack: u64,
    /// FS base with which it begins.
    pub fs_base: u64,
    /// Address of its UTCB in the entry's task.
    pub utcb: u64,
}

impl Entry {
    /// Adds a context whose handler begins at stack pointer `stack`. Its FS base
    /// is its UTCB. Charged to the entry's factory. Needs W.
    ///
    /// # Errors
    /// `Perm`; `Inval` (1) if `stack` is no user address; `NoMem`;
    /// `NotExistent` if the entry's task is gone.
    pub fn add_context(self, stack: u64) -> Result<AddedContext> {
        let [number, utcb, ..] = operate(self.0, &[ADD_CONTEXT, stack], &[])?.words;
        Ok(AddedContext { number, utcb })
    }

    /// As [`Entry::add_context`], with another FS base: what is there must
    /// begin with the address of the UTCB that is returned.
    ///
    /// # Errors
    /// As [`Entry::add_context`]; `Inval` (2) if `fs_base` is no user address.
    pub fn add_context_with(self, stack: u64, fs_base: u64) -> Result<AddedContext> {
        let [number, utcb, ..] = operate(self.0, &[ADD_CONTEXT, stack, fs_base], &[])?.words;
        Ok(AddedContext { number, utcb })
    }

    /// Removes a context that is free or quarantined. Needs W.
    ///
    /// # Errors
    /// `Perm`; `Inval` (1) for no context of this entry; `Busy` (1) if somebody
    /// runs in it.
    pub fn remove_context(self, number: u64) -> Result<()> {
        operate(self.0, &[REMOVE_CONTEXT, number], &[]).map(drop)
    }

    /// Makes a quarantined context free again, if asked with another stack.
    /// Needs W.
    ///
    /// # Errors
    /// As [`Entry::remove_context`], `Busy` for one that is not quarantined.
    pub fn reset_context(self, number: u64, stack: Option<u64>) -> Result<()> {
        match stack {
            Some(stack) => operate(self.0, &[RESET_CONTEXT, number, stack], &[]).map(drop),
            None => operate(self.0, &[RESET_CONTEXT, number], &[]).map(drop),
        }
    }

    /// Says which gate is told of faults in the contexts; `None`: a fault ends
    /// the crossing. Needs W.
    ///
    /// # Errors
    /// `Perm`, `Inval` (item 0) if it is not a gate.
    pub fn set_fault_gate(self, gate: Option<Gate>) -> Result<()> {
        match gate {
            Some(gate) => operate(self.0, &[SET_FAULT_GATE], &[Item::all(gate.0)]).map(drop),
            None => operate(self.0, &[SET_FAULT_GATE], &[]).map(drop),
        }
    }

    /// Says which bits of which notification (W needed there) are set when a
    /// context is quarantined and when the entry goes. Needs W.
    ///
    /// # Errors
    /// `Perm`, `Inval` (item 0) if it is no notification.
    pub fn bind_notification(self, notification: Notification, bits: u64) -> Result<()> {
        let items = [Item::all(notification.0)];
        operate(self.0, &[BIND_NOTIFICATION, bits], &items).map(drop)
    }

    /// Nobody is told any more. Needs W.
    ///
    /// # Errors
    /// `Perm`.
    pub fn unbind_notification(self) -> Result<()> {
        operate(self.0, &[BIND_NOTIFICATION], &[]).map(drop)
    }

    /// Sets handler, floor, grace time and sizes to those of `info`; what it
    /// says of contexts is ignored. Later crossings follow it. The floor is at
    /// most the maximum of `scheduler`, else the caller's priority. Needs W.
    ///
    /// # Errors
    /// `Perm` (0), (2) for the floor; `Inval` (1) if the handler is no user
    /// address.
    pub fn set(self, info: &EntryInfo, scheduler: Option<Scheduler>) -> Result<()> {
        let words =
            [SET, info.handler, info.floor.into(), info.grace, info.size_self, info.size_all];
        match scheduler {
            Some(scheduler) => operate(self.0, &words, &[Item::all(scheduler.0)]).map(drop),
            None => operate(self.0, &words, &[]).map(drop),
        }
    }

    /// Figures. Needs R.
    ///
    /// # Errors
    /// `Perm`.
    pub fn info(self) -> Result<EntryInfo> {
        let [handler, floor, grace, contexts] = operate(self.0, &[INFO], &[])?.words;
        Ok(EntryInfo {
            handler,
            floor: floor as u8,
            grace,
            contexts,
            free: utcb::word(4),
            active: utcb::word(5),
            orphaned: utcb::word(6),
            quarantined: utcb::word(7),
            waiting: utcb::word(8),
            size_self: utcb::word(9),
            size_all: utcb::word(10),
        })
    }

    /// What context `number` is doing. Needs R.
    ///
    /// # Errors
    /// `Perm`; `Inval` (1) for no context of this entry.
    pub fn context(self, number: u64) -> Result<ContextInfo> {
        let [state, stack, fs_base, utcb] = operate(self.0, &[CONTEXT, number], &[])?.words;
        Ok(ContextInfo { state: ContextState::decode(state), stack, fs_base, utcb })
    }
}
