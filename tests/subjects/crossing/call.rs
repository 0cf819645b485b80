//! The way in and the way back: what a handler may do, what goes along, who
//! calls.

use postern_tests::runtime::crossing::Answer;
use postern_tests::runtime::time::time_stamp;
use postern_tests::syscall::abi::op::entry::DEPTH;
use postern_tests::syscall::abi::timeout::Timeout;
use postern_tests::syscall::abi::utcb::WORDS;
use postern_tests::syscall::utcb;
use postern_tests::syscall::{
    Capability, Delivery, DeliveryKind, ErrorNumber, Item, Notification, Rights, Tag, Timeouts,
    control, ipc,
};
use postern_tests::{Ctx, Verdict, board, check, check_eq, peer, received, sent, tell, tests};

use crate::obey::{REACHED, ask, command, obey};
use crate::server::{FOUR, ONE, PROTOCOL, Server};

tests! {
    x04_a_call_crosses_and_comes_back,
    x04_words_past_the_fourth,
    x04_items_go_both_ways,
    x04_an_item_without_a_window_is_told_to_both,
    x04_a_send_comes_back_without_a_result,
    x05_return_at_home_is_invalid_linkage,
    x05_a_refused_return_can_be_repeated,
    x06_sixteen_nested_and_no_seventeenth,
    x19_every_exception_is_told_apart,
    x25_two_clients_are_told_apart,
    x29_a_call_runs_on_the_cpu_of_its_caller,
    x31_saving_the_linkage_at_once_costs_no_more_than_a_call,
}

/// Answers with the label that it saw, and the words one higher.
fn next_words(message: Delivery) -> Answer {
    let label = message.label | (message.kind as u64) << 32;
    Answer { label, tag: message.tag, words: message.words.map(|word| word + 1) }
}

fn x04_a_call_crosses_and_comes_back(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, next_words)?;
    let gate = server.gate(ctx, 0x40)?;
    for turn in 0..10 {
        let words = [turn, 20, 30, 40];
        let answer = ipc::call(gate.slot(), FOUR, words, Timeouts::NEVER)?;
        check_eq!(answer.kind, DeliveryKind::Reply);
        check_eq!(answer.words, words.map(|word| word + 1));
        check_eq!(answer.label, 0x43 | (DeliveryKind::Call as u64) << 32);
        check_eq!(answer.tag, FOUR);
    }
    // The rights of the capability that is used show in the label.
    let plain = ctx.derive(gate, Rights::empty())?;
    let answer = ipc::call(plain.slot(), FOUR, [0; 4], Timeouts::NEVER)?;
    check_eq!(answer.label & 0xff, 0x40);
    let info = server.entry.info()?;
    check_eq!((info.contexts, info.free, info.active), (1, 1, 0));
    Ok(())
}

/// Answers with 63 words: those that it got, the other way round.
fn turn_round(message: Delivery) -> Answer {
    let mut all = [0; WORDS];
    for (index, word) in all.iter_mut().enumerate() {
        *word = if index < 4 { message.words[index] } else { utcb::word(index) };
    }
    all.reverse();
    utcb::set_words(&all);
    Answer { label: 0, tag: Tag::new(PROTOCOL, WORDS), words: [all[0], all[1], all[2], all[3]] }
}

fn x04_words_past_the_fourth(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, turn_round)?;
    let gate = server.gate(ctx, 0)?;
    let words: [u64; WORDS] = core::array::from_fn(|index| index as u64 * 3 + 1);
    utcb::set_words(&words);
    let first = [words[0], words[1], words[2], words[3]];
    let tag = Tag::new(PROTOCOL, words.len());
    let answer = ipc::call(gate.slot(), tag, first, Timeouts::NEVER)?;
    check_eq!(answer.tag, tag);
    for (index, word) in words.iter().rev().enumerate() {
        let got = if index < 4 { answer.words[index] } else { utcb::word(index) };
        check_eq!(got, *word, "word {index}");
    }
    Ok(())
}

/// Takes a notification, signals it, and hands it back.
fn signal_and_hand_back(message: Delivery) -> Answer {
    let window = peer::free(0);
    if message.tag.items() == 0 {
        utcb::set_windows(&[window]);
        return Answer { label: 0, tag: ONE, words: [0; 4] };
    }
    let told = tell(Notification::new(window).signal(message.words[0]));
    utcb::set_items(&[Item::moved(window)]);
    Answer { label: 0, tag: ONE.with_items(1), words: [told, 0, 0, 0] }
}

