//! Section E: messages in flight, and what becomes of them when the gate
//! changes.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorNumber, Rights, Timeout, Timeouts, control, ipc,
};
use postern_tests::{Ctx, Verdict, board, check, check_eq, received, sent, tests, told};

use crate::{
    ONE, answer, arguments, call_for_label, call_it, receive, send_it, send_now, waiting,
};

tests! {
    gate_c60_busy_receiver_and_timeouts,
    gate_c61_senders_by_priority_then_arrival,
    gate_c61_signals_come_first,
    gate_c62_deleting_leaves_queued_senders_alone,
    gate_c63_rebinding_leaves_queued_senders_alone,
    gate_c63_unbinding_leaves_queued_senders_alone,
    gate_c64_queued_sender_is_cancelled,
    gate_c71_closed_receive_takes_one_gate_only,
    gate_c71_closed_receive_ends_with_its_gate,
    gate_c71_open_receive_takes_all,
}

/// Sleeps until word 1 of the board is set: a server that is busy.
fn busy(_: u64) -> u64 {
    while board::get(1) == 0 {
        let _ = control::sleep_until(control::clock() + 200_000);
    }
    0
}

fn gate_c60_busy_receiver_and_timeouts(ctx: &Ctx) -> Verdict {
    let server = ctx.spawn(busy, 0)?;
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    let timed_out = Err(sent(ErrorNumber::Timeout));
    check_eq!(send_now(gate, 0), timed_out);
    check_eq!(ipc::call(gate.slot(), ONE, [0; 4], Timeouts::ZERO).map(drop), timed_out);
    let before = control::clock();
    let timeout = Timeout::from_ns(3_000_000);
    check_eq!(ipc::send(gate.slot(), ONE, [0; 4], timeout), timed_out);
    check!(control::clock() - before >= 3_000_000);
    let timeouts = Timeouts { send: timeout, receive: Timeout::NEVER };
    check_eq!(ipc::call(gate.slot(), ONE, [0; 4], timeouts).map(drop), timed_out);
    board::set(1, 1);
    check_eq!(server.join()?, 0);
    Ok(())
}

