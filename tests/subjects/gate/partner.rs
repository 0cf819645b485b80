//! C71: a receive that names a partner waits for what this thread sends, and
//! for nothing else.

use postern_tests::syscall::abi::op::reason;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::abi::tag::protocol::{EXIT, FAULT};
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorNumber, Rights, Slot, Timeout, control, ipc,
};
use postern_tests::{
    Body, Crowd, Ctx, Verdict, board, check, check_eq, patience, received, sent, tell, tests, told,
};

use crate::{answer, arguments, call_for_label, call_it, receive, send_it, send_now, waiting};

tests! {
    gate_c71_partner_that_waits_already,
    gate_c71_partner_that_comes_later,
    gate_c71_partner_calls_and_is_answered,
    gate_c71_partner_through_any_gate,
    gate_c71_partner_and_signals,
    gate_c71_partner_faults_and_exits,
    gate_c71_partner_that_dies,
    gate_c71_partner_that_is_gone,
    gate_c71_many_wait_for_one_partner = 60,
    gate_c71_partner_timeouts_and_cancel,
    gate_c71_bad_sources,
}

fn gate_c71_partner_that_waits_already(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let other = waiting(ctx, 200, send_it, arguments(gate, 1))?;
    let wanted = waiting(ctx, 50, send_it, arguments(gate, 2))?;
    // No right is needed.
    let name = ctx.derive(wanted.thread(), Rights::empty())?;
    check_eq!(ipc::receive_from(name.slot(), Timeout::ZERO)?.words[0], 2);
    let nothing = ipc::receive_from(name.slot(), Timeout::ZERO).map(drop);
    check_eq!(nothing, Err(received(ErrorNumber::Timeout)), "another one's message");
    check_eq!(receive()?.words[0], 1);
    check_eq!([other.join()?, wanted.join()?], [0, 0]);
    Ok(())
}

fn gate_c71_partner_that_comes_later(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut wanted = ctx.helper(50)?;
    let other = ctx.spawn_at(60, send_it, arguments(gate, 1))?;
    wanted.start(send_it, arguments(gate, 2))?;
    check_eq!(ipc::receive_from(wanted.thread().slot(), patience())?.words[0], 2);
    other.await_state(ctx, ThreadState::Sending)?;
    check_eq!(receive()?.words[0], 1);
    check_eq!([other.join()?, wanted.join()?], [0, 0]);
    Ok(())
}

fn gate_c71_partner_calls_and_is_answered(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut wanted = ctx.peer()?;
    let there = wanted.give(gate.item(Rights::S))?;
    wanted.start(call_for_label, there.word() | 9 << 32)?;
    let delivery = ipc::receive_from(wanted.thread().slot(), patience())?;
    check_eq!((delivery.kind, delivery.label), (DeliveryKind::Call, 0x42));
    check_eq!(delivery.words[0], 9);
    answer(0x77, 0)?;
    check_eq!(wanted.join()?, 0x77);
    Ok(())
}

fn gate_c71_partner_through_any_gate(ctx: &Ctx) -> Verdict {
    let gates = [ctx.gate(0x40)?, ctx.gate(0x80)?, ctx.unbound()?];
    for (gate, index) in gates.iter().zip(0..) {
        board::set(index, gate.slot().word());
    }
    let body: Body = |_| (0..3).map(|index| send_it(board::get(index))).sum();
    let wanted = ctx.spawn_at(50, body, 0)?;
    let mut labels = [0; 2];
    for label in &mut labels {
        *label = ipc::receive_from(wanted.thread().slot(), patience())?.label & !3;
    }
    check_eq!(labels, [0x40, 0x80]);
    // One whose message waits at an unbound gate when that is bound.
    wanted.await_state(ctx, ThreadState::Sending)?;
    board::set(3, ctx.thread.slot().word());
    let binder: Body = |_| {
        let gate = postern_tests::syscall::Gate::new(Slot::new(board::get(2) as u32));
        let thread = postern_tests::syscall::Thread::new(Slot::new(board::get(3) as u32));
        tell(gate.bind(thread, 0xc0))
    };
    let binder = ctx.spawn_at(50, binder, 0)?;
    check_eq!(ipc::receive_from(wanted.thread().slot(), patience())?.label & !3, 0xc0);
    check_eq!([binder.join()?, wanted.join()?], [0, 0]);
    Ok(())
}

fn gate_c71_partner_and_signals(ctx: &Ctx) -> Verdict {
    let (gate, notification) = (ctx.gate(0x40)?, ctx.notification()?);
    notification.bind(ctx.thread)?;
    notification.signal(1)?;
    let body: Body = |argument| {
        let notification =
            postern_tests::syscall::Notification::new(Slot::new(board::get(0) as u32));
        tell(notification.signal(2)) << 32 | send_it(argument)
    };
    board::set(0, notification.slot().word());
    let wanted = ctx.spawn_at(50, body, arguments(gate, 4))?;
    let delivery = ipc::receive_from(wanted.thread().slot(), patience())?;
    check_eq!((delivery.kind, delivery.words[0]), (DeliveryKind::Message, 4));
    let delivery = receive()?;
    check_eq!((delivery.kind, delivery.words[0]), (DeliveryKind::Notification, 3));
    check_eq!(wanted.join()?, 0);
    Ok(())
}

