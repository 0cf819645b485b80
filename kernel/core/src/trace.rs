//! The trace ring: who has the CPU, who calls whom, what fails, as it happens.
//!
//! While it is on, the general path is taken for everything
//! ([`Kernel::settle_paths`]), so that the fast paths need not know of it. The
//! memory is its holder's: when that is gone, or has become too short, the
//! trace is off. Nothing here may change what it looks at.

use postern_abi::tag::Tag;
use postern_abi::trace::{Event, HEADER, MAGIC, NOBODY, RECORD, Record, flag};
use postern_arena::Ref;

use crate::Kernel;
use crate::machine::Machine;
use crate::object::thread::{Expects, Message};
use crate::object::{Memory, Thread};

/// A trace that is on.
#[derive(Clone, Copy)]
pub struct Trace {
    /// Where it is written.
    memory: Ref<Memory>,
    /// How many records there is room for.
    room: u64,
    /// How many were written.
    written: u64,
}

impl<M: Machine> Kernel<M> {
    /// Turns the trace on. `false`: it is on already.
    pub(crate) fn start_trace(&mut self, reference: Ref<Memory>) -> bool {
        if self.trace.is_some() {
            return false;
        }
        let Some(memory) = self.memories.get(reference) else { return false };
        let room = (memory.frames.bytes() - HEADER) / RECORD;
        let mut header = [0; HEADER as usize];
        for (place, word) in header.chunks_exact_mut(8).zip([MAGIC, 0, room, RECORD]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.machine.fill(&memory.frames, 0, &header);
        self.trace = Some(Trace { memory: reference, room, written: 0 });
        self.settle_paths();
        true
    }

    /// Turns the trace off; how many records were written.
    pub(crate) fn stop_trace(&mut self) -> u64 {
        let written = self.trace.take().map_or(0, |trace| trace.written);
        self.settle_paths();
        written
    }

    /// Records what happened, if the trace is on.
    #[inline(always)]
    pub(crate) fn trace(&mut self, event: Event, thread: Option<Ref<Thread<M>>>, values: [u64; 2]) {
        if self.trace.is_some() {
            self.write_trace(event, thread, values);
        }
    }

    /// Another thread has the CPU, or nobody.
    #[inline(always)]
    pub(crate) fn trace_switch(&mut self) {
        if self.trace.is_some() {
            let task = self.current.and_then(|current| self.threads.get(current)?.task);
            let task = task.map_or(u64::MAX, |task| task.index().into());
            self.write_trace(Event::Switch, self.current, [task, 0]);
        }
    }

    /// A message was delivered.
    #[inline(always)]
    pub(crate) fn trace_call(
        &mut self,
        sender: Ref<Thread<M>>,
        receiver: Ref<Thread<M>>,
        message: &Message<M>,
        mut flags: u64,
    ) {
        if self.trace.is_some() {
            flags |= if message.tag.has_relay() { flag::RELAY } else { 0 };
            flags |= if message.expects == Expects::Answer { 0 } else { flag::MESSAGE };
            let receiver = u64::from(receiver.index()) | flags;
            self.write_trace(Event::Call, Some(sender), [receiver, message.subject()]);
        }
    }

    /// A call was answered.
    #[inline(always)]
    pub(crate) fn trace_reply(
        &mut self,
        by: Ref<Thread<M>>,
        caller: Ref<Thread<M>>,
        tag: Tag,
        mut flags: u64,
    ) {
        if self.trace.is_some() {
            flags |= if tag.has_relay() { flag::RELAY } else { 0 };
            self.write_trace(Event::Reply, Some(caller), [u64::from(by.index()) | flags, 0]);
        }
    }

    #[cold]
    #[inline(never)]
    fn write_trace(&mut self, event: Event, thread: Option<Ref<Thread<M>>>, values: [u64; 2]) {
        let Some(trace) = self.trace else { return };
        let task = thread.and_then(|thread| self.threads.get(thread)?.task);
        let name = task.and_then(|task| self.tasks.get(task)).map_or([0; 32], |task| task.name);
        let thread = thread.map_or(NOBODY, |thread| thread.index());
        let record = Record { time: self.machine.now(), event, thread, values, name };
        let at = HEADER + trace.written % trace.room * RECORD;
        let memory = self.memories.get(trace.memory).filter(|it| !it.header.dying);
        let Some(memory) = memory.filter(|it| at + RECORD <= it.frames.bytes()) else {
            self.stop_trace();
            return;
        };
        self.machine.fill(&memory.frames, at, &record.encode());
        let written = trace.written + 1;
        self.machine.fill(&memory.frames, 8, &written.to_le_bytes());
        self.trace = Some(Trace { written, ..trace });
    }
}

impl<M: Machine> Message<M> {
    /// What it is about: the low half of word 0 and the protocol.
    pub(crate) fn subject(&self) -> u64 {
        self.words[0] & 0xffff | (self.tag.protocol() as u64) << 16
    }
}
