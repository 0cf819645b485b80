//! The pool of contexts: idle ones, none, limits, stacks.

use alloc::vec::Vec;

use postern_tests::syscall::abi::op::entry::ContextState;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Capability, ErrorCode, ErrorNumber, Timeouts};
use postern_tests::{Ctx, Partner, Verdict, board, check, check_eq, op, received, sent, tests};

use crate::obey::{REACHED, ask, ask_within, asks, command, obey, order};
use crate::server::Server;

tests! {
    x14_one_caller_more_than_contexts,
    x14_waiting_callers_cross_by_priority_then_arrival,
    x14_recursion_through_two_servers,
    x14_recursion_without_a_context_is_an_error_and_no_hang,
    x14_a_stack_overflow_hits_the_guard_page,
    x14_a_context_that_is_added_lets_a_waiting_caller_in,
    x14_removing_one_of_many_contexts = 60,
    x15_a_hog_leaves_room_for_others,
    x15_the_limit_counts_orphans_and_quarantined_contexts,
    x15_callers_beyond_the_limit_take_their_turn,
    l14_two_servers_contexts_serve_two_clients_at_once,
    l04_callers_of_an_unbound_gate_cross_when_it_is_bound,
}

/// The word of the board that lets handlers go on that await it.
const GO: u64 = 30;

/// `Timeout` in the send phase, with what was missing.
const fn full(argument: u8) -> ErrorCode {
    ErrorCode { argument, ..sent(ErrorNumber::Timeout) }
}

/// A partner that is in the server until [`GO`].
#[track_caller]
fn inside(ctx: &Ctx, server: &Server, limit: u64) -> Result<Partner, postern_tests::Failure> {
    let before = server.entry.info()?.active;
    let gate = server.limited(ctx, 0, limit)?;
    let partner = ctx.spawn(asks, order(gate, command::AWAIT, GO))?;
    check!(ctx.wait_until(|| server.entry.info().is_ok_and(|info| info.active > before)));
    Ok(partner)
}

fn x14_one_caller_more_than_contexts(ctx: &Ctx) -> Verdict {
    const MAX: u64 = 4;
    let server = Server::new(ctx, MAX, obey)?;
    let gate = server.gate(ctx, 0)?;
    let busy: Vec<Partner> = (0..MAX).map(|_| inside(ctx, &server, 0)).collect::<Result<_, _>>()?;
    let mut within = Timeouts::ZERO;
    check_eq!(ask_within(gate, [0; 4], within), Err(full(ErrorCode::NO_CONTEXT)), "busy at once");
    within.send = postern_tests::syscall::Timeout::from_ns(200_000);
    check_eq!(ask_within(gate, [0; 4], within), Err(full(ErrorCode::NO_CONTEXT)), "after a wait");
    // One that waits for ever gets in when a context is free.
    let late = ctx.spawn(asks, order(gate, command::ECHO, 0))?;
    late.await_state(ctx, ThreadState::Sending)?;
    check_eq!(server.entry.info()?.waiting, 1);
    board::set(GO as usize, 1);
    check_eq!(late.join()?, 0);
    for partner in busy {
        check_eq!(partner.join()?, 0);
    }
    let info = server.entry.info()?;
    check_eq!((info.free, info.waiting), (MAX, 0));
    Ok(())
}

fn x14_waiting_callers_cross_by_priority_then_arrival(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, |message| {
        board::push(40, message.words[1]);
        crate::obey::obey(message)
    })?;
    let busy = inside(ctx, &server, 0)?;
    let gate = server.gate(ctx, 0)?;
    let mut waiting = Vec::new();
    for (number, priority) in [(1, 50), (2, 60), (3, 50), (4, 60)] {
        let partner = ctx.spawn_at(priority, asks, order(gate, command::ECHO, number))?;
        partner.await_state(ctx, ThreadState::Sending)?;
        waiting.push(partner);
    }
    board::set(GO as usize, 1);
    for partner in &waiting {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(busy.join()?, 0);
    check_eq!(board::entries::<5>(40), [GO, 2, 4, 1, 3]);
    Ok(())
}

