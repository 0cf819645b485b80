//! Sections E and H: the right to answer, used at once or saved.

use postern_tests::syscall::abi::code::IpcFlags;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorCode, ErrorNumber, Item, Message, Phase, Slot, Timeout,
    Timeouts, control, ipc,
};
use postern_tests::{Ctx, Verdict, check_eq, op, peer, received, sent, tell, tests, told};

use crate::{ONE, PROTOCOL, answer, arguments, call_for_label, call_it, receive, send_it, slot_of};

tests! {
    gate_c68_right_to_answer_works_once,
    gate_c69_second_call_aborts_the_first,
    gate_c69_messages_do_not_touch_the_right,
    gate_c70_reply_and_wait_with_nothing_to_answer,
    gate_c70_reply_and_wait,
    gate_c100_saved_callers_in_any_order,
    gate_c101_used_slots,
    gate_c101_saving_errors,
    gate_c102_another_thread_answers,
    gate_c102_another_task_answers,
    gate_c102_right_to_answer_cannot_be_copied,
    gate_c102_dropped_right_aborts_the_caller,
    gate_c102_right_dies_with_its_holder,
}

/// The error of a caller whose right to answer was dropped.
const DROPPED: ErrorCode =
    ErrorCode { number: ErrorNumber::Aborted, phase: Phase::Receive, argument: 1 };

fn gate_c68_right_to_answer_works_once(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let partner = ctx.spawn(call_it, arguments(gate, 0))?;
    receive()?;
    answer(0, 0)?;
    check_eq!(partner.join()?, 0);
    // The implicit right is gone: there is nothing to answer.
    check_eq!(answer(0, 0), Err(sent(ErrorNumber::NotExistent)));

    let partner = ctx.spawn(call_it, arguments(gate, 0))?;
    receive()?;
    let saved = ctx.slot()?;
    control::save_reply(saved)?;
    check_eq!(answer(0, 0), Err(sent(ErrorNumber::NotExistent)), "saved away");
    ipc::reply_saved(saved, 0, ONE, [0; 4])?;
    check_eq!(partner.join()?, 0);
    let second = ipc::reply_saved(saved, 0, ONE, [0; 4]);
    check_eq!(second, Err(sent(ErrorNumber::NotExistent)));
    Ok(())
}

fn gate_c69_second_call_aborts_the_first(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let first = ctx.spawn(call_it, arguments(gate, 1))?;
    check_eq!(receive()?.words[0], 1);
    let second = ctx.spawn(call_it, arguments(gate, 2))?;
    check_eq!(receive()?.words[0], 2);
    check_eq!(told(first.join()?), Err(DROPPED));
    answer(0, 0)?;
    check_eq!(second.join()?, 0);
    Ok(())
}

fn gate_c69_messages_do_not_touch_the_right(ctx: &Ctx) -> Verdict {
    let (gate, notification) = (ctx.gate(0x40)?, ctx.notification()?);
    notification.bind(ctx.thread)?;
    let caller = ctx.spawn(call_for_label, arguments(gate, 1))?;
    receive()?;
    let sender = ctx.spawn(send_it, arguments(gate, 2))?;
    check_eq!(receive()?.kind, DeliveryKind::Message);
    notification.signal(1)?;
    check_eq!(receive()?.kind, DeliveryKind::Notification);
    check_eq!(sender.join()?, 0);
    answer(5, 0)?;
    check_eq!(caller.join()?, 5);
    Ok(())
}

