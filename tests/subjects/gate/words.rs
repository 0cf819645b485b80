//! The words of a message: four in registers, the rest in the UTCB (rows L13
//! and G2 and DESIGN section 2).

use postern_tests::syscall::abi::tag::MAX_WORDS;
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorNumber, Message, Slot, Tag, Timeout, Timeouts, ipc, raw, utcb,
};
use postern_tests::{Body, Ctx, Verdict, check_eq, received, sent, tell, tests};

use crate::{PROTOCOL, answer, receive};

tests! {
    gate_words_of_every_length_both_ways,
    gate_words_past_the_tag_stay_where_they_are,
    gate_words_of_a_delivery_without_message,
    gate_words_invalid_tags,
    gate_receive_timeouts,
    gate_call_to_oneself_times_out,
}

/// Word `index` of a message of `count` words.
fn pattern(count: usize, index: usize) -> u64 {
    0x1_0000 * count as u64 + index as u64 + 1
}

fn filled(count: usize, flip: u64) -> Message {
    let mut words = [0; MAX_WORDS];
    for (index, word) in words[..count].iter_mut().enumerate() {
        *word = pattern(count, index) ^ flip;
    }
    Message::with_words(PROTOCOL, &words[..count])
}

/// Calls with messages of every length; the answer has every bit flipped.
fn call_with_all_lengths(slot: u64) -> u64 {
    for count in 0..=MAX_WORDS {
        let answer = filled(count, 0).call(Slot::new(slot as u32), Timeouts::NEVER);
        let Ok(answer) = answer else { return tell(answer.map(drop)) };
        if answer.words() != filled(MAX_WORDS - count, u64::MAX).words() {
            return 1 << 40 | count as u64;
        }
    }
    0
}

fn gate_words_of_every_length_both_ways(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    for is_peer in [true, false] {
        let mut partner = if is_peer { ctx.peer()? } else { ctx.helper(100)? };
        let there = partner.give(postern_tests::syscall::Item::all(gate.slot()))?;
        partner.start(call_with_all_lengths, there.word())?;
        for count in 0..=MAX_WORDS {
            let delivery = receive()?;
            let message = Message::from_delivery(&delivery);
            check_eq!(message.words(), filled(count, 0).words(), "{count} words");
            check_eq!(delivery.tag, Tag::new(PROTOCOL, count));
            filled(MAX_WORDS - count, u64::MAX).reply(0)?;
        }
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn gate_words_past_the_tag_stay_where_they_are(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let body: Body = |slot| {
        for index in 4..MAX_WORDS {
            utcb::write(index, 0x5ec2_e700 + index as u64);
        }
        for count in 0..=4 {
            let words = [0x5ec2_e700; 4];
            let tag = Tag::new(PROTOCOL, count);
            let sent = ipc::send(Slot::new(slot as u32), tag, words, Timeout::NEVER);
            if sent.is_err() {
                return tell(sent);
            }
        }
        0
    };
    let mut partner = ctx.peer()?;
    let there = partner.give(postern_tests::syscall::Item::all(gate.slot()))?;
    partner.start(body, there.word())?;
    for index in 4..MAX_WORDS {
        utcb::write(index, 0x77);
    }
    for count in 0..=4 {
        let delivery = receive()?;
        for (index, word) in delivery.words.into_iter().enumerate() {
            // Those in registers travel whatever the tag says.
            check_eq!(word, 0x5ec2_e700, "word {index} of {count}");
        }
        for index in 4..MAX_WORDS {
            check_eq!(utcb::word(index), 0x77, "word {index} of {count} in the UTCB");
        }
    }
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_words_of_a_delivery_without_message(ctx: &Ctx) -> Verdict {
    // A send and a reply bring nothing back but success.
    let gate = ctx.gate(0x40)?;
    let body: Body = |slot| {
        let send = postern_tests::syscall::Code::Send.plain();
        let out = raw::invoke(send, slot, Tag::new(PROTOCOL, 4).bits(), [9; 4]);
        u64::from(out != raw::Output { failed: false, rax: 0, rdi: 0, rsi: 0, words: [0; 4] })
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    check_eq!(receive()?.kind, DeliveryKind::Message);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_words_invalid_tags(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    // Nine items, and each of the flags that are not defined.
    for bits in [9 << 6, 63 << 6, 1 << 13, 1 << 14, 1 << 15] {
        let tag = Tag::from_bits(Tag::new(PROTOCOL, 1).bits() | bits);
        let called = ipc::call(gate.slot(), tag, [0; 4], Timeouts::NEVER).map(drop);
        check_eq!(called, Err(sent(ErrorNumber::Inval)), "tag {bits:#x}");
        check_eq!(
            ipc::send(gate.slot(), tag, [0; 4], Timeout::NEVER),
            Err(sent(ErrorNumber::Inval)),
            "tag {bits:#x}"
        );
    }
    // An answer with such a tag does not use up the right to answer.
    let partner = ctx.spawn(crate::call_for_label, crate::arguments(gate, 0))?;
    receive()?;
    let tag = Tag::from_bits(Tag::new(PROTOCOL, 1).bits() | 1 << 13);
    check_eq!(ipc::reply(0, tag, [0; 4]), Err(sent(ErrorNumber::Inval)));
    answer(8, 0)?;
    check_eq!(partner.join()?, 8);
    Ok(())
}

fn gate_receive_timeouts(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let timed_out = Err(received(ErrorNumber::Timeout));
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), timed_out);
    let before = postern_tests::syscall::control::clock();
    check_eq!(ipc::receive(Timeout::from_ns(2_000_000)).map(drop), timed_out);
    check_eq!(ipc::receive_from(gate.slot(), Timeout::from_ns(2_000_000)).map(drop), timed_out);
    let passed = postern_tests::syscall::control::clock() - before;
    check_eq!(passed >= 4_000_000, true, "{passed} ns passed");
    utcb::set_deadlines(0, before + 6_000_000);
    check_eq!(ipc::receive(Timeout::ABSOLUTE).map(drop), timed_out);
    let now = postern_tests::syscall::control::clock();
    check_eq!(now >= before + 6_000_000, true, "{} ns passed", now - before);
    utcb::set_deadlines(0, 1);
    check_eq!(ipc::receive(Timeout::ABSOLUTE).map(drop), timed_out, "a deadline in the past");
    Ok(())
}

fn gate_call_to_oneself_times_out(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let timeouts = Timeouts { send: Timeout::from_ns(1_000_000), receive: Timeout::NEVER };
    let called = ipc::call(gate.slot(), crate::ONE, [0; 4], timeouts).map(drop);
    check_eq!(called, Err(sent(ErrorNumber::Timeout)));
    Ok(())
}
