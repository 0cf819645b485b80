//! Signals: taken by polling, or received in the same wait as messages.

use postern_tests::syscall::abi::op::notification::{BIND, POLL, SIGNAL};
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorCode, ErrorNumber, Item, Notification, Rights, Slot, Tag,
    Timeout, ipc, operate,
};
use postern_tests::{
    Body, Ctx, Verdict, board, check, check_eq, op, patience, received, sent, tell, tests, told,
};

tests! {
    g07_signal_and_poll,
    g07_bits_are_collected,
    g07_rights_and_arguments,
    g07_wakes_the_bound_thread,
    g07_signals_before_bind,
    g07_same_wait_as_messages,
    g07_closed_receive,
    g07_only_one_for_a_thread,
    g07_bound_to_another_thread,
    g07_unbound,
    g07_destroyed,
    g07_thread_dies,
    g07_does_not_end_a_call,
    g07_does_not_leave_a_trace_in_registers,
}

fn g07_signal_and_poll(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    check_eq!(notification.poll()?, 0);
    notification.signal(0x8000_0000_0000_0001)?;
    check_eq!(notification.poll()?, 0x8000_0000_0000_0001);
    check_eq!(notification.poll()?, 0, "taken already");
    notification.signal(0)?;
    check_eq!(notification.poll()?, 0);
    Ok(())
}

fn g07_bits_are_collected(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let mut partners = alloc::vec::Vec::new();
    for bit in 0..10 {
        let body: Body = |argument| {
            let notification = Notification::new(Slot::new(argument as u32));
            tell(notification.signal(1 << (argument >> 32)))
        };
        partners.push(ctx.spawn(body, notification.slot().word() | bit << 32)?);
    }
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    notification.signal(0b11)?;
    check_eq!(notification.poll()?, 0x3ff);
    Ok(())
}

fn g07_rights_and_arguments(ctx: &Ctx) -> Verdict {
    const ITEM: u8 = ErrorCode::ITEM;
    let notification = ctx.notification()?;
    let without = |right| ctx.derive(notification, Rights::all() - right);
    let perm = op(ErrorNumber::Perm, 0);
    check_eq!(without(Rights::W)?.signal(1), Err(perm));
    check_eq!(without(Rights::R)?.poll(), Err(perm));
    check_eq!(without(Rights::S)?.bind(ctx.thread), Err(perm));
    check_eq!(without(Rights::S)?.unbind(), Err(perm));
    check_eq!(notification.poll()?, 0);
    let bind = |item| operate(notification.slot(), &[BIND], &[Item::all(item)]).map(drop);
    for slot in [ctx.slot()?, Slot::NULL, ctx.task.slot(), notification.slot()] {
        check_eq!(bind(slot), Err(op(ErrorNumber::Inval, ITEM)), "{slot}");
    }
    let weak = ctx.derive(ctx.thread, Rights::all() - Rights::S)?;
    check_eq!(bind(weak.slot()), Err(op(ErrorNumber::Perm, ITEM)));
    let short = operate(notification.slot(), &[SIGNAL], &[]).map(drop);
    check_eq!(short, Err(op(ErrorNumber::TooShort, 1)));
    check_eq!(operate(notification.slot(), &[POLL], &[])?.words[0], 0);
    Ok(())
}

/// Receives once; the bits, or an error with bit 63 set.
fn receive_bits(_: u64) -> u64 {
    match ipc::receive(patience()) {
        Ok(delivery) if delivery.kind == DeliveryKind::Notification => delivery.words[0],
        Ok(_) => 1 << 62,
        Err(error) => 1 << 63 | error.encode(),
    }
}

fn g07_wakes_the_bound_thread(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    for is_peer in [false, true] {
        let mut partner = if is_peer { ctx.peer()? } else { ctx.helper(100)? };
        notification.bind(partner.thread())?;
        partner.start(receive_bits, 0)?;
        partner.await_state(ctx, ThreadState::Receiving)?;
        notification.signal(0x70)?;
        check_eq!(partner.join()?, 0x70);
        check_eq!(notification.poll()?, 0);
        notification.unbind()?;
    }
    Ok(())
}

fn g07_signals_before_bind(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.signal(5)?;
    let partner = ctx.spawn(receive_bits, 0)?;
    partner.await_state(ctx, ThreadState::Receiving)?;
    notification.bind(partner.thread())?;
    check_eq!(partner.join()?, 5);
    // And to a thread that is not waiting yet.
    notification.signal(6)?;
    notification.bind(ctx.thread)?;
    check_eq!(receive_bits(0), 6);
    Ok(())
}

