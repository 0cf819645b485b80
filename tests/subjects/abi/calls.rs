//! System call codes and what they refuse.

use postern_tests::syscall::abi::code::IpcFlags;
use postern_tests::syscall::abi::tag::protocol::KOBJECT;
use postern_tests::syscall::abi::utcb::{RECEIVE_SOURCE, REPLY_HANDLE};
use postern_tests::syscall::abi::{ABI_VERSION, address};
use postern_tests::syscall::{
    Capability, Code, ErrorCode, ErrorNumber, Log, Rights, Slot, Tag, Timeout, Timeouts, control,
    ipc, raw, utcb,
};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, op, received, sent, tests};

tests! {
    abi_version,
    abi_unknown_name_spaces,
    abi_unknown_codes,
    abi_flags_that_a_code_does_not_take,
    abi_bad_handles_for_every_code,
    abi_objects_speak_only_kobject,
    abi_timeouts_of_every_shape,
    abi_exit_code_has_64_bits,
    abi_log_limits,
    abi_utcb_contents_cannot_confuse_the_kernel,
    abi_kernel_addresses_as_arguments,
}

/// The error of a call with this `rax`.
fn refused(rax: u64) -> Option<ErrorCode> {
    let out = raw::invoke(rax, 0, 0, [0; 4]);
    if out.failed { ErrorCode::decode(out.rax) } else { None }
}

const NO_SYS: Option<ErrorCode> = Some(op(ErrorNumber::NoSys, 0));

fn abi_version(ctx: &Ctx) -> Verdict {
    check_eq!(control::null(), Ok(u64::from(ABI_VERSION)));
    let mut peer = ctx.peer()?;
    peer.start(|_| control::null().unwrap_or(u64::MAX), 0)?;
    check_eq!(peer.join()?, u64::from(ABI_VERSION));
    Ok(())
}

fn abi_unknown_name_spaces(_ctx: &Ctx) -> Verdict {
    for letter in (0..=255_u64).filter(|letter| *letter != u64::from(b'P')) {
        for code in [0, 1, 4, 0x11, 0x12] {
            let rax = letter << 24 | code;
            check_eq!(refused(rax), NO_SYS, "code {rax:#x}");
        }
    }
    // What other systems' programs would pass: write and exit of Linux.
    check_eq!((refused(1), refused(60), refused(231)), (NO_SYS, NO_SYS, NO_SYS));
    Ok(())
}

fn abi_unknown_codes(_ctx: &Ctx) -> Verdict {
    let known = Code::ALL.map(|code| code as u64);
    for code in (0..256).filter(|code| !known.contains(code)) {
        let rax = u64::from(b'P') << 24 | code;
        check_eq!(refused(rax), NO_SYS, "code {rax:#x}");
        check_eq!(refused(rax | 0xffff << 32), NO_SYS, "code {rax:#x} with timeouts");
    }
    Ok(())
}

fn abi_flags_that_a_code_does_not_take(_ctx: &Ctx) -> Verdict {
    for code in Code::ALL {
        for bit in 8..24 {
            let flag = 1 << bit;
            let is_permitted = code.permitted_flags().bits() as u64 & flag != 0;
            if !is_permitted {
                check_eq!(refused(code.plain() | flag), NO_SYS, "{code:?} with bit {bit}");
            }
        }
    }
    Ok(())
}

