//! Passing on (X16, X18).

use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::window::{self, ADDRESS};
use postern_tests::syscall::{Capability, Rights};
use postern_tests::{Ctx, Failure, Verdict, check_eq, tests};

use crate::server::{Server, WAYS, Way, ask, segment, sum};

tests! {
    x16_the_same_memory_through_three_domains,
    x18_a_long_buffer_piece_by_piece,
}

/// A server that hands on to `next`.
fn before(ctx: &Ctx, way: Way, next: &Server) -> Result<Server, Failure> {
    let mut server = Server::idle(ctx, way)?;
    server.give(next.gate)?;
    server.start()?;
    Ok(server)
}

fn x16_the_same_memory_through_three_domains(ctx: &Ctx) -> Verdict {
    for (first, second) in WAYS.into_iter().flat_map(|a| WAYS.map(|b| (a, b))) {
        for pages in [1, 16, 600] {
            let bytes = pages * PAGE;
            let c = Server::new(ctx, second)?;
            let b = before(ctx, first, &c)?;
            let relay = segment(ctx, bytes, 11)?;
            let (here, physical) = (sum(ADDRESS, bytes), window::shown()?.physical);
            // B's sum, C's sum, C's physical address, B's sum afterwards.
            let seen = b.lend([ask::FORWARD, bytes, ask::LAST, 0])?;
            check_eq!(seen, [here, here, physical, here], "{first:?} {second:?} {pages}");
            check_eq!(window::shown()?.bytes, bytes);
            check_eq!(sum(ADDRESS, bytes), here);
            window::release()?;
            ctx.task.destroy(relay.slot())?;
        }
    }
    Ok(())
}

fn x18_a_long_buffer_piece_by_piece(ctx: &Ctx) -> Verdict {
    let bytes = 1 << 20;
    for (first, second) in [(Way::Entry, Way::Entry), (Way::Thread, Way::Entry)] {
        let c = Server::new(ctx, second)?;
        let b = before(ctx, first, &c)?;
        let relay = segment(ctx, bytes, 23)?;
        let expected = (0..bytes / PAGE).fold(0_u64, |total, page| {
            total.wrapping_mul(31).wrapping_add(sum(ADDRESS + page * PAGE, PAGE))
        });
        let charged = ctx.charged()?;
        let [total, ..] = b.lend([ask::FORWARD_PAGES, bytes, 0, 0])?;
        check_eq!(total, expected);
        // From A itself, too, with a mask that moves.
        let mut sums = 0_u64;
        for page in 0..bytes / PAGE {
            window::mask_page(page, Rights::R)?;
            let [one, ..] = c.lend([ask::SUM, ADDRESS + page * PAGE, PAGE, 0])?;
            sums = sums.wrapping_mul(31).wrapping_add(one);
        }
        check_eq!(sums, expected);
        window::unmask()?;
        check_eq!(ctx.charged()?, charged);
        window::release()?;
        ctx.task.destroy(relay.slot())?;
    }
    Ok(())
}
