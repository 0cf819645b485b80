//! Neither side believes the other: requests that no client of the interface
//! sends, answers that no server of it gives.

use alloc::vec;
use core::fmt::Debug;

use postern_tests::runtime::interface::{CallError, Refusal, Status};
use postern_tests::syscall::{Capability, Item, Message, Rights, Timeout, Timeouts, ipc};
use postern_tests::{Ctx, Failure, Partner, Verdict, board, check, check_eq, tests};

use crate::zoo::{ZooClient, ZooError};
use crate::{LABEL, free_slots, zoo};

tests! {
    interface_unknown_methods,
    interface_wrong_lengths,
    interface_values_out_of_range,
    interface_bad_text,
    interface_surplus_words,
    interface_other_protocol,
    interface_one_way_messages_are_ignored,
    interface_random_requests,
    interface_lying_status,
    interface_lying_length,
    interface_lying_text,
    interface_lying_protocol,
    interface_lying_capabilities,
}

const PROTOCOL: i64 = ZooClient::PROTOCOL;

/// Sends these words; the refusal.
#[track_caller]
fn refused(zoo: ZooClient, protocol: i64, words: &[u64]) -> Result<Refusal, Failure> {
    let request = Message::with_words(protocol, words);
    let answer = request.call(zoo.gate().slot(), Timeouts::NEVER)?;
    check_eq!((answer.protocol(), answer.words().len()), (protocol, 1));
    // The next call works.
    check_eq!(zoo.two(1, 2), Ok((3, false)));
    match Status::decode(answer.word(0)) {
        Ok(Status::Refused(refusal)) => Ok(refusal),
        other => Err(Failure::new(format_args!("{words:x?} was not refused: {other:?}"))),
    }
}

/// All of these are refused as `expected`.
fn all(ctx: &Ctx, expected: Refusal, requests: &[&[u64]]) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    for words in requests {
        check_eq!(refused(zoo, PROTOCOL, words)?, expected, "{words:x?}");
    }
    Ok(())
}

fn interface_unknown_methods(ctx: &Ctx) -> Verdict {
    let requests: &[&[u64]] = &[&[], &[0], &[23], &[u64::MAX], &[1 << 32 | 1], &[99; 63]];
    all(ctx, Refusal::UnknownMethod, requests)
}

fn interface_wrong_lengths(ctx: &Ctx) -> Verdict {
    // Short of words, and bytes that are more than the message has.
    let requests: &[&[u64]] =
        &[&[2], &[2, 1], &[3, 1, 2], &[4; 61], &[5], &[6, 9, 0], &[6, u64::MAX, 0], &[6, 1 << 63]];
    all(ctx, Refusal::Malformed, requests)
}

fn interface_values_out_of_range(ctx: &Ctx) -> Verdict {
    let requests: &[&[u64]] = &[&[2, 1 << 32, 0], &[2, 0, 128], &[2, 0, 0xff], &[8, 2]];
    all(ctx, Refusal::Malformed, requests)
}

fn interface_bad_text(ctx: &Ctx) -> Verdict {
    // No such byte; half a character; a surrogate; longer than it needs to be.
    let requests: &[&[u64]] =
        &[&[5, 1, 0xff], &[5, 1, 0xc3], &[5, 3, 0x80_a0_ed], &[5, 2, 0x80_c0]];
    all(ctx, Refusal::Malformed, requests)
}

fn interface_surplus_words(ctx: &Ctx) -> Verdict {
    let requests: &[&[u64]] = &[&[1, 0], &[2, 0, 0, 0], &[3, 1, 2, 3, 4], &[5, 0, 0], &[4; 63]];
    all(ctx, Refusal::Malformed, requests)
}

fn interface_other_protocol(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    for protocol in [0, 1, PROTOCOL - 1, PROTOCOL + 1, i64::from(i32::MAX)] {
        check_eq!(refused(zoo, protocol, &[1])?, Refusal::UnknownInterface, "{protocol}");
    }
    Ok(())
}

fn interface_one_way_messages_are_ignored(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    for words in [&[1][..], &[17], &[0; 63]] {
        let message = Message::with_words(PROTOCOL, words);
        message.send(zoo.gate().slot(), Timeout::NEVER)?;
        check_eq!(zoo.ping(), Ok(()));
    }
    Ok(())
}

fn interface_random_requests(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let before = free_slots();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..5000 {
        let mut words = [0; 9];
        words.fill_with(|| random() >> (random() % 64));
        words[0] = random() % 25;
        // `keep` and `forget` would wait or panic as they should; sleeping
        // long and dying are none of this test's business either.
        if matches!(words[0], 9 | 11 | 14 | 16 | 17) {
            continue;
        }
        let request = Message::with_words(PROTOCOL, &words[..random() as usize % 10]);
        request.call(zoo.gate().slot(), Timeouts::NEVER).ok();
    }
    check_eq!(zoo.two(1, 2), Ok((3, false)));
    check_eq!(free_slots(), before);
    Ok(())
}

/// Where the lie lies on the board: protocol, item's slot, number of words,
/// words.
const LIE: usize = 8;

