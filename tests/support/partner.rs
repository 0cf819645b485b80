//! A second thread for a test: in its own task, or as a *peer* in another one.
//!
//! A peer shares the text of the subject and has a copy of its data, a stack
//! and a UTCB of its own, and the capabilities that the test gives it. It must
//! not use the heap, which it does not have.

use core::time::Duration;

use postern_runtime::memory::{Mapping, STACK_TOP};
use postern_runtime::syscall::abi::env;
use postern_runtime::syscall::abi::op::reason;
use postern_runtime::syscall::abi::op::thread::ThreadState;
use postern_runtime::syscall::abi::{PAGE, tag::protocol};
use postern_runtime::syscall::{
    Capability, Gate, Item, Memory, Rights, Slot, Task, Thread, ThreadInfo, ipc,
};
use postern_runtime::{own, slots};

use crate::context::patience;
use crate::protocol::{PRIORITY, slot};
use crate::{Ctx, Failure, Verdict, bare, board, check, check_eq, fail};

/// What a partner runs: its argument in, its exit code out.
pub type Body = fn(u64) -> u64;

/// Bytes of a partner's stack.
const STACK: u64 = 16 * 1024;

/// Slots of a peer.
pub mod peer {
    use postern_runtime::syscall::Slot;

    /// First capability that the test gave, the others behind it.
    pub const GIVEN: u32 = 64;
    /// First slot that is empty and stays so.
    pub const FREE: u32 = 96;
    /// Number of slots.
    pub const COUNT: u64 = 128;

    /// The slot of the capability that was given as number `index`.
    #[must_use]
    pub const fn given(index: u32) -> Slot {
        Slot::new(GIVEN + index)
    }

    /// Empty slot number `index`.
    #[must_use]
    pub const fn free(index: u32) -> Slot {
        Slot::new(FREE + index)
    }
}

/// How a thread ended: the message of its exit gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// See [`reason`].
    pub reason: u64,
    /// Exit code, or faulting address.
    pub detail: u64,
    /// Where it was.
    pub instruction: u64,
    /// Error code of the CPU.
    pub error: u64,
}

/// A second thread. Dropped, it ends, and its memory and task with it.
#[must_use]
pub struct Partner {
    thread: Thread,
    exit: Gate,
    /// The task that the partner has for itself.
    task: Option<Task>,
    stack: Memory,
    /// The stack in this task; none for a peer.
    mapping: Option<Mapping>,
    top: u64,
    given: u32,
    /// The data that was copied for it.
    copies: [Option<Memory>; 4],
    /// The thread that runs the test.
    owner: Thread,
}

impl Partner {
    #[track_caller]
    fn new(ctx: &Ctx, task: Option<Task>, priority: u8, stack: Memory) -> Result<Self, Failure> {
        let thread = ctx.factory.create_thread(ctx.slot()?, priority)?;
        thread.bind(task.unwrap_or(ctx.task))?;
        let exit = ctx.unbound()?;
        thread.set_exit_gate(Some(exit))?;
        Ok(Self {
            thread,
            exit,
            task,
            stack,
            mapping: None,
            top: STACK_TOP,
            given: 0,
            copies: [None; 4],
            owner: ctx.thread,
        })
    }

    #[track_caller]
    pub(crate) fn helper(ctx: &Ctx, priority: u8) -> Result<Self, Failure> {
        let mapping = Mapping::create(STACK)?;
        let mut partner = Self::new(ctx, None, priority, mapping.memory())?;
        partner.top = mapping.address() + mapping.bytes();
        partner.mapping = Some(mapping);
        Ok(partner)
    }

    #[track_caller]
    pub(crate) fn peer(ctx: &Ctx) -> Result<Self, Failure> {
        let task = ctx.factory.create_task(ctx.slot()?, peer::COUNT)?;
        task.set_name("peer", 0, 0)?;
        let stack = ctx.memory(STACK / PAGE)?;
        let data = Rights::R | Rights::W;
        task.map(stack, STACK_TOP - STACK, 0, STACK, data)?;
        task.map(ctx.board, board::ADDRESS, 0, PAGE, data)?;
        let mut partner = Self::new(ctx, Some(task), PRIORITY, stack)?;
        partner.map_image(ctx, task)?;
        let own = [
            (slot::TASK, task.slot()),
            (slot::THREAD, partner.thread.slot()),
            (ctx.log.slot().number(), ctx.log.slot()),
        ];
        for (number, from) in own {
            let rights = Rights::R | Rights::W | Rights::S;
            task.delegate(Item::with(from, rights), Slot::new(number))?;
        }
        Ok(partner)
    }