fn x04_items_go_both_ways(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, signal_and_hand_back)?;
    let gate = server.gate(ctx, 0)?;
    ipc::call(gate.slot(), ONE, [0; 4], Timeouts::NEVER)?;
    let notification = ctx.notification()?;
    let back = ctx.slot()?;
    utcb::set_windows(&[back]);
    utcb::set_items(&[Item::all(notification.slot())]);
    let answer = ipc::call(gate.slot(), ONE.with_items(1), [6, 0, 0, 0], Timeouts::NEVER)?;
    check_eq!(answer.words[0], 0, "what signalling told");
    check_eq!(answer.tag.items(), 1);
    check_eq!(Notification::new(back).poll()?, 6);
    Ok(())
}

fn x04_an_item_without_a_window_is_told_to_both(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, signal_and_hand_back)?;
    let gate = server.gate(ctx, 0)?;
    let notification = ctx.notification()?;
    let items = || utcb::set_items(&[Item::all(notification.slot())]);
    let call = |word| ipc::call(gate.slot(), ONE.with_items(1), [word, 0, 0, 0], Timeouts::NEVER);
    let item = postern_tests::syscall::ErrorCode::ITEM;
    // On the way in: the context has declared no window yet.
    items();
    let cut = postern_tests::syscall::ErrorCode { argument: item, ..sent(ErrorNumber::MsgCut) };
    check_eq!(call(1).map(drop), Err(cut));
    check_eq!(server.entry.info()?.free, 1);
    // On the way out: the caller has none, and the handler comes back alone.
    ipc::call(gate.slot(), ONE, [0; 4], Timeouts::NEVER)?;
    utcb::set_windows(&[]);
    items();
    let cut = postern_tests::syscall::ErrorCode { argument: item, ..received(ErrorNumber::MsgCut) };
    check_eq!(call(2).map(drop), Err(cut));
    check!(ctx.wait_until(|| server.entry.info().is_ok_and(|info| info.free == 1)));
    check_eq!(notification.poll()?, 2);
    Ok(())
}

fn x04_a_send_comes_back_without_a_result(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, |message| {
        board::push(20, message.kind as u64);
        board::push(20, message.words[0]);
        Answer { label: 9, tag: ONE, words: [9; 4] }
    })?;
    let gate = server.gate(ctx, 0)?;
    ipc::send(gate.slot(), ONE, [7, 0, 0, 0], Timeouts::NEVER.send)?;
    check_eq!(board::entries::<2>(20), [DeliveryKind::Message as u64, 7]);
    check_eq!(server.entry.info()?.free, 1);
    Ok(())
}

fn x05_return_at_home_is_invalid_linkage(_: &Ctx) -> Verdict {
    let refused = ipc::ret(0, Tag::default(), [0; 4]);
    check_eq!(refused, Err(sent(ErrorNumber::InvalidLinkage)));
    Ok(())
}

fn x05_a_refused_return_can_be_repeated(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    check_eq!(ask(gate, [command::BAD_TAG, 0, 0, 0])?, sent(ErrorNumber::Inval).encode());
    Ok(())
}

