//! Creating each kind of object.

use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Factory, IoPort, Item, PortWidth, Rights, operate,
};
use postern_tests::{Ctx, Verdict, check, check_eq, op, tests};

tests! {
    factory_g04_create_factory,
    factory_g04_create_task,
    factory_g04_create_needs_s_for_every_kind,
    factory_g04_create_into_a_used_slot_for_every_kind,
    factory_g04_words_of_every_kind,
    factory_g04_io_ports_cover_less,
    factory_g04_io_port_access,
    factory_g04_info_needs_r,
}

const ITEM: u8 = ErrorCode::ITEM;

/// Kinds that a factory makes, with the words and the item that they need.
fn kinds(ctx: &Ctx) -> [(Kind, &'static [u64], Option<Item>); 7] {
    [
        (Kind::Factory, &[4096], None),
        (Kind::Task, &[128], None),
        (Kind::Thread, &[10], None),
        (Kind::Gate, &[], None),
        (Kind::Memory, &[4096], None),
        (Kind::Notification, &[], None),
        (Kind::IoPort, &[0x70, 1], Some(Item::all(ctx.ports.slot()))),
    ]
}

fn factory_g04_create_factory(ctx: &Ctx) -> Verdict {
    let slot = ctx.slot()?;
    for quota in [0, (1 << 48) + 1, u64::MAX] {
        let made = ctx.factory.create_factory(slot, quota).map(drop);
        check_eq!(made, Err(op(ErrorNumber::Inval, 3)), "quota {quota:#x}");
    }
    for quota in [1 << 48, 1 << 40] {
        let made = ctx.factory.create_factory(slot, quota).map(drop);
        check_eq!(made, Err(op(ErrorNumber::NoMem, 0)), "quota {quota:#x}");
    }
    let factory = ctx.factory.create_factory(slot, 1)?;
    check_eq!((factory.info()?.quota, factory.info()?.charged), (1, 0));
    check_eq!(factory.create_gate(ctx.slot()?).map(drop), Err(op(ErrorNumber::NoMem, 0)));
    Ok(())
}

fn factory_g04_create_task(ctx: &Ctx) -> Verdict {
    let slot = ctx.slot()?;
    for slots in [0, 65537, 1 << 32, u64::MAX] {
        let made = ctx.factory.create_task(slot, slots).map(drop);
        check_eq!(made, Err(op(ErrorNumber::Inval, 3)), "{slots} slots");
    }
    for (slots, rounded) in [(1, 128), (128, 128), (129, 256), (65536, 65536)] {
        let task = ctx.factory.create_task(slot, slots)?;
        check_eq!(task.info()?.slots, rounded);
        check_eq!(task.info()?.slots_used, 0);
        ctx.task.destroy(slot)?;
    }
    Ok(())
}

fn factory_g04_create_needs_s_for_every_kind(ctx: &Ctx) -> Verdict {
    let weak = ctx.derive(ctx.factory, Rights::all() - Rights::S)?;
    let slot = ctx.slot()?;
    for (kind, words, item) in kinds(ctx) {
        let made = weak.create(kind as u64, slot, words, item.as_slice());
        check_eq!(made, Err(op(ErrorNumber::Perm, 0)), "{}", kind.name());
    }
    Ok(())
}

fn factory_g04_create_into_a_used_slot_for_every_kind(ctx: &Ctx) -> Verdict {
    let before = ctx.charged()?;
    for (kind, words, item) in kinds(ctx) {
        let made = ctx.factory.create(kind as u64, ctx.log.slot(), words, item.as_slice());
        check_eq!(made, Err(op(ErrorNumber::Exists, 2)), "{}", kind.name());
        let slot = postern_tests::syscall::Slot::new(5000);
        let made = ctx.factory.create(kind as u64, slot, words, item.as_slice());
        check_eq!(made, Err(op(ErrorNumber::Inval, 2)), "{}", kind.name());
    }
    check_eq!(ctx.charged()?, before);
    Ok(())
}

fn factory_g04_words_of_every_kind(ctx: &Ctx) -> Verdict {
    for (kind, words, item) in kinds(ctx) {
        let slot = ctx.slot()?;
        for count in 0..words.len() {
            let made = ctx.factory.create(kind as u64, slot, &words[..count], item.as_slice());
            let short = Err(op(ErrorNumber::TooShort, 3 + count as u8));
            check_eq!(made, short, "{} with {count} words", kind.name());
        }
        ctx.factory.create(kind as u64, slot, words, item.as_slice())?;
    }
    Ok(())
}

fn factory_g04_io_ports_cover_less(ctx: &Ctx) -> Verdict {
    let slot = ctx.slot()?;
    let create = |first, count, item: &[Item]| {
        ctx.factory.create(Kind::IoPort as u64, slot, &[first, count], item)
    };
    let whole = [Item::all(ctx.ports.slot())];
    for first in [0, 0x6f, 0x72, 0x1_0070, u64::MAX] {
        check_eq!(create(first, 1, &whole), Err(op(ErrorNumber::Inval, 3)), "from {first:#x}");
    }
    for (first, count) in [(0x70, 0), (0x70, 3), (0x71, 2), (0x70, u64::MAX), (0x71, 1 << 32)] {
        let made = create(first, count, &whole);
        check_eq!(made, Err(op(ErrorNumber::Inval, 4)), "{count} from {first:#x}");
    }
    check_eq!(create(0x70, 1, &[Item::all(ctx.log.slot())]), Err(op(ErrorNumber::Inval, ITEM)));
    let weak = ctx.derive(ctx.ports, Rights::all() - Rights::W)?;
    check_eq!(create(0x70, 1, &[Item::all(weak.slot())]), Err(op(ErrorNumber::Perm, ITEM)));
    create(0x71, 1, &whole)?;
    let info = IoPort::new(slot).info()?;
    check_eq!((info.first, info.count), (0x71, 1));
    let more = ctx.slot()?;
    let item = [Item::all(slot)];
    let made = ctx.factory.create(Kind::IoPort as u64, more, &[0x70, 1], &item);
    check_eq!(made, Err(op(ErrorNumber::Inval, 3)), "more than one has");
    Ok(())
}

fn factory_g04_io_port_access(ctx: &Ctx) -> Verdict {
    // The real-time clock: register 0xd says that its battery is fine.
    let ports = ctx.ports;
    ports.write(0x70, PortWidth::Byte, 0x8d)?;
    check_eq!(ports.read(0x71, PortWidth::Byte)? & 0x80, 0x80);
    for (port, width) in
        [(0x6f, 1), (0x72, 1), (0x71, 2), (0x70, 4), (0x3f8, 1), (0, 1), (0x1_0070, 1)]
    {
        let found = operate(ports.slot(), &[0x801, port, width], &[]).map(drop);
        check_eq!(found, Err(op(ErrorNumber::Inval, 1)), "reading {width} at {port:#x}");
        let found = operate(ports.slot(), &[0x802, port, width, 0], &[]).map(drop);
        check_eq!(found, Err(op(ErrorNumber::Inval, 1)), "writing {width} at {port:#x}");
    }
    for width in [0, 3, 8, u64::MAX] {
        let found = operate(ports.slot(), &[0x801, 0x70, width], &[]).map(drop);
        check_eq!(found, Err(op(ErrorNumber::Inval, 2)), "width {width}");
    }
    let weak = ctx.derive(ports, Rights::R)?;
    check_eq!(weak.write(0x70, PortWidth::Byte, 0), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(weak.write_bytes(0x70, &[0]), Err(op(ErrorNumber::Perm, 0)));
    let weak = ctx.derive(ports, Rights::W)?;
    check_eq!(weak.read(0x70, PortWidth::Byte), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(weak.write_bytes(0x70, &[0x8d, 0x8d, 0x8d])?, 3);
    check_eq!(weak.write_bytes(0x72, &[0]), Err(op(ErrorNumber::Inval, 1)));
    Ok(())
}

fn factory_g04_info_needs_r(ctx: &Ctx) -> Verdict {
    let weak = ctx.derive(ctx.factory, Rights::all() - Rights::R)?;
    check_eq!(weak.info(), Err(op(ErrorNumber::Perm, 0)));
    let info = Factory::new(ctx.factory.slot()).info()?;
    check!(info.charged <= info.quota);
    // How much the machine has is for the root factory to tell.
    check_eq!((info.machine_free, info.machine_total), (0, 0));
    Ok(())
}
