//! Servers to cross into.

use alloc::vec::Vec;

use postern_tests::runtime::crossing::{Answer, Handler, RESERVED, entry_point, prepare};
use postern_tests::runtime::memory::Mapping;
use postern_tests::runtime::{own, slots};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{
    Capability, Entry, Gate, Item, Memory, Rights, Slot, Tag, Task, Timeouts, ipc,
};
use postern_tests::{Ctx, Failure, Partner};

/// The protocol of the messages in these tests.
pub const PROTOCOL: i64 = 7;
/// A message of one word.
pub const ONE: Tag = Tag::new(PROTOCOL, 1);
/// A message of four words.
pub const FOUR: Tag = Tag::new(PROTOCOL, 4);
/// Grace time of the entries here, if a test does not say otherwise.
pub const GRACE: u64 = 50_000_000;
/// Floor of the entries here.
pub const FLOOR: u8 = 10;
/// Pages of a context's stack.
const STACK_PAGES: u64 = 2;
/// Where the stacks of a server's contexts lie, an unmapped page between them.
const STACKS: u64 = 0xc_0000_0000;

/// A task with an entry and contexts.
pub struct Server {
    /// Its task, of which no thread was started; none if it is the test's own.
    pub partner: Option<Partner>,
    /// Its task.
    pub task: Task,
    /// Its entry.
    pub entry: Entry,
    /// Numbers of the contexts.
    pub contexts: Vec<u64>,
    memories: Vec<Memory>,
}

impl Server {
    /// A server in a task of its own.
    #[track_caller]
    pub fn new(ctx: &Ctx, contexts: u64, handler: Handler) -> Result<Self, Failure> {
        Self::with_grace(ctx, contexts, handler, GRACE)
    }

    /// A server with another grace time.
    #[track_caller]
    pub fn with_grace(
        ctx: &Ctx,
        contexts: u64,
        handler: Handler,
        grace: u64,
    ) -> Result<Self, Failure> {
        let partner = ctx.peer()?;
        let Some(task) = partner.task() else { postern_tests::fail!("a peer has a task") };
        Self::in_task(ctx, Some(partner), task, contexts, handler, grace)
    }

    /// An entry in the test's own task.
    #[track_caller]
    pub fn here(ctx: &Ctx, contexts: u64, handler: Handler) -> Result<Self, Failure> {
        Self::in_task(ctx, None, ctx.task, contexts, handler, GRACE)
    }

    #[track_caller]
    fn in_task(
        ctx: &Ctx,
        partner: Option<Partner>,
        task: Task,
        contexts: u64,
        handler: Handler,
        grace: u64,
    ) -> Result<Self, Failure> {
        let entry = ctx.factory.create_entry(ctx.slot()?, task, entry_point(), FLOOR, grace)?;
        let mut server = Self { partner, task, entry, contexts: Vec::new(), memories: Vec::new() };
        for _ in 0..contexts {
            let stack = server.stack(ctx, handler)?;
            server.contexts.push(entry.add_context(stack)?.number);
        }
        Ok(server)
    }

    /// One more stack for contexts that run `handler`; its stack pointer.
    #[track_caller]
    pub fn stack(&mut self, ctx: &Ctx, handler: Handler) -> Result<u64, Failure> {
        let bytes = STACK_PAGES * PAGE;
        let at = STACKS + self.memories.len() as u64 * (bytes + PAGE);
        let memory = ctx.memory(STACK_PAGES)?;
        self.memories.push(memory);
        let mut window = Mapping::new(memory, bytes, Rights::W)?;
        let top = prepare(&mut window, at + bytes, handler);
        self.task.map(memory, at, 0, bytes, Rights::R | Rights::W)?;
        Ok(top)
    }

    /// First address of the stack of context number `index`: the guard page is
    /// below it.
    pub fn stack_start(index: u64) -> u64 {
        STACKS + index * (STACK_PAGES + 1) * PAGE
    }

    /// The stack pointer with which context number `index` begins.
    pub fn stack_top(index: u64) -> u64 {
        Self::stack_start(index) + STACK_PAGES * PAGE - RESERVED
    }

    /// A gate to it, without a limit.
    #[track_caller]
    pub fn gate(&self, ctx: &Ctx, label: u64) -> Result<Gate, Failure> {
        self.limited(ctx, label, 0)
    }

    /// A gate that may have `limit` contexts in use.
    #[track_caller]
    pub fn limited(&self, ctx: &Ctx, label: u64, limit: u64) -> Result<Gate, Failure> {
        Ok(ctx.factory.create_entry_gate(ctx.slot()?, self.entry, label, limit)?)
    }

    /// Gives the server a capability; the slot in which it has it.
    #[track_caller]
    pub fn give(&mut self, what: impl Capability) -> Result<Slot, Failure> {
        match &mut self.partner {
            Some(partner) => partner.give(Item::all(what.slot())),
            None => Ok(what.slot()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Ok(own) = own::task() else { return };
        let end = |slot: Slot| {
            // What the test has destroyed itself is gone already.
            let _ = own.destroy(slot);
            let _ = own.delete(slot);
            slots::release(slot);
        };
        end(self.entry.slot());
        if let Some(partner) = self.partner.take() {
            drop(partner);
        }
        self.memories.iter().for_each(|memory| end(memory.slot()));
    }
}

/// An answer of one word.
pub fn one(word: u64) -> Answer {
    Answer { label: 0, tag: ONE, words: [word, 0, 0, 0] }
}

/// Calls `gate` with one word; the word of the answer.
pub fn call(gate: impl Capability, word: u64) -> postern_tests::syscall::Result<u64> {
    call_with(gate, word, Timeouts::NEVER)
}

/// As [`call`], with timeouts.
pub fn call_with(
    gate: impl Capability,
    word: u64,
    timeouts: Timeouts,
) -> postern_tests::syscall::Result<u64> {
    ipc::call(gate.slot(), ONE, [word, 0, 0, 0], timeouts).map(|answer| answer.words[0])
}
