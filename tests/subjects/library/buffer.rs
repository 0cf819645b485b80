//! Buffers (X26): moved into a call, back with its result.

use core::time::Duration;

use postern_tests::runtime::interface::CallError;
use postern_tests::runtime::relay::{self, Outcome, Segment};
use postern_tests::runtime::{thread, time};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::window;
use postern_tests::syscall::{Capability, ErrorNumber, Tag, Timeout, Timeouts, ipc};
use postern_tests::{Ctx, Verdict, check, check_eq, tests};

use crate::servers::{DeskClient, DeskError, WAYS, desk, sum};

tests! {
    x26_a_buffer_goes_and_comes_back,
    x26_views_of_a_buffer,
    x26_a_failed_call_gives_the_buffer_back,
    x26_an_outstanding_buffer_is_reclaimed,
    x26_a_pool_uses_segments_again,
    x26_a_segment_goes_to_another_thread,
    x26_dropped_buffers_are_gone,
    x26_narrowed_loans,
    x26_a_chain_of_servers,
    x26_a_sliding_window,
    x26_a_method_gets_its_segment_or_is_not_called,
    x26_one_buffer_a_thread,
}

const PAGE_BYTES: usize = PAGE as usize;

fn x26_a_buffer_goes_and_comes_back(_: &Ctx) -> Verdict {
    for way in WAYS {
        let desk = desk(way)?;
        let mut buffer = relay::buffer(3 * PAGE_BYTES)?;
        check_eq!(buffer.len(), 3 * PAGE_BYTES);
        for round in 0..10_u8 {
            buffer.fill(round);
            buffer[7] = 100;
            let Ok((there, mut back)) = desk.sum(buffer) else { postern_tests::fail!("no sum") };
            check_eq!(there, sum(&back));
            back[0] = 255;
            let Ok((changed, back)) = desk.change(back, 3) else { postern_tests::fail!("{way:?}") };
            check_eq!((changed, back[0], back[7], back[8]), ((), 2, 103, round + 3));
            buffer = back;
        }
    }
    Ok(())
}

fn x26_views_of_a_buffer(_: &Ctx) -> Verdict {
    let mut buffer = relay::buffer(100)?;
    check_eq!(buffer.len(), PAGE_BYTES);
    *buffer.view_mut::<[u64; 4]>(16).ok_or(relay_error())? = [1, 2, 3, u64::MAX];
    check_eq!(buffer.view::<u64>(24), Some(&2));
    check_eq!(buffer[40..48], [0xff; 8]);
    check_eq!(buffer.view::<u32>(2), None, "not aligned");
    check_eq!(buffer.view::<u64>(PAGE_BYTES - 7), None, "not inside");
    check_eq!(buffer.view::<u64>(PAGE_BYTES), None);
    check_eq!(buffer.view::<u8>(usize::MAX), None);
    Ok(())
}

fn relay_error() -> postern_tests::Failure {
    postern_tests::syscall::ErrorCode::new(ErrorNumber::Inval, 0).into()
}

fn x26_a_failed_call_gives_the_buffer_back(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let desk = desk(way)?;
        let mut buffer = relay::buffer(PAGE_BYTES)?;
        buffer[1] = 9;
        // The server's own error.
        let Err((error, outcome)) = desk.pass_on(buffer) else { postern_tests::fail!("{way:?}") };
        check_eq!(error, CallError::Server(DeskError::NoNext));
        let Some(buffer) = outcome.back() else { postern_tests::fail!("it is not back") };
        check_eq!(buffer[1], 9);
        // Nobody there.
        let nobody = ctx.unbound()?;
        let timeouts = Timeouts { send: Timeout::ZERO, receive: Timeout::NEVER };
        let nobody = DeskClient::new(nobody).with_timeouts(timeouts);
        let Err((error, outcome)) = nobody.sum(buffer) else { postern_tests::fail!("{way:?}") };
        check_eq!(error, CallError::TimedOut);
        let Some(buffer) = outcome.back() else { postern_tests::fail!("it is not back") };
        check_eq!(buffer[1], 9);
    }
    Ok(())
}

