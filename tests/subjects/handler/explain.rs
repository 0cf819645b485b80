//! Explained refusals (row G13): one of every kind of reason, and the words.

use alloc::format;

use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::{factory, memory, task, thread};
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::abi::utcb::DIAGNOSIS;
use postern_tests::syscall::diagnosis::{self, Refusal};
use postern_tests::syscall::{
    Capability, Code, ErrorNumber, Item, Rights, Slot, Tag, Timeout, ipc, operate, raw, utcb,
};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, sent, tests};

tests! {
    handler_g13_the_record_says_what_is_missing,
    handler_g13_items_are_named,
    handler_g13_every_object_with_every_right,
    handler_g13_off_writes_nothing,
    handler_g13_text_reads_well,
}

/// What `refused` left behind.
fn record<T>(refused: Result<T, postern_tests::syscall::ErrorCode>) -> Result<Refusal, Failure> {
    let Some(error) = refused.err() else {
        return Err(Failure::new(format_args!("it was not refused")));
    };
    let found = diagnosis::last();
    diagnosis::clear();
    let found = found.ok_or(Failure::new(format_args!("{error}: without a record")))?;
    check_eq!(found.error, error, "the record is of another call");
    Ok(found)
}

fn handler_g13_the_record_says_what_is_missing(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let weak = ctx.derive(ctx.factory, Rights::R)?;
    let spare = ctx.slot()?;
    diagnosis::enable(true);
    let found = record(weak.create_gate(spare))?;
    check_eq!((found.slot, found.kind), (weak.slot(), Some(Kind::Factory)));
    check_eq!((found.held, found.missing), (Rights::R, Rights::S));
    check_eq!((found.call, found.operation), (Some(Code::Call), factory::CREATE));
    check_eq!(found.error.number, ErrorNumber::Perm);
    // The same object through another slot has the same id.
    let other = record(ctx.factory.empty())?;
    check_eq!((other.slot, other.missing), (ctx.factory.slot(), Rights::D));
    check_eq!(other.object, found.object);
    check_eq!(other.operation, factory::EMPTY);
    // Of a refusal that is about no right, what is held, and nothing missing.
    let found = record(ctx.task.derive(gate.slot(), gate.slot(), Rights::R))?;
    check_eq!((found.slot, found.kind), (ctx.task.slot(), Some(Kind::Task)));
    check_eq!((found.missing, found.operation), (Rights::empty(), task::DERIVE));
    check_eq!((found.error.number, found.error.argument), (ErrorNumber::Exists, 2));
    // An empty slot, one that no table has, and another system call.
    let found = record(operate(spare, &[1], &[]))?;
    check_eq!((found.slot, found.kind, found.object), (spare, None, 0));
    let found = record(operate(Slot::new(0xffff_fff0), &[1], &[]))?;
    check_eq!((found.slot, found.kind), (Slot::new(0xffff_fff0), None));
    let found = record(ipc::send(spare, Tag::new(7, 0), [0; 4], Timeout::ZERO))?;
    check_eq!((found.call, found.error), (Some(Code::Send), sent(ErrorNumber::NotExistent)));
    Ok(())
}

fn handler_g13_items_are_named(ctx: &Ctx) -> Verdict {
    let (task, gate, partner) = (ctx.empty_task()?, ctx.unbound()?, ctx.new_thread()?);
    let page = ctx.memory(1)?;
    let reads = ctx.derive(page, Rights::R)?;
    let stays = ctx.derive(gate, Rights::all() - Rights::GRANT)?;
    let weak_task = ctx.derive(task, Rights::R)?;
    diagnosis::enable(true);
    let found = record(task.delegate(Item::all(stays.slot()), Slot::new(5)))?;
    check_eq!((found.slot, found.kind), (stays.slot(), Some(Kind::Gate)));
    check_eq!((found.missing, found.operation), (Rights::GRANT, task::DELEGATE));
    let found = record(task.map(reads, 0x100_0000, 0, PAGE, Rights::R | Rights::W))?;
    check_eq!((found.slot, found.kind), (reads.slot(), Some(Kind::Memory)));
    check_eq!((found.held, found.missing), (Rights::R, Rights::W));
    check_eq!(found.operation, task::MAP);
    let found = record(partner.bind(weak_task))?;
    check_eq!((found.slot, found.missing), (weak_task.slot(), Rights::W));
    check_eq!(found.operation, thread::BIND);
    // The capability itself is looked at before its items.
    let weak_thread = ctx.derive(partner, Rights::R)?;
    let found = record(weak_thread.bind(weak_task))?;
    check_eq!((found.slot, found.kind), (weak_thread.slot(), Some(Kind::Thread)));
    // An item of the wrong kind: what it is, and no right that it lacks.
    let found = record(operate(partner.slot(), &[thread::BIND], &[Item::all(gate.slot())]))?;
    check_eq!((found.slot, found.kind), (gate.slot(), Some(Kind::Gate)));
    check_eq!(found.missing, Rights::empty());
    check_eq!(found.error.number, ErrorNumber::Inval);
    // The later of two items of a message.
    let way = ctx.gate(0x40)?;
    utcb::set_items(&[Item::all(gate.slot()), Item::all(Slot::new(500))]);
    let full = ipc::send(way.slot(), Tag::new(7, 0).with_items(2), [0; 4], Timeout::ZERO);
    check_eq!(record(full)?.error.number, ErrorNumber::Timeout);
    Ok(())
}

