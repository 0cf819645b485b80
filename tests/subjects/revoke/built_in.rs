//! Revocation of what no factory made: interrupts, the scheduler, the log.

use postern_tests::syscall::{Capability, ErrorNumber, Item, Rights, Slot};
use postern_tests::{Ctx, Verdict, check, check_eq, op, tests};

use crate::is_there;
use crate::long::{Shape, await_middle, grow, revoke_slot_one};

tests! {
    revoke_g01_built_in_objects_busy_and_revoker_dies = 60,
}

fn revoke_g01_built_in_objects_busy_and_revoker_dies(ctx: &Ctx) -> Verdict {
    let busy = Err(op(ErrorNumber::Busy, 1));
    for from in [ctx.irq.slot(), ctx.scheduler.slot(), ctx.log.slot()] {
        // A root of its own, so that the test's capability stays what it is.
        let root = ctx.slot()?;
        ctx.task.derive(from, root, Rights::all())?;
        let task = grow(ctx, Item::all(root), Shape::Chain)?;
        let revoker = ctx.spawn_at(50, revoke_slot_one, task.slot().word())?;
        await_middle(task)?;
        let spare = ctx.slot()?;
        check_eq!(ctx.task.derive(from, spare, Rights::all()), busy, "derived meanwhile");
        check_eq!(task.derive(Slot::new(1), Slot::new(1000), Rights::R), busy, "below the root");
        check_eq!(task.delete(Slot::new(1)), busy, "deleting the root");
        check_eq!(ctx.task.revoke(root), busy, "a second revoke");
        if from == ctx.scheduler.slot() {
            let less = ctx.factory.create_scheduler(spare, ctx.scheduler, 10).map(drop);
            check_eq!(less, Err(op(ErrorNumber::Busy, 64)), "a smaller scheduler");
        }
        ctx.task.destroy(revoker.thread().slot())?;
        check!(task.info()?.slots_used > 1, "it was over when its thread died");
        check!(ctx.wait_until(|| task.info().is_ok_and(|info| info.slots_used == 1)), "it stops");
        check!(is_there(task, Slot::new(1)), "the root of the revocation");
        check!(ctx.wait_until(|| ctx.task.derive(from, spare, Rights::R).is_ok()), "stays busy");
        ctx.task.delete(spare)?;
        // Nothing of this kind can be destroyed.
        ctx.task.destroy(root)?;
        check!(is_there(ctx.task, from) && is_there(task, Slot::new(1)), "it is gone");
        ctx.task.destroy(task.slot())?;
    }
    Ok(())
}
