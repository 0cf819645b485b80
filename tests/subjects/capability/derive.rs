//! Deriving: rights only shrink.

use postern_tests::syscall::abi::op::task::DERIVE;
use postern_tests::syscall::{Capability, ErrorNumber, Rights, Slot, operate};
use postern_tests::{Ctx, Verdict, check, check_eq, op, tests};

use crate::{look, rights};

tests! {
    capability_g01_derive_only_shrinks,
    capability_g01_derive_chain,
    capability_g01_derive_slots,
    capability_g01_derive_needs_w_on_the_task,
    capability_g01_derive_mask_bits_past_the_rights,
    capability_g01_derive_inside_another_task,
    capability_g01_every_slot_of_a_table,
}

/// Every single right.
const SINGLE: [Rights; 8] = [
    Rights::W,
    Rights::S,
    Rights::R,
    Rights::D,
    Rights::GRANT,
    Rights::SERVER,
    Rights::X,
    Rights::PHYS,
];

fn capability_g01_derive_only_shrinks(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let all = rights(ctx, gate.slot())?;
    for kept in SINGLE {
        let one = ctx.derive(gate, kept)?;
        check_eq!(rights(ctx, one.slot())?, kept & all);
        let lost = ctx.derive(gate, Rights::all() - kept)?;
        check_eq!(rights(ctx, lost.slot())?, all - kept);
        for asked in [Rights::all(), kept, Rights::all() - kept] {
            let again = ctx.derive(lost, asked)?;
            check!(!rights(ctx, again.slot())?.contains(kept), "{kept:?} came back");
            ctx.task.delete(again.slot())?;
        }
        ctx.task.delete(one.slot())?;
        ctx.task.delete(lost.slot())?;
    }
    // Memory has no SERVER to begin with.
    let memory = ctx.memory(1)?;
    let copy = ctx.derive(memory, Rights::all())?;
    check_eq!(rights(ctx, copy.slot())?, Rights::all() - Rights::SERVER);
    Ok(())
}

fn capability_g01_derive_chain(ctx: &Ctx) -> Verdict {
    // Each one derived from the one before, down to nothing.
    let gate = ctx.gate(0x40)?;
    let mut last = gate;
    let mut expected = rights(ctx, gate.slot())?;
    for right in SINGLE {
        expected -= right;
        last = ctx.derive(last, Rights::all() - right)?;
        check_eq!(rights(ctx, last.slot())?, expected);
    }
    check_eq!(rights(ctx, last.slot())?, Rights::empty());
    check_eq!(look(ctx.task, last.slot())?.object, look(ctx.task, gate.slot())?.object);
    Ok(())
}

fn capability_g01_derive_slots(ctx: &Ctx) -> Verdict {
    let (gate, empty) = (ctx.unbound()?, ctx.slot()?);
    let derive = |from, to| ctx.task.derive(from, to, Rights::all());
    let missing = Err(op(ErrorNumber::NotExistent, 1));
    for from in [empty, Slot::NULL, Slot::new(511), Slot::new(512), Slot::new(u32::MAX)] {
        check_eq!(derive(from, empty), missing, "from {from}");
    }
    check_eq!(derive(gate.slot(), gate.slot()), Err(op(ErrorNumber::Exists, 2)));
    check_eq!(derive(gate.slot(), ctx.log.slot()), Err(op(ErrorNumber::Exists, 2)));
    check_eq!(derive(gate.slot(), Slot::NULL), Err(op(ErrorNumber::NoWindow, 2)));
    for to in [512, 0xffff, 0x1_0000, u32::MAX] {
        check_eq!(derive(gate.slot(), Slot::new(to)), Err(op(ErrorNumber::Inval, 2)), "to {to}");
    }
    let huge = [DERIVE, gate.slot().word(), empty.word() | 1 << 32, 0xff];
    let derived = operate(ctx.task.slot(), &huge, &[]).map(drop);
    check_eq!(derived, Err(op(ErrorNumber::Inval, 2)));
    let huge = [DERIVE, gate.slot().word() | 1 << 32, empty.word(), 0xff];
    let derived = operate(ctx.task.slot(), &huge, &[]).map(drop);
    check_eq!(derived, missing);
    derive(gate.slot(), empty)?;
    Ok(())
}

fn capability_g01_derive_needs_w_on_the_task(ctx: &Ctx) -> Verdict {
    let weak = ctx.derive(ctx.task, Rights::all() - Rights::W)?;
    let (gate, empty) = (ctx.unbound()?, ctx.slot()?);
    let derived = weak.derive(gate.slot(), empty, Rights::all());
    check_eq!(derived, Err(op(ErrorNumber::Perm, 0)));
    check_eq!(ctx.task.delete(empty), Err(op(ErrorNumber::NotExistent, 1)));
    Ok(())
}

fn capability_g01_derive_mask_bits_past_the_rights(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let weak = ctx.derive(gate, Rights::R)?;
    let to = ctx.slot()?;
    operate(ctx.task.slot(), &[DERIVE, weak.slot().word(), to.word(), u64::MAX], &[])?;
    check_eq!(rights(ctx, to)?, Rights::R);
    Ok(())
}

fn capability_g01_derive_inside_another_task(ctx: &Ctx) -> Verdict {
    let (task, gate) = (ctx.empty_task()?, ctx.unbound()?);
    task.delegate(gate.item(Rights::R | Rights::W), Slot::new(9))?;
    task.derive(Slot::new(9), Slot::new(10), Rights::all())?;
    let found = look(task, Slot::new(10))?;
    check_eq!(found.rights, Rights::R | Rights::W);
    check_eq!(found.object, look(ctx.task, gate.slot())?.object);
    check_eq!(task.info()?.slots_used, 2);
    Ok(())
}

fn capability_g01_every_slot_of_a_table(ctx: &Ctx) -> Verdict {
    // 200 slots are rounded up to 256; all but 0 take a capability.
    let task = ctx.factory.create_task(ctx.slot()?, 200)?;
    check_eq!(task.info()?.slots, 256);
    let gate = ctx.unbound()?;
    for slot in 1..256 {
        task.delegate(gate.item(Rights::R), Slot::new(slot))?;
    }
    check_eq!(task.info()?.slots_used, 255);
    for slot in 1..256 {
        let full = task.delegate(gate.item(Rights::R), Slot::new(slot));
        check_eq!(full, Err(op(ErrorNumber::Exists, 1)), "slot {slot}");
    }
    let past = task.delegate(gate.item(Rights::R), Slot::new(256));
    check_eq!(past, Err(op(ErrorNumber::Inval, 1)));
    // One that is emptied takes another.
    task.delete(Slot::new(255))?;
    task.delegate(gate.item(Rights::W), Slot::new(255))?;
    check_eq!(look(task, Slot::new(255))?.rights, Rights::W);
    ctx.task.destroy(task.slot())?;
    check_eq!(gate.info()?.bound, false, "the gate is still there");
    Ok(())
}
