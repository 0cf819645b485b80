//! Loans end with the right to answer (X23, X32): whatever happens to the
//! lender and to the segment, the server goes on reading; afterwards everything
//! is accounted for.

use postern_tests::bare::memory::read;
use postern_tests::runtime::slots;
use postern_tests::syscall::abi::op::relay::Owner;
use postern_tests::syscall::abi::{ErrorCode, PAGE};
use postern_tests::syscall::window::{self, ADDRESS};
use postern_tests::syscall::{
    Capability, ErrorNumber, Factory, Item, Phase, Relay, Slot, Timeout, Timeouts, ipc,
};
use postern_tests::{Ctx, Partner, Verdict, board, check, check_eq, op, peer, received, tests};

use crate::server::{BEGUN, FOUR, LENT, ROUNDS, STOP, Server, WAYS, Way, ask, fill, segment};

tests! {
    x23_a_dead_server_gives_back,
    x23_a_dead_lender_leaks_nothing,
    x32_the_lender_times_out,
    x32_the_lender_is_cancelled,
    x32_the_lender_dies,
    x32_the_segment_is_deleted,
    x32_the_segment_is_deleted_and_comes_back,
    x32_the_capability_is_revoked,
    x32_the_factory_is_emptied,
    x32_the_lenders_task_is_destroyed,
    x32_lent_on_and_not_back,
}

const BYTES: u64 = 8 * PAGE;

/// A body of a helper: activates the segment, lends it to a reader; its exit
/// code is the number of the error, or 0. Bits 32: with a timeout.
fn lender(argument: u64) -> u64 {
    lend(
        Slot::new(argument as u32 & 0xffff),
        Slot::new((argument >> 16) as u32 & 0xffff),
        argument >> 32 & 1 == 1,
    )
}

/// The same in a peer, which was given gate and segment.
fn peer_lender(_: u64) -> u64 {
    lend(peer::given(1), peer::given(0), false)
}

fn lend(relay: Slot, gate: Slot, limited: bool) -> u64 {
    if Relay::new(relay).activate().is_err() {
        return 1;
    }
    fill(ADDRESS, BYTES, 3);
    let timeout = if limited { Timeout::from_ns(2_000_000) } else { Timeout::NEVER };
    let words = [ask::READ_ALL_UNTIL, ADDRESS, BYTES, 0];
    match ipc::call(gate, LENT, words, Timeouts::receive(timeout)) {
        Ok(_) => 0,
        // Without the segment.
        Err(_) if window::shown().map_or(1, |it| it.bytes) != 0 => 2,
        Err(error) => error.encode(),
    }
}

/// A story: a lender lends to a reader, something happens, the reader goes on,
/// and ends in the end.
struct Story {
    server: Server,
    lender: Partner,
    factory: Factory,
    relay: Relay,
    charged: u64,
}

impl Story {
    #[track_caller]
    fn begin(ctx: &Ctx, way: Way, flags: u64) -> Result<Self, postern_tests::Failure> {
        let server = Server::new(ctx, way)?;
        let factory = ctx.sub_factory(64 * PAGE)?;
        let charged = factory.info()?.charged;
        let relay = factory.create_relay(ctx.slot()?, BYTES, false)?;
        [BEGUN, STOP, ROUNDS].into_iter().for_each(|word| board::set(word, 0));
        let argument = relay.slot().word() | server.gate.slot().word() << 16 | flags << 32;
        let lender = if flags & 2 == 0 {
            ctx.spawn(lender, argument)?
        } else {
            let mut lender = ctx.peer()?;
            lender.give(Item::all(server.gate.slot()))?;
            lender.give(Item::all(relay.slot()))?;
            lender.start(peer_lender, 0)?;
            lender
        };
        check!(ctx.wait_until(|| board::get(BEGUN) == 1), "the reader did not begin");
        Ok(Self { server, lender, factory, relay, charged })
    }

    /// The reader goes on, and the segment stays charged.
    #[track_caller]
    fn goes_on(&self, ctx: &Ctx) -> Verdict {
        let rounds = board::get(ROUNDS);
        check!(ctx.wait_until(|| board::get(ROUNDS) > rounds + 2), "the reader does not go on");
        check!(self.factory.info()?.charged >= self.charged + BYTES, "it is not charged any more");
        Ok(())
    }

