//! Section A: creating gates.

use postern_tests::syscall::abi::op::factory::CREATE;
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Factory, Gate, Item, Rights, Slot, Tag, Thread, Timeouts,
    ipc, operate,
};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, op, tests};

use crate::{receive, send_it};

tests! {
    gate_c01_create_needs_s,
    gate_c02_wrong_protocol_before_rights,
    gate_c03_too_few_words_after_rights,
    gate_c04_no_slot_nothing_charged,
    gate_c05_unknown_kind,
    gate_c06_unbound_without_thread,
    gate_c07_bound_with_thread,
    gate_c08_item_that_is_no_thread,
    gate_c09_thread_without_s,
    gate_c10_low_bits_of_the_label,
    gate_c11_quota_is_exact,
    gate_c12_sub_factory_is_charged_to_its_parent,
    gate_c13_first_capability_has_all_rights,
    gate_c14_slot_in_use_or_out_of_range,
}

const ITEM: u8 = ErrorCode::ITEM;

/// Nothing may be in `slot`, and nothing more be charged than `before`.
fn nothing_made(ctx: &Ctx, slot: Slot, before: u64) -> Verdict {
    check_eq!(ctx.task.delete(slot), Err(op(ErrorNumber::NotExistent, 1)), "{slot}");
    check_eq!(ctx.charged()?, before, "bytes charged");
    Ok(())
}

