//! Who is called what.

use postern_tests::runtime::interface::{CallError, Owned, Refusal, USE};
use postern_tests::runtime::names;
use postern_tests::runtime::protocol::names::{Error, NamesClient};
use postern_tests::runtime::protocol::session::SessionClient;
use postern_tests::syscall::{Gate, Rights};
use postern_tests::{Ctx, Failure, Verdict, check_eq, fail, tests};

use crate::{Town, WhoClient};

tests! {
    names_unknown,
    names_without_the_right_to_register,
    names_taken,
    names_bad_names,
    names_registered_anew_by_the_same_owner,
    names_of_the_dead_are_free,
    names_of_exited_servers_are_free,
    names_dead_server_is_gone_to_clients,
    names_limit_of_one_program,
    names_wrong_capability,
    names_server_that_is_gone,
    names_server_that_hangs_hangs_nobody_else,
}

const WRITER: Rights = Rights::R.union(Rights::W);

fn door(gate: Gate) -> Result<Owned<SessionClient>, Failure> {
    Ok(Owned::copy(gate, USE)?)
}

fn lookup(names: NamesClient, name: &str) -> Result<(), CallError<Error>> {
    names.lookup(name).map(drop)
}

fn names_unknown(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let names = town.visitor()?;
    for name in ["", "nobody", "a name that is much longer than thirty-two bytes, by far"] {
        check_eq!(lookup(names, name), Err(CallError::Server(Error::Unknown)), "{name}");
    }
    match names::connect_through::<WhoClient>(names, "nobody") {
        Err(error @ names::Error::Names(..)) => {
            check_eq!(alloc::format!("{error}"), "`nobody`: there is no server of this name");
        }
        other => fail!("{other:?}"),
    }
    Ok(())
}

fn names_without_the_right_to_register(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let gate = ctx.gate(0)?;
    for rights in [Rights::R, Rights::R | Rights::S, Rights::R | Rights::GRANT] {
        let names = town.gate(8, rights)?;
        let refused = names.register("me", door(gate)?);
        check_eq!(refused, Err(CallError::Server(Error::NotAllowed)), "{rights:?}");
        check_eq!(lookup(names, "me"), Err(CallError::Server(Error::Unknown)));
    }
    Ok(())
}

fn names_taken(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let _first = town.offer(8, "who", 1)?;
    let other = town.gate(12, WRITER)?;
    check_eq!(other.register("who", door(ctx.gate(0)?)?), Err(CallError::Server(Error::Taken)));
    let session: WhoClient = match names::connect_through(town.visitor()?, "who") {
        Ok(session) => session,
        Err(error) => fail!("{error}"),
    };
    check_eq!(session.number(), Ok(1));
    Ok(())
}

fn names_bad_names(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let (names, gate) = (town.gate(8, WRITER)?, ctx.gate(0)?);
    let long = "n".repeat(33);
    for name in ["", &long] {
        check_eq!(names.register(name, door(gate)?), Err(CallError::Server(Error::BadName)));
    }
    check_eq!(names.register(&long[..32], door(gate)?), Ok(()));
    check_eq!(names.register("größe 世界", door(gate)?), Ok(()));
    check_eq!(lookup(names, &long[..32]), Ok(()));
    check_eq!(lookup(names, "größe 世界"), Ok(()));
    check_eq!(lookup(names, "größe"), Err(CallError::Server(Error::Unknown)));
    Ok(())
}

fn names_registered_anew_by_the_same_owner(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let _first = town.offer(8, "who", 1)?;
    // The first one lives; `offer` waits until the second one answers.
    let _second = town.offer(8, "who", 2)?;
    Ok(())
}

fn names_of_the_dead_are_free(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    for number in 1..5 {
        let server = town.offer(4 + 4 * number, "who", number)?;
        town.end(&server)?;
    }
    Ok(())
}

fn names_of_exited_servers_are_free(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let first = ctx.spawn(|_| 3, 0)?;
    let names = town.gate(8, WRITER)?;
    check_eq!(names.register("who", door(ctx.gate_to(first.thread(), 0)?)?), Ok(()));
    check_eq!(first.join()?, 3);
    let _second = town.offer(12, "who", 2)?;
    Ok(())
}

fn names_dead_server_is_gone_to_clients(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let server = town.offer(8, "who", 1)?;
    let session: WhoClient = match names::connect_through(town.visitor()?, "who") {
        Ok(session) => session,
        Err(error) => fail!("{error}"),
    };
    town.end(&server)?;
    check_eq!(session.number(), Err(CallError::Gone));
    match names::connect_through::<WhoClient>(town.visitor()?, "who") {
        Err(names::Error::Session(_, CallError::Gone)) => Ok(()),
        other => fail!("{other:?}"),
    }
}

fn names_limit_of_one_program(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let (names, gate) = (town.gate(8, WRITER)?, ctx.gate(0)?);
    let name = |number: u64| alloc::format!("name {number}");
    for number in 0..16 {
        check_eq!(names.register(&name(number), door(gate)?), Ok(()), "{number}");
    }
    check_eq!(names.register(&name(16), door(gate)?), Err(CallError::Server(Error::Full)));
    // What it has, it keeps and may name anew; others have their own limit.
    check_eq!(names.register(&name(3), door(gate)?), Ok(()));
    check_eq!(lookup(names, &name(15)), Ok(()));
    check_eq!(town.gate(12, WRITER)?.register(&name(16), door(gate)?), Ok(()));
    Ok(())
}

fn names_wrong_capability(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let names = town.gate(8, WRITER)?;
    let disguised = Owned::<SessionClient>::copy(ctx.notification()?, USE)?;
    check_eq!(names.register("me", disguised), Err(CallError::Refused(Refusal::Malformed)));
    check_eq!(lookup(names, "me"), Err(CallError::Server(Error::Unknown)));
    Ok(())
}

fn names_server_that_is_gone(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let (visitor, writer) = (town.visitor()?, town.gate(8, WRITER)?);
    town.end(&town.server)?;
    match names::connect_through::<WhoClient>(visitor, "who") {
        Err(names::Error::Names(_, CallError::Gone)) => {}
        other => fail!("{other:?}"),
    }
    check_eq!(writer.register("me", door(ctx.gate(0)?)?), Err(CallError::Gone));
    Ok(())
}

/// A door at which nobody answers: whoever asks for a session waits, and the
/// name server does not.
fn names_server_that_hangs_hangs_nobody_else(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let names = town.gate(8, WRITER)?;
    check_eq!(names.register("deaf", door(ctx.gate(0)?)?), Ok(()));
    let taken = town.gate(12, WRITER)?.register("deaf", door(ctx.gate(0)?)?);
    check_eq!(taken, Err(CallError::Server(Error::Taken)), "it lives, it only does not listen");
    let _server = town.offer(16, "who", 1)?;
    check_eq!(lookup(names, "deaf"), Ok(()));
    Ok(())
}