fn g07_same_wait_as_messages(ctx: &Ctx) -> Verdict {
    let (notification, gate) = (ctx.notification()?, ctx.gate(0x40)?);
    notification.bind(ctx.thread)?;
    board::set(0, notification.slot().word());
    let body: Body = |gate| {
        let notification = Notification::new(Slot::new(board::get(0) as u32));
        for round in 0..50 {
            if round % 3 == 0 {
                let signalled = notification.signal(1 << round);
                if signalled.is_err() {
                    return tell(signalled);
                }
            } else {
                let tag = Tag::new(7, 1);
                let sent = ipc::send(Slot::new(gate as u32), tag, [round; 4], Timeout::NEVER);
                if sent.is_err() {
                    return tell(sent);
                }
            }
        }
        0
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    let (mut bits, mut messages) = (0_u64, 0);
    while messages != 33 || bits.count_ones() != 17 {
        let delivery = ipc::receive(patience())?;
        match delivery.kind {
            DeliveryKind::Notification => {
                check_eq!(delivery.words[1..], [0; 3]);
                check_eq!(bits & delivery.words[0], 0, "a bit came twice");
                bits |= delivery.words[0];
            }
            _ => messages += 1,
        }
    }
    check_eq!(partner.join()?, 0);
    for round in 0..50 {
        check_eq!(bits >> round & 1 == 1, round % 3 == 0, "bit {round}");
    }
    Ok(())
}

fn g07_closed_receive(ctx: &Ctx) -> Verdict {
    let (notification, gate) = (ctx.notification()?, ctx.gate(0x40)?);
    let only = || ipc::receive_from(notification.slot(), Timeout::ZERO);
    notification.bind(ctx.thread)?;
    check_eq!(only().map(drop), Err(received(ErrorNumber::Timeout)));
    let body: Body =
        |slot| tell(ipc::send(Slot::new(slot as u32), Tag::new(7, 0), [0; 4], Timeout::NEVER));
    let sender = ctx.spawn(body, gate.slot().word())?;
    sender.await_state(ctx, ThreadState::Sending)?;
    check_eq!(only().map(drop), Err(received(ErrorNumber::Timeout)), "with a message there");
    notification.signal(3)?;
    check_eq!(ipc::receive_from(gate.slot(), patience())?.kind, DeliveryKind::Message);
    check_eq!(only()?.words[0], 3);
    check_eq!(sender.join()?, 0);
    Ok(())
}

fn g07_only_one_for_a_thread(ctx: &Ctx) -> Verdict {
    let (one, other) = (ctx.notification()?, ctx.notification()?);
    one.bind(ctx.thread)?;
    one.bind(ctx.thread)?;
    check_eq!(other.bind(ctx.thread), Err(op(ErrorNumber::Busy, ErrorCode::ITEM)));
    one.signal(1)?;
    check_eq!(receive_bits(0), 1, "the first one is still bound");
    one.unbind()?;
    other.bind(ctx.thread)?;
    one.signal(2)?;
    other.signal(4)?;
    check_eq!(receive_bits(0), 4);
    check_eq!(one.poll()?, 2);
    Ok(())
}

fn g07_bound_to_another_thread(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.bind(ctx.thread)?;
    let partner = ctx.spawn(receive_bits, 0)?;
    partner.await_state(ctx, ThreadState::Receiving)?;
    notification.bind(partner.thread())?;
    notification.signal(9)?;
    check_eq!(partner.join()?, 9);
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    // The first thread is free for another one.
    let other = ctx.notification()?;
    other.bind(ctx.thread)?;
    Ok(())
}

fn g07_unbound(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.unbind()?;
    notification.bind(ctx.thread)?;
    notification.unbind()?;
    notification.signal(1)?;
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    check_eq!(notification.poll()?, 1);
    Ok(())
}

fn g07_destroyed(ctx: &Ctx) -> Verdict {
    // Who waits for everything goes on waiting; who waits for it alone is told.
    for is_closed in [false, true] {
        let notification = ctx.notification()?;
        let body: Body = |slot| match slot {
            0 => receive_bits(0),
            slot => {
                let timeout = Timeout::from_ns(2_000_000_000);
                tell(ipc::receive_from(Slot::new(slot as u32), timeout))
            }
        };
        let mut partner = ctx.helper(100)?;
        notification.bind(partner.thread())?;
        partner.start(body, if is_closed { notification.slot().word() } else { 0 })?;
        partner.await_state(ctx, ThreadState::Receiving)?;
        ctx.task.destroy(notification.slot())?;
        if is_closed {
            check_eq!(told(partner.join()?), Err(received(ErrorNumber::NotExistent)));
        } else {
            partner.give_time();
            check_eq!(partner.info()?.state, Some(ThreadState::Receiving));
            let other = ctx.notification()?;
            other.bind(partner.thread())?;
            other.signal(8)?;
            check_eq!(partner.join()?, 8);
        }
        check_eq!(notification.signal(1), Err(sent(ErrorNumber::NotExistent)));
    }
    Ok(())
}

fn g07_thread_dies(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    let mut partner = ctx.helper(100)?;
    notification.bind(partner.thread())?;
    partner.start(|_| 0, 0)?;
    check_eq!(partner.join()?, 0);
    notification.signal(1)?;
    drop(partner);
    notification.signal(2)?;
    check_eq!(notification.poll()?, 3);
    notification.bind(ctx.thread)?;
    notification.signal(4)?;
    check_eq!(receive_bits(0), 4);
    Ok(())
}

fn g07_does_not_end_a_call(ctx: &Ctx) -> Verdict {
    // A thread that waits for an answer gets its signals afterwards.
    let (notification, gate) = (ctx.notification()?, ctx.gate(0x40)?);
    let body: Body = |slot| {
        let timeouts = postern_tests::syscall::Timeouts::NEVER;
        match ipc::call(Slot::new(slot as u32), Tag::new(7, 0), [0; 4], timeouts) {
            Ok(answer) if answer.kind == DeliveryKind::Reply => receive_bits(0),
            _ => 1 << 61,
        }
    };
    let mut partner = ctx.helper(100)?;
    notification.bind(partner.thread())?;
    partner.start(body, gate.slot().word())?;
    ipc::receive(patience())?;
    notification.signal(0x20)?;
    partner.give_time();
    check_eq!(partner.info()?.state, Some(ThreadState::Calling));
    ipc::reply(0, Tag::new(7, 0), [0; 4])?;
    check_eq!(partner.join()?, 0x20);
    Ok(())
}

fn g07_does_not_leave_a_trace_in_registers(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.bind(ctx.thread)?;
    notification.signal(0x55)?;
    let delivery = ipc::receive(patience())?;
    check_eq!((delivery.label, delivery.words), (0, [0x55, 0, 0, 0]));
    check_eq!(delivery.tag, Tag::new(0, 1));
    check!(delivery.kind == DeliveryKind::Notification);
    Ok(())
}
