//! Parts that were split off a memory, while the memory is being revoked.

use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{Capability, ErrorNumber, Item, Rights, Slot, Task};
use postern_tests::{Ctx, Verdict, check, check_eq, op, protocol, tell, tests};

use crate::is_there;
use crate::long::{Shape, await_middle, grow};

tests! {
    revoke_g01_split_parts_are_busy_meanwhile = 60,
}

/// Where a part is to be mapped.
const AT: u64 = 0xc_0000_0000;

/// A body: revokes what is below a slot of its own task.
fn revokes(slot: u64) -> u64 {
    tell(Task::new(Slot::new(protocol::slot::TASK)).revoke(Slot::new(slot as u32)))
}

fn revoke_g01_split_parts_are_busy_meanwhile(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(9)?;
    // They were derived first, so the revocation comes to them last.
    let part = memory.split(5 * PAGE, ctx.slot()?)?;
    let smaller = part.split(2 * PAGE, ctx.slot()?)?;
    let other = ctx.memory(1)?;
    let task = grow(ctx, Item::all(memory.slot()), Shape::Flat)?;
    let revoker = ctx.spawn_at(50, revokes, memory.slot().word())?;
    await_middle(task)?;
    let spare = ctx.slot()?;
    let busy = |argument| Err(op(ErrorNumber::Busy, argument));
    for from in [part, smaller] {
        check_eq!(ctx.task.derive(from.slot(), spare, Rights::R), busy(1));
        check_eq!(ctx.task.delegate(from.item(Rights::R), spare), busy(64));
        check_eq!(ctx.task.map(from, AT, 0, PAGE, Rights::R), busy(64));
        check_eq!(ctx.task.revoke(from.slot()), busy(1));
        check_eq!(from.split(PAGE, spare).map(drop), busy(0));
    }
    ctx.task.derive(other.slot(), spare, Rights::R)?;
    check!(task.info()?.slots_used > 0, "it was over before everything was tried");
    check_eq!(revoker.join()?, 0);
    check_eq!(task.info()?.slots_used, 0);
    check!(!is_there(ctx.task, part.slot()) && !is_there(ctx.task, smaller.slot()));
    check_eq!(memory.info()?.bytes, 5 * PAGE);
    Ok(())
}
