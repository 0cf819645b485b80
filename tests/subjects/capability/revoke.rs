//! Revoking: what is refused, and what is not touched. The rest is the subject
//! `revoke`.

use postern_tests::syscall::{
    Capability, ErrorNumber, Gate, Rights, Slot, Tag, Timeout, Timeouts, control, ipc,
};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, op, patience, tests};

use crate::rights;

tests! {
    capability_g01_revoke_errors,
    capability_g01_revoke_leaves_calls_in_flight,
    capability_g01_revoke_of_nothing,
}

fn is_there(ctx: &Ctx, slot: Slot) -> bool {
    rights(ctx, slot).is_ok()
}

fn capability_g01_revoke_errors(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    for slot in [ctx.slot()?, Slot::NULL, Slot::new(512), Slot::new(u32::MAX)] {
        check_eq!(ctx.task.revoke(slot), Err(op(ErrorNumber::NotExistent, 1)), "{slot}");
    }
    let child = ctx.derive(gate, Rights::R)?;
    let weak = ctx.derive(ctx.task, Rights::all() - Rights::W)?;
    check_eq!(weak.revoke(gate.slot()), Err(op(ErrorNumber::Perm, 0)));
    check!(is_there(ctx, child.slot()));
    let body: Body = |slot| {
        let slot = Slot::new(slot as u32);
        postern_tests::tell(ipc::call(slot, Tag::new(7, 0), [0; 4], Timeouts::NEVER))
    };
    let caller = ctx.spawn(body, gate.slot().word())?;
    ipc::receive(patience())?;
    let saved = ctx.slot()?;
    control::save_reply(saved)?;
    check_eq!(ctx.task.revoke(saved), Err(op(ErrorNumber::WrongKind, 1)));
    ipc::reply_saved(saved, 0, Tag::new(7, 0), [0; 4])?;
    check_eq!(caller.join()?, 0);
    Ok(())
}

fn capability_g01_revoke_leaves_calls_in_flight(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let child = ctx.derive(gate, Rights::W)?;
    let body: Body = |slot| {
        let slot = Slot::new(slot as u32);
        let answer = ipc::call(slot, Tag::new(7, 0), [0; 4], Timeouts::NEVER);
        let again = ipc::send(slot, Tag::new(7, 0), [0; 4], Timeout::ZERO);
        match (answer, again) {
            (Ok(answer), Err(error)) if error.number == ErrorNumber::NotExistent => answer.label,
            _ => 0,
        }
    };
    let caller = ctx.spawn(body, child.slot().word())?;
    check_eq!(ipc::receive(patience())?.label, 0x41);
    ctx.task.revoke(gate.slot())?;
    ipc::reply(6, Tag::new(7, 0), [0; 4])?;
    check_eq!(caller.join()?, 6);
    Ok(())
}

fn capability_g01_revoke_of_nothing(ctx: &Ctx) -> Verdict {
    let charged = ctx.charged()?;
    let gate = ctx.unbound()?;
    for _ in 0..3 {
        ctx.task.revoke(gate.slot())?;
        ctx.task.revoke(ctx.derive(ctx.log, Rights::W)?.slot())?;
    }
    check_eq!(Gate::new(gate.slot()).info()?.bound, false);
    ctx.task.destroy(gate.slot())?;
    check_eq!(ctx.charged()?, charged);
    Ok(())
}