    /// The reader is done, and alive.
    #[track_caller]
    fn end(&self, ctx: &Ctx) -> Verdict {
        board::set(STOP, 1);
        let shown = self.server.call(FOUR, [ask::SHOWN, 0, 0, 0], Timeouts::NEVER)?;
        check_eq!(shown[..2], [0, 0]);
        let _ = ctx;
        Ok(())
    }

    /// The segment is there, and nobody's.
    #[track_caller]
    fn is_idle(&self, ctx: &Ctx) -> Verdict {
        let idle = || self.relay.info().is_ok_and(|it| it.owner == Some(Owner::Idle));
        check!(ctx.wait_until(idle), "it is {:?}", self.relay.info());
        self.relay.activate()?;
        check_eq!(read(ADDRESS), 3);
        window::release()?;
        ctx.task.destroy(self.relay.slot())?;
        self.is_gone(ctx)
    }

    /// The segment is gone, and nothing is charged for it.
    #[track_caller]
    fn is_gone(&self, ctx: &Ctx) -> Verdict {
        let gone = || self.factory.info().is_ok_and(|it| it.charged == self.charged);
        check!(ctx.wait_until(gone), "{:?} charged, {} before", self.factory.info(), self.charged);
        Ok(())
    }
}

fn code(number: ErrorNumber) -> u64 {
    received(number).encode()
}

fn x32_the_lender_times_out(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let story = Story::begin(ctx, way, 1)?;
        check_eq!(story.lender.join()?, code(ErrorNumber::Timeout));
        check_eq!(story.relay.info()?.owner, Some(Owner::Outstanding));
        check_eq!(story.relay.activate(), Err(op(ErrorNumber::Lent, 0)));
        story.goes_on(ctx)?;
        story.end(ctx)?;
        story.is_idle(ctx)?;
    }
    Ok(())
}

fn x32_the_lender_is_cancelled(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let story = Story::begin(ctx, way, 0)?;
        story.lender.thread().cancel()?;
        check_eq!(story.lender.join()?, code(ErrorNumber::Cancelled));
        check_eq!(story.relay.info()?.owner, Some(Owner::Outstanding));
        story.goes_on(ctx)?;
        story.end(ctx)?;
        story.is_idle(ctx)?;
    }
    Ok(())
}

fn x32_the_lender_dies(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let story = Story::begin(ctx, way, 0)?;
        ctx.task.destroy(story.lender.thread().slot())?;
        check_eq!(story.relay.info()?.owner, Some(Owner::Outstanding));
        story.goes_on(ctx)?;
        story.end(ctx)?;
        story.is_idle(ctx)?;
    }
    Ok(())
}

fn x32_the_segment_is_deleted(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let story = Story::begin(ctx, way, 1)?;
        // At once: nobody waits for the borrower.
        ctx.task.destroy(story.relay.slot())?;
        check_eq!(story.relay.info().map(drop), Err(postern_tests::sent(ErrorNumber::NotExistent)));
        check_eq!(story.lender.join()?, code(ErrorNumber::Timeout));
        story.goes_on(ctx)?;
        story.end(ctx)?;
        story.is_gone(ctx)?;
    }
    Ok(())
}

fn x32_the_segment_is_deleted_and_comes_back(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let story = Story::begin(ctx, way, 0)?;
        ctx.task.destroy(story.relay.slot())?;
        story.goes_on(ctx)?;
        board::set(STOP, 1);
        // The lender has its answer; the segment went on its way back.
        check_eq!(story.lender.join()?, 0);
        story.is_gone(ctx)?;
    }
    Ok(())
}

fn x32_the_capability_is_revoked(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let story = Story::begin(ctx, way, 2)?;
        ctx.task.revoke(story.relay.slot())?;
        story.goes_on(ctx)?;
        story.end(ctx)?;
        check_eq!(story.lender.join()?, 0);
        story.is_idle(ctx)?;
    }
    Ok(())
}

fn x32_the_factory_is_emptied(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let story = Story::begin(ctx, way, 1)?;
        story.factory.empty()?;
        story.goes_on(ctx)?;
        check_eq!(story.lender.join()?, code(ErrorNumber::Timeout));
        story.goes_on(ctx)?;
        story.end(ctx)?;
        story.is_gone(ctx)?;
    }
    Ok(())
}

