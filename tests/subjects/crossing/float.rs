//! Floating-point and SIMD registers belong to the activation (X24): a handler
//! begins with clean ones, and its caller finds its own again.

use postern_tests::bare::float::{Float, SAME, compare, mark, marked, spin};
use postern_tests::runtime::crossing::Answer;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::{
    Capability, Delivery, ErrorNumber, Gate, Timeout, Timeouts, control, raw,
};
use postern_tests::{Ctx, Verdict, board, check, check_eq, peer, received, tell, tests};

use crate::server::{Server, call, call_with, one};

tests! {
    x24_a_handler_finds_no_registers_of_its_caller,
    x24_a_handler_that_uses_none,
    x24_registers_of_each_link_of_a_chain,
    x24_registers_survive_an_unwound_crossing,
    x24_an_orphan_keeps_its_registers,
    x24_two_contexts_are_preempted,
    x24_a_context_keeps_its_place,
}

/// Tells what it found in its registers, and leaves others there.
fn look_and_leave(message: Delivery) -> Answer {
    let found = compare(&Float::clean());
    Float::patterned(message.words[0]).load();
    one(found)
}

fn x24_a_handler_finds_no_registers_of_its_caller(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, look_and_leave)?;
    let gate = server.gate(ctx, 0)?;
    // First without any of one's own, then with.
    for turn in 0..20 {
        if turn >= 5 {
            Float::patterned(turn).load();
        }
        check_eq!(call(gate, turn + 100)?, SAME, "what the handler found in turn {turn}");
        let mine = if turn >= 5 { Float::patterned(turn) } else { Float::clean() };
        check!(turn < 5 || compare(&mine) == SAME, "turn {turn}");
    }
    // A stranger's, in the same context.
    let stranger = ctx.spawn(
        |gate| call(Gate::new(postern_tests::syscall::Slot::new(gate as u32)), 3).unwrap_or(1),
        gate.slot().word(),
    )?;
    check_eq!(stranger.join()?, SAME);
    Ok(())
}

fn x24_a_handler_that_uses_none(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, |message| one(message.words[0] + 1))?;
    let gate = server.gate(ctx, 0)?;
    let pattern = Float::patterned(11);
    pattern.load();
    let charged = ctx.charged()?;
    for turn in 0..50 {
        check_eq!(call(gate, turn)?, turn + 1);
        check_eq!(compare(&pattern), SAME, "turn {turn}");
    }
    check_eq!(ctx.charged()?, charged);
    Ok(())
}

/// Crosses on, as often as word 0 says, with registers of its own meanwhile;
/// how many of them went wrong.
fn descend(message: Delivery) -> Answer {
    let depth = message.words[0];
    let mine = Float::patterned(depth);
    mine.load();
    let deeper = match depth {
        0 => 0,
        _ => call(Gate::new(peer::given(0)), depth - 1).unwrap_or(100),
    };
    one(deeper + u64::from(compare(&mine) != SAME))
}

fn x24_registers_of_each_link_of_a_chain(ctx: &Ctx) -> Verdict {
    let mut server = Server::new(ctx, 8, descend)?;
    let gate = server.gate(ctx, 0)?;
    server.give(gate)?;
    let mine = Float::patterned(99);
    mine.load();
    for _ in 0..3 {
        check_eq!(call(gate, 7)?, 0, "links that lost their registers");
        check_eq!(compare(&mine), SAME);
    }
    Ok(())
}

/// Marks its registers and ends by other means than a return.
fn end_otherwise(message: Delivery) -> Answer {
    Float::patterned(message.words[0]).load();
    match message.words[0] {
        0 => control::exit(1),
        1 => one(raw::peek(0x10).into()),
        _ => {
            let slept = tell(control::sleep_until(control::clock() + 3_000_000));
            board::set(31, compare(&Float::patterned(message.words[0])));
            one(slept)
        }
    }
}

fn x24_registers_survive_an_unwound_crossing(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, end_otherwise)?;
    let gate = server.gate(ctx, 0)?;
    let mine = Float::patterned(5);
    mine.load();
    for how in [0, 1, 0, 1] {
        check_eq!(call(gate, how), Err(received(ErrorNumber::Aborted)), "ending {how}");
        check_eq!(compare(&mine), SAME, "after ending {how}");
        server.entry.reset_context(server.contexts[0], None)?;
    }
    // The context that was reset is clean, too.
    let looking = Server::new(ctx, 1, look_and_leave)?;
    check_eq!(call(looking.gate(ctx, 0)?, 1)?, SAME);
    Ok(())
}

fn x24_an_orphan_keeps_its_registers(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, end_otherwise)?;
    let gate = server.gate(ctx, 0)?;
    let mine = Float::patterned(6);
    mine.load();
    let short = Timeouts { receive: Timeout::from_ns(300_000), ..Timeouts::NEVER };
    check_eq!(call_with(gate, 2, short), Err(received(ErrorNumber::Timeout)));
    check_eq!(compare(&mine), SAME);
    check!(ctx.wait_until(|| board::get(31) != 0));
    check_eq!(board::get(31), SAME, "the orphan's registers");
    check_eq!(compare(&mine), SAME);
    Ok(())
}

/// Works with its registers for longer than a time slice.
fn work(message: Delivery) -> Answer {
    mark(message.words[0]);
    spin(12_000_000);
    one(marked())
}

fn x24_two_contexts_are_preempted(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 3, work)?;
    let gate = server.gate(ctx, 0)?;
    let caller = |argument| {
        mark(argument);
        let gate = Gate::new(postern_tests::syscall::Slot::new(argument as u32));
        let answered = call(gate, argument << 8).unwrap_or(1);
        u64::from(answered == argument << 8 && marked() == argument)
    };
    let callers = [ctx.spawn(caller, gate.slot().word())?, ctx.spawn(caller, gate.slot().word())?];
    mark(77);
    check_eq!(call(gate, 1234)?, 1234);
    for caller in callers {
        check_eq!(caller.join()?, 1);
    }
    check_eq!(marked(), 77);
    Ok(())
}

fn x24_a_context_keeps_its_place(ctx: &Ctx) -> Verdict {
    // The third one stays, and with it the page tables of all.
    let server = Server::new(ctx, 3, look_and_leave)?;
    let gate = server.gate(ctx, 0)?;
    let before = ctx.charged()?;
    for _ in 0..10 {
        call(gate, 1)?;
        check_eq!(ctx.charged()?, before + PAGE, "the one context that was used");
    }
    let mut given_back = [0; 2];
    // The context that was added first is the front one, which is used first.
    for (bytes, number) in given_back.iter_mut().zip(server.contexts.iter()) {
        let charged = ctx.charged()?;
        server.entry.remove_context(*number)?;
        *bytes = charged - ctx.charged()?;
    }
    check_eq!(given_back[0], given_back[1] + PAGE);
    Ok(())
}
