//! Entries as objects: named by capability, created and bound with rights.

use postern_tests::runtime::crossing::entry_point;
use postern_tests::syscall::abi::op::{entry as op_entry, gate as op_gate};
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::{
    Capability, Entry, ErrorCode, ErrorNumber, Gate, Item, Rights, Slot, Timeouts, operate,
};
use postern_tests::{Ctx, Verdict, check, check_eq, op, sent, tests};

use crate::obey::{ask, ask_within, command, obey};
use crate::server::{FLOOR, GRACE, Server};

tests! {
    x01_an_entry_is_named_by_capability,
    x01_a_dead_entry_is_not_existent_until_the_gate_is_rebound,
    x02_without_a_capability_nothing_is_called,
    x02_revocation_takes_effect_with_the_next_call,
    x03_the_right_to_call_and_the_right_to_grant,
    x08_a_revoked_capability_is_not_usable_on_the_next_call,
    x17_sizes_are_told,
    c47_binding_an_entry_obeys_the_rules_of_binding_a_thread,
    c47_operations_of_an_entry_check_in_order,
    c47_creating_an_entry_checks_in_order,
}

fn x01_an_entry_is_named_by_capability(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    check_eq!(ask(gate, [command::ECHO, 5, 0, 0])?, 5);
    // Neither an empty slot nor one out of range nor an entry itself is called.
    let nobody = |slot: u64| ask(Gate::new(Slot::new(slot as u32)), [0; 4]);
    check_eq!(nobody(500), Err(sent(ErrorNumber::NotExistent)));
    check_eq!(nobody(70_000), Err(sent(ErrorNumber::NotExistent)));
    check_eq!(ask(server.entry, [0; 4]), Err(sent(ErrorNumber::BadProtocol)));
    // A capability of an entry that was destroyed is stale for ever, even if
    // another one takes its place.
    let stale = ctx.derive(server.entry, Rights::all())?;
    ctx.task.destroy(server.entry.slot())?;
    let again = ctx.factory.create_entry(ctx.slot()?, server.task, entry_point(), FLOOR, GRACE)?;
    check_eq!(stale.info().map(drop), Err(sent(ErrorNumber::NotExistent)));
    check_eq!(ask(gate, [0; 4]), Err(sent(ErrorNumber::NotExistent)));
    check_eq!(again.info()?.contexts, 0);
    Ok(())
}

fn x01_a_dead_entry_is_not_existent_until_the_gate_is_rebound(ctx: &Ctx) -> Verdict {
    let first = Server::new(ctx, 1, obey)?;
    let second = Server::new(ctx, 1, obey)?;
    let gate = first.gate(ctx, 0x40)?;
    check_eq!(ask(gate, [command::ECHO, 1, 0, 0])?, 1);
    ctx.task.destroy(first.task.slot())?;
    check_eq!(ask(gate, [0; 4]), Err(sent(ErrorNumber::NotExistent)));
    gate.bind_entry(second.entry, 0x80, 0)?;
    check_eq!(ask(gate, [command::ECHO, 2, 0, 0])?, 2);
    check!(gate.info()?.entry);
    Ok(())
}

fn x02_without_a_capability_nothing_is_called(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let only = ctx.derive(gate, Rights::empty())?;
    check_eq!(ask(only, [command::ECHO, 3, 0, 0])?, 3, "calling needs no right");
    ctx.task.delete(only.slot())?;
    check_eq!(ask(only, [0; 4]), Err(sent(ErrorNumber::NotExistent)));
    Ok(())
}

fn x02_revocation_takes_effect_with_the_next_call(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let derived = ctx.derive(gate, Rights::all())?;
    let further = ctx.derive(derived, Rights::empty())?;
    check_eq!(ask(further, [command::ECHO, 3, 0, 0])?, 3);
    ctx.task.revoke(gate.slot())?;
    for gone in [derived, further] {
        check_eq!(ask(gone, [0; 4]), Err(sent(ErrorNumber::NotExistent)));
    }
    check_eq!(ask(gate, [command::ECHO, 4, 0, 0])?, 4);
    Ok(())
}