fn x26_an_outstanding_buffer_is_reclaimed(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let desk = desk(way)?;
        let mut buffer = relay::buffer(PAGE_BYTES)?;
        buffer.fill(2);
        let hasty = desk.with_timeouts(Timeouts::receive(Timeout::from_ns(300_000)));
        let Err((error, outcome)) = hasty.hold(buffer, 5_000) else { postern_tests::fail!("late") };
        check_eq!(error, CallError::TimedOut);
        let Outcome::Outstanding(outstanding) = outcome else { postern_tests::fail!("not away") };
        check!(outstanding.is_lent());
        check_eq!(window::shown()?.bytes, 0);
        let Err((error, outstanding)) = outstanding.reclaim() else { postern_tests::fail!("back") };
        check_eq!(error.number, ErrorNumber::Lent);
        // Another one in the meantime.
        let second = relay::buffer(2 * PAGE_BYTES)?;
        let Ok((zero, second)) = desk.sum(second) else { postern_tests::fail!("{way:?}") };
        check_eq!(zero, 0);
        check!(ctx.wait_until(|| !outstanding.is_lent()));
        let Err((error, outstanding)) = outstanding.reclaim() else { postern_tests::fail!("two") };
        check_eq!(error.number, ErrorNumber::Exists);
        drop(second);
        let Ok(buffer) = outstanding.reclaim() else { postern_tests::fail!("not back") };
        check_eq!(sum(&buffer), 2 * PAGE);
    }
    Ok(())
}

fn x26_a_pool_uses_segments_again(ctx: &Ctx) -> Verdict {
    let mut pool = relay::pool::<2>()?;
    let before = ctx.charged()?;
    let small = pool.take(PAGE_BYTES)?;
    check!(pool.give(small).is_ok());
    let large = pool.take(5 * PAGE_BYTES)?;
    check_eq!(large.len(), 5 * PAGE_BYTES);
    check!(pool.give(large).is_ok());
    check_eq!(pool.free(), 2);
    let charged = ctx.charged()?;
    for bytes in [1, PAGE_BYTES, PAGE_BYTES + 1, 5 * PAGE_BYTES] {
        let buffer = pool.take(bytes)?;
        check_eq!(buffer.len(), if bytes <= PAGE_BYTES { 1 } else { 5 } * PAGE_BYTES);
        check_eq!(ctx.charged()?, charged);
        check!(pool.give(buffer).is_ok());
    }
    // One that is too large for all of them, and one too many.
    let huge = pool.take(9 * PAGE_BYTES)?;
    check!(pool.give(huge).is_ok());
    check_eq!((pool.free(), ctx.charged()?), (2, charged));
    drop(pool);
    check!(ctx.charged()? <= before + PAGE, "{} of {before} charged", ctx.charged()?);
    Ok(())
}

fn x26_a_segment_goes_to_another_thread(_: &Ctx) -> Verdict {
    let mut buffer = relay::buffer(PAGE_BYTES)?;
    buffer[5] = 5;
    let Ok(segment) = buffer.release() else { postern_tests::fail!("not released") };
    let other = thread::spawn(move || {
        let mut buffer = segment.activate().map_err(|(error, _)| error)?;
        buffer[5] += 1;
        buffer.release().map_err(|(error, _)| error)
    })?;
    let Ok(Ok(segment)) = other.join() else { postern_tests::fail!("not given back") };
    let Ok(buffer) = Segment::activate(segment) else { postern_tests::fail!("not shown") };
    check_eq!(buffer[5], 6);
    Ok(())
}

fn x26_dropped_buffers_are_gone(ctx: &Ctx) -> Verdict {
    let desk = desk(crate::servers::Way::Thread)?;
    drop(relay::buffer(PAGE_BYTES)?);
    let (before, slots) = (ctx.charged()?, ctx.task.info()?.slots_used);
    for _ in 0..50 {
        let buffer = relay::buffer(8 * PAGE_BYTES)?;
        check!(desk.sum(buffer).is_ok());
        check_eq!(window::shown()?.bytes, 0);
        let hasty = desk.with_timeouts(Timeouts::receive(Timeout::from_ns(200_000)));
        drop(hasty.hold(relay::buffer(PAGE_BYTES)?, 400));
    }
    time::sleep(Duration::from_millis(2));
    check_eq!(desk.add(0), Ok(0));
    check!(ctx.wait_until(|| ctx.charged().is_ok_and(|now| now <= before)));
    check_eq!(ctx.task.info()?.slots_used, slots);
    Ok(())
}