fn gate_c61_senders_by_priority_then_arrival(ctx: &Ctx) -> Verdict {
    // Through two gates, which makes no difference.
    let gates = [ctx.gate(0x40)?, ctx.gate(0x80)?];
    let arrivals = [(50, 1), (90, 2), (70, 3), (90, 4), (50, 5), (120, 6), (70, 7)];
    let mut partners = alloc::vec::Vec::new();
    for (priority, number) in arrivals {
        let gate = gates[number as usize % 2];
        partners.push(waiting(ctx, priority, send_it, arguments(gate, number))?);
    }
    // Changing the priority of one that waits moves it.
    ctx.scheduler.set_priority(partners[0].thread(), 110)?;
    let mut order = [0; 7];
    for place in &mut order {
        *place = receive()?.words[0];
    }
    check_eq!(order, [6, 1, 2, 4, 3, 7, 5]);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn gate_c61_signals_come_first(ctx: &Ctx) -> Verdict {
    let (gate, notification) = (ctx.gate(0x40)?, ctx.notification()?);
    notification.bind(ctx.thread)?;
    let partner = waiting(ctx, 200, send_it, arguments(gate, 1))?;
    notification.signal(0b101)?;
    let first = receive()?;
    check_eq!((first.kind, first.words[0]), (DeliveryKind::Notification, 0b101));
    let second = receive()?;
    check_eq!((second.kind, second.words[0]), (DeliveryKind::Message, 1));
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c62_deleting_leaves_queued_senders_alone(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let sender = waiting(ctx, 100, send_it, arguments(gate, 1))?;
    let caller = waiting(ctx, 100, call_for_label, arguments(gate, 2))?;
    ctx.task.destroy(gate.slot())?;
    sender.give_time();
    let label = 0x40 | 3;
    let delivery = receive()?;
    check_eq!((delivery.label, delivery.words[0]), (label, 1));
    let delivery = receive()?;
    check_eq!((delivery.label, delivery.words[0]), (label, 2));
    answer(0x77, 0)?;
    check_eq!(sender.join()?, 0);
    check_eq!(caller.join()?, 0x77);
    Ok(())
}

fn gate_c63_rebinding_leaves_queued_senders_alone(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let client = ctx.derive(gate, Rights::empty())?;
    let old = waiting(ctx, 100, call_for_label, arguments(client, 1))?;
    let server = ctx.spawn(
        |_| match receive() {
            Ok(delivery) => {
                let _ = answer(delivery.label + delivery.words[0], 0);
                0
            }
            Err(error) => error.encode(),
        },
        0,
    )?;
    gate.bind(server.thread(), 0x80)?;
    let new = ctx.spawn(call_for_label, arguments(client, 2))?;
    check_eq!(new.join()?, 0x82, "sent afterwards: the new thread, the new label");
    check_eq!(server.join()?, 0);
    let delivery = receive()?;
    check_eq!((delivery.label, delivery.words[0]), (0x40, 1), "sent before");
    answer(0x99, 0)?;
    check_eq!(old.join()?, 0x99);
    Ok(())
}

fn gate_c63_unbinding_leaves_queued_senders_alone(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let old = waiting(ctx, 100, send_it, arguments(gate, 1))?;
    gate.unbind()?;
    check_eq!(send_now(gate, 2), Err(sent(ErrorNumber::Timeout)));
    check_eq!(receive()?.words[0], 1);
    check_eq!(old.join()?, 0);
    Ok(())
}

fn gate_c64_queued_sender_is_cancelled(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    for body in [send_it, call_it] {
        let partner = waiting(ctx, 100, body, arguments(gate, 0))?;
        partner.thread().cancel()?;
        check_eq!(told(partner.join()?), Err(sent(ErrorNumber::Cancelled)));
    }
    let nothing = ipc::receive(Timeout::ZERO).map(drop);
    check_eq!(nothing, Err(received(ErrorNumber::Timeout)), "a cancelled message");
    Ok(())
}

fn gate_c71_closed_receive_takes_one_gate_only(ctx: &Ctx) -> Verdict {
    let (wanted, other) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let early = waiting(ctx, 120, send_it, arguments(other, 1))?;
    let late = waiting(ctx, 50, send_it, arguments(wanted, 2))?;
    let zero = Timeout::ZERO;
    check_eq!(ipc::receive_from(wanted.slot(), zero)?.words[0], 2);
    check_eq!(
        ipc::receive_from(wanted.slot(), zero).map(drop),
        Err(received(ErrorNumber::Timeout))
    );
    // One that arrives while the thread waits is let through or not alike.
    let later = ctx.spawn_at(50, send_it, arguments(other, 3))?;
    let wake = ctx.spawn_at(50, send_it, arguments(wanted, 4))?;
    check_eq!(ipc::receive_from(wanted.slot(), postern_tests::patience())?.words[0], 4);
    later.await_state(ctx, ThreadState::Sending)?;
    check_eq!([receive()?.words[0], receive()?.words[0]], [1, 3]);
    for partner in [early, late, later, wake] {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn gate_c71_closed_receive_ends_with_its_gate(ctx: &Ctx) -> Verdict {
    // Nothing can come from a gate that is gone: waiting on would be for ever.
    let server = ctx.helper(100)?;
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    let mut server = server;
    server.start(
        |slot| {
            let slot = postern_tests::syscall::Slot::new(slot as u32);
            postern_tests::tell(ipc::receive_from(slot, Timeout::from_ns(2_000_000_000)))
        },
        gate.slot().word(),
    )?;
    server.await_state(ctx, ThreadState::Receiving)?;
    ctx.task.destroy(gate.slot())?;
    check_eq!(told(server.join()?), Err(received(ErrorNumber::NotExistent)));
    Ok(())
}

fn gate_c71_open_receive_takes_all(ctx: &Ctx) -> Verdict {
    let notification = ctx.notification()?;
    notification.bind(ctx.thread)?;
    let mut partners = alloc::vec::Vec::new();
    for number in 1..=6 {
        let gate = ctx.gate(0x40 * number)?;
        partners.push(waiting(ctx, 100, send_it, arguments(gate, number))?);
    }
    notification.signal(1)?;
    let mut kinds = [DeliveryKind::None; 7];
    for kind in &mut kinds {
        let delivery = receive()?;
        *kind = delivery.kind;
        if delivery.kind == DeliveryKind::Message {
            check_eq!(delivery.label & !3, 0x40 * delivery.words[0]);
        }
    }
    check_eq!(kinds.iter().filter(|kind| **kind == DeliveryKind::Notification).count(), 1);
    check_eq!(kinds.iter().filter(|kind| **kind == DeliveryKind::Message).count(), 6);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}