fn x03_the_right_to_call_and_the_right_to_grant(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let mut friend = Server::new(ctx, 1, obey)?;
    let door = friend.gate(ctx, 0)?;
    let gate = server.gate(ctx, 0)?;
    let call_only = ctx.derive(gate, Rights::all() - Rights::GRANT)?;
    check_eq!(ask(call_only, [command::ECHO, 3, 0, 0])?, 3);
    let refused = friend.task.delegate(Item::all(call_only.slot()), postern_tests::peer::free(0));
    check_eq!(refused, Err(op(ErrorNumber::Perm, ErrorCode::ITEM)));
    // With GRANT it can be handed on, and taken back with all that came of it.
    let grant = ctx.derive(gate, Rights::GRANT)?;
    let theirs = friend.give(grant)?;
    let through = [command::CALL, theirs.word(), command::ECHO, 1];
    check_eq!(ask(door, through)?, 0);
    ctx.task.revoke(grant.slot())?;
    check_eq!(ask(door, through)?, sent(ErrorNumber::NotExistent).encode());
    Ok(())
}

fn x08_a_revoked_capability_is_not_usable_on_the_next_call(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    for _ in 0..20 {
        // Nothing is remembered of the calls that went well before.
        let derived = ctx.derive(gate, Rights::empty())?;
        for _ in 0..3 {
            check_eq!(ask(derived, [command::ECHO, 3, 0, 0])?, 3);
        }
        ctx.task.revoke(gate.slot())?;
        check_eq!(ask(derived, [0; 4]), Err(sent(ErrorNumber::NotExistent)));
        postern_tests::runtime::slots::release(derived.slot());
    }
    Ok(())
}

fn x17_sizes_are_told(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let mut info = server.entry.info()?;
    check_eq!((info.size_self, info.size_all), (0, 0));
    (info.size_self, info.size_all) = (64, 4096);
    server.entry.set(&info, None)?;
    check_eq!(server.entry.info()?, info);
    Ok(())
}

