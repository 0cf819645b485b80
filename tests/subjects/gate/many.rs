//! A thousand waiting senders: whom a receive serves, and that it keeps nobody
//! else waiting for long (the runner measures that).

use postern_tests::syscall::{
    Capability, ErrorNumber, Item, Rights, Timeout, Timeouts, control, ipc, utcb,
};
use postern_tests::{Crowd, Ctx, Failure, Verdict, board, check, check_eq, patience, sent, tests};

use crate::{ONE, arguments, receive, send_it, slot_of, waiting};

tests! {
    gate_closed_receive_among_a_thousand_senders = 60,
    gate_closed_receive_while_others_come = 60,
    gate_thousand_senders_that_are_refused = 60,
}

const SENDERS: u64 = 1000;

/// Words of the board.
mod word {
    /// Senders that began, that came through, that were refused.
    pub const BEGAN: usize = 4;
    pub const THROUGH: usize = 5;
    pub const REFUSED: usize = 6;
    /// Set when others are to stop.
    pub const STOP: usize = 7;
}

/// A member of the crowd: sends its number.
fn send_number(argument: u64) -> u64 {
    board::add(word::BEGAN, 1);
    board::add(word::THROUGH, u64::from(send_it(argument) == 0));
    0
}

/// A member that sends an item that it does not have.
fn send_nothing(argument: u64) -> u64 {
    utcb::set_items(&[Item::all(postern_tests::syscall::Slot::new(0))]);
    board::add(word::BEGAN, 1);
    let refused = ipc::send(slot_of(argument), ONE.with_items(1), [0; 4], Timeouts::NEVER.send);
    let expected = postern_tests::syscall::ErrorCode {
        argument: postern_tests::syscall::ErrorCode::ITEM,
        ..sent(ErrorNumber::NotExistent)
    };
    board::add(word::REFUSED, u64::from(refused == Err(expected)));
    0
}

/// A thousand of them, waiting at this thread.
fn crowd(ctx: &Ctx, body: postern_tests::Body) -> Result<Crowd, Failure> {
    let gate = ctx.derive(ctx.gate(0x40)?, Rights::empty())?;
    let crowd = Crowd::start(
        ctx,
        SENDERS,
        |number| 60 + (number % 7) as u8,
        body,
        |number| arguments(gate, number),
    )?;
    let began = ctx.wait_until(|| board::get(word::BEGAN) == SENDERS);
    check!(began, "only {} began", board::get(word::BEGAN));
    control::sleep_until(control::clock() + 2_000_000)?;
    check_eq!((board::get(word::THROUGH), board::get(word::REFUSED)), (0, 0));
    Ok(crowd)
}

fn gate_closed_receive_among_a_thousand_senders(ctx: &Ctx) -> Verdict {
    let crowd = crowd(ctx, send_number)?;
    let gate = ctx.gate(0x80)?;
    // Nobody has come through it.
    let nothing = ipc::receive_from(gate.slot(), Timeout::ZERO).map(drop);
    check_eq!(nothing, Err(postern_tests::received(ErrorNumber::Timeout)));
    // Behind all others, and by priority among themselves.
    let _waiting = [
        waiting(ctx, 30, send_it, arguments(gate, 1))?,
        waiting(ctx, 31, send_it, arguments(gate, 2))?,
        waiting(ctx, 30, send_it, arguments(gate, 3))?,
    ];
    for expected in [2, 1, 3] {
        let delivery = ipc::receive_from(gate.slot(), patience())?;
        check_eq!((delivery.label & !3, delivery.words[0]), (0x80, expected));
    }
    // One that comes while the receive has looked at all of them already.
    let late = ctx.spawn_at(
        30,
        |argument| {
            let _ = control::sleep_until(control::clock() + 3_000_000);
            send_it(argument)
        },
        arguments(gate, 4),
    )?;
    check_eq!(ipc::receive_from(gate.slot(), patience())?.words[0], 4);
    check_eq!(late.join()?, 0);
    // The others are all still there.
    let mut seen = [false; SENDERS as usize];
    for _ in 0..SENDERS {
        let number = receive()?.words[0] as usize;
        check!(!core::mem::replace(&mut seen[number], true), "number {number} came twice");
    }
    crowd.end(ctx)
}

/// Wakes up all the time, more urgent than the receiver, and sends.
fn send_on(argument: u64) -> u64 {
    let mut count = 0;
    while board::get(word::STOP) == 0 {
        count += u64::from(send_it(argument) == 0);
        let _ = control::sleep_until(control::clock() + 3_000);
    }
    count
}

fn gate_closed_receive_while_others_come(ctx: &Ctx) -> Verdict {
    const ROUNDS: u64 = 40;
    let crowd = crowd(ctx, send_number)?;
    let (gate, other) = (ctx.gate(0x80)?, ctx.gate(0x100)?);
    // Some through the gate that is received from, some through another, before
    // and behind the crowd.
    let mut partners = alloc::vec::Vec::new();
    for (priority, gate) in [(150, gate), (151, other), (20, gate), (40, other)] {
        partners.push(ctx.spawn_at(priority, send_on, arguments(gate, u64::from(priority)))?);
    }
    let mut counts = [0; 2];
    for _ in 0..ROUNDS {
        let delivery = ipc::receive_from(gate.slot(), patience())?;
        check_eq!(delivery.label & !3, 0x80);
        counts[usize::from(delivery.words[0] == 20)] += 1;
    }
    check!(counts[0] > 0, "{counts:?}: the urgent ones were overlooked");
    board::set(word::STOP, 1);
    // Whoever still waits.
    while ipc::receive(Timeout::from_ns(5_000_000)).is_ok() {}
    check!(ctx.wait_until(|| board::get(word::THROUGH) == SENDERS));
    drop(partners);
    crowd.end(ctx)
}

fn gate_thousand_senders_that_are_refused(ctx: &Ctx) -> Verdict {
    let crowd = crowd(ctx, send_nothing)?;
    let gate = ctx.gate(0x80)?;
    let good = waiting(ctx, 30, send_it, arguments(gate, 9))?;
    // All of them are told, one after the other, before it comes to this one.
    let delivery = receive()?;
    check_eq!((delivery.label & !3, delivery.words[0]), (0x80, 9));
    check_eq!(good.join()?, 0);
    let told = ctx.wait_until(|| board::get(word::REFUSED) == SENDERS);
    check!(told, "{} were refused", board::get(word::REFUSED));
    crowd.end(ctx)
}
