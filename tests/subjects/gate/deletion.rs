//! Section G: a thread is told of the end of gates that are bound to it.

use postern_tests::syscall::abi::op::thread::{NOTIFY_DELETION, ThreadState};
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorCode, ErrorNumber, Item, Notification, Rights, Slot, operate,
};
use postern_tests::{Ctx, Failure, Verdict, check_eq, op, sent, tests, told};

use crate::{arguments, receive, send_it, waiting};

tests! {
    gate_c90_deletion_is_signalled,
    gate_c90_in_the_same_wait_as_messages,
    gate_c90_with_the_factory_of_the_gate,
    gate_c90_one_for_a_thread,
    gate_c90_refusals,
    gate_c90_senders_learn_first_or_arrive,
    gate_c91_one_of_several_capabilities,
    gate_c91_rebound_and_unbound_gates,
}

const ITEM: u8 = ErrorCode::ITEM;
const BITS: u64 = 0x8000_0000_0000_0010;

/// A notification that is signalled when a gate of this thread goes.
fn told_of_deletion(ctx: &Ctx) -> Result<Notification, Failure> {
    let notification = ctx.notification()?;
    ctx.thread.notify_deletion(notification, BITS)?;
    Ok(notification)
}

fn gate_c90_deletion_is_signalled(ctx: &Ctx) -> Verdict {
    let (outright, last) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let notification = told_of_deletion(ctx)?;
    // Bound later, it counts as well.
    let later = ctx.unbound()?;
    later.bind(ctx.thread, 0xc0)?;
    check_eq!(notification.poll()?, 0);
    ctx.task.destroy(outright.slot())?;
    check_eq!(notification.poll()?, BITS, "destroyed outright");
    check_eq!(notification.poll()?, 0, "once");
    ctx.task.delete(last.slot())?;
    check_eq!(notification.poll()?, BITS, "the last capability deleted");
    ctx.task.delete(later.slot())?;
    check_eq!(notification.poll()?, BITS, "again");
    ctx.task.delete(ctx.unbound()?.slot())?;
    check_eq!(notification.poll()?, 0, "a gate that was never bound");
    ctx.thread.forget_deletion()?;
    ctx.task.delete(ctx.gate(0x40)?.slot())?;
    check_eq!(notification.poll()?, 0, "after it was taken back");
    Ok(())
}

