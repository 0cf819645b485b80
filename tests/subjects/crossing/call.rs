//! The way in and the way back.

use postern_tests::runtime::crossing::Answer;
use postern_tests::syscall::{
    Capability, Delivery, DeliveryKind, ErrorNumber, Rights, Tag, Timeouts, ipc,
};
use postern_tests::{Ctx, Verdict, check_eq, sent, tests};

use crate::server::{FOUR, Server};

tests! {
    x04_a_call_crosses_and_comes_back,
    x05_return_at_home_is_invalid_linkage,
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

fn x05_return_at_home_is_invalid_linkage(_: &Ctx) -> Verdict {
    let refused = ipc::ret(0, Tag::default(), [0; 4]);
    check_eq!(refused, Err(sent(ErrorNumber::InvalidLinkage)));
    Ok(())
}
