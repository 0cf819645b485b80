//! Scheduler: the right to set priorities and time slices.

use abi::op::scheduler::{INFO, SET_PATHS, SET_PRIORITY, SET_SLICE, TRACE};
use abi::stretch::Cause;
use postern_abi as abi;

use crate::slot::handle;
use crate::{Item, Memory, Result, Thread, operate, utcb};

handle! {
    /// The right to set priorities, up to a maximum of its own, and time
    /// slices.
    Scheduler
}

/// Where the time went since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerInfo {
    /// Nanoseconds since boot.
    pub now: u64,
    /// How many of them the machine was idle.
    pub idle: u64,
    /// Number of thread switches.
    pub switches: u64,
    /// Longest stretch in the kernel without letting interrupts in, in
    /// nanoseconds; measured in checked builds only, else 0.
    pub longest_stretch: u64,
    /// What that was for.
    pub longest_cause: Cause,
    /// Timer interrupts.
    pub timer_interrupts: u64,
    /// How many times the CPU began to wait for an interrupt.
    pub halts: u64,
}

impl Scheduler {
    /// Sets the priority of `thread` (W needed there). Needs W.
    ///
    /// # Errors
    /// `Perm` without the rights, or (argument 1) above the maximum.
    pub fn set_priority(self, thread: Thread, priority: u8) -> Result<()> {
        operate(self.0, &[SET_PRIORITY, priority.into()], &[Item::all(thread.0)]).map(drop)
    }

    /// Sets the time slice of `thread` (W needed there) to `ns` nanoseconds,
    /// 100 000 to 1 000 000 000: how long it runs before the next one of its
    /// priority does. Needs W.
    ///
    /// # Errors
    /// `Perm` without the rights, `Inval` (argument 1) out of range.
    pub fn set_slice(self, thread: Thread, ns: u64) -> Result<()> {
        operate(self.0, &[SET_SLICE, ns], &[Item::all(thread.0)]).map(drop)
    }

    /// Lets the kernel take its fast paths (as after boot), or the general path
    /// for everything: slower, and otherwise the same. For tests. Needs D.
    ///
    /// # Errors
    /// `Perm` without D.
    pub fn set_fast_paths(self, on: bool) -> Result<()> {
        operate(self.0, &[SET_PATHS, on.into()], &[]).map(drop)
    }

    /// Has the kernel record what happens in `memory` (W needed there), as a
    /// ring: [`abi::trace`]. Needs D.
    ///
    /// # Errors
    /// `Perm` without the rights, `Busy` if it does so already.
    pub fn trace(self, memory: Memory) -> Result<()> {
        operate(self.0, &[TRACE], &[Item::all(memory.0)]).map(drop)
    }

    /// Has the kernel record nothing more; how many records it wrote. Needs D.
    ///
    /// # Errors
    /// `Perm` without D.
    pub fn untrace(self) -> Result<u64> {
        operate(self.0, &[TRACE], &[]).map(|answer| answer.words[0])
    }

    /// Where the time went. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn info(self) -> Result<SchedulerInfo> {
        self.ask(&[INFO])
    }

    /// The same, and from now on the longest stretch is looked for anew. Needs R
    /// and W.
    ///
    /// # Errors
    /// `Perm` without the rights.
    pub fn info_anew(self) -> Result<SchedulerInfo> {
        self.ask(&[INFO, 1])
    }

    fn ask(self, words: &[u64]) -> Result<SchedulerInfo> {
        let [now, idle, switches, longest_stretch] = operate(self.0, words, &[])?.words;
        let longest_cause = Cause::from_bits(utcb::read(4));
        Ok(SchedulerInfo {
            now,
            idle,
            switches,
            longest_stretch,
            longest_cause,
            timer_interrupts: utcb::word(5),
            halts: utcb::word(6),
        })
    }
}