fn x14_recursion_through_two_servers(ctx: &Ctx) -> Verdict {
    let mut a = Server::new(ctx, 3, obey)?;
    let mut b = Server::new(ctx, 2, obey)?;
    let (to_a, to_b) = (a.gate(ctx, 0)?, b.gate(ctx, 0)?);
    a.give(to_b)?;
    b.give(to_a)?;
    // A, B, A, B, A: each has as many contexts as it is in at once.
    check_eq!(ask(to_a, [command::CHAIN, 4, 0, 0])?, 4);
    check_eq!((a.entry.info()?.free, b.entry.info()?.free), (3, 2));
    Ok(())
}

fn x14_recursion_without_a_context_is_an_error_and_no_hang(ctx: &Ctx) -> Verdict {
    let mut a = Server::new(ctx, 1, obey)?;
    let mut b = Server::new(ctx, 1, obey)?;
    let (to_a, to_b) = (a.gate(ctx, 0)?, b.gate(ctx, 0)?);
    a.give(to_b)?;
    b.give(to_a)?;
    // B waits for a context of A, which waits for B: a deadline ends it.
    let mut within = Timeouts::NEVER;
    within.receive = postern_tests::syscall::Timeout::from_ns(2_000_000);
    let ended = ask_within(to_a, [command::CHAIN, 2, 0, 0], within);
    check_eq!(ended, Err(received(ErrorNumber::Timeout)));
    // Both are quarantined when the grace time has passed, and are usable
    // again when they are reset.
    let both = || [&a, &b].map(|it| it.entry.info().map_or(0, |info| info.quarantined));
    check!(ctx.wait_until(|| both() == [1, 1]), "quarantined: {:?}", both());
    for server in [&a, &b] {
        server.entry.reset_context(server.contexts[0], None)?;
    }
    check_eq!(ask(to_a, [command::CHAIN, 1, 0, 0])?, 1);
    Ok(())
}

fn x14_a_stack_overflow_hits_the_guard_page(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 2, obey)?;
    let told = ctx.notification()?;
    server.entry.bind_notification(told, 8)?;
    let gate = server.gate(ctx, 0)?;
    let over = ask(gate, [command::OVERFLOW, 0, 0, 0]);
    check_eq!(over, Err(received(ErrorNumber::Aborted)));
    check_eq!(told.poll()?, 8, "the owner is told");
    let info = server.entry.info()?;
    check_eq!((info.free, info.quarantined), (1, 1));
    check_eq!(ask(gate, [command::ECHO, 6, 0, 0])?, 6, "the other context works on");
    let lost = server.contexts.iter().find(|number| {
        server.entry.context(**number).is_ok_and(|it| it.state == Some(ContextState::Quarantined))
    });
    let Some(lost) = lost else { postern_tests::fail!("no context is quarantined") };
    server.entry.remove_context(*lost)?;
    check_eq!(server.entry.info()?.contexts, 1);
    Ok(())
}

fn x14_a_context_that_is_added_lets_a_waiting_caller_in(ctx: &Ctx) -> Verdict {
    let mut server = Server::new(ctx, 0, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn(asks, order(gate, command::ECHO, 1))?;
    partner.await_state(ctx, ThreadState::Sending)?;
    let stack = server.stack(ctx, obey)?;
    server.entry.add_context(stack)?;
    check_eq!(partner.join()?, 0);
    Ok(())
}

fn x14_removing_one_of_many_contexts(ctx: &Ctx) -> Verdict {
    // As many as an entry can have. The runner measures how long each removal
    // keeps interrupts away: the first one added is the last free one.
    let server = Server::new(ctx, 0, obey)?;
    let mut numbers = Vec::new();
    let mut stack = 0x1_0000;
    let refused = loop {
        match server.entry.add_context(stack) {
            Ok(added) => numbers.push(added.number),
            Err(error) => break error,
        }
        stack += 0x1000;
    };
    check_eq!((numbers.len(), refused), (512, op(ErrorNumber::NoMem, 3)));
    for number in [numbers[0], numbers[1], numbers[256], numbers[511]] {
        server.entry.remove_context(number)?;
    }
    let info = server.entry.info()?;
    check_eq!((info.contexts, info.free), (508, 508));
    Ok(())
}

fn x15_a_hog_leaves_room_for_others(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 4, obey)?;
    // The hog calls without end, from many threads, and gives up at once: each
    // call leaves an orphan that does not finish.
    let hog = server.limited(ctx, 0x40, 3)?;
    let honest = server.limited(ctx, 0x80, 1)?;
    let mut tiny = Timeouts::ZERO;
    tiny.receive = postern_tests::syscall::Timeout::from_ns(1_000);
    for _ in 0..100 {
        let drained = ask_within(hog, [command::AWAIT, GO, 0, 0], tiny);
        check!(
            drained == Err(received(ErrorNumber::Timeout))
                || drained == Err(full(ErrorCode::LIMIT)),
            "{drained:?}"
        );
        check_eq!(ask(honest, [command::ECHO, 7, 0, 0])?, 7);
    }
    check_eq!(hog.info()?.in_use, 3);
    check_eq!(honest.info()?.in_use, 0);
    board::set(GO as usize, 1);
    Ok(())
}

