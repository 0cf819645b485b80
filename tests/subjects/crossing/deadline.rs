//! Time: deadlines of callers, orphans, grace, quarantine, cancels.

use postern_tests::syscall::abi::op::entry::ContextState;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{ErrorNumber, Gate, Timeout, Timeouts, control};
use postern_tests::{Ctx, Verdict, board, check, check_eq, peer, received, tell, tests};

use crate::obey::{REACHED, ask, ask_within, asks, command, obey, order};
use crate::server::{GRACE, Server};

tests! {
    x22_a_callee_that_never_returns,
    x22_an_orphan_that_finishes_is_free_again,
    x22_the_inner_deadline_first,
    x22_the_outer_deadline_first,
    x22_cancelling_a_caller_leaves_an_orphan,
    x22_an_orphan_runs_at_the_floor,
    x22_an_orphan_that_waits_is_quarantined_too,
    x22_no_grace_at_all,
}

/// The word of the board that spinning handlers count up.
const COUNTER: u64 = 31;

fn within(nanoseconds: u64) -> Timeouts {
    Timeouts { receive: Timeout::from_ns(nanoseconds), ..Timeouts::NEVER }
}

fn x22_a_callee_that_never_returns(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let told = ctx.notification()?;
    server.entry.bind_notification(told, 2)?;
    let gate = server.gate(ctx, 0)?;
    let started = control::clock();
    let late = ask_within(gate, [command::SPIN, COUNTER, 0, 0], within(1_000_000));
    check_eq!(late, Err(received(ErrorNumber::Timeout)));
    let waited = control::clock() - started;
    check!(waited < GRACE / 2, "the caller waited {waited} ns, not only for its deadline");
    let number = server.contexts[0];
    check_eq!(server.entry.context(number)?.state, Some(ContextState::Orphaned));
    check_eq!(told.poll()?, 0);
    // The orphan spins on, for its grace time and no longer.
    check!(ctx.wait_until(|| server.entry.info().is_ok_and(|info| info.quarantined == 1)));
    let waited = control::clock() - started;
    check!(waited >= GRACE, "it had {waited} ns only");
    check_eq!(told.poll()?, 2, "the owner is told");
    let counted = board::get(COUNTER as usize);
    control::sleep_until(control::clock() + 1_000_000)?;
    check_eq!(board::get(COUNTER as usize), counted, "it does not run any more");
    // It is not used until it is reset.
    check!(ask_within(gate, [0; 4], Timeouts::ZERO).is_err());
    server.entry.reset_context(number, None)?;
    check_eq!(ask(gate, [command::ECHO, 5, 0, 0])?, 5);
    Ok(())
}

fn x22_an_orphan_that_finishes_is_free_again(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let late = ask_within(gate, [command::SLEEP, 3_000_000, 0, 0], within(1_000_000));
    check_eq!(late, Err(received(ErrorNumber::Timeout)));
    check_eq!(server.entry.info()?.orphaned, 1);
    // Whoever comes next waits for it; nothing of the late answer reaches it.
    check_eq!(ask(gate, [command::ECHO, 8, 0, 0])?, 8);
    let info = server.entry.info()?;
    check_eq!((info.free, info.quarantined), (1, 0));
    Ok(())
}

/// Calls given capability 0 with a deadline of its own; what came of it.
fn impatient(
    message: postern_tests::syscall::Delivery,
) -> postern_tests::runtime::crossing::Answer {
    let [nanoseconds, sleeps, ..] = message.words;
    let inner =
        ask_within(Gate::new(peer::given(0)), [command::SLEEP, sleeps, 0, 0], within(nanoseconds));
    board::set(REACHED, 1);
    crate::server::one(tell(inner))
}

