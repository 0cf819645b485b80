//! Size negotiation (X17): headers without a second buffer.

use postern_tests::runtime::interface::{Owned, USE};
use postern_tests::runtime::relay::{self, Extent};
use postern_tests::runtime::{own, server};
use postern_tests::{Ctx, Failure, Verdict, check_eq, tests};

use crate::servers::{Clerk, DeskClient, DeskError, DeskServer, Way, run};

tests! {
    x17_headers_are_pushed_in_place,
    x17_too_little_headroom_is_found,
}

const LAST: &[u8] = b"ethernet";
const FRONT: &[u8] = b"ip address: ";

/// Two servers, the second one behind the first; what both add, as the entry
/// of the first one tells.
#[track_caller]
fn chain() -> Result<(DeskClient, u64), Failure> {
    let last = run(Way::Entry, 0x40, DeskServer(Clerk::with_header(LAST)))?;
    server::announce_sizes(LAST.len() as u64, 0)?;
    let all = |entry: Option<_>| {
        let Some((entry, _)) = entry else { postern_tests::fail!("no entry") };
        let entry: postern_tests::syscall::Entry = entry;
        Ok(entry.info()?.size_all)
    };
    let callees = all(own::entry())?;
    let front = run(Way::Entry, 0x44, DeskServer(Clerk::with_header(FRONT)))?;
    server::announce_sizes(FRONT.len() as u64, callees)?;
    let front = DeskClient::new(front);
    check_eq!(front.next(Owned::copy(last, USE)?), Ok(()));
    Ok((front, all(own::entry())?))
}

fn x17_headers_are_pushed_in_place(ctx: &Ctx) -> Verdict {
    let (front, headroom) = chain()?;
    check_eq!(headroom as usize, LAST.len() + FRONT.len());
    let data = b"data";
    let Some(room) = Extent::room(headroom, data.len() as u64) else {
        postern_tests::fail!("too large")
    };
    let mut buffer = relay::buffer(room)?;
    let message = Extent::behind(headroom, data.len() as u64);
    buffer[headroom as usize..][..data.len()].copy_from_slice(data);
    let charged = ctx.charged()?;
    let Ok(((start, bytes), buffer)) = front.wrap(buffer, (message.start, message.bytes)) else {
        postern_tests::fail!("not wrapped")
    };
    let wrapped = Extent { start, bytes };
    check_eq!(wrapped.of(&buffer), Some(&b"ethernetip address: data"[..]));
    // The same buffer, and nothing beside it.
    check_eq!((start, ctx.charged()?), (0, charged));
    Ok(())
}

fn x17_too_little_headroom_is_found(_: &Ctx) -> Verdict {
    let (front, headroom) = chain()?;
    let buffer = relay::buffer(100)?;
    let Err((error, outcome)) = front.wrap(buffer, (headroom - 1, 4)) else {
        postern_tests::fail!("it had no room")
    };
    check_eq!(error.server(), Some(DeskError::Next));
    let Some(buffer) = outcome.back() else { postern_tests::fail!("it is not back") };
    // Extents that lie reach nothing.
    let Err((error, _)) = front.wrap(buffer, (u64::MAX, 8)) else { postern_tests::fail!("a lie") };
    check_eq!(error.server(), Some(DeskError::NoRoom));
    Ok(())
}
