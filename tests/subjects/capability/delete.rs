//! Deleting a capability, and the object behind it.

use postern_tests::syscall::abi::op::task::DELETE;
use postern_tests::syscall::{
    Capability, ErrorNumber, Item, Rights, Slot, Tag, Timeout, ipc, operate,
};
use postern_tests::{Ctx, Verdict, check, check_eq, op, peer, sent, tests};

use crate::rights;

tests! {
    gate_c92_deleting_with_d_takes_all_capabilities,
    gate_c92_deleting_without_d_takes_ones_own,
    capability_g01_destroy_needs_d,
    capability_g01_delete_arguments,
    capability_g01_last_capability_destroys,
    capability_g01_deriving_outlives_its_source,
    capability_g01_stale_slots_are_empty,
    capability_g01_stale_slots_name_nothing_new,
    capability_g01_delete_the_capability_in_use,
    capability_g01_task_goes_with_all_in_it,
    capability_g01_fixed_objects_cannot_be_destroyed,
}

/// A message that times out in the send phase says that the gate is there.
fn is_there(slot: Slot) -> Result<bool, postern_tests::Failure> {
    match ipc::send(slot, Tag::new(7, 0), [0; 4], Timeout::ZERO) {
        Err(error) if error == sent(ErrorNumber::Timeout) => Ok(true),
        Err(error) if error == sent(ErrorNumber::NotExistent) => Ok(false),
        other => postern_tests::fail!("sending to an unbound gate: {other:?}"),
    }
}

fn gate_c92_deleting_with_d_takes_all_capabilities(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let copy = ctx.derive(gate, Rights::R)?;
    let copy_of_copy = ctx.derive(copy, Rights::R)?;
    let task = ctx.empty_task()?;
    task.delegate(Item::all(gate.slot()), Slot::new(5))?;
    // Any capability with D will do.
    let killer = ctx.derive(gate, Rights::D)?;
    ctx.task.destroy(killer.slot())?;
    for slot in [gate.slot(), copy.slot(), copy_of_copy.slot(), killer.slot()] {
        check_eq!(is_there(slot)?, false, "{slot}");
    }
    check_eq!(task.destroy(Slot::new(5)), Err(op(ErrorNumber::NotExistent, 1)));
    Ok(())
}

fn gate_c92_deleting_without_d_takes_ones_own(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let copy = ctx.derive(gate, Rights::all() - Rights::D)?;
    ctx.task.delete(copy.slot())?;
    check_eq!((is_there(copy.slot())?, is_there(gate.slot())?), (false, true));
    // Nor does one with D, when only the capability is deleted.
    let copy = ctx.derive(gate, Rights::all())?;
    ctx.task.delete(gate.slot())?;
    check_eq!((is_there(gate.slot())?, is_there(copy.slot())?), (false, true));
    Ok(())
}

fn capability_g01_destroy_needs_d(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let weak = ctx.derive(gate, Rights::all() - Rights::D)?;
    check_eq!(ctx.task.destroy(weak.slot()), Err(op(ErrorNumber::Perm, 1)));
    check_eq!((is_there(gate.slot())?, is_there(weak.slot())?), (true, true));
    Ok(())
}

fn capability_g01_delete_arguments(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let missing = Err(op(ErrorNumber::NotExistent, 1));
    for slot in [ctx.slot()?, Slot::NULL, Slot::new(512), Slot::new(0x1_0000), Slot::new(u32::MAX)]
    {
        check_eq!(ctx.task.delete(slot), missing, "{slot}");
        check_eq!(ctx.task.destroy(slot), missing, "{slot}");
    }
    for how in [2, 3, u64::MAX] {
        let words = [DELETE, gate.slot().word(), how];
        let deleted = operate(ctx.task.slot(), &words, &[]).map(drop);
        check_eq!(deleted, Err(op(ErrorNumber::Inval, 2)), "how {how}");
    }
    let short = operate(ctx.task.slot(), &[DELETE], &[]).map(drop);
    check_eq!(short, Err(op(ErrorNumber::TooShort, 1)));
    let weak = ctx.derive(ctx.task, Rights::all() - Rights::W)?;
    check_eq!(weak.delete(gate.slot()), Err(op(ErrorNumber::Perm, 0)));
    // A slot number past 32 bits does not wrap around to the gate's.
    let words = [DELETE, gate.slot().word() | 1 << 32];
    check_eq!(operate(ctx.task.slot(), &words, &[]).map(drop), missing);
    let words = [DELETE, gate.slot().word() | 1 << 16];
    check_eq!(operate(ctx.task.slot(), &words, &[]).map(drop), missing);
    check_eq!(is_there(gate.slot())?, true);
    Ok(())
}

fn capability_g01_last_capability_destroys(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    for round in 0..3 {
        let slots = [
            ctx.unbound()?.slot(),
            ctx.memory(1)?.slot(),
            ctx.notification()?.slot(),
            ctx.new_thread()?.slot(),
            ctx.sub_factory(4096)?.slot(),
            ctx.empty_task()?.slot(),
        ];
        let charged = ctx.charged()?;
        for slot in slots {
            let other = ctx.slot()?;
            ctx.task.derive(slot, other, Rights::empty())?;
            ctx.task.delete(slot)?;
            check_eq!(ctx.charged()?, charged, "one of two is left");
            ctx.task.derive(other, slot, Rights::empty())?;
            ctx.task.delete(other)?;
        }
        for slot in slots {
            let charged = ctx.charged()?;
            ctx.task.delete(slot)?;
            check!(ctx.charged()? < charged, "{slot} gave nothing back");
        }
        check_eq!(ctx.charged()?, before, "round {round}");
    }
    Ok(())
}

