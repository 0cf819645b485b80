//! Thread: a scheduling state and an activation.

use abi::op::thread::{BIND, CANCEL, INFO, RESUME, SET_EXIT_GATE, START, STOP, ThreadState};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Gate, Item, Result, Task, operate, utcb};

handle! {
    /// A thread. The operations act on its home activation.
    Thread
}

/// State and figures of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadInfo {
    /// What it does; `None` if this ABI does not know the state.
    pub state: Option<ThreadState>,
    /// Its own priority, 0 to 255.
    pub priority: u8,
    /// CPU time in nanoseconds.
    pub cpu_time: u64,
    /// Which thread: equal ids are the same thread.
    pub id: u64,
    /// Why it ended, if it did: see [`abi::op::reason`].
    pub reason: u64,
    /// The last faulting address or exit code.
    pub detail: u64,
}

impl Thread {
    /// Binds the new thread to `task` (W needed there) and allocates its UTCB,
    /// whose address is returned. Needs W.
    ///
    /// # Errors
    /// `Perm`, `Exists` if it is bound already, `NoMem`.
    pub fn bind(self, task: Task) -> Result<u64> {
        Ok(operate(self.0, &[BIND], &[Item::all(task.0)])?.words[0])
    }

    /// Starts the thread with these values of rip, rsp, rdi and rsi. Needs W.
    ///
    /// # Errors
    /// `Perm`; `Inval` for an address that no user register may hold, or if it
    /// is not bound or was started before.
    pub fn start(self, instruction: u64, stack: u64, first: u64, second: u64) -> Result<()> {
        operate(self.0, &[START, instruction, stack, first, second], &[]).map(drop)
    }

    /// Stops the thread; an IPC under way is cancelled. Needs W.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn stop(self) -> Result<()> {
        operate(self.0, &[STOP], &[]).map(drop)
    }

    /// Lets a stopped thread go on where it stopped. Needs W.
    ///
    /// # Errors
    /// `Perm` without W, `Inval` if it is not stopped.
    pub fn resume(self) -> Result<()> {
        operate(self.0, &[RESUME], &[]).map(drop)
    }

    /// Says which gate is told when the thread ends; `None`: nobody. Needs W.
    /// The message is send-only with protocol EXIT, see [`abi::op::reason`].
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn set_exit_gate(self, gate: Option<Gate>) -> Result<()> {
        match gate {
            Some(gate) => operate(self.0, &[SET_EXIT_GATE], &[Item::all(gate.0)]).map(drop),
            None => operate(self.0, &[SET_EXIT_GATE], &[]).map(drop),
        }
    }

    /// State and figures. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn info(self) -> Result<ThreadInfo> {
        let [state, priority, cpu_time, id] = operate(self.0, &[INFO], &[])?.words;
        Ok(ThreadInfo {
            state: ThreadState::decode(state),
            priority: priority as u8,
            cpu_time,
            id,
            reason: utcb::word(4),
            detail: utcb::word(5),
        })
    }

    /// Cancels the IPC or sleep in which the thread waits; nothing happens if
    /// it does not. Needs W.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn cancel(self) -> Result<()> {
        operate(self.0, &[CANCEL], &[]).map(drop)
    }
}
