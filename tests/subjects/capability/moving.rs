//! Moving a capability: the same one, in another slot.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorNumber, Item, Rights, Slot, Tag, Timeouts, control, ipc,
};
use postern_tests::{Body, Ctx, Verdict, check_eq, op, patience, tests};

use crate::look;

tests! {
    capability_g01_move_keeps_rights_and_object,
    capability_g01_move_errors,
    capability_g01_move_a_right_to_answer,
}

fn capability_g01_move_keeps_rights_and_object(ctx: &Ctx) -> Verdict {
    let gate = ctx.derive(ctx.gate(0x40)?, Rights::R | Rights::SERVER)?;
    let before = look(ctx.task, gate.slot())?;
    let (to, charged) = (ctx.slot()?, ctx.charged()?);
    let used = ctx.task.info()?.slots_used;
    ctx.task.move_slot(gate.slot(), to)?;
    let after = look(ctx.task, to)?;
    check_eq!(
        (after.object, after.rights, after.kind),
        (before.object, before.rights, before.kind)
    );
    check_eq!(ctx.task.delete(gate.slot()), Err(op(ErrorNumber::NotExistent, 1)));
    check_eq!((ctx.charged()?, ctx.task.info()?.slots_used), (charged, used));
    // And inside another task.
    let task = ctx.empty_task()?;
    task.delegate(ctx.unbound()?.item(Rights::all()), Slot::new(5))?;
    task.move_slot(Slot::new(5), Slot::new(127))?;
    check_eq!(look(task, Slot::new(5)).is_err(), true);
    check_eq!(look(task, Slot::new(127)).is_ok(), true);
    Ok(())
}

fn capability_g01_move_errors(ctx: &Ctx) -> Verdict {
    let (gate, empty) = (ctx.unbound()?, ctx.slot()?);
    let move_it = |from: Slot, to: Slot| ctx.task.move_slot(from, to);
    for from in [empty, Slot::NULL, Slot::new(512), Slot::new(u32::MAX)] {
        check_eq!(move_it(from, empty), Err(op(ErrorNumber::NotExistent, 1)), "from {from}");
    }
    check_eq!(move_it(gate.slot(), ctx.log.slot()), Err(op(ErrorNumber::Exists, 2)));
    check_eq!(move_it(gate.slot(), gate.slot()), Err(op(ErrorNumber::Exists, 2)));
    check_eq!(move_it(gate.slot(), Slot::NULL), Err(op(ErrorNumber::NoWindow, 2)));
    check_eq!(move_it(gate.slot(), Slot::new(512)), Err(op(ErrorNumber::Inval, 2)));
    check_eq!(gate.info()?.bound, false);
    Ok(())
}

fn capability_g01_move_a_right_to_answer(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let body: Body = |slot| {
        let slot = Slot::new(slot as u32);
        ipc::call(slot, Tag::new(7, 0), [0; 4], Timeouts::NEVER).map_or(0, |answer| answer.label)
    };
    let caller = ctx.spawn(body, gate.slot().word())?;
    ipc::receive(patience())?;
    let (saved, other) = (ctx.slot()?, ctx.slot()?);
    control::save_reply(saved)?;
    ctx.task.move_slot(saved, other)?;
    caller.await_state(ctx, ThreadState::Calling)?;
    check_eq!(
        ipc::reply_saved(saved, 0, Tag::new(7, 0), [0; 4]),
        Err(postern_tests::sent(ErrorNumber::NotExistent))
    );
    ipc::reply_saved(other, 9, Tag::new(7, 0), [0; 4])?;
    check_eq!(caller.join()?, 9);
    check_eq!(Item::all(other).moved, false);
    Ok(())
}