fn abi_bad_handles_for_every_code(ctx: &Ctx) -> Verdict {
    let empty = ctx.slot()?.word();
    let handles = [0, empty, 511, 512, 0xffff, 0x1_0000, 1 << 32, 1 << 63, u64::MAX];
    let invoke = |code: Code, flags, handle, tag: Tag| {
        let rax = code.encode(flags, Timeout::ZERO, Timeout::ZERO);
        let out = raw::invoke(rax, handle, tag.bits(), [0x101, 0, 0, 0]);
        out.failed.then(|| ErrorCode::decode(out.rax)).flatten()
    };
    let missing = ErrorNumber::NotExistent;
    for handle in handles {
        for tag in [Tag::default(), Tag::new(KOBJECT, 1), Tag::new(7, 63).with_items(8)] {
            for code in [Code::Call, Code::Send] {
                let found = invoke(code, IpcFlags::empty(), handle, tag);
                check_eq!(found, Some(sent(missing)), "{code:?} of handle {handle:#x}");
            }
        }
        // The handles in the UTCB.
        utcb::write(RECEIVE_SOURCE, handle);
        let found = invoke(Code::Receive, IpcFlags::CLOSED, 0, Tag::default());
        check_eq!(found, Some(received(missing)), "receiving from {handle:#x}");
        utcb::write(REPLY_HANDLE, handle);
        let found = invoke(Code::Reply, IpcFlags::SAVED, 0, Tag::default());
        check_eq!(found, Some(sent(missing)), "answering through {handle:#x}");
        let found = invoke(Code::ReplyReceive, IpcFlags::SAVED, 0, Tag::default());
        check_eq!(found, Some(sent(missing)), "answering through {handle:#x}");
        let flags = IpcFlags::OPTIONAL | IpcFlags::CLOSED;
        let found = invoke(Code::ReplyReceive, flags, 0, Tag::default());
        check_eq!(found, Some(received(missing)), "receiving from {handle:#x}");
    }
    // Something that is there, but of the wrong kind.
    for slot in [ctx.task.slot(), ctx.log.slot(), ctx.factory.slot()] {
        let found = ipc::receive_from(slot, Timeout::ZERO).map(drop);
        check_eq!(found, Err(received(ErrorNumber::WrongKind)), "receiving from {slot}");
        let found = ipc::reply_saved(slot, 0, Tag::default(), [0; 4]);
        check_eq!(found, Err(sent(ErrorNumber::WrongKind)), "answering through {slot}");
    }
    Ok(())
}

fn abi_objects_speak_only_kobject(ctx: &Ctx) -> Verdict {
    let slots = [
        ctx.task.slot(),
        ctx.thread.slot(),
        ctx.factory.slot(),
        ctx.log.slot(),
        ctx.scheduler.slot(),
        ctx.ports.slot(),
        ctx.irq.slot(),
        ctx.memory(1)?.slot(),
        ctx.notification()?.slot(),
    ];
    for slot in slots {
        for protocol in [0, 1, -1, -5, -9, -11, i64::MIN >> 16] {
            let called = ipc::call(slot, Tag::new(protocol, 1), [0x206; 4], Timeouts::NEVER);
            let number = called.map(drop).map_err(|error| error.number);
            check_eq!(number, Err(ErrorNumber::BadProtocol), "{slot}, protocol {protocol}");
        }
        let called = ipc::call(slot, Tag::new(KOBJECT, 0), [0x206; 4], Timeouts::NEVER);
        let number = called.map(drop).map_err(|error| error.number);
        check_eq!(number, Err(ErrorNumber::Inval), "{slot}, an empty message");
    }
    Ok(())
}

fn abi_timeouts_of_every_shape(ctx: &Ctx) -> Verdict {
    // A mantissa of zero is no waiting, with any exponent but zero.
    let gate = ctx.unbound()?;
    for exponent in 1..32 {
        let timeout = Timeout::from_bits(exponent << 10);
        let found = ipc::send(gate.slot(), Tag::default(), [0; 4], timeout);
        check_eq!(found, Err(sent(ErrorNumber::Timeout)), "exponent {exponent}");
        let found = ipc::receive(timeout).map(drop);
        check_eq!(found, Err(received(ErrorNumber::Timeout)), "exponent {exponent}");
    }
    for bits in [1, 0x3ff, 1 << 10 | 1, 3 << 10 | 0x40] {
        let found = ipc::receive(Timeout::from_bits(bits)).map(drop);
        check_eq!(found, Err(received(ErrorNumber::Timeout)), "bits {bits:#x}");
    }
    // Absolute ones are those with bit 15, whatever the rest.
    utcb::set_deadlines(0, 0);
    for bits in [0x8000, 0x8001, 0xffff] {
        let found = ipc::receive(Timeout::from_bits(bits)).map(drop);
        check_eq!(found, Err(received(ErrorNumber::Timeout)), "bits {bits:#x}");
    }
    Ok(())
}