fn gate_c90_in_the_same_wait_as_messages(ctx: &Ctx) -> Verdict {
    let (gate, other) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let notification = told_of_deletion(ctx)?;
    notification.bind(ctx.thread)?;
    let partner = waiting(ctx, 100, send_it, arguments(other, 7))?;
    // Another thread deletes it while this one waits.
    let killer = ctx.spawn_at(
        90,
        |slot| {
            let Ok(task) = postern_tests::runtime::own::task() else { return 1 };
            postern_tests::tell(task.destroy(Slot::new(slot as u32)))
        },
        gate.slot().word(),
    )?;
    check_eq!(receive()?.words[0], 7);
    let delivery = receive()?;
    check_eq!((delivery.kind, delivery.words[0]), (DeliveryKind::Notification, BITS));
    check_eq!(killer.join()?, 0);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c90_with_the_factory_of_the_gate(ctx: &Ctx) -> Verdict {
    let factory = ctx.sub_factory(8192)?;
    for label in [0x40, 0x80] {
        factory.create_bound_gate(ctx.slot()?, ctx.thread, label)?;
    }
    let notification = told_of_deletion(ctx)?;
    factory.empty()?;
    check_eq!(notification.poll()?, BITS);
    Ok(())
}

fn gate_c90_one_for_a_thread(ctx: &Ctx) -> Verdict {
    let (first, second) = (told_of_deletion(ctx)?, ctx.notification()?);
    let busy = Err(op(ErrorNumber::Busy, 0));
    check_eq!(ctx.thread.notify_deletion(second, 1), busy, "another");
    check_eq!(ctx.thread.notify_deletion(first, 1), busy, "the same again");
    ctx.task.delete(ctx.gate(0x40)?.slot())?;
    check_eq!((first.poll()?, second.poll()?), (BITS, 0));
    // One that is gone makes room, and so does taking it back.
    ctx.task.delete(first.slot())?;
    ctx.task.delete(ctx.gate(0x40)?.slot())?;
    ctx.thread.notify_deletion(second, 2)?;
    ctx.thread.forget_deletion()?;
    ctx.thread.notify_deletion(second, 4)?;
    ctx.task.delete(ctx.gate(0x40)?.slot())?;
    check_eq!(second.poll()?, 4);
    // Other threads have their own.
    let other = ctx.new_thread()?;
    other.notify_deletion(second, 8)?;
    ctx.task.delete(ctx.gate_to(other, 0x40)?.slot())?;
    check_eq!(second.poll()?, 8);
    Ok(())
}

fn gate_c90_refusals(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let weak_thread = ctx.derive(ctx.thread, Rights::all() - Rights::W)?;
    let weak = ctx.derive(notification, Rights::all() - Rights::W)?;
    check_eq!(weak_thread.notify_deletion(notification, 1), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(weak_thread.forget_deletion(), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(ctx.thread.notify_deletion(weak, 1), Err(op(ErrorNumber::Perm, ITEM)));
    check_eq!(ctx.thread.notify_deletion(notification, 0), Err(op(ErrorNumber::Inval, 1)));
    for wrong in [ctx.thread.slot(), ctx.slot()?, Slot::NULL] {
        let wrong = Notification::new(wrong);
        check_eq!(ctx.thread.notify_deletion(wrong, 1), Err(op(ErrorNumber::Inval, ITEM)));
    }
    let item = [Item::all(notification.slot())];
    let short = operate(ctx.thread.slot(), &[NOTIFY_DELETION], &item).map(drop);
    check_eq!(short, Err(op(ErrorNumber::TooShort, 1)));
    // None of this has left anything behind.
    ctx.task.delete(ctx.gate(0x40)?.slot())?;
    check_eq!(notification.poll()?, 0);
    Ok(())
}

fn gate_c90_senders_learn_first_or_arrive(ctx: &Ctx) -> Verdict {
    // One that waits at the thread arrives although its gate is gone and the
    // thread was told; one that comes later gets the error.
    let gate = ctx.gate(0x40)?;
    let copy = ctx.derive(gate, Rights::empty())?;
    let notification = told_of_deletion(ctx)?;
    let queued = waiting(ctx, 100, send_it, arguments(copy, 3))?;
    ctx.task.destroy(gate.slot())?;
    check_eq!(notification.poll()?, BITS);
    check_eq!(queued.info()?.state, Some(ThreadState::Sending));
    let late = ctx.spawn(send_it, arguments(copy, 4))?;
    check_eq!(told(late.join()?), Err(sent(ErrorNumber::NotExistent)));
    check_eq!(receive()?.words[0], 3);
    check_eq!(queued.join()?, 0);
    Ok(())
}

fn gate_c91_one_of_several_capabilities(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let copies = [ctx.derive(gate, Rights::all())?, ctx.derive(gate, Rights::empty())?];
    let notification = told_of_deletion(ctx)?;
    ctx.task.delete(gate.slot())?;
    check_eq!(notification.poll()?, 0, "the first");
    ctx.task.delete(copies[0].slot())?;
    check_eq!(notification.poll()?, 0, "the second");
    ctx.task.delete(copies[1].slot())?;
    check_eq!(notification.poll()?, BITS, "the last");
    Ok(())
}

fn gate_c91_rebound_and_unbound_gates(ctx: &Ctx) -> Verdict {
    let (moved, unbound, same) = (ctx.gate(0x40)?, ctx.gate(0x80)?, ctx.gate(0xc0)?);
    let notification = told_of_deletion(ctx)?;
    let (other, others) = (ctx.new_thread()?, ctx.notification()?);
    other.notify_deletion(others, 1)?;
    moved.bind(other, 0x40)?;
    unbound.unbind()?;
    same.bind(other, 0xc0)?;
    same.bind(ctx.thread, 0x100)?;
    check_eq!(notification.poll()?, 0, "rebinding and unbinding");
    ctx.task.destroy(moved.slot())?;
    check_eq!((notification.poll()?, others.poll()?), (0, 1), "bound to another thread");
    ctx.task.destroy(unbound.slot())?;
    check_eq!((notification.poll()?, others.poll()?), (0, 0), "unbound");
    ctx.task.destroy(same.slot())?;
    check_eq!((notification.poll()?, others.poll()?), (BITS, 0), "bound back again");
    Ok(())
}
