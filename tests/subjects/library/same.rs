//! One server, two ways (X26, point 1 of issue 6): nothing but the line that
//! chooses the way differs.

use alloc::string::ToString;
use core::time::Duration;

use postern_tests::runtime::interface::{CallError, Owned, USE};
use postern_tests::runtime::{own, thread, time};
use postern_tests::syscall::{Gate, Rights, Timeout, Timeouts};
use postern_tests::{Ctx, Verdict, check, check_eq, tests};

use crate::servers::{DeskClient, DeskError, WAYS, Way, desk};

tests! {
    x26_the_same_server_behind_a_thread,
    x26_the_same_server_behind_an_entry,
    x26_clients_of_an_entry_take_turns,
    x26_answers_that_are_kept_are_for_threads,
    x26_a_client_that_gives_up_tears_nothing_out,
    x26_a_panic_in_the_servers_hands_ends_the_program,
}

fn same(ctx: &Ctx, way: Way) -> Verdict {
    let desk = desk(way)?;
    check_eq!((desk.add(3), desk.add(4)), (Ok(3), Ok(7)));
    let weak: Gate = ctx.derive(desk.gate(), Rights::R | Rights::W)?;
    check_eq!(DeskClient::new(weak).who(), Ok((0x40, true, false)));
    check_eq!(desk.reverse("postern"), Ok("nretsop".to_string()));
    let words = core::array::from_fn(|index| index as u64);
    check_eq!(desk.many(words), Ok(words.map(|word| !word)));
    check_eq!(desk.fail(), Err(CallError::Server(DeskError::NoRoom)));
    check_eq!(desk.at_once(21), Ok(42));
    check_eq!(desk.ignore(), Err(CallError::Aborted));
    // Capabilities in both directions, more often than there are slots.
    let toy = ctx.gate(0x80)?;
    for _ in 0..300 {
        let copy = Owned::copy(toy, USE)?;
        let back = desk.pass(copy);
        check!(back.is_ok(), "{back:?}");
    }
    // A second gate that the server makes leads to the same server.
    let Ok(Some(door)) = desk.door(0x44) else { postern_tests::fail!("no door") };
    check_eq!(DeskClient::new(*door).who().map(|who| who.0), Ok(0x44));
    check_eq!(DeskClient::new(*door).add(1), Ok(8));
    Ok(())
}

fn x26_the_same_server_behind_a_thread(ctx: &Ctx) -> Verdict {
    same(ctx, Way::Thread)?;
    check!(own::entry().is_none());
    Ok(())
}

fn x26_the_same_server_behind_an_entry(ctx: &Ctx) -> Verdict {
    same(ctx, Way::Entry)?;
    let Some((entry, contexts)) = own::entry() else { postern_tests::fail!("no entry") };
    let info = entry.info()?;
    check_eq!((info.contexts, info.free), (contexts.into(), contexts.into()));
    Ok(())
}

fn x26_clients_of_an_entry_take_turns(_: &Ctx) -> Verdict {
    for way in WAYS {
        let desk = desk(way)?;
        let clients = [0; 5].map(|_| {
            thread::spawn(move || {
                for _ in 0..20 {
                    // The server is in one pair of hands at a time.
                    let (a, _, b) = (desk.add(1), desk.sleep(200), desk.add(1));
                    if !matches!((a, b), (Ok(a), Ok(b)) if a < b) {
                        return false;
                    }
                }
                true
            })
        });
        for client in clients {
            check_eq!(client?.join(), Ok(true), "{way:?}");
        }
        check_eq!(desk.add(0), Ok(200));
    }
    Ok(())
}

fn x26_answers_that_are_kept_are_for_threads(_: &Ctx) -> Verdict {
    let desk = desk(Way::Thread)?;
    let client = thread::spawn(move || desk.keep())?;
    let mut tries = 0;
    while !client.is_finished() && tries < 1000 {
        check_eq!(desk.release(5), Ok(()));
        time::sleep(Duration::from_micros(100));
        tries += 1;
    }
    check_eq!(client.join(), Ok(Ok(5)));
    let desk = crate::servers::desk(Way::Entry)?;
    check_eq!(desk.keep(), Err(CallError::Server(DeskError::Unkept)));
    check_eq!(desk.add(1), Ok(1));
    Ok(())
}

fn x26_a_client_that_gives_up_tears_nothing_out(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let desk = desk(way)?;
        let hasty = desk.with_timeouts(Timeouts::receive(Timeout::from_ns(300_000)));
        check_eq!(hasty.sleep(5_000), Err(CallError::TimedOut));
        // The server is in the orphan's hands until it is done.
        check_eq!(desk.add(2), Ok(2));
        // One that is not done when the grace time of an entry ends takes the
        // server with it (below); one that waits for it does not.
        for _ in 0..10 {
            check_eq!(hasty.sleep(1_000), Err(CallError::TimedOut));
        }
        check_eq!(desk.add(2), Ok(4));
    }
    let Some((entry, contexts)) = own::entry() else { postern_tests::fail!("no entry") };
    let all_free = || entry.info().is_ok_and(|info| info.free == u64::from(contexts));
    check!(ctx.wait_until(all_free), "{:?}", entry.info());
    Ok(())
}

fn x26_a_panic_in_the_servers_hands_ends_the_program(_: &Ctx) -> Verdict {
    // Its own thread, that is, which is what a starter sees; here it is a
    // thread of the test.
    for way in WAYS {
        let desk = desk(way)?;
        check_eq!(desk.panic(), Err(CallError::Aborted), "{way:?}");
        let after = desk.with_timeouts(Timeouts {
            send: Timeout::from_ns(50_000_000),
            receive: Timeout::from_ns(50_000_000),
        });
        let again = after.add(1);
        check!(again.is_err(), "{way:?}: {again:?} although the server is gone");
    }
    Ok(())
}