fn x06_sixteen_nested_and_no_seventeenth(ctx: &Ctx) -> Verdict {
    let depth = DEPTH as u64;
    let mut server = Server::new(ctx, depth + 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    server.give(gate)?;
    // The first call is the first crossing.
    check_eq!(ask(gate, [command::CHAIN, depth - 1, 0, 0])?, depth - 1);
    check_eq!(board::get(REACHED), 1);
    let over = ask(gate, [command::CHAIN, depth, 0, 0])?;
    let overflow = sent(ErrorNumber::LinkOverflow).encode() << 32;
    check_eq!(over, overflow + depth - 1, "the sixteenth was refused a seventeenth");
    check_eq!(board::get(REACHED), 1);
    check_eq!(server.entry.info()?.free, depth + 1);
    Ok(())
}

fn x19_every_exception_is_told_apart(ctx: &Ctx) -> Verdict {
    let mut server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let spare = server.gate(ctx, 0)?;
    let dead = Server::new(ctx, 1, obey)?;
    let gone = dead.gate(ctx, 0)?;
    ctx.task.destroy(dead.entry.slot())?;
    ctx.task.delete(spare.slot())?;
    let number = |result: Result<u64, postern_tests::syscall::ErrorCode>| match result {
        Ok(told) => told,
        Err(error) => error.encode(),
    };
    let own = server.give(gate)?;
    let table = [
        ("no such entry", ask(gone, [0; 4]), sent(ErrorNumber::NotExistent)),
        ("no such capability", ask(spare, [0; 4]), sent(ErrorNumber::NotExistent)),
        (
            "no linkage",
            ipc::ret(0, Tag::default(), [0; 4]).map(|_| 0),
            sent(ErrorNumber::InvalidLinkage),
        ),
        ("receive abroad", ask(gate, [command::RECEIVE, 0, 0, 0]), received(ErrorNumber::Abroad)),
        ("reply abroad", ask(gate, [command::REPLY, 0, 0, 0]), sent(ErrorNumber::Abroad)),
        (
            "save abroad",
            ask(gate, [command::SAVE, u64::from(peer::FREE), 0, 0]),
            postern_tests::op(ErrorNumber::Unsupported, 0),
        ),
        ("callee ends", ask(gate, [command::EXIT, 3, 0, 0]), received(ErrorNumber::Aborted)),
    ];
    for (what, result, expected) in table {
        check_eq!(number(result), expected.encode(), "{what}");
    }
    // The only context is quarantined now: that is told apart from "unbound".
    let busy = postern_tests::syscall::ErrorCode {
        argument: postern_tests::syscall::ErrorCode::NO_CONTEXT,
        ..sent(ErrorNumber::Timeout)
    };
    let zero = crate::obey::ask_within(gate, [0; 4], Timeouts::ZERO);
    check_eq!(zero, Err(busy));
    check_eq!(own, peer::given(0));
    Ok(())
}

fn x25_two_clients_are_told_apart(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, next_words)?;
    let (one, two) = (server.gate(ctx, 0x100)?, server.gate(ctx, 0x200)?);
    for (gate, label) in [(one, 0x103), (two, 0x203), (one, 0x103)] {
        // Whatever the client says of itself in its message.
        let answer = ipc::call(gate.slot(), FOUR, [0x200; 4], Timeouts::NEVER)?;
        check_eq!(answer.label & 0xffff_ffff, label);
    }
    Ok(())
}

fn x29_a_call_runs_on_the_cpu_of_its_caller(ctx: &Ctx) -> Verdict {
    // What one CPU can show: the callee runs when its caller does, and on its
    // time, even if the server's task has a thread of its own.
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let before = ctx.thread.info()?.cpu_time;
    let until = control::clock() + 2_000_000;
    while control::clock() < until {
        ask(gate, [command::ECHO, 1, 0, 0])?;
    }
    check!(ctx.thread.info()?.cpu_time - before > 1_000_000, "the caller's own time");
    postern_tests::skip!("one CPU");
}

/// Counted instructions of a call through `gate`: the least of some.
fn cost(gate: impl Capability) -> Result<u64, postern_tests::Failure> {
    let mut least = u64::MAX;
    // A deadline, so that both take the general path.
    let general = Timeouts { receive: Timeout::from_ns(1_000_000_000), ..Timeouts::NEVER };
    for _ in 0..50 {
        let start = time_stamp();
        ipc::call(gate.slot(), FOUR, [1; 4], general)?;
        least = least.min(time_stamp() - start);
    }
    Ok(least)
}

fn x31_saving_the_linkage_at_once_costs_no_more_than_a_call(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, next_words)?;
    let mut thread = ctx.peer()?;
    thread.start(|_| postern_tests::syscall::stub::server::echo(), 0)?;
    let crossing = cost(server.gate(ctx, 0)?)?;
    let rendezvous = cost(ctx.gate_to(thread.thread(), 0)?)?;
    // The handler here is a stub and a Rust function, the other server three
    // instructions; budgets hold the exact counts (xtask/budgets.toml).
    // Besides the stub it keeps what the fast path knows of the front context.
    check!(crossing < rendezvous + 250, "{crossing} instructions, a call takes {rendezvous}");
    Ok(())
}
