//! Section B: SERVER, and who sees which message.

use postern_tests::syscall::abi::op::{gate, thread};
use postern_tests::syscall::abi::tag::protocol::KOBJECT;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorNumber, Gate, Item, Message, Rights, Slot, Tag, Timeouts, ipc,
    operate, utcb,
};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, fail, op, peer, sent, tell, tests};

use crate::{ONE, PROTOCOL, answer, receive};

tests! {
    gate_c20_server_only_when_asked_for,
    gate_c21_server_cannot_be_regained,
    gate_c21_server_cannot_be_regained_by_sending,
    gate_c22_without_server_all_is_forwarded,
    gate_c23_with_server_operations_stay_in_the_kernel,
    gate_c24_with_server_other_protocols_are_forwarded,
    gate_c25_bind_without_server_waits_and_binds_nothing,
    gate_c26_neither_w_nor_s_needed_to_send,
    gate_c31_thread_operations_are_out_of_reach,
}

/// The rights of the capability in `slot`.
pub fn of(ctx: &Ctx, slot: Slot) -> Result<Rights, Failure> {
    let empty = postern_tests::syscall::ListedCapability {
        slot,
        kind: None,
        rights: Rights::empty(),
        object: 0,
        details: [0; 2],
    };
    let mut list = [empty];
    match ctx.task.list(slot, &mut list)? {
        1 if list[0].slot == slot => Ok(list[0].rights),
        _ => fail!("{slot} is empty"),
    }
}

fn gate_c20_server_only_when_asked_for(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let with = ctx.derive(gate, Rights::SERVER)?;
    check_eq!(with.info()?.label, 0x40);
    let without = ctx.derive(gate, Rights::all() - Rights::SERVER)?;
    check!(!of(ctx, without.slot())?.contains(Rights::SERVER));
    // The gate is bound to this very thread: a forwarded message waits.
    let words = [gate::INFO, 0, 0, 0];
    let tag = Tag::new(KOBJECT, 1);
    let error = ipc::call(without.slot(), tag, words, Timeouts::ZERO).map(drop);
    check_eq!(error, Err(sent(ErrorNumber::Timeout)));
    Ok(())
}

fn gate_c21_server_cannot_be_regained(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let weak = ctx.derive(gate, Rights::R | Rights::GRANT)?;
    let again = ctx.derive(weak, Rights::all())?;
    check_eq!(of(ctx, again.slot())?, Rights::R | Rights::GRANT, "derived with all bits");
    let slot = ctx.slot()?;
    ctx.task.delegate(Item::all(weak.slot()), slot)?;
    check_eq!(of(ctx, slot)?, Rights::R | Rights::GRANT, "delegated with all bits");
    let other = ctx.empty_task()?;
    other.delegate(Item::all(weak.slot()), Slot::new(5))?;
    let empty = postern_tests::syscall::ListedCapability {
        slot,
        kind: None,
        rights: Rights::empty(),
        object: 0,
        details: [0; 2],
    };
    let mut list = [empty];
    check_eq!(other.list(Slot::new(0), &mut list)?, 1);
    check_eq!(list[0].rights, Rights::R | Rights::GRANT, "in another task");
    Ok(())
}

fn gate_c21_server_cannot_be_regained_by_sending(ctx: &Ctx) -> Verdict {
    let (gate, carrier) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let mut client = ctx.peer()?;
    let carrier = client.give(carrier.item(Rights::empty()))?;
    client.give(gate.item(Rights::W | Rights::GRANT))?;
    client.start(
        |carrier| {
            let mut message = Message::new(PROTOCOL);
            let _ = message.push_item(Item::all(peer::given(1)));
            tell(message.call(Slot::new(carrier as u32), Timeouts::NEVER))
        },
        carrier.word(),
    )?;
    let window = ctx.slot()?;
    utcb::set_windows(&[window]);
    let delivery = receive()?;
    check_eq!(delivery.tag.items(), 1);
    answer(0, 0)?;
    check_eq!(client.join()?, 0);
    check_eq!(of(ctx, window)?, Rights::W | Rights::GRANT, "received with all bits");
    Ok(())
}