fn handler_g13_every_object_with_every_right(ctx: &Ctx) -> Verdict {
    // Each of these operations needs exactly one right, which is missing.
    let (page, task, thread) = (ctx.memory(1)?, ctx.empty_task()?, ctx.new_thread()?);
    let (notification, factory) = (ctx.notification()?, ctx.sub_factory(4096)?);
    let cases = [
        (Item::all(page.slot()), memory::INFO, Rights::R),
        (Item::all(page.slot()), memory::PHYS, Rights::PHYS),
        (Item::all(page.slot()), memory::SPLIT, Rights::D),
        (Item::all(task.slot()), task::INFO, Rights::R),
        (Item::all(task.slot()), task::REVOKE, Rights::W),
        (Item::all(task.slot()), task::PROTECT, Rights::W),
        (Item::all(thread.slot()), thread::INFO, Rights::R),
        (Item::all(thread.slot()), thread::CANCEL, Rights::W),
        (Item::all(thread.slot()), thread::SET_REGISTERS, Rights::W),
        (Item::all(notification.slot()), 0x601, Rights::W),
        (Item::all(notification.slot()), 0x602, Rights::S),
        (Item::all(notification.slot()), 0x603, Rights::R),
        (Item::all(factory.slot()), factory::INFO, Rights::R),
        (Item::all(factory.slot()), factory::EMPTY, Rights::D),
        (Item::all(ctx.ports.slot()), 0x802, Rights::W),
        (Item::all(ctx.scheduler.slot()), 0x901, Rights::W),
        (Item::all(ctx.log.slot()), 0xa01, Rights::W),
    ];
    diagnosis::enable(true);
    let spare = ctx.slot()?;
    for (item, operation, right) in cases {
        ctx.task.derive(item.slot, spare, Rights::all() - right)?;
        let found = record(operate(spare, &[operation, 0, 0, 0], &[]))?;
        check_eq!((found.slot, found.missing), (spare, right), "{operation:#x}");
        check_eq!(found.operation, operation);
        check_eq!(found.kind.map(|kind| kind as u64), Some(operation >> 8), "{operation:#x}");
        check!(!found.held.contains(right) && !found.held.is_empty(), "{operation:#x}");
        check_eq!(found.error.number, ErrorNumber::Perm, "{operation:#x}");
        ctx.task.delete(spare)?;
    }
    Ok(())
}

fn handler_g13_off_writes_nothing(ctx: &Ctx) -> Verdict {
    const MARK: u64 = 0x0bad_cafe_0bad_cafe;
    let weak = ctx.derive(ctx.task, Rights::R)?;
    let words = DIAGNOSIS..DIAGNOSIS + 5;
    let fill = || words.clone().for_each(|at| utcb::write(at, MARK));
    let written = || words.clone().find(|at| utcb::read(*at) != MARK);
    // The runtime turns it on for every program.
    diagnosis::enable(false);
    for is_after_use in [false, true] {
        if is_after_use {
            diagnosis::enable(true);
            record(weak.delete(Slot::new(5)))?;
            diagnosis::enable(false);
        }
        fill();
        check!(weak.delete(Slot::new(5)).is_err());
        check!(operate(Slot::new(500), &[1], &[]).is_err());
        check!(raw::invoke(0x77, 0, 0, [0; 4]).failed);
        check_eq!(written(), None, "a word was written, after use: {is_after_use}");
    }
    // Success writes nothing even when it is on.
    diagnosis::enable(true);
    fill();
    ctx.task.info()?;
    ctx.factory.info()?;
    check_eq!(written(), None, "a success left a record");
    Ok(())
}

fn handler_g13_text_reads_well(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let weak = ctx.derive(ctx.memory(1)?, Rights::R | Rights::W)?;
    let task = ctx.derive(ctx.task, Rights::R)?;
    diagnosis::enable(true);
    let found = record(weak.physical_address())?;
    let text = format!("{found}");
    let slot = weak.slot().word();
    let begins = format!("slot {slot} holds a memory #");
    check!(text.contains(&begins), "{text}");
    check!(
        text.ends_with(" with rights W R, missing PHYS")
            || text.ends_with(" with rights R W, missing PHYS"),
        "{text}"
    );
    check!(text.contains(" was refused: "), "{text}");
    let text = format!("{}", record(task.revoke(gate.slot()))?);
    check!(text.to_ascii_lowercase().contains("revoke"), "{text}");
    check!(text.contains("holds a task #") && text.ends_with("missing W"), "{text}");
    let text = format!("{}", record(operate(Slot::new(500), &[0x501], &[]))?);
    check!(text.ends_with("slot 500 is empty"), "{text}");
    let unknown = raw::invoke(0x77, 0, 0, [0; 4]);
    check!(unknown.failed);
    if let Some(found) = diagnosis::last() {
        check!(format!("{found}").starts_with("an unknown system call was refused: "), "{found}");
    }
    Ok(())
}
