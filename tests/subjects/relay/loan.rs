//! Saved rights to answer carry what was lent (DESIGN section 6).

use postern_tests::bare::memory::read;
use postern_tests::runtime::own;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::relay::Owner;
use postern_tests::syscall::window::{self, ADDRESS};
use postern_tests::syscall::{
    Capability, ErrorNumber, Relay, Slot, Timeout, Timeouts, control, ipc,
};
use postern_tests::{Ctx, Verdict, check, check_eq, op, peer, received, tests};

use crate::server::{FOUR, LENT, Server, Way, ask, segment};

tests! {
    x32_saved_and_taken_up_again,
    x32_saved_and_answered,
    x32_saved_and_the_caller_gives_up,
    x32_take_reply_refusals,
}

/// A body: lends a marked segment with a request to save the right to answer;
/// `argument`: slots, and how it is to be answered. Its exit code: what came
/// back.
fn saver(argument: u64) -> u64 {
    let relay = Relay::new(Slot::new(argument as u32 & 0xffff));
    let gate = Slot::new((argument >> 16) as u32 & 0xffff);
    if relay.activate().is_err() {
        return 1;
    }
    postern_tests::bare::memory::write(ADDRESS, 71);
    let how = argument >> 32 & 1;
    let receive =
        if argument >> 33 & 1 == 1 { Timeout::from_ns(3_000_000) } else { Timeout::NEVER };
    let timeouts = Timeouts::receive(receive);
    let bytes = || window::shown().map_or(1, |it| it.bytes);
    match ipc::call(gate, LENT, [ask::SAVE, how, 0, 0], timeouts) {
        Ok(answer) if answer.tag.has_relay() => {
            let [empty, taken, shown, word] = answer.words;
            let right = how == 1 || (taken, shown, word) == (0, PAGE, 71);
            if empty == 0 && right && bytes() == PAGE && read(ADDRESS) == 71 { 0 } else { 2 }
        }
        Ok(_) => 3,
        Err(error) if error == received(ErrorNumber::Timeout) => 100 + bytes(),
        Err(_) => 4,
    }
}

fn with_saver(ctx: &Ctx, flags: u64, expected: u64) -> Verdict {
    let server = Server::new(ctx, Way::Thread)?;
    let relay = ctx.factory.create_relay(ctx.slot()?, PAGE, false)?;
    let argument = relay.slot().word() | server.gate.slot().word() << 16 | flags << 32;
    let caller = ctx.spawn(saver, argument)?;
    let lent = || relay.info().is_ok_and(|it| it.owner == Some(Owner::Lent));
    check!(ctx.wait_until(lent));
    if flags & 2 != 0 {
        // It gives up: nobody sees the segment, so it is idle at once.
        check_eq!(caller.join()?, expected);
        check_eq!(relay.info()?.owner, Some(Owner::Idle));
    }
    // The server handles another call meanwhile, and sees nothing then.
    let shown = server.call(FOUR, [ask::SHOWN, 0, 0, 0], Timeouts::NEVER)?;
    check_eq!(shown[..2], [0, 0]);
    if flags & 2 == 0 {
        check_eq!(caller.join()?, expected);
    }
    check_eq!(relay.info()?.owner, Some(Owner::Idle));
    Ok(())
}

fn x32_saved_and_taken_up_again(ctx: &Ctx) -> Verdict {
    with_saver(ctx, 0, 0)
}

fn x32_saved_and_answered(ctx: &Ctx) -> Verdict {
    with_saver(ctx, 1, 0)
}

fn x32_saved_and_the_caller_gives_up(ctx: &Ctx) -> Verdict {
    with_saver(ctx, 2, 100)
}

/// A body: drops the saved right of the first call; takes the second up twice.
fn dropper(_: u64) -> u64 {
    let never = Timeout::NEVER;
    let Ok(task) = own::task() else { return 1 };
    if ipc::receive(never).is_err() || control::save_reply(peer::free(0)).is_err() {
        return 2;
    }
    if task.delete(peer::free(0)).is_err() || window::shown().map_or(1, |it| it.bytes) != 0 {
        return 3;
    }
    if ipc::receive(never).is_err() || control::save_reply(peer::free(1)).is_err() {
        return 4;
    }
    if window::take_reply(peer::free(1)).is_err() {
        return 5;
    }
    let again = window::take_reply(peer::free(1));
    if again != Err(op(ErrorNumber::NotExistent, 1)) {
        return 6;
    }
    u64::from(ipc::reply(0, FOUR, [1; 4]).is_err()) * 7
}

fn x32_take_reply_refusals(ctx: &Ctx) -> Verdict {
    check_eq!(window::take_reply(ctx.slot()?), Err(op(ErrorNumber::NotExistent, 1)));
    let relay = segment(ctx, PAGE, 3)?;
    check_eq!(window::take_reply(relay.slot()), Err(op(ErrorNumber::WrongKind, 1)));
    let mut partner = ctx.peer()?;
    let gate = ctx.gate_to(partner.thread(), 0x40)?;
    partner.start(dropper, 0)?;
    let dropped = ipc::call(gate.slot(), LENT, [0; 4], Timeouts::NEVER);
    let mut expected = received(ErrorNumber::Aborted);
    expected.argument = 1;
    check_eq!(dropped.map(drop), Err(expected));
    // It is back with the error.
    check_eq!((window::shown()?.bytes, read(ADDRESS)), (PAGE, 3));
    let answer = ipc::call(gate.slot(), LENT, [0; 4], Timeouts::NEVER)?;
    check_eq!((answer.words[0], read(ADDRESS)), (1, 3));
    check_eq!(partner.join()?, 0);
    Ok(())
}