fn gate_c22_without_server_all_is_forwarded(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let weak = ctx.derive(gate, Rights::all() - Rights::SERVER - Rights::W - Rights::S)?;
    let body = |slot| {
        let slot = Slot::new(slot as u32);
        for operation in [gate::BIND, gate::UNBIND, gate::INFO, 0, thread::STOP, u64::MAX] {
            let words = [operation, 0x8000, 3, 4, 5];
            let answer = operate(slot, &words, &[]);
            let Ok(answer) = answer else { return tell(answer) };
            if answer.words[0] != operation ^ 1 {
                return 99;
            }
        }
        // Even an empty one.
        tell(ipc::call(slot, Tag::new(KOBJECT, 0), [0; 4], Timeouts::NEVER))
    };
    let partner = ctx.spawn(body, weak.slot().word())?;
    for operation in [gate::BIND, gate::UNBIND, gate::INFO, 0, thread::STOP, u64::MAX] {
        let delivery = receive()?;
        let message = Message::from_delivery(&delivery);
        check_eq!(delivery.kind, DeliveryKind::Call);
        check_eq!(delivery.label, 0x40);
        check_eq!(message.protocol(), KOBJECT);
        check_eq!(message.words(), [operation, 0x8000, 3, 4, 5]);
        answer(0, operation ^ 1)?;
    }
    check_eq!(receive()?.tag, Tag::new(KOBJECT, 0));
    answer(0, 0)?;
    check_eq!(partner.join()?, 0);
    check_eq!(gate.info()?.label, 0x40, "the label afterwards");
    Ok(())
}

fn gate_c23_with_server_operations_stay_in_the_kernel(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let body = |slot| {
        let gate = Gate::new(Slot::new(slot as u32));
        if gate.info().map(|info| info.label) != Ok(0x40) {
            return 1;
        }
        let unknown = operate(gate.slot(), &[0x4ff], &[]).map(drop);
        if unknown != Err(op(ErrorNumber::NoSys, 1)) {
            return 2;
        }
        // Something that arrives.
        tell(ipc::send(gate.slot(), ONE, [77, 0, 0, 0], Timeouts::NEVER.send))
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    let delivery = receive()?;
    check_eq!((delivery.tag.protocol(), delivery.words[0]), (PROTOCOL, 77), "the first to arrive");
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c24_with_server_other_protocols_are_forwarded(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let body = |slot| {
        for protocol in [1, 0, -1, -5, -9, -11] {
            let words = [gate::UNBIND, 0, 0, 0];
            let sent = ipc::send(
                Slot::new(slot as u32),
                Tag::new(protocol, 2),
                words,
                Timeouts::NEVER.send,
            );
            if sent.is_err() {
                return tell(sent);
            }
        }
        0
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    for protocol in [1, 0, -1, -5, -9, -11] {
        let delivery = receive()?;
        check_eq!(delivery.tag, Tag::new(protocol, 2));
        check_eq!(delivery.words[0], gate::UNBIND);
    }
    check_eq!(partner.join()?, 0);
    check_eq!(gate.info()?.bound, true);
    Ok(())
}

fn gate_c25_bind_without_server_waits_and_binds_nothing(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let weak = ctx.derive(gate, Rights::all() - Rights::SERVER)?;
    utcb::set_items(&[Item::all(ctx.thread.slot())]);
    let tag = Tag::new(KOBJECT, 2).with_items(1);
    let words = [gate::BIND, 0x40, 0, 0];
    let bound = ipc::call(weak.slot(), tag, words, Timeouts::ZERO).map(drop);
    check_eq!(bound, Err(sent(ErrorNumber::Timeout)));
    let bound = ipc::send(weak.slot(), tag, words, Timeouts::ZERO.send);
    check_eq!(bound, Err(sent(ErrorNumber::Timeout)));
    check_eq!(gate.info()?.bound, false);
    Ok(())
}

fn gate_c26_neither_w_nor_s_needed_to_send(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let weak = ctx.derive(gate, Rights::empty())?;
    let partner = ctx.spawn(
        |argument| crate::send_it(argument) << 32 | crate::call_it(argument),
        weak.slot().word(),
    )?;
    check_eq!(receive()?.kind, DeliveryKind::Message);
    check_eq!(receive()?.kind, DeliveryKind::Call);
    answer(0, 0)?;
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c31_thread_operations_are_out_of_reach(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let weak = ctx.derive(gate, Rights::all() - Rights::SERVER)?;
    // With SERVER the gate itself answers: it has no such operation.
    for operation in [thread::STOP, thread::INFO, thread::CANCEL, thread::SET_EXIT_GATE] {
        let error = operate(gate.slot(), &[operation, 0, 0, 0, 0], &[]).map(drop);
        check_eq!(error, Err(op(ErrorNumber::NoSys, 1)), "operation {operation:#x}");
    }
    let body = |slot| {
        let slot = Slot::new(slot as u32);
        for operation in [thread::STOP, thread::INFO, thread::CANCEL] {
            let tag = Tag::new(KOBJECT, 1);
            let sent = ipc::send(slot, tag, [operation, 0, 0, 0], Timeouts::NEVER.send);
            if sent.is_err() {
                return tell(sent);
            }
        }
        0
    };
    let partner = ctx.spawn(body, weak.slot().word())?;
    for operation in [thread::STOP, thread::INFO, thread::CANCEL] {
        check_eq!(receive()?.words[0], operation, "it arrives as a message");
    }
    check_eq!(partner.join()?, 0);
    Ok(())
}