fn gate_c01_create_needs_s(ctx: &Ctx) -> Verdict {
    let powerless = ctx.derive(ctx.factory, Rights::all() - Rights::S)?;
    let (slot, before) = (ctx.slot()?, ctx.charged()?);
    check_eq!(powerless.create_gate(slot), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(powerless.create_bound_gate(slot, ctx.thread, 0), Err(op(ErrorNumber::Perm, 0)));
    nothing_made(ctx, slot, before)
}

fn gate_c02_wrong_protocol_before_rights(ctx: &Ctx) -> Verdict {
    let powerless = ctx.derive(ctx.factory, Rights::empty())?;
    for factory in [ctx.factory, powerless] {
        for protocol in [0, 1, -1, -9, i64::MAX >> 16] {
            let words = [CREATE, Kind::Gate as u64, ctx.slot()?.word(), 0];
            let tag = Tag::new(protocol, 3);
            let error = ipc::call(factory.slot(), tag, words, Timeouts::NEVER).map(drop);
            check_eq!(
                error.map_err(|error| error.number),
                Err(ErrorNumber::BadProtocol),
                "protocol {protocol}"
            );
        }
    }
    Ok(())
}

fn gate_c03_too_few_words_after_rights(ctx: &Ctx) -> Verdict {
    let powerless = ctx.derive(ctx.factory, Rights::R)?;
    let words = [CREATE, Kind::Gate as u64];
    for count in [1, 2] {
        let short = operate(ctx.factory.slot(), &words[..count], &[]).map(drop);
        check_eq!(short, Err(op(ErrorNumber::TooShort, count as u8)), "{count} words");
        let error = operate(powerless.slot(), &words[..count], &[]).map(drop);
        check_eq!(error, Err(op(ErrorNumber::Perm, 0)), "{count} words, without S");
    }
    Ok(())
}

fn gate_c04_no_slot_nothing_charged(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    let made = ctx.factory.create_gate(Slot::NULL);
    check_eq!(made, Err(op(ErrorNumber::NoWindow, 2)));
    let made = ctx.factory.create_bound_gate(Slot::NULL, ctx.thread, 0);
    check_eq!(made, Err(op(ErrorNumber::NoWindow, 2)));
    check_eq!(ctx.charged()?, before);
    Ok(())
}

fn gate_c05_unknown_kind(ctx: &Ctx) -> Verdict {
    let (slot, before) = (ctx.slot()?, ctx.charged()?);
    let not_made = [Kind::Irq, Kind::Log, Kind::Reply].map(|kind| kind as u64);
    for kind in [0, 15, 255, 256 + 4, u64::MAX].into_iter().chain(not_made) {
        let made = ctx.factory.create(kind, slot, &[4096, 0], &[]);
        check_eq!(made, Err(op(ErrorNumber::NoDevice, 1)), "kind {kind}");
    }
    nothing_made(ctx, slot, before)
}

fn gate_c06_unbound_without_thread(ctx: &Ctx) -> Verdict {
    let info = ctx.unbound()?.info()?;
    check_eq!((info.label, info.bound), (0, false));
    // A label alone binds nothing.
    let slot = ctx.slot()?;
    ctx.factory.create(Kind::Gate as u64, slot, &[0x40], &[])?;
    let info = Gate::new(slot).info()?;
    check_eq!((info.label, info.bound), (0, false));
    Ok(())
}

fn gate_c07_bound_with_thread(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x1234_5678_9abc_def0)?;
    let info = gate.info()?;
    check_eq!((info.label, info.bound), (0x1234_5678_9abc_def0, true));
    let weak = ctx.derive(gate, Rights::empty())?;
    let partner = ctx.spawn(send_it, weak.slot().word())?;
    check_eq!(receive()?.label, 0x1234_5678_9abc_def0);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c08_item_that_is_no_thread(ctx: &Ctx) -> Verdict {
    let (gate, memory, empty) = (ctx.unbound()?, ctx.memory(1)?, ctx.slot()?);
    let (slot, before) = (ctx.slot()?, ctx.charged()?);
    let wrong = [
        ("an empty slot", empty),
        ("slot 0", Slot::NULL),
        ("a slot out of range", Slot::new(0xffff_ffff)),
        ("a gate", gate.slot()),
        ("memory", memory.slot()),
        ("a task", ctx.task.slot()),
        ("the log", ctx.log.slot()),
    ];
    for (what, item) in wrong {
        let made = ctx.factory.create_bound_gate(slot, Thread::new(item), 0x40);
        check_eq!(made, Err(op(ErrorNumber::Inval, ITEM)), "{what}");
    }
    nothing_made(ctx, slot, before)
}

fn gate_c09_thread_without_s(ctx: &Ctx) -> Verdict {
    let (slot, before) = (ctx.slot()?, ctx.charged()?);
    let weak = ctx.derive(ctx.thread, Rights::all() - Rights::S)?;
    let made = ctx.factory.create_bound_gate(slot, weak, 0x40);
    check_eq!(made, Err(op(ErrorNumber::Perm, ITEM)));
    nothing_made(ctx, slot, before)?;
    // What the item's mask says does not matter.
    let item = Item::with(ctx.thread.slot(), Rights::empty());
    ctx.factory.create(Kind::Gate as u64, slot, &[0x40], &[item])?;
    check_eq!(Gate::new(slot).info()?.bound, true);
    Ok(())
}

fn gate_c10_low_bits_of_the_label(ctx: &Ctx) -> Verdict {
    let (slot, before) = (ctx.slot()?, ctx.charged()?);
    for label in [1, 2, 3, 0x41, u64::MAX] {
        let made = ctx.factory.create_bound_gate(slot, ctx.thread, label);
        check_eq!(made, Err(op(ErrorNumber::Inval, 3)), "label {label:#x}");
    }
    nothing_made(ctx, slot, before)?;
    for label in [4, u64::MAX - 3, 1 << 63] {
        check_eq!(ctx.gate(label)?.info()?.label, label);
    }
    Ok(())
}

fn cost_of_a_gate(ctx: &Ctx) -> Result<u64, Failure> {
    let before = ctx.charged()?;
    ctx.unbound()?;
    Ok(ctx.charged()? - before)
}

fn gate_c11_quota_is_exact(ctx: &Ctx) -> Verdict {
    const COUNT: u64 = 10;
    let cost = cost_of_a_gate(ctx)?;
    check!(cost > 0 && cost < 4096, "a gate costs {cost} bytes");
    check_eq!(cost_of_a_gate(ctx)?, cost, "another gate");
    // One byte short of eleven.
    let factory = ctx.sub_factory(COUNT * cost + cost - 1)?;
    let mut last = Slot::NULL;
    for _ in 0..COUNT {
        last = factory.create_gate(ctx.slot()?)?.slot();
    }
    check_eq!(factory.info()?.charged, COUNT * cost);
    let slot = ctx.slot()?;
    check_eq!(factory.create_gate(slot), Err(op(ErrorNumber::NoMem, 0)));
    check_eq!(factory.create_bound_gate(slot, ctx.thread, 0x40), Err(op(ErrorNumber::NoMem, 0)));
    ctx.task.delete(last)?;
    check_eq!(factory.info()?.charged, (COUNT - 1) * cost);
    factory.create_gate(slot)?;
    check_eq!(factory.create_gate(last), Err(op(ErrorNumber::NoMem, 0)));
    Ok(())
}

fn gate_c12_sub_factory_is_charged_to_its_parent(ctx: &Ctx) -> Verdict {
    const QUOTA: u64 = 64 * 1024;
    let before = ctx.charged()?;
    let factory = ctx.sub_factory(QUOTA)?;
    let with = ctx.charged()?;
    check!(
        with > before + QUOTA && with < before + QUOTA + 4096,
        "{} bytes for a quota of {QUOTA}",
        with - before
    );
    check_eq!(factory.info()?.quota, QUOTA);
    factory.create_gate(ctx.slot()?)?;
    check_eq!(ctx.charged()?, with, "what the sub-factory makes is charged there alone");
    let other = ctx.sub_factory(QUOTA)?;
    ctx.task.delete(other.slot())?;
    check_eq!(ctx.charged()?, with, "after an empty sub-factory has gone");
    let too_much = ctx.factory.info()?.quota;
    check_eq!(
        ctx.factory.create_factory(ctx.slot()?, too_much).map(drop),
        Err(op(ErrorNumber::NoMem, 0))
    );
    check_eq!(ctx.charged()?, with, "after a sub-factory that was too large");
    Ok(())
}

fn gate_c13_first_capability_has_all_rights(ctx: &Ctx) -> Verdict {
    let gates = [ctx.unbound()?, ctx.gate(0x40)?];
    let needed = Rights::R | Rights::W | Rights::S | Rights::D | Rights::GRANT | Rights::SERVER;
    for gate in gates {
        let rights = crate::rights::of(ctx, gate.slot())?;
        check!(rights.contains(needed), "{rights:?}");
    }
    Ok(())
}

fn gate_c14_slot_in_use_or_out_of_range(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let before = ctx.charged()?;
    let slots = ctx.task.info()?.slots;
    let create = |slot| ctx.factory.create_gate(slot).map(drop);
    check_eq!(create(gate.slot()), Err(op(ErrorNumber::Exists, 2)));
    check_eq!(create(ctx.factory.slot()), Err(op(ErrorNumber::Exists, 2)));
    for slot in [slots as u32, 0xffff, 0x1_0000 + 40, u32::MAX] {
        check_eq!(create(Slot::new(slot)), Err(op(ErrorNumber::Inval, 2)), "slot {slot}");
    }
    let huge = operate(
        ctx.factory.slot(),
        &[CREATE, Kind::Gate as u64, ctx.slot()?.word() | 1 << 32],
        &[],
    );
    check_eq!(huge.map(drop), Err(op(ErrorNumber::Inval, 2)), "slot past 32 bits");
    check_eq!(ctx.charged()?, before);
    check_eq!(gate.info()?.label, 0x40, "the gate that was there");
    let factory = Factory::new(ctx.factory.slot());
    check_eq!(factory.info()?.charged, before);
    // The last slot of the table is as good as any.
    create(Slot::new(slots as u32 - 1))?;
    Ok(())
}
