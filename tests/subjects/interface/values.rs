//! What is sent arrives, however long it is.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::array;

use postern_tests::runtime::interface::{CallError, MAX_BYTES, Refusal};
use postern_tests::syscall::{Capability, Rights};
use postern_tests::{Ctx, Verdict, check_eq, tests};

use crate::zoo::{ZooClient, ZooError};
use crate::{LABEL, zoo};

tests! {
    interface_one_word,
    interface_three_words,
    interface_four_words,
    interface_62_words,
    interface_text,
    interface_longest_argument,
    interface_argument_too_long,
    interface_answer_too_long,
    interface_own_errors,
    interface_caller,
    interface_log_keeps_long_arguments,
    interface_call_in_a_method_keeps_long_arguments,
}

fn interface_one_word(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    for _ in 0..100 {
        check_eq!(zoo.ping(), Ok(()));
    }
    Ok(())
}

fn interface_three_words(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    check_eq!(zoo.two(u32::MAX, -128), Ok((i64::from(u32::MAX) - 128, true)));
    check_eq!(zoo.two(0, -1), Ok((-1, true)));
    check_eq!(zoo.two(1, 127), Ok((128, false)));
    Ok(())
}

fn interface_four_words(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    check_eq!(zoo.three(1, u64::MAX, 1 << 63), Ok([1 << 63, u64::MAX, 1]));
    Ok(())
}

fn interface_62_words(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    for round in 0..50_u64 {
        let words: [u64; 61] = array::from_fn(|index| round << 32 | index as u64);
        check_eq!(zoo.many(words), Ok(words.map(|word| !word)));
        // Nothing of a long message is left in a short one.
        check_eq!(zoo.two(1, 1), Ok((2, false)));
    }
    Ok(())
}

fn interface_text(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    for text in ["", "a", "12345678", "grüße, 世界 🚪", "\0\u{7f}\u{80}\u{7ff}\u{ffff}\u{10ffff}"]
    {
        check_eq!(zoo.reverse(text), Ok(text.chars().rev().collect::<String>()));
    }
    Ok(())
}

fn interface_longest_argument(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let mut text = "ü".repeat(MAX_BYTES / 2);
    check_eq!(text.len(), MAX_BYTES);
    check_eq!(zoo.reverse(&text), Ok(text.clone()));
    text.pop();
    check_eq!(zoo.reverse(&text), Ok(text));
    Ok(())
}

fn interface_argument_too_long(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    check_eq!(zoo.reverse(&"x".repeat(MAX_BYTES + 1)), Err(CallError::TooLong));
    check_eq!(zoo.twice(&[0; 5000]), Err(CallError::TooLong));
    check_eq!(zoo.ping(), Ok(()));
    Ok(())
}

fn interface_answer_too_long(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let half = MAX_BYTES / 2;
    let bytes: Vec<u8> = (0..=half).map(|index| index as u8).collect();
    check_eq!(zoo.twice(&bytes[..half]), Ok(bytes[..half].repeat(2)));
    check_eq!(zoo.twice(&bytes), Err(CallError::Refused(Refusal::AnswerTooLong)));
    check_eq!(zoo.twice(&[7]), Ok(vec![7, 7]));
    Ok(())
}

fn interface_own_errors(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    check_eq!(zoo.fail(true), Err(CallError::Server(ZooError::Full)));
    check_eq!(zoo.fail(false), Err(CallError::Server(ZooError::Unknown)));
    Ok(())
}

fn interface_caller(ctx: &Ctx) -> Verdict {
    let (server, zoo) = zoo(ctx)?;
    let all = [
        (Rights::R, false, false),
        (Rights::R | Rights::W, true, false),
        (Rights::R | Rights::S, false, true),
        (Rights::R | Rights::W | Rights::S, true, true),
    ];
    for (rights, can_write, is_special) in all {
        let derived = ZooClient::new(ctx.derive(zoo.gate(), rights)?);
        check_eq!(derived.who(), Ok((LABEL, can_write, is_special)));
    }
    let other = ZooClient::new(ctx.gate_to(server.thread(), 0x1234_5678_9abc_def0)?);
    let derived = ZooClient::new(ctx.derive(other.gate(), Rights::R)?);
    check_eq!(derived.who(), Ok((0x1234_5678_9abc_def0, false, false)));
    Ok(())
}

fn long() -> Vec<u8> {
    (0..400).map(|index| (index * 7 + 1) as u8).collect()
}

fn interface_log_keeps_long_arguments(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    check_eq!(zoo.talk(&long(), 0), Ok(long()));
    Ok(())
}

fn interface_call_in_a_method_keeps_long_arguments(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let (_other_server, other) = crate::zoo(ctx)?;
    check_eq!(zoo.talk(&long(), other.gate().slot().number()), Ok(long()));
    Ok(())
}
