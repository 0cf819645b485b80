//! Capabilities in messages (C32 and row G2): masked, placed where the receiver
//! said, never silently dropped.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Gate, Item, Message, Phase, ReceivedItem, Rights, Slot,
    Timeout, Timeouts, utcb,
};
use postern_tests::{Ctx, Verdict, board, check, check_eq, peer, sent, tell, tests, told};

use crate::{PROTOCOL, answer, receive};

tests! {
    gate_c32_item_without_window_both_learn,
    gate_c32_receiver_that_waits_learns_too,
    gate_c32_window_in_use,
    gate_c32_answer_with_item_without_window,
    gate_g02_items_are_masked,
    gate_g02_eight_items,
    gate_g02_moved_item,
    gate_g02_item_needs_grant,
    gate_g02_bad_item_is_the_senders_error,
    gate_g02_items_in_an_answer,
    gate_g02_several_items_both_ways,
    gate_c32_all_items_or_none,
}

/// An error about item 0 in the phase.
const fn about_item(number: ErrorNumber, phase: Phase) -> ErrorCode {
    ErrorCode { number, phase, argument: ErrorCode::ITEM }
}

/// A message with these items.
fn with_items(items: &[Item]) -> Message {
    let mut message = Message::with_words(PROTOCOL, &[1]);
    for item in items {
        let _ = message.push_item(*item);
    }
    message
}

/// Sends the gate itself through the gate.
fn send_itself(slot: u64) -> u64 {
    let slot = Slot::new(slot as u32);
    tell(with_items(&[Item::all(slot)]).send(slot, postern_tests::patience()))
}

fn gate_c32_item_without_window_both_learn(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    utcb::set_windows(&[]);
    let partner = crate::waiting(ctx, 100, send_itself, gate.slot().word())?;
    let got = receive().map(drop);
    check_eq!(got, Err(about_item(ErrorNumber::MsgCut, Phase::Receive)), "the receiver");
    let gave = told(partner.join()?);
    check_eq!(gave, Err(about_item(ErrorNumber::MsgCut, Phase::Send)), "the sender");
    Ok(())
}

fn gate_c32_receiver_that_waits_learns_too(ctx: &Ctx) -> Verdict {
    let mut server = ctx.peer()?;
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    server.start(|_| tell(receive()), 0)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    let gave = told(send_itself(gate.slot().word()));
    check_eq!(gave, Err(about_item(ErrorNumber::MsgCut, Phase::Send)), "the sender");
    let got = told(server.join()?);
    check_eq!(got, Err(about_item(ErrorNumber::MsgCut, Phase::Receive)), "the receiver");
    Ok(())
}

fn gate_c32_window_in_use(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    for window in [ctx.task.slot(), gate.slot(), Slot::new(0xffff)] {
        utcb::set_windows(&[window]);
        let partner = crate::waiting(ctx, 100, send_itself, gate.slot().word())?;
        let got = receive().map(drop);
        check_eq!(got, Err(about_item(ErrorNumber::MsgCut, Phase::Receive)), "{window}");
        check_eq!(
            told(partner.join()?),
            Err(about_item(ErrorNumber::MsgCut, Phase::Send)),
            "{window}"
        );
    }
    check_eq!(gate.info()?.label, 0x40, "what was in the slot");
    Ok(())
}

fn gate_c32_answer_with_item_without_window(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let partner = ctx.spawn(crate::call_it, gate.slot().word())?;
    receive()?;
    let gave = with_items(&[Item::all(gate.slot())]).reply(0);
    check_eq!(gave, Err(about_item(ErrorNumber::MsgCut, Phase::Send)), "the replier");
    let got = told(partner.join()?);
    check_eq!(got, Err(about_item(ErrorNumber::MsgCut, Phase::Receive)), "the caller");
    Ok(())
}

