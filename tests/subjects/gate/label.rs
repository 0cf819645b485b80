//! Section B: labels.

use postern_tests::syscall::abi::utcb::{FIRST_WORD, RUNTIME, SIZE};
use postern_tests::syscall::{
    Capability, Code, DeliveryKind, ErrorCode, ErrorNumber, Rights, Slot, Tag, Timeouts, ipc, raw,
    utcb,
};
use postern_tests::{Ctx, Verdict, board, check_eq, peer, tell, tests};

use crate::{ONE, answer, arguments, call_for_label, call_it, receive, send_it};

tests! {
    gate_c27_label_shows_w_and_s_only,
    gate_c28_four_clients_four_labels,
    gate_c29_send_and_call_carry_it_alike,
    gate_c30_label_of_the_sender_is_ignored,
    gate_c33_answer_carries_the_repliers_label,
    gate_c33_answer_reaches_only_its_caller,
}

const LABEL: u64 = 0xabcd_ef00_1122_3340;

fn gate_c27_label_shows_w_and_s_only(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(LABEL)?;
    let others = [
        Rights::empty(),
        Rights::R,
        Rights::D,
        Rights::GRANT,
        Rights::SERVER,
        Rights::R | Rights::D | Rights::GRANT | Rights::SERVER | Rights::X | Rights::PHYS,
    ];
    for other in others {
        for shown in [Rights::empty(), Rights::W, Rights::S, Rights::W | Rights::S] {
            let gate = ctx.derive(gate, shown | other)?;
            let partner = ctx.spawn(send_it, arguments(gate, 0))?;
            check_eq!(receive()?.label, LABEL | u64::from(shown.bits()), "{:?}", shown | other);
            check_eq!(partner.join()?, 0);
            ctx.task.delete(gate.slot())?;
        }
    }
    Ok(())
}

fn gate_c28_four_clients_four_labels(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(LABEL)?;
    let rights = [Rights::empty(), Rights::W, Rights::S, Rights::W | Rights::S];
    let mut clients = [ctx.peer()?, ctx.peer()?, ctx.peer()?, ctx.peer()?];
    for ((client, rights), number) in clients.iter_mut().zip(rights).zip(0..) {
        let slot = client.give(gate.item(rights))?;
        client.start(call_it, slot.word() | number << 32)?;
    }
    let mut seen = [false; 4];
    for _ in 0..4 {
        let delivery = receive()?;
        let number = delivery.words[0] as usize;
        check_eq!(delivery.label, LABEL | u64::from(rights[number].bits()), "client {number}");
        seen[number] = true;
        answer(0, 0)?;
    }
    check_eq!(seen, [true; 4]);
    for client in &clients {
        check_eq!(client.join()?, 0);
    }
    Ok(())
}

fn gate_c29_send_and_call_carry_it_alike(ctx: &Ctx) -> Verdict {
    let gate = ctx.derive(ctx.gate(LABEL)?, Rights::S)?;
    let body = |argument| send_it(argument) << 32 | call_it(argument);
    let partner = ctx.spawn(body, arguments(gate, 0))?;
    let (first, second) = (receive()?, receive()?);
    check_eq!((first.kind, second.kind), (DeliveryKind::Message, DeliveryKind::Call));
    check_eq!((first.label, second.label), (LABEL | 2, LABEL | 2));
    answer(0, 0)?;
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c30_label_of_the_sender_is_ignored(ctx: &Ctx) -> Verdict {
    let gate = ctx.derive(ctx.gate(LABEL)?, Rights::empty())?;
    let body = |slot| {
        // Wherever a label could be written: the UTCB, all words, and the
        // upper half of the handle, where it only makes a handle of nothing.
        for index in FIRST_WORD..RUNTIME {
            utcb::write(index, 0xbad0_bad0_bad0_bad0);
        }
        let words = [0xbad0_bad0_bad0_bad0; 4];
        let upper = raw::invoke(Code::Send.plain(), slot | 0xbad << 32, ONE.bits(), words);
        let missing = ErrorCode::send(ErrorNumber::NotExistent).encode();
        if !upper.failed || upper.rax != missing {
            return 1;
        }
        tell(ipc::send(Slot::new(slot as u32), Tag::new(1, 63), words, Timeouts::NEVER.send))
    };
    const { assert!(RUNTIME < SIZE) };
    let partner = ctx.spawn(body, arguments(gate, 0))?;
    check_eq!(receive()?.label, LABEL);
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn gate_c33_answer_carries_the_repliers_label(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(LABEL)?;
    for label in [0, 3, 0x1111_2222_3333_4444] {
        let partner = ctx.spawn(call_for_label, arguments(gate, 0))?;
        receive()?;
        answer(label, 0)?;
        check_eq!(partner.join()?, label);
    }
    Ok(())
}

fn gate_c33_answer_reaches_only_its_caller(ctx: &Ctx) -> Verdict {
    // Two peers call the same gate; each gets what was answered to it.
    let gate = ctx.gate(LABEL)?;
    let mut clients = [ctx.peer()?, ctx.peer()?];
    for (client, number) in clients.iter_mut().zip(0..) {
        client.give(gate.item(Rights::empty()))?;
        client.start(
            |number| {
                for round in 0..50 {
                    let words = [number, round, 0, 0];
                    let answer = ipc::call(peer::given(0), Tag::new(1, 2), words, Timeouts::NEVER);
                    let expected = [number, round * 3, 0, 0];
                    if answer.map(|answer| answer.words) != Ok(expected) {
                        return 1000 + round;
                    }
                    board::add(number as usize, 1);
                }
                number
            },
            number,
        )?;
    }
    for _ in 0..100 {
        let delivery = receive()?;
        let [number, round, ..] = delivery.words;
        ipc::reply(0, Tag::new(1, 2), [number, round * 3, 0, 0])?;
    }
    for (client, number) in clients.iter().zip(0..) {
        check_eq!(client.join()?, number);
        check_eq!(board::get(number as usize), 50);
    }
    Ok(())
}