fn x22_the_inner_deadline_first(ctx: &Ctx) -> Verdict {
    let inner = Server::new(ctx, 1, obey)?;
    let mut outer = Server::new(ctx, 1, impatient)?;
    outer.give(inner.gate(ctx, 0)?)?;
    let gate = outer.gate(ctx, 0)?;
    let told = ask_within(gate, [1_000_000, 5_000_000, 0, 0], within(100_000_000))?;
    check_eq!(told, received(ErrorNumber::Timeout).encode(), "the middle was told");
    check!(ctx.wait_until(|| inner.entry.info().is_ok_and(|info| info.free == 1)));
    check_eq!(outer.entry.info()?.free, 1);
    Ok(())
}

fn x22_the_outer_deadline_first(ctx: &Ctx) -> Verdict {
    let inner = Server::new(ctx, 1, obey)?;
    let mut outer = Server::new(ctx, 1, impatient)?;
    outer.give(inner.gate(ctx, 0)?)?;
    let gate = outer.gate(ctx, 0)?;
    let late = ask_within(gate, [100_000_000, 5_000_000, 0, 0], within(1_000_000));
    check_eq!(late, Err(received(ErrorNumber::Timeout)));
    // The middle is an orphan and goes on; what it has crossed into goes on for
    // it.
    check_eq!((outer.entry.info()?.orphaned, inner.entry.info()?.active), (1, 1));
    check!(ctx.wait_until(|| outer.entry.info().is_ok_and(|info| info.free == 1)));
    check_eq!((board::get(REACHED), inner.entry.info()?.free), (1, 1));
    Ok(())
}

fn x22_cancelling_a_caller_leaves_an_orphan(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn(asks, order(gate, command::SLEEP, 5_000_000))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    partner.thread().cancel()?;
    check_eq!(partner.join()?, received(ErrorNumber::Cancelled).encode());
    check_eq!(server.entry.info()?.orphaned, 1);
    check!(ctx.wait_until(|| server.entry.info().is_ok_and(|info| info.free == 1)));
    Ok(())
}

fn x22_an_orphan_runs_at_the_floor(ctx: &Ctx) -> Verdict {
    let server = Server::with_grace(ctx, 1, obey, 1_000_000_000)?;
    let gate = server.gate(ctx, 0)?;
    let late = ask_within(gate, [command::SPIN, COUNTER, 0, 0], within(1_000_000));
    check_eq!(late, Err(received(ErrorNumber::Timeout)));
    let counted = board::get(COUNTER as usize);
    // This thread is more urgent than the floor: the orphan does not run while
    // it does.
    let until = control::clock() + 30_000_000;
    while control::clock() < until {}
    check_eq!(board::get(COUNTER as usize), counted);
    control::sleep_until(control::clock() + 1_000_000)?;
    check!(board::get(COUNTER as usize) > counted, "it runs when nobody else does");
    Ok(())
}

fn x22_an_orphan_that_waits_is_quarantined_too(ctx: &Ctx) -> Verdict {
    let mut server = Server::with_grace(ctx, 1, obey, 2_000_000)?;
    // Nobody is bound to it: the handler waits at a gate for ever.
    let nobody = server.give(ctx.unbound()?)?;
    let gate = server.gate(ctx, 0)?;
    let late = ask_within(gate, [command::CALL, nobody.word(), 0, 0], within(1_000_000));
    check_eq!(late, Err(received(ErrorNumber::Timeout)));
    check!(ctx.wait_until(|| server.entry.info().is_ok_and(|info| info.quarantined == 1)));
    server.entry.reset_context(server.contexts[0], None)?;
    check_eq!(ask(gate, [command::ECHO, 3, 0, 0])?, 3);
    Ok(())
}

fn x22_no_grace_at_all(ctx: &Ctx) -> Verdict {
    let server = Server::with_grace(ctx, 1, obey, 0)?;
    let gate = server.gate(ctx, 0)?;
    let late = ask_within(gate, [command::SPIN, COUNTER, 0, 0], within(1_000_000));
    check_eq!(late, Err(received(ErrorNumber::Timeout)));
    check!(ctx.wait_until(|| server.entry.info().is_ok_and(|info| info.quarantined == 1)));
    Ok(())
}
