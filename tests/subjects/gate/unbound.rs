//! Section D: gates that are not bound.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorNumber, Rights, Slot, Timeout, Timeouts, control, ipc,
};
use postern_tests::{Ctx, Verdict, check, check_eq, sent, tell, tests, told};

use crate::{ONE, answer, arguments, call_it, receive, send_it, send_now, waiting};

tests! {
    gate_c50_timeout_zero,
    gate_c50_finite_timeout,
    gate_c50_never_waits_until_bound,
    gate_c51_binding_releases_all_with_the_new_label,
    gate_c52_cancelled_while_waiting,
    gate_c53_deleted_under_waiters,
    gate_c54_released_by_priority_then_arrival,
    gate_c55_capability_of_a_deleted_gate,
}

fn gate_c50_timeout_zero(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    check_eq!(send_now(gate, 0), Err(sent(ErrorNumber::Timeout)));
    let called = ipc::call(gate.slot(), ONE, [0; 4], Timeouts::ZERO).map(drop);
    check_eq!(called, Err(sent(ErrorNumber::Timeout)));
    let only_send = Timeouts { send: Timeout::ZERO, receive: Timeout::NEVER };
    let called = ipc::call(gate.slot(), ONE, [0; 4], only_send).map(drop);
    check_eq!(called, Err(sent(ErrorNumber::Timeout)));
    Ok(())
}

fn gate_c50_finite_timeout(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    for ns in [1, 1_000_000, 5_000_000] {
        let before = control::clock();
        let sent_it = ipc::send(gate.slot(), ONE, [0; 4], Timeout::from_ns(ns));
        check_eq!(sent_it, Err(sent(ErrorNumber::Timeout)));
        let passed = control::clock() - before;
        check!(passed >= ns, "{passed} ns passed instead of {ns}");
    }
    Ok(())
}

fn gate_c50_never_waits_until_bound(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let partner = waiting(ctx, 100, send_it, arguments(gate, 5))?;
    partner.give_time();
    check_eq!(partner.info()?.state, Some(ThreadState::Sending));
    gate.bind(ctx.thread, 0x40)?;
    check_eq!(receive()?.words[0], 5);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c51_binding_releases_all_with_the_new_label(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    gate.unbind()?;
    let rights = [Rights::empty(), Rights::W, Rights::S, Rights::W | Rights::S];
    let mut partners = alloc::vec::Vec::new();
    for (rights, number) in rights.into_iter().zip(0..) {
        let client = ctx.derive(gate, rights)?;
        let body = if number % 2 == 0 { send_it } else { call_it };
        partners.push(waiting(ctx, 100, body, arguments(client, number))?);
    }
    gate.bind(ctx.thread, 0x80)?;
    for (rights, number) in rights.into_iter().zip(0..) {
        let delivery = receive()?;
        check_eq!(delivery.words[0], number);
        check_eq!(delivery.label, 0x80 | u64::from(rights.bits()));
        if delivery.kind == DeliveryKind::Call {
            answer(0, 0)?;
        }
    }
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn gate_c52_cancelled_while_waiting(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    for body in [send_it, call_it] {
        let partner = waiting(ctx, 100, body, arguments(gate, 0))?;
        partner.thread().cancel()?;
        check_eq!(told(partner.join()?), Err(sent(ErrorNumber::Cancelled)));
    }
    check_eq!(send_now(gate, 0), Err(sent(ErrorNumber::Timeout)));
    gate.bind(ctx.thread, 0x40)?;
    let nothing = ipc::receive(Timeout::ZERO).map(drop);
    check_eq!(nothing, Err(postern_tests::received(ErrorNumber::Timeout)), "a cancelled message");
    Ok(())
}

fn gate_c53_deleted_under_waiters(ctx: &Ctx) -> Verdict {
    // Outright, and with its last capability.
    for is_outright in [true, false] {
        let gate = ctx.unbound()?;
        let mut partners = alloc::vec::Vec::new();
        for body in [send_it, call_it, send_it, call_it] {
            partners.push(waiting(ctx, 100, body, arguments(gate, 0))?);
        }
        match is_outright {
            true => ctx.task.destroy(gate.slot())?,
            false => ctx.task.delete(gate.slot())?,
        }
        for partner in &partners {
            check_eq!(told(partner.join()?), Err(sent(ErrorNumber::NotExistent)));
        }
    }
    Ok(())
}

fn gate_c54_released_by_priority_then_arrival(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let arrivals = [(50, 1), (90, 2), (70, 3), (90, 4), (50, 5), (120, 6), (70, 7)];
    let mut partners = alloc::vec::Vec::new();
    for (priority, number) in arrivals {
        partners.push(waiting(ctx, priority, send_it, arguments(gate, number))?);
    }
    gate.bind(ctx.thread, 0x40)?;
    let mut order = [0; 7];
    for place in &mut order {
        *place = receive()?.words[0];
    }
    check_eq!(order, [6, 2, 4, 3, 7, 1, 5]);
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn gate_c55_capability_of_a_deleted_gate(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let copy = ctx.derive(gate, Rights::all())?;
    let weak = ctx.derive(copy, Rights::empty())?;
    ctx.task.destroy(gate.slot())?;
    let missing = Err(sent(ErrorNumber::NotExistent));
    for gate in [gate, copy, weak] {
        check_eq!(send_now(gate, 0), missing);
        check_eq!(gate.info().map(drop), missing);
        check_eq!(ipc::call(gate.slot(), ONE, [0; 4], Timeouts::NEVER).map(drop), missing);
    }
    let body = |slot| tell(ipc::receive_from(Slot::new(slot as u32), Timeout::NEVER));
    let partner = ctx.spawn(body, copy.slot().word())?;
    check_eq!(
        told(partner.join()?),
        Err(postern_tests::received(ErrorNumber::NotExistent)),
        "waiting for it"
    );
    Ok(())
}