fn x32_the_lenders_task_is_destroyed(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let story = Story::begin(ctx, way, 2)?;
        let Some(task) = story.lender.task() else { postern_tests::fail!("a peer has a task") };
        ctx.task.destroy(task.slot())?;
        story.goes_on(ctx)?;
        check_eq!(story.relay.info()?.owner, Some(Owner::Outstanding));
        story.end(ctx)?;
        story.is_idle(ctx)?;
    }
    Ok(())
}

fn x32_lent_on_and_not_back(ctx: &Ctx) -> Verdict {
    let argument = ErrorCode::SEGMENT;
    let still = ErrorCode { number: ErrorNumber::Lent, phase: Phase::Send, argument };
    // A thread in the middle gives up waiting: it cannot answer, for what it
    // must give back is not there.
    [BEGUN, STOP, ROUNDS].into_iter().for_each(|word| board::set(word, 0));
    let inner = Server::new(ctx, Way::Entry)?;
    let mut middle = Server::idle(ctx, Way::Thread)?;
    middle.give(inner.gate)?;
    middle.start()?;
    let relay = segment(ctx, BYTES, 3)?;
    let words = [ask::FORWARD_AND_GIVE_UP, ADDRESS, BYTES, 1_000_000];
    let answer = middle.call(LENT, words, Timeouts::receive(Timeout::from_ns(20_000_000)));
    check_eq!(answer, Err(received(ErrorNumber::Timeout)));
    check_eq!(relay.info()?.owner, Some(Owner::Outstanding));
    check_eq!(board::entries::<1>(crate::server::ERRORS), [still.encode()]);
    let rounds = board::get(ROUNDS);
    check!(ctx.wait_until(|| board::get(ROUNDS) > rounds + 2));
    board::set(STOP, 1);
    // It comes back to the one in the middle, and is nobody's when that has
    // another call to answer.
    let Some(entry) = inner.entry else { postern_tests::fail!("it has an entry") };
    check!(ctx.wait_until(|| entry.info().is_ok_and(|it| it.free == it.contexts)));
    check_eq!(relay.info()?.owner, Some(Owner::Outstanding));
    middle.call(FOUR, [ask::SHOWN, 0, 0, 0], Timeouts::NEVER)?;
    check_eq!(relay.info()?.owner, Some(Owner::Idle));
    Ok(())
}

fn x23_a_dead_server_gives_back(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let server = Server::new(ctx, way)?;
        let relay = segment(ctx, PAGE, 8)?;
        check_eq!(server.lend([ask::EXIT, 0, 0, 0]), Err(received(ErrorNumber::Aborted)));
        check_eq!((window::shown()?.bytes, read(ADDRESS)), (PAGE, 8));
        check_eq!(relay.info()?.owner, Some(Owner::Active));
        window::release()?;
        ctx.task.destroy(relay.slot())?;
        // Killed from outside, with its task.
        let story = Story::begin(ctx, way, 0)?;
        let Some(task) = story.server.partner.task() else {
            postern_tests::fail!("a peer has a task")
        };
        ctx.task.destroy(task.slot())?;
        // The error, and the segment (2: it is in the window).
        check_eq!(story.lender.join()?, 2);
        story.is_idle(ctx)?;
    }
    Ok(())
}

fn x23_a_dead_lender_leaks_nothing(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        for round in 0..10 {
            let before = ctx.charged()?;
            let story = Story::begin(ctx, way, 2)?;
            // The segment goes with its last capability, some of them while
            // it is lent.
            let Some(task) = story.lender.task() else { postern_tests::fail!("a peer has a task") };
            if round % 2 == 0 {
                ctx.task.delete(story.relay.slot())?;
                ctx.task.destroy(task.slot())?;
            } else {
                ctx.task.destroy(task.slot())?;
                ctx.task.delete(story.relay.slot())?;
            }
            story.end(ctx)?;
            story.is_gone(ctx)?;
            ctx.task.destroy(story.factory.slot())?;
            slots::release(story.factory.slot());
            slots::release(story.relay.slot());
            drop(story);
            let after = ctx.charged()?;
            check!(after <= before + 2 * PAGE, "{} bytes stay charged", after - before);
        }
    }
    Ok(())
}
