//! Looking at a table: list and infos.

use postern_tests::syscall::abi::op::task::SET_NAME;
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::{Capability, ErrorNumber, Item, Rights, Slot, Task, operate};
use postern_tests::{Ctx, Verdict, check, check_eq, op, tests};

use crate::{NOTHING, look};

tests! {
    capability_g01_list_tells_kind_rights_and_details,
    capability_g01_list_in_pieces,
    capability_g01_list_past_stale_slots,
    capability_g01_list_and_info_need_r,
    capability_g01_info_counts,
    capability_g01_names,
}

fn capability_g01_list_tells_kind_rights_and_details(ctx: &Ctx) -> Verdict {
    let task = ctx.empty_task()?;
    let own = ctx.thread.info()?.id;
    let given = [
        (ctx.gate(0x40)?.slot(), Kind::Gate, Some([0x40, own])),
        (ctx.unbound()?.slot(), Kind::Gate, Some([0, u64::MAX])),
        (ctx.memory(3)?.slot(), Kind::Memory, Some([3 * 4096, 0])),
        (ctx.sub_factory(4096)?.slot(), Kind::Factory, Some([4096, 0])),
        (ctx.notification()?.slot(), Kind::Notification, None),
        (ctx.empty_task()?.slot(), Kind::Task, None),
        (ctx.new_thread()?.slot(), Kind::Thread, None),
        (ctx.log.slot(), Kind::Log, None),
        (ctx.scheduler.slot(), Kind::Scheduler, None),
        (ctx.irq.slot(), Kind::Irq, None),
        (ctx.ports.slot(), Kind::IoPort, Some([0x70, 2])),
    ];
    for ((slot, ..), number) in given.into_iter().zip(20..) {
        task.delegate(Item::with(slot, Rights::R | Rights::SERVER), Slot::new(number))?;
    }
    let mut list = [NOTHING; Task::LIST_MAX];
    check_eq!(task.list(Slot::NULL, &mut list)?, given.len());
    for (((slot, kind, details), number), found) in given.into_iter().zip(20..).zip(list) {
        check_eq!(found.slot, Slot::new(number));
        check_eq!(found.kind, Some(kind));
        check_eq!(found.rights - Rights::SERVER, Rights::R, "{kind:?}");
        check_eq!(found.object, look(ctx.task, slot)?.object, "{kind:?}");
        if let Some(details) = details {
            check_eq!(found.details, details, "{kind:?}");
        }
    }
    Ok(())
}

fn capability_g01_list_in_pieces(ctx: &Ctx) -> Verdict {
    let task = ctx.factory.create_task(ctx.slot()?, 256)?;
    let gate = ctx.unbound()?;
    let is_used = |slot: u32| slot > 0 && (slot % 5 == 0 || slot == 1 || slot > 250);
    for slot in (0..256).filter(|slot| is_used(*slot)) {
        task.delegate(Item::all(gate.slot()), Slot::new(slot))?;
    }
    let mut expected = (0..256).filter(|slot| is_used(*slot));
    let mut from = Slot::NULL;
    loop {
        let mut list = [NOTHING; Task::LIST_MAX];
        let count = task.list(from, &mut list)?;
        for found in &list[..count] {
            check_eq!(Some(found.slot.number()), expected.next());
            from = Slot::new(found.slot.number() + 1);
        }
        if count == 0 {
            break;
        }
        check!(count == Task::LIST_MAX || expected.clone().next().is_none());
    }
    check_eq!(expected.next(), None, "slots that were not listed");
    for from in [256, 257, u32::MAX] {
        check_eq!(task.list(Slot::new(from), &mut [NOTHING])?, 0, "from {from}");
    }
    Ok(())
}

fn capability_g01_list_past_stale_slots(ctx: &Ctx) -> Verdict {
    // Capabilities of a dead object are not listed, and do not hide others.
    let (task, dead, alive) = (ctx.empty_task()?, ctx.unbound()?, ctx.unbound()?);
    for slot in 10..70 {
        task.delegate(Item::all(dead.slot()), Slot::new(slot))?;
    }
    task.delegate(Item::all(alive.slot()), Slot::new(70))?;
    ctx.task.destroy(dead.slot())?;
    let mut list = [NOTHING; Task::LIST_MAX];
    check_eq!(task.list(Slot::NULL, &mut list)?, 1, "behind 60 stale slots");
    check_eq!(list[0].slot, Slot::new(70));
    Ok(())
}

fn capability_g01_list_and_info_need_r(ctx: &Ctx) -> Verdict {
    let task = ctx.empty_task()?;
    let weak = ctx.derive(task, Rights::all() - Rights::R)?;
    check_eq!(weak.list(Slot::NULL, &mut [NOTHING]), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(weak.info(), Err(op(ErrorNumber::Perm, 0)));
    let only = ctx.derive(task, Rights::R)?;
    check_eq!(only.list(Slot::NULL, &mut [NOTHING])?, 0);
    check_eq!(only.info()?.slots, 128);
    Ok(())
}

fn capability_g01_info_counts(ctx: &Ctx) -> Verdict {
    let before = ctx.task.info()?;
    let partner = ctx.spawn(|_| 0, 0)?;
    let with = ctx.task.info()?;
    check_eq!(with.threads, before.threads + 1);
    check_eq!(partner.join()?, 0);
    drop(partner);
    let after = ctx.task.info()?;
    check_eq!(after, before);
    Ok(())
}

fn capability_g01_names(ctx: &Ctx) -> Verdict {
    let task = ctx.empty_task()?;
    check_eq!(task.info()?.name, [0; 32]);
    for name in ["", "a", "0123456789abcdef0123456789abcdef", "\u{fffd}"] {
        task.set_name(name, 0, 0)?;
        let found = task.info()?.name;
        check_eq!(&found[..name.len()], name.as_bytes());
        check!(found[name.len()..].iter().all(|byte| *byte == 0), "{found:?}");
    }
    let weak = ctx.derive(task, Rights::all() - Rights::W)?;
    check_eq!(weak.set_name("b", 0, 0), Err(op(ErrorNumber::Perm, 0)));
    let words = [SET_NAME, 1, 2, 3, 4, 5, 6];
    for count in 1..7 {
        let short = operate(task.slot(), &words[..count], &[]).map(drop);
        check_eq!(short, Err(op(ErrorNumber::TooShort, count as u8)), "{count} words");
    }
    check_eq!(&task.info()?.name[..3], "\u{fffd}".as_bytes());
    // Names that are no text must not upset a crash report.
    let mut peer = ctx.peer()?;
    if let Some(task) = peer.task() {
        operate(task.slot(), &[SET_NAME, u64::MAX, u64::MAX, u64::MAX, u64::MAX, 1, 1], &[])?;
    }
    peer.start(|_| u64::from(postern_tests::syscall::raw::peek(0)), 0)?;
    peer.expect_fault(14, Some(0))?;
    Ok(())
}