fn capability_g01_deriving_outlives_its_source(ctx: &Ctx) -> Verdict {
    // Deleting is not revoking: what was derived stays, in whatever order.
    let gate = ctx.unbound()?;
    let child = ctx.derive(gate, Rights::all())?;
    let grandchild = ctx.derive(child, Rights::R)?;
    let sibling = ctx.derive(gate, Rights::W)?;
    ctx.task.delete(child.slot())?;
    check_eq!((is_there(grandchild.slot())?, is_there(sibling.slot())?), (true, true));
    ctx.task.delete(gate.slot())?;
    check_eq!((is_there(grandchild.slot())?, is_there(sibling.slot())?), (true, true));
    let late = ctx.derive(grandchild, Rights::all())?;
    check_eq!(rights(ctx, late.slot())?, Rights::R);
    ctx.task.delete(grandchild.slot())?;
    ctx.task.delete(sibling.slot())?;
    check_eq!(is_there(late.slot())?, true);
    ctx.task.delete(late.slot())?;
    check_eq!(is_there(late.slot())?, false);
    Ok(())
}

fn capability_g01_stale_slots_are_empty(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let stale = [
        ctx.derive(gate, Rights::R)?.slot(),
        ctx.derive(gate, Rights::R)?.slot(),
        ctx.derive(gate, Rights::R)?.slot(),
    ];
    ctx.task.destroy(gate.slot())?;
    let [first, second, third] = stale;
    // Each takes a new capability, in a different way.
    let other = ctx.factory.create_gate(first)?;
    ctx.task.derive(first, second, Rights::R)?;
    check_eq!(ctx.task.delete(third), Err(op(ErrorNumber::NotExistent, 1)));
    ctx.task.delegate(other.item(Rights::W), third)?;
    check_eq!(rights(ctx, second)?, Rights::R);
    check_eq!(rights(ctx, third)?, Rights::W);
    check_eq!((is_there(first)?, is_there(second)?, is_there(third)?), (true, true, true));
    Ok(())
}

fn capability_g01_stale_slots_name_nothing_new(ctx: &Ctx) -> Verdict {
    // A place in the kernel is used again and again; the old capability must
    // never name what is there later.
    let (old, slot) = (ctx.unbound()?, ctx.slot()?);
    let stale = ctx.derive(old, Rights::all())?;
    ctx.task.destroy(old.slot())?;
    for _ in 0..300 {
        let new = ctx.factory.create_bound_gate(slot, ctx.thread, 0x40)?;
        check_eq!(is_there(stale.slot())?, false);
        check_eq!(stale.info().is_err(), true);
        ctx.task.destroy(new.slot())?;
    }
    Ok(())
}

fn capability_g01_delete_the_capability_in_use(ctx: &Ctx) -> Verdict {
    // A task deletes the capability through which it does so.
    let own = ctx.derive(ctx.task, Rights::W)?;
    own.delete(own.slot())?;
    check_eq!(own.delete(own.slot()), Err(sent(ErrorNumber::NotExistent)));
    check!(ctx.task.info()?.slots_used > 0);
    Ok(())
}

fn capability_g01_task_goes_with_all_in_it(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    let mut other = ctx.peer()?;
    let task = other.task().ok_or(postern_tests::Failure::new(format_args!("no task")))?;
    // Objects whose only capability is in that task.
    for slot in 0..8 {
        let (gate, memory) = (ctx.unbound()?, ctx.memory(2)?);
        task.delegate(Item::all(gate.slot()), peer::free(2 * slot))?;
        task.delegate(Item::all(memory.slot()), peer::free(2 * slot + 1))?;
        task.map(memory, 0xd_0000_0000 + u64::from(slot) * 0x1_0000, 0, 8192, Rights::R)?;
        ctx.task.delete(gate.slot())?;
        ctx.task.delete(memory.slot())?;
    }
    let shared = ctx.unbound()?;
    other.give(Item::all(shared.slot()))?;
    other.start(|_| postern_tests::tell(ipc::receive(Timeout::NEVER)), 0)?;
    check!(ctx.charged()? > before + 16 * 4096);
    drop(other);
    check_eq!(is_there(shared.slot())?, true, "what others have, too");
    ctx.task.delete(shared.slot())?;
    // Memory goes in steps, when nobody else runs.
    let reached = ctx.wait_until(|| ctx.charged().is_ok_and(|charged| charged <= before + 3 * 4096));
    check!(reached, "{} bytes stay charged", ctx.charged()? - before);
    Ok(())
}

fn capability_g01_fixed_objects_cannot_be_destroyed(ctx: &Ctx) -> Verdict {
    // The scheduler, the log and interrupts are there for everybody, always.
    let copies = [
        ctx.derive(ctx.scheduler, Rights::all())?.slot(),
        ctx.derive(ctx.log, Rights::all())?.slot(),
        ctx.derive(ctx.irq, Rights::all())?.slot(),
    ];
    for slot in copies {
        // Whether that is an error or not, it must be without effect.
        let _ = ctx.task.destroy(slot);
    }
    check!(ctx.scheduler.info()?.now > 0);
    check_eq!(ctx.log.write(b"")?, 0);
    ctx.irq.acknowledge()?;
    Ok(())
}