    /// Maps the subject's own image into the peer's task.
    #[track_caller]
    fn map_image(&mut self, ctx: &Ctx, task: Task) -> Verdict {
        let segments = ctx.env.records().filter(|record| record.kind == env::SEGMENT);
        let mut copies = self.copies.iter_mut();
        for segment in segments {
            let rights = Rights::from_bits_truncate((segment.second >> 56) as u8);
            let bytes = segment.second & !(0xff << 56);
            let mut memory: Memory = ctx.env.capability(segment.name)?;
            if rights.contains(Rights::W) {
                let original = Mapping::new(memory, bytes, Rights::R)?;
                memory = ctx.factory.create_memory(ctx.slot()?, bytes)?;
                let mut copy = Mapping::new(memory, bytes, Rights::W)?;
                let mut buffer = [0; 1024];
                for offset in (0..bytes).step_by(buffer.len()) {
                    original.read(offset, &mut buffer);
                    copy.write(offset, &buffer);
                }
                let Some(place) = copies.next() else {
                    fail!("the subject has more data segments than a peer can have");
                };
                *place = Some(memory);
            }
            task.map(memory, segment.first, 0, bytes, rights)?;
        }
        Ok(())
    }

    /// Gives the peer a capability; the slot in which it has it.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn give(&mut self, item: Item) -> Result<Slot, Failure> {
        let Some(task) = self.task else { return Ok(item.slot) };
        let slot = peer::given(self.given);
        task.delegate(item, slot)?;
        self.given += 1;
        Ok(slot)
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn start(&mut self, body: Body, argument: u64) -> Verdict {
        let entry = bare::memory::entry(self.task.is_some());
        // As after a `call`: the ABI wants the stack 8 bytes off there.
        self.thread.start(entry, self.top - 8, body as *const () as u64, argument)?;
        Ok(())
    }

    /// The thread.
    #[must_use]
    pub const fn thread(&self) -> Thread {
        self.thread
    }

    /// The task that it has for itself; none for a helper.
    #[must_use]
    pub const fn task(&self) -> Option<Task> {
        self.task
    }

    /// First address past its stack.
    #[must_use]
    pub const fn stack_top(&self) -> u64 {
        self.top
    }

    /// Bytes of its stack, below [`Partner::stack_top`].
    #[must_use]
    pub const fn stack_bytes(&self) -> u64 {
        STACK
    }

    /// State and figures.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn info(&self) -> Result<ThreadInfo, Failure> {
        Ok(self.thread.info()?)
    }

    /// Waits until the thread is in this state.
    ///
    /// # Errors
    /// It did not get there.
    #[track_caller]
    pub fn await_state(&self, ctx: &Ctx, state: ThreadState) -> Verdict {
        ctx.await_state(self.thread, state)
    }

    /// Waits for its end. To be called by the thread that runs the test.
    ///
    /// # Errors
    /// It did not end.
    #[track_caller]
    pub fn end(&self) -> Result<End, Failure> {
        // Not bound before: the message must not meet an open receive.
        self.exit.bind(self.owner, 0)?;
        let delivery = ipc::receive_from(self.exit.slot(), patience());
        self.exit.unbind()?;
        let delivery = match delivery {
            Ok(delivery) => delivery,
            Err(error) => fail!("waiting for a partner's end: {error}"),
        };
        check_eq!(delivery.tag.protocol(), protocol::EXIT);
        check_eq!(delivery.tag.words(), 4);
        let [reason, detail, instruction, error] = delivery.words;
        Ok(End { reason, detail, instruction, error })
    }

    /// Waits for its end, which must be an orderly one; its exit code.
    ///
    /// # Errors
    /// It did not end, or crashed.
    #[track_caller]
    pub fn join(&self) -> Result<u64, Failure> {
        let end = self.end()?;
        check!(
            end.reason == reason::EXIT,
            "the partner did not exit: {} about {:#x} at {:#x}, error code {:#x}",
            reason::name(end.reason),
            end.detail,
            end.instruction,
            end.error,
        );
        Ok(end.detail)
    }

    /// Waits for its end, which must be the exception `vector`; about
    /// `address`, if one is given.
    ///
    /// # Errors
    /// It did not end so.
    #[track_caller]
    pub fn expect_fault(&self, vector: u8, address: Option<u64>) -> Result<End, Failure> {
        let end = self.end()?;
        let expected = reason::name(reason::EXCEPTION + u64::from(vector));
        check!(
            end.reason == reason::EXCEPTION + u64::from(vector),
            "{} ({:#x}) about {:#x} at {:#x} instead of {expected}",
            reason::name(end.reason),
            end.reason,
            end.detail,
            end.instruction,
        );
        if let Some(address) = address {
            check!(
                end.detail == address,
                "{expected} about {:#x} instead of {address:#x}",
                end.detail
            );
        }
        Ok(end)
    }

    /// Waits a moment for the thread to do what it must not do.
    pub fn give_time(&self) {
        postern_runtime::time::sleep(Duration::from_millis(5));
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // What the test has destroyed itself is gone already; the slots are
        // given back all the same.
        let Ok(own) = own::task() else { return };
        let end = |slot: Slot| {
            let _ = own.destroy(slot);
            let _ = own.delete(slot);
            slots::release(slot);
        };
        end(self.thread.slot());
        if let Some(task) = self.task {
            end(task.slot());
        }
        end(self.exit.slot());
        self.mapping = None;
        end(self.stack.slot());
        for copy in self.copies.iter().flatten() {
            end(copy.slot());
        }
    }
}