fn gate_c70_reply_and_wait_with_nothing_to_answer(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let nothing = ipc::reply_receive(0, ONE, [0; 4], Timeout::NEVER).map(drop);
    check_eq!(nothing, Err(sent(ErrorNumber::NotExistent)));
    let optional = |timeout| ipc::reply_receive_with(IpcFlags::OPTIONAL, 0, ONE, [0; 4], timeout);
    check_eq!(optional(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    let partner = ctx.spawn(send_it, arguments(gate, 8))?;
    check_eq!(optional(postern_tests::patience())?.words[0], 8);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c70_reply_and_wait(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let body = |slot| {
        for round in 0..200_u64 {
            let words = [round, !round, 3, 4];
            let tag = postern_tests::syscall::Tag::new(PROTOCOL, 4);
            let answer = ipc::call(Slot::new(slot as u32), tag, words, Timeouts::NEVER);
            let Ok(answer) = answer else { return tell(answer) };
            if (answer.label, answer.words) != (round + 1, [!round, round, 4, 3]) {
                return 1 << 40 | round;
            }
        }
        0
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    let mut delivery = receive()?;
    for round in 0..200 {
        check_eq!((delivery.kind, delivery.words[0]), (DeliveryKind::Call, round));
        let [a, b, c, d] = delivery.words;
        let timeout = postern_tests::patience();
        if round == 199 {
            ipc::reply(round + 1, delivery.tag, [b, a, d, c])?;
        } else {
            delivery = ipc::reply_receive(round + 1, delivery.tag, [b, a, d, c], timeout)?;
        }
    }
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c100_saved_callers_in_any_order(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut callers = alloc::vec::Vec::new();
    let mut saved = [Slot::NULL; 5];
    for (slot, number) in saved.iter_mut().zip(0..) {
        callers.push(ctx.spawn(call_for_label, arguments(gate, number))?);
        check_eq!(receive()?.words[0], number);
        *slot = ctx.slot()?;
        control::save_reply(*slot)?;
    }
    for number in [3, 0, 4, 1, 2] {
        for (caller, index) in callers.iter().zip(0..) {
            if saved[index] != Slot::NULL {
                check_eq!(caller.info()?.state, Some(ThreadState::Calling), "caller {index}");
            }
        }
        ipc::reply_saved(saved[number], 100 + number as u64, ONE, [0; 4])?;
        check_eq!(callers[number].join()?, 100 + number as u64);
        let again = ipc::reply_saved(saved[number], 0, ONE, [0; 4]);
        check_eq!(again, Err(sent(ErrorNumber::NotExistent)));
        saved[number] = Slot::NULL;
    }
    Ok(())
}

fn gate_c101_used_slots(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let partner = ctx.spawn(call_it, arguments(gate, 0))?;
    receive()?;
    let saved = ctx.slot()?;
    control::save_reply(saved)?;
    ipc::reply_saved(saved, 0, ONE, [0; 4])?;
    check_eq!(partner.join()?, 0);
    let reply = |slot| ipc::reply_saved(slot, 0, ONE, [0; 4]);
    for slot in [saved, Slot::NULL, ctx.slot()?, Slot::new(u32::MAX)] {
        check_eq!(reply(slot), Err(sent(ErrorNumber::NotExistent)), "{slot}");
    }
    check_eq!(reply(gate.slot()), Err(sent(ErrorNumber::WrongKind)));
    // The slot takes the next one.
    let partner = ctx.spawn(call_for_label, arguments(gate, 0))?;
    receive()?;
    control::save_reply(saved)?;
    ipc::reply_saved(saved, 6, ONE, [0; 4])?;
    check_eq!(partner.join()?, 6);
    Ok(())
}

fn gate_c101_saving_errors(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let empty = ctx.slot()?;
    check_eq!(control::save_reply(empty), Err(op(ErrorNumber::NoCaller, 0)));
    let partner = ctx.spawn(call_for_label, arguments(gate, 0))?;
    receive()?;
    check_eq!(control::save_reply(gate.slot()), Err(op(ErrorNumber::Exists, 1)));
    check_eq!(control::save_reply(Slot::new(0xffff)), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(control::save_reply(Slot::NULL), Err(op(ErrorNumber::NoWindow, 1)));
    // Nothing was lost by that.
    answer(4, 0)?;
    check_eq!(partner.join()?, 4);
    Ok(())
}

/// Answers through the right in the slot, with label 0x55.
fn answer_saved(slot: u64) -> u64 {
    tell(ipc::reply_saved(Slot::new(slot as u32), 0x55, ONE, [0; 4]))
}

fn gate_c102_another_thread_answers(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let caller = ctx.spawn(call_for_label, arguments(gate, 0))?;
    receive()?;
    let saved = ctx.slot()?;
    control::save_reply(saved)?;
    let helper = ctx.spawn(answer_saved, saved.word())?;
    check_eq!(helper.join()?, 0);
    check_eq!(caller.join()?, 0x55);
    check_eq!(ipc::reply_saved(saved, 0, ONE, [0; 4]), Err(sent(ErrorNumber::NotExistent)));
    Ok(())
}

/// A peer's body: takes a right to answer by its own gate, and uses it.
fn take_and_answer(gate: u64) -> u64 {
    postern_tests::syscall::utcb::set_windows(&[peer::free(0)]);
    match ipc::receive_from(slot_of(gate), postern_tests::patience()) {
        Ok(delivery) if delivery.tag.items() == 1 => answer_saved(peer::free(0).word()),
        Ok(_) => 1,
        Err(error) => error.encode(),
    }
}

fn gate_c102_another_task_answers(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut other = ctx.peer()?;
    let way = ctx.gate_to(other.thread(), 0x80)?;
    let there = other.give(Item::all(way.slot()))?;
    other.start(take_and_answer, there.word())?;
    let caller = ctx.spawn(call_for_label, arguments(gate, 0))?;
    receive()?;
    let saved = ctx.slot()?;
    control::save_reply(saved)?;
    let mut message = Message::new(PROTOCOL);
    let pushed = message.push_item(Item::moved(saved));
    check_eq!(pushed, Ok(()));
    message.send(way.slot(), postern_tests::patience())?;
    check_eq!(other.join()?, 0);
    check_eq!(caller.join()?, 0x55);
    check_eq!(ipc::reply_saved(saved, 0, ONE, [0; 4]), Err(sent(ErrorNumber::NotExistent)));
    Ok(())
}

fn gate_c102_right_to_answer_cannot_be_copied(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let caller = ctx.spawn(call_for_label, arguments(gate, 0))?;
    receive()?;
    let (saved, other) = (ctx.slot()?, ctx.slot()?);
    control::save_reply(saved)?;
    let all = postern_tests::syscall::Rights::all();
    check_eq!(ctx.task.derive(saved, other, all), Err(op(ErrorNumber::WrongKind, 1)));
    check_eq!(
        ctx.task.delegate(Item::all(saved), other),
        Err(op(ErrorNumber::WrongKind, ErrorCode::ITEM))
    );
    let mut message = Message::new(PROTOCOL);
    check_eq!(message.push_item(Item::all(saved)), Ok(()));
    let server = ctx.spawn(|_| tell(receive()), 0)?;
    let way = ctx.gate_to(server.thread(), 0x80)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    let copied = message.send(way.slot(), postern_tests::patience());
    check_eq!(copied.map_err(|error| error.number), Err(ErrorNumber::Inval), "not moved");
    // It is not called, either.
    let called = ipc::call(saved, ONE, [0; 4], Timeouts::NEVER).map(drop);
    check_eq!(called, Err(sent(ErrorNumber::WrongKind)));
    ipc::reply_saved(saved, 7, ONE, [0; 4])?;
    check_eq!(caller.join()?, 7);
    Ok(())
}

fn gate_c102_dropped_right_aborts_the_caller(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let caller = ctx.spawn(call_it, arguments(gate, 0))?;
    receive()?;
    let saved = ctx.slot()?;
    control::save_reply(saved)?;
    check_eq!(caller.info()?.state, Some(ThreadState::Calling));
    ctx.task.delete(saved)?;
    check_eq!(told(caller.join()?), Err(DROPPED));
    Ok(())
}

fn gate_c102_right_dies_with_its_holder(ctx: &Ctx) -> Verdict {
    let mut server = ctx.peer()?;
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    server.start(
        |_| {
            let _ = receive();
            let saved = control::save_reply(peer::free(0));
            postern_tests::board::set(0, 1 + tell(saved));
            let _ = receive();
            0
        },
        0,
    )?;
    let caller = ctx.spawn(call_it, arguments(gate, 0))?;
    ctx.wait_until(|| postern_tests::board::get(0) != 0);
    check_eq!(postern_tests::board::get(0), 1, "saving");
    // The saved right belongs to the task, not to the thread.
    ctx.task.destroy(server.thread().slot())?;
    caller.give_time();
    check_eq!(caller.info()?.state, Some(ThreadState::Calling));
    if let Some(task) = server.task() {
        ctx.task.destroy(task.slot())?;
    }
    check_eq!(told(caller.join()?).map_err(|error| error.number), Err(ErrorNumber::Aborted));
    Ok(())
}
