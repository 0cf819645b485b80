//! Gate: the only way to reach another task.

use abi::op::gate::{BIND, INFO, UNBIND};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Entry, Item, Result, Thread, operate};

handle! {
    /// An IPC gate. Its methods need `SERVER`: through a capability without it
    /// *every* message goes to the bound thread, these included, and the
    /// server sees a strange message.
    Gate
}

/// What a gate tells its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateInfo {
    /// The label.
    pub label: u64,
    /// Whether something is bound.
    pub bound: bool,
    /// Whether that is an entry.
    pub entry: bool,
    /// Most contexts that may be in use through the gate; 0: no limit.
    pub limit: u64,
    /// Contexts in use through it, and callers that wait for one.
    pub in_use: u64,
}

impl Gate {
    /// Binds the gate to `thread` (S needed on both), which from now on
    /// receives its messages with `label`. Binding again is allowed; messages
    /// already in flight keep their old label and thread.
    ///
    /// # Errors
    /// `Perm` if S is missing on the gate (argument 0) or on the thread (item
    /// 0), `Inval` if item 0 is no thread or the label's two low bits are set.
    pub fn bind(self, thread: Thread, label: u64) -> Result<()> {
        operate(self.0, &[BIND, label], &[Item::all(thread.0)]).map(drop)
    }

    /// Binds the gate to `entry` (S needed on both): from now on its callers
    /// cross into the entry's task. At most `limit` contexts may be in use
    /// through this gate at a time; 0: no limit.
    ///
    /// # Errors
    /// As [`Gate::bind`], about the entry; `Inval` (2) for a limit of more than
    /// 32 bits.
    pub fn bind_entry(self, entry: Entry, label: u64, limit: u64) -> Result<()> {
        operate(self.0, &[BIND, label, limit], &[Item::all(entry.0)]).map(drop)
    }

    /// Unbinds the gate: later messages wait until it is bound again.
    ///
    /// # Errors
    /// `Perm` without S.
    pub fn unbind(self) -> Result<()> {
        operate(self.0, &[UNBIND], &[]).map(drop)
    }

    /// Label and binding.
    ///
    /// # Errors
    /// None of its own.
    pub fn info(self) -> Result<GateInfo> {
        let [label, bound, limit, in_use] = operate(self.0, &[INFO], &[])?.words;
        Ok(GateInfo { label, bound: bound != 0, entry: bound == 2, limit, in_use })
    }
}