fn x15_the_limit_counts_orphans_and_quarantined_contexts(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 4, obey)?;
    let gate = server.limited(ctx, 0, 2)?;
    check_eq!(ask(gate, [command::EXIT, 0, 0, 0]), Err(received(ErrorNumber::Aborted)));
    check_eq!(gate.info()?.in_use, 1, "quarantined");
    let late = Timeouts { receive: Timeouts::ZERO.receive, ..Timeouts::NEVER };
    let orphan = ask_within(gate, [command::AWAIT, GO, 0, 0], late);
    check_eq!(orphan, Err(received(ErrorNumber::Timeout)));
    check_eq!(gate.info()?.in_use, 2, "and orphaned");
    check_eq!(ask_within(gate, [0; 4], Timeouts::ZERO), Err(full(ErrorCode::LIMIT)));
    board::set(GO as usize, 1);
    check!(ctx.wait_until(|| gate.info().is_ok_and(|info| info.in_use == 1)), "it finished");
    check_eq!(ask(gate, [command::ECHO, 1, 0, 0])?, 1);
    let quarantined = server.contexts.iter().find(|number| {
        server.entry.context(**number).is_ok_and(|it| it.state == Some(ContextState::Quarantined))
    });
    let Some(number) = quarantined else { postern_tests::fail!("no context is quarantined") };
    server.entry.reset_context(*number, None)?;
    check_eq!(gate.info()?.in_use, 0);
    Ok(())
}

fn x15_callers_beyond_the_limit_take_their_turn(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 3, obey)?;
    let gate = server.limited(ctx, 0, 1)?;
    let partners: Vec<Partner> = (0..5)
        .map(|_| ctx.spawn(asks, order(gate, command::SLEEP, 100_000)))
        .collect::<Result<_, _>>()?;
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(gate.info()?.in_use, 0);
    Ok(())
}

fn l14_two_servers_contexts_serve_two_clients_at_once(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 2, |message| {
        // Each goes on only when both are inside.
        board::add(50, 1);
        while board::get(50) < 2 {
            postern_tests::syscall::control::yield_now();
        }
        crate::obey::obey(message)
    })?;
    let gate = server.gate(ctx, 0)?;
    let partners =
        [ctx.spawn(asks, order(gate, command::ECHO, 0))?, ctx.spawn(asks, order(gate, 0, 1))?];
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    Ok(())
}

fn l04_callers_of_an_unbound_gate_cross_when_it_is_bound(ctx: &Ctx) -> Verdict {
    let mut server = Server::new(ctx, 1, obey)?;
    let gate = ctx.unbound()?;
    let partners: Vec<Partner> = (0..5)
        .map(|_| ctx.spawn(asks, order(gate, command::CHAIN, 0)))
        .collect::<Result<_, _>>()?;
    for partner in &partners {
        partner.await_state(ctx, ThreadState::Sending)?;
    }
    gate.bind_entry(server.entry, 0x40, 0)?;
    for partner in &partners {
        check_eq!(partner.join()?, 0);
    }
    check_eq!(board::get(REACHED), 5);
    // Unbound again, and destroyed while somebody waits.
    gate.unbind()?;
    let partner = ctx.spawn(asks, order(gate, command::CHAIN, 0))?;
    partner.await_state(ctx, ThreadState::Sending)?;
    server.give(gate)?;
    ctx.task.destroy(gate.slot())?;
    check_eq!(partner.join()?, sent(ErrorNumber::NotExistent).encode());
    Ok(())
}
