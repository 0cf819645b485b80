//! Many threads of one task at once: more than there are slots for in the
//! test's own table.

use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::{Capability, Item, Rights, Slot, Task};

use crate::{Body, Ctx, Failure, bare};

/// Bytes of each thread's stack.
const STACK: u64 = 1024;
/// Where the stacks are mapped.
const AT: u64 = 0xc_0000_0000;

/// Threads that run in the test's task, on parts of one memory; another task's
/// table keeps their capabilities. There can be one crowd in a test.
#[must_use]
pub struct Crowd {
    keeper: Task,
}

impl Crowd {
    /// Starts `count` threads with `body`; thread `number` has the priority and
    /// the argument that these functions tell.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn start(
        ctx: &Ctx,
        count: u64,
        priority: impl Fn(u64) -> u8,
        body: Body,
        argument: impl Fn(u64) -> u64,
    ) -> Result<Self, Failure> {
        let keeper = ctx.factory.create_task(ctx.slot()?, count + 1)?;
        let bytes = (count * STACK).next_multiple_of(PAGE);
        let stacks = ctx.memory(bytes / PAGE)?;
        ctx.task.map(stacks, AT, 0, bytes, Rights::R | Rights::W)?;
        let (slot, entry) = (ctx.slot()?, bare::memory::entry(false));
        for number in 0..count {
            let thread = ctx.factory.create_thread(slot, priority(number))?;
            thread.bind(ctx.task)?;
            let top = AT + (number + 1) * STACK;
            // As after a `call`: the ABI wants the stack 8 bytes off there.
            thread.start(entry, top - 8, body as *const () as u64, argument(number))?;
            keeper.delegate(Item::all(slot), Slot::new(number as u32 + 1))?;
            ctx.task.delete(slot)?;
        }
        Ok(Self { keeper })
    }

    /// Ends all of them.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn end(self, ctx: &Ctx) -> Result<(), Failure> {
        Ok(ctx.task.destroy(self.keeper.slot())?)
    }
}