fn abi_exit_code_has_64_bits(ctx: &Ctx) -> Verdict {
    for code in [0, 1, 0x1_0000_0000, u64::MAX, 0x8000_0000_0000_0001] {
        let body: Body = |code| code;
        check_eq!(ctx.spawn(body, code)?.join()?, code);
    }
    Ok(())
}

fn abi_log_limits(ctx: &Ctx) -> Verdict {
    let write = |words: &[u64]| {
        postern_tests::syscall::operate(ctx.log.slot(), words, &[]).map(drop)
    };
    check_eq!(write(&[0xa01]), Err(op(ErrorNumber::TooShort, 1)));
    check_eq!(write(&[0xa01, 489]), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(write(&[0xa01, u64::MAX]), Err(op(ErrorNumber::Inval, 1)));
    check_eq!(write(&[0xa01, 1]), Err(op(ErrorNumber::TooShort, 2)), "one byte, no word");
    check_eq!(write(&[0xa01, 9, 0]), Err(op(ErrorNumber::TooShort, 3)), "nine bytes, one word");
    check_eq!(write(&[0xa02, 0]), Err(op(ErrorNumber::NoSys, 1)));
    write(&[0xa01, 0])?;
    let weak = ctx.derive(ctx.log, Rights::all() - Rights::W)?;
    check_eq!(weak.write(b"x"), Err(op(ErrorNumber::Perm, 0)));
    let line = [b'.'; Log::MAX_BYTES];
    check_eq!(ctx.log.write(&line)?, Log::MAX_BYTES);
    ctx.log.write(b"\n")?;
    Ok(())
}

fn abi_utcb_contents_cannot_confuse_the_kernel(ctx: &Ctx) -> Verdict {
    // All of the page is filled with nonsense, the word with its own address
    // included; the calls take only registers.
    let body: Body = |slot| {
        let address = utcb::address();
        for index in (0..512).rev() {
            postern_tests::bare::memory::write(address + index * 8, u64::MAX);
        }
        let send = Code::Send.plain();
        let items = Tag::new(7, 4).with_items(8).bits();
        let first = raw::invoke(send, slot, items, [1, 2, 3, 4]);
        let second = raw::invoke(send, slot, Tag::new(7, 63).bits(), [1, 2, 3, 4]);
        u64::from(first.failed) | u64::from(second.failed) << 1
    };
    let gate = ctx.gate(0x40)?;
    let mut peer = ctx.peer()?;
    let there = peer.give(gate.item(Rights::empty()))?;
    peer.start(body, there.word())?;
    utcb::set_windows(&[ctx.slot()?]);
    let delivery = ipc::receive(postern_tests::patience())?;
    check_eq!((delivery.label, delivery.words), (0x40, [1, 2, 3, 4]));
    check_eq!(delivery.tag, Tag::new(7, 63), "only the second one could be sent");
    check_eq!(utcb::word(62), u64::MAX);
    check_eq!(peer.join()?, 1);
    Ok(())
}

fn abi_kernel_addresses_as_arguments(ctx: &Ctx) -> Verdict {
    // Nothing that the kernel takes is a pointer; these are words like others.
    for word in [0xffff_8000_0000_0000, address::USER_LIMIT, u64::MAX, 0x8000_0000_0000] {
        for slot in [ctx.task.slot(), ctx.thread.slot(), ctx.factory.slot(), ctx.log.slot()] {
            for code in [Code::Call, Code::Send] {
                let tag = Tag::new(KOBJECT, 4).bits();
                let out = raw::invoke(code.plain(), slot.word(), tag, [word; 4]);
                check!(out.failed, "operation {word:#x}");
            }
        }
        let out = raw::invoke(Code::SaveReply.plain(), word, 0, [0; 4]);
        check!(out.failed, "saving into slot {word:#x}");
    }
    check_eq!(Slot::new(7).word(), 7);
    Ok(())
}
