//! Threads that wait for each other in a cycle: a timeout ends it, and the
//! record of the refusal names the threads.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, Code, ErrorNumber, ListedCapability, Rights, Slot, Timeout, Timeouts, diagnosis,
    ipc,
};
use postern_tests::{
    Body, Ctx, Failure, Verdict, board, check_eq, fail, received, sent, tell, tests,
};

use crate::{ONE, answer, receive, slot_of};

tests! {
    gate_cycle_of_two_calls,
    gate_cycle_of_three_calls,
    gate_cycle_of_receives_from_partners,
    gate_cycle_with_oneself,
    gate_cycle_longer_than_the_record,
    gate_timeouts_without_a_cycle,
    gate_timeouts_without_the_switch,
}

/// How long the one waits that gives up.
const SHORT: Timeout = Timeout::from_ns(3_000_000);

/// The id of the object in a slot, as the record tells it.
fn id(ctx: &Ctx, slot: Slot) -> Result<u64, Failure> {
    let empty =
        ListedCapability { slot, kind: None, rights: Rights::empty(), object: 0, details: [0; 2] };
    let mut list = [empty];
    match ctx.task.list(slot, &mut list)? {
        1 if list[0].slot == slot => Ok(list[0].object),
        _ => fail!("{slot} is empty"),
    }
}

/// Takes a call, then makes one through the gate in the slot, then answers.
fn pass_on(slot: u64) -> u64 {
    let Ok(_) = receive() else { return 1 };
    let called = ipc::call(slot_of(slot), ONE, [0; 4], Timeouts::NEVER);
    if called.is_err() {
        return tell(called);
    }
    match answer(0, 0) {
        // Whoever asked first has given up.
        Err(error) if error == sent(ErrorNumber::NotExistent) => 0,
        other => tell(other),
    }
}

/// The cycle that the record names must be these threads.
#[track_caller]
fn named(ctx: &Ctx, slots: &[Slot]) -> Verdict {
    let Some(cycle) = diagnosis::cycle() else { fail!("no cycle was named") };
    let mut ids = alloc::vec::Vec::new();
    for slot in slots {
        ids.push(id(ctx, *slot)?);
    }
    check_eq!(cycle.threads(), &ids[..]);
    Ok(())
}

fn gate_cycle_of_two_calls(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let other = ctx.spawn(pass_on, gate.slot().word())?;
    let to_other = ctx.gate_to(other.thread(), 0x80)?;
    diagnosis::enable(true);
    let called = ipc::call(to_other.slot(), ONE, [7, 0, 0, 0], Timeouts::receive(SHORT)).map(drop);
    check_eq!(called, Err(received(ErrorNumber::Timeout)));
    let last = diagnosis::last().map(|last| (last.error, last.call));
    check_eq!(last, Some((received(ErrorNumber::Timeout), Some(Code::Call))));
    named(ctx, &[ctx.thread.slot(), other.thread().slot()])?;
    // It reads like a sentence.
    let text = alloc::format!("{}", diagnosis::cycle().ok_or(Failure::new(format_args!("gone")))?);
    let numbers = [ctx.thread.slot(), other.thread().slot()].map(|slot| id(ctx, slot));
    let [first, second] = numbers.map(|id| id.map_or(0, |id| id & 0xffff_ffff));
    check_eq!(text, alloc::format!("thread #{first} waits for #{second} waits for #{first}"));
    // The other still waits, and nothing is lost.
    receive()?;
    answer(0, 0)?;
    check_eq!(other.join()?, 0);
    Ok(())
}

fn gate_cycle_of_three_calls(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let last = ctx.spawn(pass_on, gate.slot().word())?;
    let to_last = ctx.gate_to(last.thread(), 0x80)?;
    let middle = ctx.spawn(pass_on, to_last.slot().word())?;
    let to_middle = ctx.gate_to(middle.thread(), 0xc0)?;
    diagnosis::enable(true);
    let called = ipc::call(to_middle.slot(), ONE, [0; 4], Timeouts::receive(SHORT)).map(drop);
    check_eq!(called, Err(received(ErrorNumber::Timeout)));
    named(ctx, &[ctx.thread.slot(), middle.thread().slot(), last.thread().slot()])?;
    receive()?;
    answer(0, 0)?;
    check_eq!([last.join()?, middle.join()?], [0, 0]);
    Ok(())
}