fn gate_c71_partner_faults_and_exits(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut wanted = ctx.helper(100)?;
    wanted.thread().set_fault_gate(Some(gate))?;
    wanted.start(postern_tests::bare::privileged::undefined, 0)?;
    let fault = ipc::receive_from(wanted.thread().slot(), patience())?;
    check_eq!((fault.tag.protocol(), fault.words[0]), (FAULT, 6));
    // The handler gives up: the exit message, which waits, is its, too.
    wanted.thread().set_exit_gate(Some(gate))?;
    answer(0, 1)?;
    wanted.await_state(ctx, ThreadState::Faulted)?;
    let end = ipc::receive_from(wanted.thread().slot(), Timeout::ZERO)?;
    check_eq!((end.tag.protocol(), end.words[0]), (EXIT, reason::EXCEPTION + 6));
    let nothing = ipc::receive_from(wanted.thread().slot(), patience()).map(drop);
    check_eq!(nothing, Err(received(ErrorNumber::NotExistent)), "it will send nothing more");
    Ok(())
}

/// Receives from the thread in the slot only.
fn receive_partner(slot: u64) -> u64 {
    let out = tell(ipc::receive_from(Slot::new(slot as u32), Timeout::NEVER));
    board::add(1, 1);
    board::add(2, u64::from(out == received(ErrorNumber::NotExistent).encode()));
    out
}

fn gate_c71_partner_that_dies(ctx: &Ctx) -> Verdict {
    let gone = Err(received(ErrorNumber::NotExistent));
    for is_destroyed in [true, false] {
        let body: Body = |_| {
            let _ = control::sleep_until(control::clock() + 3_000_000);
            0
        };
        let wanted = ctx.spawn(body, 0)?;
        let listener = ctx.spawn(receive_partner, wanted.thread().slot().word())?;
        listener.await_state(ctx, ThreadState::Receiving)?;
        if is_destroyed {
            ctx.task.destroy(wanted.thread().slot())?;
        }
        check_eq!(told(listener.join()?), gone, "destroyed: {is_destroyed}");
    }
    Ok(())
}

fn gate_c71_partner_that_is_gone(ctx: &Ctx) -> Verdict {
    let gone = Err(received(ErrorNumber::NotExistent));
    let wanted = ctx.spawn(|_| 0, 0)?;
    check_eq!(wanted.join()?, 0);
    let slot = wanted.thread().slot();
    check_eq!(ipc::receive_from(slot, Timeout::NEVER).map(drop), gone, "it has exited");
    ctx.task.destroy(slot)?;
    check_eq!(ipc::receive_from(slot, Timeout::NEVER).map(drop), gone, "it was destroyed");
    // One that never started may yet.
    let new = ctx.new_thread()?;
    let waited = ipc::receive_from(new.slot(), Timeout::from_ns(1_000_000)).map(drop);
    check_eq!(waited, Err(received(ErrorNumber::Timeout)));
    Ok(())
}

fn gate_c71_many_wait_for_one_partner(ctx: &Ctx) -> Verdict {
    const LISTENERS: u64 = 200;
    let wanted = ctx.new_thread()?;
    let slot = wanted.slot().word();
    let priority = |number| 90 + (number % 5) as u8;
    let crowd = Crowd::start(ctx, LISTENERS, priority, receive_partner, |_| slot)?;
    control::sleep_until(control::clock() + 2_000_000)?;
    check_eq!(board::get(1), 0, "listeners that went on");
    ctx.task.destroy(wanted.slot())?;
    check!(ctx.wait_until(|| board::get(1) == LISTENERS), "only {} went on", board::get(1));
    check_eq!(board::get(2), LISTENERS, "with the right error");
    crowd.end(ctx)
}

fn gate_c71_partner_timeouts_and_cancel(ctx: &Ctx) -> Verdict {
    let wanted = ctx.new_thread()?;
    let receive = |timeout| ipc::receive_from(wanted.slot(), timeout).map(drop);
    check_eq!(receive(Timeout::ZERO), Err(received(ErrorNumber::Timeout)));
    let before = control::clock();
    check_eq!(receive(Timeout::from_ns(2_000_000)), Err(received(ErrorNumber::Timeout)));
    check!(control::clock() - before >= 2_000_000);
    let listener = ctx.spawn(receive_partner, wanted.slot().word())?;
    listener.await_state(ctx, ThreadState::Receiving)?;
    // Others cannot get through to it.
    let gate = ctx.gate_to(listener.thread(), 0x40)?;
    check_eq!(send_now(gate, 1), Err(sent(ErrorNumber::Timeout)));
    let queued = waiting(ctx, 100, call_it, arguments(gate, 1))?;
    listener.thread().cancel()?;
    check_eq!(told(listener.join()?), Err(received(ErrorNumber::Cancelled)));
    check_eq!(told(queued.join()?), Err(sent(ErrorNumber::Aborted)));
    Ok(())
}

fn gate_c71_bad_sources(ctx: &Ctx) -> Verdict {
    let receive = |slot| ipc::receive_from(slot, Timeout::NEVER).map(drop);
    check_eq!(receive(ctx.thread.slot()), Err(received(ErrorNumber::Inval)), "oneself");
    check_eq!(receive(ctx.unbound()?.slot()), Err(received(ErrorNumber::Inval)), "not bound");
    let weak = ctx.derive(ctx.notification()?, Rights::all() - Rights::R)?;
    check_eq!(receive(weak.slot()), Err(received(ErrorNumber::Perm)), "without R");
    let elsewhere = ctx.gate_to(ctx.new_thread()?, 0x40)?;
    check_eq!(receive(elsewhere.slot()), Err(received(ErrorNumber::Inval)), "bound elsewhere");
    for empty in [Slot::NULL, ctx.slot()?, Slot::new(u32::MAX)] {
        check_eq!(receive(empty), Err(received(ErrorNumber::NotExistent)), "{empty}");
    }
    for wrong in [ctx.task.slot(), ctx.memory(1)?.slot(), ctx.log.slot()] {
        check_eq!(receive(wrong), Err(received(ErrorNumber::WrongKind)), "{wrong}");
    }
    Ok(())
}
