//! Section C: operating the gate.

use postern_tests::syscall::abi::op::gate::{BIND, UNBIND};
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::abi::tag::protocol::KOBJECT;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Gate, Item, Rights, Slot, Tag, Thread, Timeouts, ipc,
    operate,
};
use postern_tests::{Ctx, Failure, Verdict, check_eq, op, sent, tests};

use crate::{answer, arguments, call_for_label, receive, send_it, send_now};

tests! {
    gate_c40_empty_and_unknown_operations,
    gate_c41_bind_without_s_is_refused_first,
    gate_c42_bind_arguments,
    gate_c43_failed_bind_changes_nothing,
    gate_c44_rebinding_to_a_new_label,
    gate_c44_rebinding_to_another_thread,
    gate_c45_infos_need_server_only,
    gate_c46_unbound_again,
    gate_c46_unbind_needs_s,
}

const ITEM: u8 = ErrorCode::ITEM;

fn gate_c40_empty_and_unknown_operations(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let empty = ipc::call(gate.slot(), Tag::new(KOBJECT, 0), [BIND, 0, 0, 0], Timeouts::NEVER);
    check_eq!(empty.map(drop).map_err(|error| error.number), Err(ErrorNumber::Inval));
    for operation in [0, 1, 0x400, 0x404, 0x101, 0x201, BIND | 1 << 32, u64::MAX] {
        let unknown = operate(gate.slot(), &[operation, 0, 0, 0], &[]);
        check_eq!(
            unknown.map(drop).map_err(|error| error.number),
            Err(ErrorNumber::NoSys),
            "operation {operation:#x}"
        );
    }
    Ok(())
}

fn gate_c41_bind_without_s_is_refused_first(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let weak = ctx.derive(gate, Rights::all() - Rights::S)?;
    let refused = Err(op(ErrorNumber::Perm, 0));
    let thread = Item::all(ctx.thread.slot());
    check_eq!(weak.bind(ctx.thread, 0x40), refused, "a good bind");
    check_eq!(weak.bind(ctx.thread, 3), refused, "a bad label");
    check_eq!(weak.bind(Thread::new(Slot::NULL), 0x40), refused, "no thread");
    check_eq!(operate(weak.slot(), &[BIND], &[thread]).map(drop), refused, "too short");
    check_eq!(operate(weak.slot(), &[BIND, 0x40], &[]).map(drop), refused, "no item");
    check_eq!(gate.info()?.bound, false);
    Ok(())
}

/// Every way in which a bind can be wrong: what, words, item, error.
fn bad_binds(ctx: &Ctx) -> Result<[(&'static str, [u64; 2], usize, Option<Slot>, ErrorCode); 9], Failure>
{
    let weak = ctx.derive(ctx.thread, Rights::all() - Rights::S)?;
    let inval = op(ErrorNumber::Inval, ITEM);
    let thread = Some(ctx.thread.slot());
    let good = [BIND, 0x80];
    Ok([
        ("too short", good, 1, thread, op(ErrorNumber::TooShort, 1)),
        ("label 1", [BIND, 0x81], 2, thread, op(ErrorNumber::Inval, 1)),
        ("label 2", [BIND, 0x82], 2, thread, op(ErrorNumber::Inval, 1)),
        ("no item", good, 2, None, inval),
        ("an empty slot", good, 2, Some(ctx.slot()?), inval),
        ("slot 0", good, 2, Some(Slot::NULL), inval),
        ("memory", good, 2, Some(ctx.memory(1)?.slot()), inval),
        ("a gate", good, 2, Some(ctx.unbound()?.slot()), inval),
        ("a thread without S", good, 2, Some(weak.slot()), op(ErrorNumber::Perm, ITEM)),
    ])
}

fn bind_with(gate: Gate, words: &[u64], item: Option<Slot>) -> Result<(), ErrorCode> {
    let items = item.map(Item::all);
    operate(gate.slot(), words, items.as_slice()).map(drop)
}

fn gate_c42_bind_arguments(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    for (what, words, count, item, error) in bad_binds(ctx)? {
        check_eq!(bind_with(gate, &words[..count], item), Err(error), "{what}");
    }
    Ok(())
}

fn gate_c43_failed_bind_changes_nothing(ctx: &Ctx) -> Verdict {
    let (bound, unbound) = (ctx.gate(0x40)?, ctx.unbound()?);
    for (what, words, count, item, _) in bad_binds(ctx)? {
        for gate in [bound, unbound] {
            check_eq!(bind_with(gate, &words[..count], item).is_err(), true, "{what}");
        }
        check_eq!((bound.info()?.label, bound.info()?.bound), (0x40, true), "{what}");
        check_eq!((unbound.info()?.label, unbound.info()?.bound), (0, false), "{what}");
    }
    Ok(())
}

fn gate_c44_rebinding_to_a_new_label(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let client = ctx.derive(gate, Rights::empty())?;
    for label in [0x80, 0x80, 0, u64::MAX - 3] {
        gate.bind(ctx.thread, label)?;
        check_eq!(gate.info()?.label, label);
        let partner = ctx.spawn(send_it, arguments(client, 0))?;
        check_eq!(receive()?.label, label);
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

/// A partner's body: serves one call, answers with the label of the gate.
fn serve_one(_: u64) -> u64 {
    match receive() {
        Ok(delivery) => postern_tests::tell(answer(delivery.label, 0)),
        Err(error) => error.encode(),
    }
}

fn gate_c44_rebinding_to_another_thread(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut server = ctx.peer()?;
    gate.bind(server.thread(), 0x80)?;
    server.start(serve_one, 0)?;
    let client = ctx.derive(gate, Rights::empty())?;
    check_eq!(call_for_label(arguments(client, 0)), 0x80);
    check_eq!(server.join()?, 0);
    gate.bind(ctx.thread, 0xc0)?;
    let partner = ctx.spawn(send_it, arguments(client, 0))?;
    check_eq!(receive()?.label, 0xc0);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c45_infos_need_server_only(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x1230)?;
    let only = ctx.derive(gate, Rights::SERVER)?;
    let all = ctx.derive(gate, Rights::SERVER | Rights::W | Rights::S)?;
    for gate in [only, all] {
        let info = gate.info()?;
        check_eq!((info.label, info.bound), (0x1230, true));
    }
    Ok(())
}

fn gate_c46_unbound_again(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    gate.unbind()?;
    check_eq!(gate.info()?.bound, false);
    check_eq!(send_now(gate, 0), Err(sent(ErrorNumber::Timeout)));
    gate.unbind()?;
    let client = ctx.derive(gate, Rights::empty())?;
    let partner = ctx.spawn(send_it, arguments(client, 0))?;
    partner.await_state(ctx, ThreadState::Sending)?;
    gate.bind(ctx.thread, 0x80)?;
    check_eq!(receive()?.label, 0x80);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c46_unbind_needs_s(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let weak = ctx.derive(gate, Rights::all() - Rights::S)?;
    check_eq!(operate(weak.slot(), &[UNBIND], &[]).map(drop), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(gate.info()?.bound, true);
    Ok(())
}