fn x26_narrowed_loans(_: &Ctx) -> Verdict {
    for way in WAYS {
        let desk = desk(way)?;
        let mut buffer = relay::buffer(8 * PAGE_BYTES)?;
        buffer.fill(1);
        let part = buffer.narrow(2 * PAGE_BYTES..5 * PAGE_BYTES);
        let Ok((shape, buffer)) = desk.shape(part) else { postern_tests::fail!("{way:?}") };
        check_eq!(shape, (2 * PAGE, 3 * PAGE));
        // To be changed in part, and to be read only.
        let Ok((_, buffer)) = desk.change(buffer.narrow(0..PAGE_BYTES), 1) else {
            postern_tests::fail!("{way:?}")
        };
        check_eq!(sum(&buffer), 9 * PAGE);
        let Err((error, outcome)) = desk.change(buffer.read_only(), 1) else {
            postern_tests::fail!("it was changed")
        };
        check_eq!(error, CallError::Server(DeskError::ReadOnly));
        let Some(buffer) = outcome.back() else { postern_tests::fail!("it is not back") };
        // The next loan is of all of it again.
        let Ok((shape, mut buffer)) = desk.shape(buffer) else { postern_tests::fail!("{way:?}") };
        check_eq!(shape, (0, 8 * PAGE));
        #[expect(clippy::reversed_empty_ranges, reason = "that is refused, too")]
        for bad in [0..100, 100..PAGE_BYTES, 7 * PAGE_BYTES..9 * PAGE_BYTES, 0..0, 8..1] {
            let Err((error, outcome)) = desk.sum(buffer.narrow(bad)) else {
                postern_tests::fail!("lent")
            };
            let is_it = matches!(&error, CallError::Transport(code)
                if code.number == ErrorNumber::InvalidMask);
            check!(is_it, "{error:?}");
            let Some(back) = outcome.back() else { postern_tests::fail!("it is not back") };
            buffer = back;
        }
        check_eq!(sum(&buffer), 9 * PAGE);
    }
    Ok(())
}

fn x26_a_chain_of_servers(_: &Ctx) -> Verdict {
    for first in WAYS {
        // The last one first: an entry is the program's, and is made anew.
        for second in WAYS {
            let (last, front) = (desk(second)?, desk(first)?);
            let to_last = postern_tests::runtime::interface::Owned::copy(
                last.gate(),
                postern_tests::runtime::interface::USE,
            )?;
            check_eq!(front.next(to_last), Ok(()));
            let mut buffer = relay::buffer(PAGE_BYTES)?;
            buffer.fill(7);
            let Ok((sum, buffer)) = front.pass_on(buffer) else {
                postern_tests::fail!("{first:?} {second:?}")
            };
            check_eq!((sum, buffer[9]), (7 * PAGE, 7));
        }
    }
    Ok(())
}

fn x26_a_sliding_window(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let (last, front) = (desk(way)?, desk(way)?);
        let to_last = postern_tests::runtime::interface::Owned::copy(
            last.gate(),
            postern_tests::runtime::interface::USE,
        )?;
        check_eq!(front.next(to_last), Ok(()));
        let mut buffer = relay::buffer(64 * PAGE_BYTES)?;
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = (index / 3) as u8;
        }
        let (expected, charged) = (sum(&buffer), ctx.charged()?);
        let Ok((total, buffer)) = front.slide(buffer, PAGE) else {
            postern_tests::fail!("{way:?}")
        };
        check_eq!(total, expected);
        let Ok((total, buffer)) = front.slide(buffer, 16 * PAGE) else {
            postern_tests::fail!("{way:?}")
        };
        check_eq!((total, sum(&buffer), ctx.charged()?), (expected, expected, charged));
    }
    Ok(())
}

fn x26_a_method_gets_its_segment_or_is_not_called(_: &Ctx) -> Verdict {
    /// The numbers of `add` and `sum` in `Desk`.
    const ADD: u64 = 1;
    const SUM: u64 = 15;
    for way in WAYS {
        let desk = desk(way)?;
        let call = |method, argument, words| {
            let tag = Tag::new(DeskClient::PROTOCOL, words);
            (tag, [method, argument, 0, 0])
        };
        // Without a segment the server's code does not see the request.
        let (tag, words) = call(SUM, 0, 1);
        let answer = ipc::call(desk.gate().slot(), tag, words, Timeouts::NEVER)?;
        check_eq!(answer.words[0], 1 << 63 | 3, "not refused as malformed");
        // One that nobody asked for comes back untouched.
        let mut buffer = relay::buffer(PAGE_BYTES)?;
        buffer.fill(4);
        let (tag, words) = call(ADD, 5, 2);
        let Ok((answer, buffer)) = buffer.call(desk.gate(), tag, words, Timeouts::NEVER) else {
            postern_tests::fail!("{way:?}")
        };
        check_eq!((answer.words[0], answer.words[1], sum(&buffer)), (0, 5, 4 * PAGE));
    }
    Ok(())
}

fn x26_one_buffer_a_thread(_: &Ctx) -> Verdict {
    let first = relay::buffer(PAGE_BYTES)?;
    let second = relay::buffer(PAGE_BYTES);
    check!(second.is_err(), "two at once");
    let Ok(first) = first.release() else { postern_tests::fail!("not released") };
    let second = relay::buffer(2 * PAGE_BYTES)?;
    let Err((error, first)) = first.activate() else { postern_tests::fail!("two at once") };
    check_eq!(error.number, ErrorNumber::Exists);
    drop(second);
    check!(first.activate().is_ok());
    Ok(())
}