fn c47_binding_an_entry_obeys_the_rules_of_binding_a_thread(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = ctx.unbound()?;
    let weak = ctx.derive(gate, Rights::SERVER)?;
    check_eq!(
        weak.bind_entry(server.entry, 0x40, 0),
        Err(op(ErrorNumber::Perm, 0)),
        "S on the gate comes first"
    );
    let without_s = ctx.derive(server.entry, Rights::all() - Rights::S)?;
    check_eq!(gate.bind_entry(without_s, 0x40, 0), Err(op(ErrorNumber::Perm, ErrorCode::ITEM)));
    check_eq!(gate.bind_entry(server.entry, 0x41, 0), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(gate.bind_entry(server.entry, 0x40, 1 << 32), Err(op(ErrorNumber::Inval, 2)));
    let wrong = Entry::new(ctx.notification()?.slot());
    check_eq!(gate.bind_entry(wrong, 0x40, 0), Err(op(ErrorNumber::Inval, ErrorCode::ITEM)));
    let short = operate(gate.slot(), &[op_gate::BIND], &[Item::all(server.entry.slot())]);
    check_eq!(short.map(drop), Err(op(ErrorNumber::TooShort, 1)));
    check!(!gate.info()?.bound, "a refused bind changes nothing");
    gate.bind_entry(server.entry, 0x40, 3)?;
    let info = gate.info()?;
    check_eq!((info.label, info.bound, info.entry, info.limit), (0x40, true, true, 3));
    check_eq!(ask(gate, [command::ECHO, 1, 0, 0])?, 1);
    // Rebinding, to a thread and back, and unbinding.
    gate.bind(ctx.thread, 0x80)?;
    check_eq!(gate.info()?.entry, false);
    gate.bind_entry(server.entry, 0xc0, 0)?;
    check_eq!(gate.info()?.label, 0xc0);
    gate.unbind()?;
    let unbound = ask_within(gate, [0; 4], Timeouts::ZERO);
    check_eq!(unbound, Err(sent(ErrorNumber::Timeout)));
    Ok(())
}

fn c47_operations_of_an_entry_check_in_order(ctx: &Ctx) -> Verdict {
    let mut server = Server::new(ctx, 1, obey)?;
    let top = server.stack(ctx, obey)?;
    let (entry, first) = (server.entry, server.contexts[0]);
    let reads = ctx.derive(entry, Rights::R)?;
    let writes = ctx.derive(entry, Rights::W)?;
    let perm = Err(op(ErrorNumber::Perm, 0));
    check_eq!(reads.add_context(top).map(drop), perm);
    check_eq!(reads.remove_context(first), perm);
    check_eq!(reads.reset_context(first, None), perm);
    check_eq!(reads.set_fault_gate(None), perm);
    check_eq!(reads.unbind_notification(), perm);
    check_eq!(reads.set(&entry.info()?, None), perm);
    check_eq!(writes.info().map(drop), perm);
    check_eq!(writes.context(first).map(drop), perm);
    check_eq!(entry.add_context(1 << 63).map(drop), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(entry.add_context_with(top, 1 << 63).map(drop), Err(op(ErrorNumber::Inval, 2)));
    check_eq!(entry.remove_context(first + 1000), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(entry.remove_context(u64::MAX), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(entry.reset_context(first, None), Err(op(ErrorNumber::Busy, 1)));
    let bad_floor = postern_tests::syscall::EntryInfo { floor: 255, ..entry.info()? };
    check_eq!(entry.set(&bad_floor, None), Err(op(ErrorNumber::Perm, 2)));
    entry.set(&bad_floor, Some(ctx.scheduler))?;
    check_eq!(entry.info()?.floor, 255);
    let short = operate(entry.slot(), &[op_entry::ADD_CONTEXT], &[]);
    check_eq!(short.map(drop), Err(op(ErrorNumber::TooShort, 1)));
    check_eq!(
        operate(entry.slot(), &[op_entry::CONTEXT + 1], &[]).map(drop),
        Err(op(ErrorNumber::NoSys, 1))
    );
    // One more, and away with it.
    let before = ctx.charged()?;
    let added = entry.add_context(top)?;
    check_eq!(entry.context(added.number)?.utcb, added.utcb);
    check_eq!(entry.info()?.free, 2);
    entry.remove_context(added.number)?;
    check_eq!(entry.info()?.contexts, 1);
    check_eq!(ctx.charged()?, before, "what a context was charged comes back");
    Ok(())
}

fn c47_creating_an_entry_checks_in_order(ctx: &Ctx) -> Verdict {
    let create = |task, handler, floor| {
        ctx.factory.create_entry(Slot::new(400), task, handler, floor, 0).map(drop)
    };
    let before = ctx.charged()?;
    let without_w = ctx.derive(ctx.task, Rights::R)?;
    check_eq!(create(ctx.task, u64::MAX, 0), Err(op(ErrorNumber::Inval, 3)));
    check_eq!(create(ctx.task, 0x40_0000, 101), Err(op(ErrorNumber::Perm, 4)));
    check_eq!(create(without_w, 0x40_0000, 0), Err(op(ErrorNumber::Perm, ErrorCode::ITEM)));
    let words = [0x40_0000, 1, 2];
    let kind = Kind::Entry as u64;
    let no_task = ctx.factory.create(kind, Slot::new(400), &words, &[]);
    check_eq!(no_task, Err(op(ErrorNumber::Inval, ErrorCode::ITEM)));
    let items = [Item::all(ctx.task.slot()), Item::all(ctx.scheduler.slot())];
    check_eq!(ctx.charged()?, before, "nothing was created");
    ctx.factory.create(kind, Slot::new(400), &[0x40_0000, 255, 0], &items)?;
    check_eq!(Entry::new(Slot::new(400)).info()?.floor, 255);
    Ok(())
}
