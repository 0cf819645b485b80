//! Thread: a scheduling state and an activation.

use abi::op::thread::{
    BIND, CANCEL, GET_REGISTERS, INFO, NOTIFY_DELETION, RESUME, SET_EXIT_GATE, SET_FAULT_GATE,
    SET_REGISTERS, START, STOP, ThreadState,
};
use postern_abi as abi;

use crate::slot::handle;
use crate::{Gate, Item, Notification, Result, Task, operate, utcb};

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

/// Registers of a thread that does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers {
    /// Instruction pointer.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Flags; those that are not the user's are ignored when they are set.
    pub rflags: u64,
    /// rax rbx rcx rdx rsi rdi rbp r8-r15, in this order.
    pub general: [u64; 15],
    /// FS base.
    pub fs_base: u64,
}

impl Registers {
    /// Number of words.
    const WORDS: usize = 19;

    fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [rip, rsp, rflags, general @ .., fs_base] = words;
        Self { rip, rsp, rflags, general, fs_base }
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        [self.rip, self.rsp, self.rflags].into_iter().chain(self.general).chain([self.fs_base])
    }
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

    /// Says which gate is told of the thread's faults; `None`: a fault ends it.
    /// The message is a call with protocol FAULT, see [`abi::op::fault`].
    /// Needs W.
    ///
    /// # Errors
    /// `Perm` without W, `Inval` (item 0) if it is not a gate.
    pub fn set_fault_gate(self, gate: Option<Gate>) -> Result<()> {
        match gate {
            Some(gate) => operate(self.0, &[SET_FAULT_GATE], &[Item::all(gate.0)]).map(drop),
            None => operate(self.0, &[SET_FAULT_GATE], &[]).map(drop),
        }
    }

    /// Has `bits` of `notification` (W needed there) signalled whenever a gate
    /// that is bound to this thread is destroyed. Needs W.
    ///
    /// # Errors
    /// `Perm` without the rights, `Inval` if item 0 is no notification or there
    /// are no bits, `Busy` if the thread has such a notification already.
    pub fn notify_deletion(self, notification: Notification, bits: u64) -> Result<()> {
        operate(self.0, &[NOTIFY_DELETION, bits], &[Item::all(notification.0)]).map(drop)
    }

    /// Has nothing signalled any more. Needs W.
    ///
    /// # Errors
    /// `Perm` without W.
    pub fn forget_deletion(self) -> Result<()> {
        operate(self.0, &[NOTIFY_DELETION], &[]).map(drop)
    }

    /// Registers of a thread that is stopped, new, or waits for its fault
    /// handler. Needs R.
    ///
    /// # Errors
    /// `Perm` without R, `Busy` for any other thread.
    pub fn registers(self) -> Result<Registers> {
        let first = operate(self.0, &[GET_REGISTERS], &[])?.words;
        let word = |index: usize| match first.get(index) {
            Some(word) => *word,
            None => utcb::word(index),
        };
        Ok(Registers::from_words(core::array::from_fn(word)))
    }

    /// Sets the registers of a thread that is stopped, new, or waits for its
    /// fault handler. Needs W.
    ///
    /// # Errors
    /// `Perm` without W, `Busy` for any other thread, `Inval` for an
    /// instruction pointer (1), stack pointer (2) or FS base (19) that no user
    /// register may hold.
    pub fn set_registers(self, registers: &Registers) -> Result<()> {
        let mut words = [SET_REGISTERS; 1 + Registers::WORDS];
        for (word, value) in words[1..].iter_mut().zip(registers.words()) {
            *word = value;
        }
        operate(self.0, &words, &[]).map(drop)
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
