//! Delegating: from the caller's table into another task's.

use postern_tests::syscall::abi::op::task::DELEGATE;
use postern_tests::syscall::{Capability, ErrorCode, ErrorNumber, Item, Rights, Slot, operate};
use postern_tests::{Body, Ctx, Verdict, check_eq, op, peer, tell, tests, told};

use crate::{look, rights};

tests! {
    capability_g01_delegate_needs_grant,
    capability_g01_delegate_masks,
    capability_g01_delegate_slots,
    capability_g01_delegate_within_the_task,
    capability_g01_delegate_needs_w_on_the_task,
    capability_g01_delegated_to_a_running_task,
}

const ITEM: u8 = ErrorCode::ITEM;

fn capability_g01_delegate_needs_grant(ctx: &Ctx) -> Verdict {
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    let weak = ctx.derive(gate, Rights::all() - Rights::GRANT)?;
    let refused = task.delegate(Item::all(weak.slot()), Slot::new(5));
    check_eq!(refused, Err(op(ErrorNumber::Perm, ITEM)));
    check_eq!(task.info()?.slots_used, 0);
    task.delegate(Item::all(gate.slot()), Slot::new(5))?;
    // Passed on without GRANT, it stays there.
    task.delegate(gate.item(Rights::all() - Rights::GRANT), Slot::new(6))?;
    check_eq!(look(task, Slot::new(6))?.rights.contains(Rights::GRANT), false);
    Ok(())
}

fn capability_g01_delegate_masks(ctx: &Ctx) -> Verdict {
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    let some = ctx.derive(gate, Rights::R | Rights::W | Rights::GRANT)?;
    task.delegate(some.item(Rights::W | Rights::S | Rights::SERVER), Slot::new(5))?;
    check_eq!(look(task, Slot::new(5))?.rights, Rights::W);
    task.delegate(some.item(Rights::empty()), Slot::new(6))?;
    check_eq!(look(task, Slot::new(6))?.rights, Rights::empty());
    Ok(())
}

fn capability_g01_delegate_slots(ctx: &Ctx) -> Verdict {
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    let delegate = |from, to| task.delegate(Item::all(from), Slot::new(to));
    for from in [ctx.slot()?, Slot::NULL, Slot::new(u32::MAX)] {
        check_eq!(delegate(from, 5), Err(op(ErrorNumber::NotExistent, ITEM)), "from {from}");
    }
    check_eq!(delegate(gate.slot(), 0), Err(op(ErrorNumber::NoWindow, 1)));
    check_eq!(delegate(gate.slot(), 128), Err(op(ErrorNumber::Inval, 1)));
    delegate(gate.slot(), 127)?;
    check_eq!(delegate(gate.slot(), 127), Err(op(ErrorNumber::Exists, 1)));
    let none = operate(task.slot(), &[DELEGATE, 5], &[]).map(drop);
    check_eq!(none, Err(op(ErrorNumber::Inval, ITEM)), "no item");
    let short = operate(task.slot(), &[DELEGATE], &[Item::all(gate.slot())]).map(drop);
    check_eq!(short, Err(op(ErrorNumber::TooShort, 1)));
    check_eq!(task.info()?.slots_used, 1);
    Ok(())
}

fn capability_g01_delegate_within_the_task(ctx: &Ctx) -> Verdict {
    // Among one's own slots GRANT is not needed.
    let weak = ctx.derive(ctx.unbound()?, Rights::R | Rights::W)?;
    let to = ctx.slot()?;
    ctx.task.delegate(weak.item(Rights::all()), to)?;
    check_eq!(rights(ctx, to)?, Rights::R | Rights::W);
    Ok(())
}

fn capability_g01_delegate_needs_w_on_the_task(ctx: &Ctx) -> Verdict {
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    let weak = ctx.derive(task, Rights::all() - Rights::W)?;
    let refused = weak.delegate(Item::all(gate.slot()), Slot::new(5));
    check_eq!(refused, Err(op(ErrorNumber::Perm, 0)));
    check_eq!(task.info()?.slots_used, 0);
    Ok(())
}

fn capability_g01_delegated_to_a_running_task(ctx: &Ctx) -> Verdict {
    // It appears in the table of a task that is waiting for it.
    let (notification, mut other) = (ctx.notification()?, ctx.peer()?);
    let body: Body = |_| {
        let notification = postern_tests::syscall::Notification::new(peer::free(0));
        loop {
            match notification.signal(4) {
                Err(error) if error.number == ErrorNumber::NotExistent => {
                    postern_tests::syscall::control::yield_now();
                }
                result => break tell(result),
            }
        }
    };
    other.start(body, 0)?;
    other.give_time();
    if let Some(task) = other.task() {
        task.delegate(notification.item(Rights::W), peer::free(0))?;
    }
    check_eq!(told(other.join()?), Ok(()));
    check_eq!(notification.poll()?, 4);
    Ok(())
}