/// Gives the same answer to everybody.
fn lie(_: u64) -> u64 {
    loop {
        if ipc::receive(Timeout::NEVER).is_err() {
            continue;
        }
        let words: [u64; 63] = core::array::from_fn(|index| board::get(LIE + 3 + index));
        let count = board::get(LIE + 2) as usize;
        let mut answer = Message::with_words(board::get(LIE) as i64, &words[..count]);
        for index in 0..board::get(LIE + 1) >> 32 {
            let slot = postern_tests::syscall::Slot::new(board::get(LIE + 1) as u32);
            let _ = (index, answer.push_item(Item::with(slot, Rights::R)));
        }
        let _ = answer.reply(0);
    }
}

fn tell_lie(protocol: i64, words: &[u64]) {
    board::set(LIE, protocol as u64);
    board::set(LIE + 1, 0);
    board::set(LIE + 2, words.len() as u64);
    for (index, word) in words.iter().enumerate() {
        board::set(LIE + 3 + index, *word);
    }
}

fn liar(ctx: &Ctx) -> Result<(Partner, ZooClient), Failure> {
    let mut partner = ctx.helper(postern_tests::protocol::PRIORITY)?;
    let gate = ctx.gate_to(partner.thread(), LABEL)?;
    partner.start(lie, 0)?;
    Ok((partner, ZooClient::new(gate)))
}

/// Every one of these answers is a bad one to `call`.
fn bad<T: Debug + PartialEq, E: Debug + PartialEq>(
    answers: &[&[u64]],
    call: impl Fn() -> Result<T, CallError<E>>,
) -> Verdict {
    for words in answers {
        tell_lie(PROTOCOL, words);
        check_eq!(call(), Err(CallError::BadAnswer), "{words:x?}");
    }
    Ok(())
}

const REFUSED: u64 = 1 << 63;

fn interface_lying_status(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = liar(ctx)?;
    tell_lie(PROTOCOL, &[0]);
    check_eq!(zoo.ping(), Ok(()));
    bad(&[&[], &[1], &[1 << 32], &[u64::MAX], &[REFUSED], &[REFUSED | 7]], || zoo.ping())?;
    // Errors that this server has and has not.
    tell_lie(PROTOCOL, &[40]);
    check_eq!(zoo.fail(true), Err(CallError::Server(ZooError::Unknown)));
    bad(&[&[2], &[41], &[u64::from(u32::MAX)]], || zoo.fail(true))
}

fn interface_lying_length(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = liar(ctx)?;
    tell_lie(PROTOCOL, &[0, 5, 1]);
    check_eq!(zoo.two(0, 0), Ok((5, true)));
    bad(&[&[0], &[0, 5], &[0, 5, 1, 0], &[0; 20], &[0; 63], &[0, 5, 2]], || zoo.two(0, 0))?;
    bad(&[&[0; 61], &[0; 63]], || zoo.many([0; 61]))
}

fn interface_lying_text(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = liar(ctx)?;
    let answers: &[&[u64]] =
        &[&[0, 9, 0], &[0, 1, 0xff], &[0, 1], &[0, u64::MAX, 0], &[0, 0, 0], &[0, 1 << 60, 0]];
    bad(answers, || zoo.reverse("x"))?;
    tell_lie(PROTOCOL, &[0, 1, 0x6867_6665_6463_6261]);
    check_eq!(zoo.reverse("x"), Ok("a".into()));
    check_eq!(zoo.twice(&[1]), Ok(vec![b'a']));
    Ok(())
}

fn interface_lying_protocol(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = liar(ctx)?;
    for protocol in [0, PROTOCOL + 1, -1] {
        tell_lie(protocol, &[0]);
        check!(zoo.ping().is_err(), "an answer of protocol {protocol} was taken");
    }
    tell_lie(PROTOCOL, &[0]);
    check_eq!(zoo.ping(), Ok(()));
    Ok(())
}

fn interface_lying_capabilities(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = liar(ctx)?;
    let (gate, other) = (crate::toy(ctx)?, ctx.notification()?);
    let (free, held) = (free_slots(), crate::held(ctx.task)?);
    let items = |count: u64, slot: u64| board::set(LIE + 1, count << 32 | slot);
    // None, and with an error.
    tell_lie(PROTOCOL, &[0]);
    check_eq!(zoo.get().map(drop), Err(CallError::BadAnswer), "no capability");
    tell_lie(PROTOCOL, &[1]);
    items(1, gate.slot().word());
    check_eq!(zoo.get().map(drop), Err(CallError::Server(ZooError::Full)), "with an error");
    // Of another kind; more than one; where none is wanted.
    tell_lie(PROTOCOL, &[0]);
    items(1, other.slot().word());
    check_eq!(zoo.get().map(drop), Err(CallError::BadAnswer), "another kind");
    items(2, gate.slot().word());
    check_eq!(zoo.get().map(drop), Err(CallError::BadAnswer), "two");
    items(1, gate.slot().word());
    check_eq!(zoo.ping(), Err(CallError::BadAnswer), "unwanted");
    check_eq!(zoo.get().map(drop), Ok(()));
    check_eq!((free_slots(), crate::held(ctx.task)?), (free, held));
    Ok(())
}