fn gate_g02_items_are_masked(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut client = ctx.peer()?;
    client.give(gate.item(Rights::empty()))?;
    client.give(gate.item(Rights::R | Rights::W | Rights::GRANT))?;
    let body = |mask: u64| {
        let rights = Rights::from_bits_truncate(mask as u8);
        let message = with_items(&[Item::with(peer::given(1), rights)]);
        tell(message.call(peer::given(0), Timeouts::NEVER))
    };
    client.start(body, (Rights::W | Rights::S | Rights::SERVER).bits().into())?;
    let window = ctx.slot()?;
    utcb::set_windows(&[window]);
    let delivery = receive()?;
    let message = Message::from_delivery(&delivery);
    let item = message.received().next();
    let expected = ReceivedItem { slot: window, rights: Rights::W, kind: Some(Kind::Gate) };
    check_eq!(item, Some(expected), "what the kernel says");
    check_eq!(crate::rights::of(ctx, window)?, Rights::W, "what is there");
    answer(0, 0)?;
    check_eq!(client.join()?, 0);
    Ok(())
}

fn gate_g02_eight_items(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let mut windows = [Slot::NULL; 8];
    for window in &mut windows {
        *window = ctx.slot()?;
    }
    utcb::set_windows(&windows);
    let sources = [
        gate.slot(),
        ctx.memory(1)?.slot(),
        ctx.notification()?.slot(),
        ctx.empty_task()?.slot(),
        ctx.new_thread()?.slot(),
        ctx.sub_factory(4096)?.slot(),
        ctx.log.slot(),
        ctx.irq.slot(),
    ];
    for (index, source) in sources.into_iter().enumerate() {
        board::set(index, source.word());
    }
    let body = |gate| {
        let items: [Item; 8] =
            core::array::from_fn(|index| Item::all(Slot::new(board::get(index) as u32)));
        tell(with_items(&items).send(Slot::new(gate as u32), Timeout::NEVER))
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    let message = Message::from_delivery(&receive()?);
    let kinds = [
        Kind::Gate,
        Kind::Memory,
        Kind::Notification,
        Kind::Task,
        Kind::Thread,
        Kind::Factory,
        Kind::Log,
        Kind::Irq,
    ];
    check_eq!(message.received().count(), 8);
    for ((item, window), kind) in message.received().zip(windows).zip(kinds) {
        check_eq!((item.slot, item.kind), (window, Some(kind)));
    }
    check_eq!(Gate::new(windows[0]).info()?.label, 0x40);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_g02_moved_item(ctx: &Ctx) -> Verdict {
    let (gate, moving) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let window = ctx.slot()?;
    utcb::set_windows(&[window]);
    board::set(0, moving.slot().word());
    let body = |gate| {
        let item = Item::moved(Slot::new(board::get(0) as u32));
        tell(with_items(&[item]).send(Slot::new(gate as u32), Timeout::NEVER))
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    receive()?;
    check_eq!(partner.join()?, 0);
    check_eq!(moving.info().map(drop), Err(sent(ErrorNumber::NotExistent)), "where it was");
    check_eq!(Gate::new(window).info()?.label, 0x80, "where it went");
    Ok(())
}

fn gate_g02_item_needs_grant(ctx: &Ctx) -> Verdict {
    let (gate, weak) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let mut client = ctx.peer()?;
    client.give(gate.item(Rights::empty()))?;
    client.give(weak.item(Rights::all() - Rights::GRANT))?;
    let body = |_| {
        let message = with_items(&[Item::all(peer::given(1))]);
        let refused = tell(message.send(peer::given(0), postern_tests::patience()));
        // The receiver still waits, and gets this one.
        let next = crate::send_it(peer::given(0).word());
        if next == 0 { refused } else { 1 }
    };
    client.start(body, 0)?;
    utcb::set_windows(&[ctx.slot()?]);
    let delivery = receive()?;
    check_eq!(delivery.tag.items(), 0, "items of the message that arrived");
    let refused = told(client.join()?);
    check_eq!(refused, Err(about_item(ErrorNumber::Perm, Phase::Send)));
    Ok(())
}

fn gate_g02_bad_item_is_the_senders_error(ctx: &Ctx) -> Verdict {
    let server = ctx.spawn(
        |_| match receive() {
            Ok(delivery) => delivery.words[0],
            Err(error) => error.encode(),
        },
        0,
    )?;
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    server.await_state(ctx, ThreadState::Receiving)?;
    let empty = ctx.slot()?;
    let refused = with_items(&[Item::all(empty)]).send(gate.slot(), Timeout::NEVER);
    check_eq!(refused, Err(about_item(ErrorNumber::NotExistent, Phase::Send)));
    check_eq!(server.info()?.state, Some(ThreadState::Receiving), "the receiver");
    crate::send_now(gate, 44)?;
    check_eq!(server.join()?, 44);
    Ok(())
}

fn gate_g02_items_in_an_answer(ctx: &Ctx) -> Verdict {
    let (gate, gift) = (ctx.gate(0x40)?, ctx.gate(0x80)?);
    let mut client = ctx.peer()?;
    client.give(gate.item(Rights::empty()))?;
    let body = |_| {
        utcb::set_windows(&[peer::free(3)]);
        let message = Message::with_words(PROTOCOL, &[1]);
        match message.call(peer::given(0), Timeouts::NEVER) {
            Ok(answer) if answer.received().count() == 1 => {
                crate::send_it(peer::free(3).word() | 6 << 32)
            }
            Ok(_) => 1,
            Err(error) => error.encode(),
        }
    };
    client.start(body, 0)?;
    receive()?;
    with_items(&[gift.item(Rights::S)]).reply(0)?;
    let delivery = receive()?;
    check_eq!((delivery.label, delivery.words[0]), (0x82, 6));
    check_eq!(client.join()?, 0);
    check!(gift.info()?.bound);
    Ok(())
}

/// The masks of several items, and what comes of them.
const MASKS: [Rights; 4] = [Rights::empty(), Rights::W, Rights::S, Rights::R.union(Rights::W)];

fn gate_g02_several_items_both_ways(ctx: &Ctx) -> Verdict {
    // A client sends four capabilities, each with a mask of its own, and gets
    // them back weaker still.
    let gate = ctx.gate(0x40)?;
    let mut client = ctx.peer()?;
    client.give(gate.item(Rights::empty()))?;
    client.give(ctx.unbound()?.item(Rights::all() - Rights::D))?;
    let body = |_| {
        utcb::set_windows(&[peer::free(0), peer::free(1), peer::free(2), peer::free(3)]);
        let items = MASKS.map(|mask| Item::with(peer::given(1), mask | Rights::GRANT));
        let answer = match with_items(&items).call(peer::given(0), Timeouts::NEVER) {
            Ok(answer) => answer,
            Err(error) => return error.encode(),
        };
        let expected = MASKS.iter().rev().zip(0..);
        let expected = expected.map(|(mask, index)| ReceivedItem {
            slot: peer::free(index),
            rights: *mask - Rights::R,
            kind: Some(Kind::Gate),
        });
        u64::from(!answer.received().eq(expected))
    };
    client.start(body, 0)?;
    let mut windows = [Slot::NULL; 4];
    for window in &mut windows {
        *window = ctx.slot()?;
    }
    utcb::set_windows(&windows);
    let message = Message::from_delivery(&receive()?);
    for ((item, window), mask) in message.received().zip(windows).zip(MASKS) {
        let rights = mask | Rights::GRANT;
        check_eq!(item, ReceivedItem { slot: window, rights, kind: Some(Kind::Gate) });
        check_eq!(crate::rights::of(ctx, window)?, rights);
    }
    let [a, b, c, d] = windows.map(|window| Item::with(window, Rights::W | Rights::S));
    with_items(&[d, c, b, a]).reply(0)?;
    check_eq!(client.join()?, 0);
    Ok(())
}

fn gate_c32_all_items_or_none(ctx: &Ctx) -> Verdict {
    // The last of four has no window, or one that another has: none is placed.
    let gate = ctx.gate(0x40)?;
    let windows = [ctx.slot()?, ctx.slot()?, ctx.slot()?];
    let [a, b, c] = windows;
    for fourth in [Slot::NULL, gate.slot(), b] {
        utcb::set_windows(&[a, b, c, fourth]);
        let body = |slot| {
            let slot = Slot::new(slot as u32);
            tell(with_items(&[Item::all(slot); 4]).send(slot, Timeout::NEVER))
        };
        let partner = crate::waiting(ctx, 100, body, gate.slot().word())?;
        let about =
            |phase| ErrorCode { number: ErrorNumber::MsgCut, phase, argument: ErrorCode::ITEM + 3 };
        check_eq!(receive().map(drop), Err(about(Phase::Receive)), "the receiver, {fourth}");
        check_eq!(told(partner.join()?), Err(about(Phase::Send)), "the sender, {fourth}");
        for window in windows {
            check_eq!(Gate::new(window).info().map(drop), Err(sent(ErrorNumber::NotExistent)));
        }
    }
    Ok(())
}
