//! Sessions: gates with labels of their own.

use alloc::vec::Vec;

use postern_tests::runtime::interface::{CallError, Owned, Refusal, USE};
use postern_tests::runtime::protocol::names::NamesClient;
use postern_tests::runtime::protocol::session::SessionClient;
use postern_tests::runtime::{names, slots as own};
use postern_tests::syscall::{Capability, Slot, Timeout, slots};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, tests};

use crate::{Town, WhoClient};

tests! {
    names_two_sessions_have_two_labels,
    names_door_opens_sessions_and_nothing_else,
    names_session_cannot_write,
    names_knocking_is_ignored,
    names_500_sessions_leave_nothing = 60,
    names_many_sessions_at_once,
}

fn connect(names: NamesClient) -> Result<WhoClient, Failure> {
    names::connect_through(names, "who").map_err(|error| Failure::new(format_args!("{error}")))
}

fn names_two_sessions_have_two_labels(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let _server = town.offer(8, "who", 7)?;
    let names = town.visitor()?;
    let (one, two) = (connect(names)?, connect(names)?);
    let (Ok((first, _)), Ok((second, _))) = (one.label(), two.label()) else {
        postern_tests::fail!("no answer");
    };
    check!(first != second && first != 0 && second != 0, "{first} and {second}");
    check_eq!((first % 4, second % 4), (0, 0));
    // A copy is the same session; a new one has a label that nobody had.
    let copy = Owned::<WhoClient>::copy(one, USE)?;
    check_eq!(copy.label(), Ok((first, false)));
    own::delete(one.gate().slot())?;
    own::delete(two.gate().slot())?;
    let Ok((third, _)) = connect(names)?.label() else { postern_tests::fail!("no answer") };
    check!(third > first.max(second), "{third} after {first} and {second}");
    Ok(())
}

fn names_door_opens_sessions_and_nothing_else(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let _server = town.offer(8, "who", 7)?;
    let Ok(door) = town.visitor()?.lookup("who") else { postern_tests::fail!("no door") };
    let inside = WhoClient::new(door.gate());
    check_eq!(inside.number(), Err(CallError::Refused(Refusal::UnknownInterface)));
    let Ok(session) = door.open() else { postern_tests::fail!("no session") };
    check_eq!(WhoClient::new(*session.0).number(), Ok(7));
    Ok(())
}

fn names_session_cannot_write(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let _server = town.offer(8, "who", 7)?;
    let session = connect(town.visitor()?)?;
    check_eq!(session.label().map(|(_, can_write)| can_write), Ok(false));
    Ok(())
}

fn names_knocking_is_ignored(ctx: &Ctx) -> Verdict {
    use postern_tests::syscall::{Tag, ipc};
    let town = Town::new(ctx)?;
    let _server = town.offer(8, "who", 7)?;
    let Ok(door) = town.visitor()?.lookup("who") else { postern_tests::fail!("no door") };
    for words in 0..4 {
        ipc::send(door.slot(), Tag::new(SessionClient::PROTOCOL, words), [1; 4], Timeout::NEVER)?;
    }
    let Ok(session) = door.open() else { postern_tests::fail!("no session") };
    check_eq!(WhoClient::new(*session.0).number(), Ok(7));
    Ok(())
}

fn names_500_sessions_leave_nothing(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let _server = town.offer(8, "who", 7)?;
    let names = town.visitor()?;
    let (free, charged) = (free_slots(), ctx.charged()?);
    let mut last = 0;
    for round in 0..500 {
        let session = connect(names)?;
        let Ok((label, _)) = session.label() else { postern_tests::fail!("round {round}") };
        check!(label > last, "label {label} after {last}");
        last = label;
        own::delete(session.gate().slot())?;
    }
    check_eq!(free_slots(), free);
    check!(ctx.wait_until(|| ctx.charged().is_ok_and(|now| now == charged)), "quota is missing");
    Ok(())
}

fn names_many_sessions_at_once(ctx: &Ctx) -> Verdict {
    let town = Town::new(ctx)?;
    let _server = town.offer(8, "who", 7)?;
    let names = town.visitor()?;
    let (free, charged) = (free_slots(), ctx.charged()?);
    let mut sessions = Vec::new();
    while let Ok(session) = names::connect_through::<WhoClient>(names, "who") {
        sessions.push(session);
    }
    check!(sessions.len() > 200, "{} sessions", sessions.len());
    let mut labels: Vec<_> = sessions.iter().map(|session| session.label()).collect();
    check!(labels.iter().all(Result::is_ok), "all of them answer");
    labels.sort_by_key(|label| label.map_or(0, |(label, _)| label));
    labels.dedup();
    check_eq!(labels.len(), sessions.len());
    for session in sessions {
        own::delete(session.gate().slot())?;
    }
    check_eq!(connect(names)?.number(), Ok(7));
    check_eq!(free_slots(), free - 1);
    check!(ctx.charged()? > charged, "one session is open");
    Ok(())
}

/// Slots of the test's table that are free.
fn free_slots() -> usize {
    let taken: Vec<Slot> = core::iter::from_fn(slots::allocate).collect();
    taken.iter().for_each(|slot| slots::release(*slot));
    taken.len()
}