fn gate_cycle_of_receives_from_partners(ctx: &Ctx) -> Verdict {
    let body: Body = |slot| tell(ipc::receive_from(slot_of(slot), Timeout::NEVER));
    let other = ctx.spawn(body, ctx.thread.slot().word())?;
    diagnosis::enable(true);
    let waited = ipc::receive_from(other.thread().slot(), SHORT).map(drop);
    check_eq!(waited, Err(received(ErrorNumber::Timeout)));
    check_eq!(diagnosis::last().and_then(|last| last.call), Some(Code::Receive));
    named(ctx, &[ctx.thread.slot(), other.thread().slot()])
}

fn gate_cycle_with_oneself(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    diagnosis::enable(true);
    check_eq!(ipc::send(gate.slot(), ONE, [5, 0, 0, 0], SHORT), Err(sent(ErrorNumber::Timeout)));
    let last = diagnosis::last().map(|last| (last.call, last.operation));
    check_eq!(last, Some((Some(Code::Send), 5)));
    named(ctx, &[ctx.thread.slot()])
}

/// Takes a call, then makes one through the gate whose slot is in the word of
/// the board that the argument says.
fn pass_on_by_board(index: u64) -> u64 {
    pass_on(board::get(index as usize))
}

fn gate_cycle_longer_than_the_record(ctx: &Ctx) -> Verdict {
    // Sixteen are named, this thread among them; seventeen are not.
    for others in [15, 16] {
        let gate = ctx.gate(0x40)?;
        let mut next = gate.slot();
        let mut chain = alloc::vec::Vec::new();
        for index in 0..others {
            board::set(index, next.word());
            let partner = ctx.spawn(pass_on_by_board, index as u64)?;
            partner.await_state(ctx, ThreadState::Receiving)?;
            next = ctx.gate_to(partner.thread(), 0x80)?.slot();
            chain.push(partner);
        }
        diagnosis::enable(true);
        let called = ipc::call(next, ONE, [0; 4], Timeouts::receive(SHORT)).map(drop);
        check_eq!(called, Err(received(ErrorNumber::Timeout)));
        let length = diagnosis::cycle().map_or(0, |cycle| cycle.threads().len());
        check_eq!(length, if others == 15 { 16 } else { 0 });
        receive()?;
        answer(0, 0)?;
        for partner in &chain {
            check_eq!(partner.join()?, 0);
        }
    }
    Ok(())
}

fn gate_timeouts_without_a_cycle(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    // It saves the right to answer: from then on it is not waited for.
    let body: Body = |slot| {
        let Ok(_) = receive() else { return 1 };
        let saved = postern_tests::syscall::control::save_reply(slot_of(slot));
        let called = ipc::call(slot_of(slot >> 32), ONE, [0; 4], Timeouts::NEVER);
        tell(saved) | tell(called)
    };
    let other = ctx.spawn(body, ctx.slot()?.word() | gate.slot().word() << 32)?;
    let to_other = ctx.gate_to(other.thread(), 0x80)?;
    diagnosis::enable(true);
    let called = ipc::call(to_other.slot(), ONE, [0; 4], Timeouts::receive(SHORT)).map(drop);
    check_eq!(called, Err(received(ErrorNumber::Timeout)));
    check_eq!(diagnosis::last().map(|last| last.error), Some(received(ErrorNumber::Timeout)));
    check_eq!(diagnosis::cycle(), None, "a right to answer that was saved");
    receive()?;
    answer(0, 0)?;
    check_eq!(other.join()?, 0);
    // Nobody to wait for, and not waiting at all.
    let unbound = ctx.unbound()?;
    for timeout in [SHORT, Timeout::ZERO] {
        let sent_it = ipc::send(unbound.slot(), ONE, [0; 4], timeout);
        check_eq!(sent_it, Err(sent(ErrorNumber::Timeout)));
        check_eq!(diagnosis::cycle(), None, "an unbound gate");
    }
    check_eq!(ipc::receive(SHORT).map(drop), Err(received(ErrorNumber::Timeout)));
    check_eq!(diagnosis::last().and_then(|last| last.call), Some(Code::Receive));
    check_eq!(diagnosis::cycle(), None, "an open receive");
    // A cycle of before is not told again.
    let _ = ipc::send(gate.slot(), ONE, [0; 4], SHORT);
    named(ctx, &[ctx.thread.slot()])?;
    check_eq!(crate::send_now(gate, 0), Err(sent(ErrorNumber::Timeout)));
    check_eq!(diagnosis::cycle(), None, "a timeout of zero");
    Ok(())
}

fn gate_timeouts_without_the_switch(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    diagnosis::enable(false);
    let sent_it = ipc::send(gate.slot(), ONE, [0; 4], SHORT);
    check_eq!(sent_it, Err(sent(ErrorNumber::Timeout)));
    check_eq!(diagnosis::last(), None);
    check_eq!(diagnosis::cycle(), None);
    Ok(())
}
