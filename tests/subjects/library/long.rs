//! Messages of any length (X28): every test runs over both carriers and both
//! kinds of servers.

use alloc::vec::Vec;

use postern_tests::runtime::copying::{Client, Error, Server};
use postern_tests::runtime::interface::{CallError, Caller};
use postern_tests::runtime::relay;
use postern_tests::syscall::{ErrorNumber, Gate, window};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, tests};

use crate::servers::{WAYS, Way, run};

tests! {
    x28_messages_of_all_lengths,
    x28_answers_longer_than_messages,
    x28_too_long_is_an_error,
    x28_clients_are_kept_apart,
    x28_a_server_that_dies,
    x28_by_relay_nothing_is_left_behind,
}

/// Most bytes of a message here.
const LIMIT: usize = 14_000;

/// A server that answers with the caller's label, every byte changed, and as
/// many more bytes as the first two say.
fn answer(caller: &Caller, message: &[u8]) -> Vec<u8> {
    if message == b"panic" {
        panic!("as it was told to");
    }
    let more = match message {
        [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    };
    let mut answer = Vec::from(caller.label().to_le_bytes());
    answer.extend(message.iter().map(|byte| byte ^ 0x5a));
    answer.extend((0..more).map(|index| index as u8));
    answer
}

fn message(length: usize, more: u16) -> Vec<u8> {
    let mut message: Vec<u8> = (0..length).map(|index| (index * 7) as u8).collect();
    if let Some(place) = message.get_mut(..2) {
        place.copy_from_slice(&more.to_le_bytes());
    }
    message
}

fn expected(label: u64, message: &[u8]) -> Vec<u8> {
    let mut expected = Vec::from(label.to_le_bytes());
    expected.extend(message.iter().map(|byte| byte ^ 0x5a));
    if let [low, high, ..] = message {
        let more = usize::from(u16::from_le_bytes([*low, *high]));
        expected.extend((0..more).map(|index| index as u8));
    }
    expected
}

/// Runs `test` over both carriers, with both kinds of servers.
#[track_caller]
fn all(test: impl Fn(fn(Gate) -> Client, Gate) -> Verdict) -> Verdict {
    for way in WAYS {
        for carrier in [Client::in_pieces as fn(Gate) -> Client, Client::by_relay] {
            test(carrier, serve(way, 0x40)?)?;
        }
    }
    Ok(())
}

#[track_caller]
fn serve(way: Way, label: u64) -> Result<Gate, Failure> {
    run(way, label, Server::new(LIMIT, answer))
}

fn x28_messages_of_all_lengths(_: &Ctx) -> Verdict {
    all(|carrier, gate| {
        let mut client = carrier(gate);
        for length in [0, 1, 2, 7, 479, 480, 481, 4095, 4096, 4097, 12_345, LIMIT] {
            let message = message(length, 0);
            check_eq!(client.call(&message), Ok(expected(0x40, &message)), "{length} bytes");
        }
        // Shorter again.
        check_eq!(client.call(b"\0\0abc"), Ok(expected(0x40, b"\0\0abc")));
        Ok(())
    })
}

fn x28_answers_longer_than_messages(_: &Ctx) -> Verdict {
    all(|carrier, gate| {
        let mut client = carrier(gate);
        for more in [1, 4000, 4096 - 10, 4096 - 9, 9_000, 17_000] {
            let message = message(2, more);
            check_eq!(client.call(&message), Ok(expected(0x40, &message)), "{more} bytes more");
        }
        Ok(())
    })
}

fn x28_too_long_is_an_error(_: &Ctx) -> Verdict {
    all(|carrier, gate| {
        let mut client = carrier(gate);
        check_eq!(client.call(&message(LIMIT + 1, 0)), Err(CallError::Server(Error::TooLong)));
        check_eq!(client.call(b""), Ok(expected(0x40, b"")));
        Ok(())
    })
}

fn x28_clients_are_kept_apart(_: &Ctx) -> Verdict {
    all(|carrier, gate| {
        // Two gates of one server.
        let thread = postern_tests::runtime::own::entry().is_none();
        let mut first = carrier(gate);
        check_eq!(first.call(b""), Ok(expected(0x40, b"")));
        let mut second =
            carrier(if thread { gate } else { postern_tests::runtime::server::gate(0x44)? });
        let message = message(3_000, 5_000);
        for _ in 0..5 {
            check_eq!(first.call(&message), Ok(expected(0x40, &message)));
            let label = if thread { 0x40 } else { 0x44 };
            check_eq!(second.call(&message), Ok(expected(label, &message)));
        }
        Ok(())
    })
}

fn x28_a_server_that_dies(_: &Ctx) -> Verdict {
    all(|carrier, gate| {
        let mut client = carrier(gate);
        check_eq!(client.call(b""), Ok(expected(0x40, b"")));
        check_eq!(client.call(b"panic"), Err(CallError::Aborted));
        check_eq!(window::shown()?.bytes, 0);
        // With another server behind the gate it would work again: nothing of
        // the client's is lost.
        Ok(())
    })
}

fn x28_by_relay_nothing_is_left_behind(ctx: &Ctx) -> Verdict {
    let gate = serve(Way::Entry, 0x40)?;
    drop(Client::by_relay(gate).call(&message(9_000, 100)));
    let (charged, slots) = (ctx.charged()?, ctx.task.info()?.slots_used);
    for _ in 0..20 {
        let mut client = Client::by_relay(gate);
        for length in [100, 9_000] {
            let message = message(length, 100);
            check_eq!(client.call(&message), Ok(expected(0x40, &message)));
        }
    }
    check_eq!(ctx.task.info()?.slots_used, slots);
    check!(ctx.charged()? <= charged, "{} of {charged}", ctx.charged()?);
    // The window is the thread's: its own buffer is in the way, and stays.
    let mut buffer = relay::buffer(10)?;
    buffer[0] = 3;
    let refused = Client::by_relay(gate).call(b"");
    let is_it =
        matches!(refused, Err(CallError::Transport(code)) if code.number == ErrorNumber::Exists);
    check!(is_it, "{refused:?}");
    check_eq!(buffer[0], 3);
    Ok(())
}
