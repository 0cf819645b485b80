//! Deriving capabilities, and taking all of them back at once.

use postern_runtime::syscall::{Capability, Item, Rights, Slot, Task};

use super::{Bench, Row};
use crate::failure::Failure;
use crate::measure::{Figures, SAMPLES, time};
use crate::scope::Scope;

pub const ROWS: &[Row] = &[
    Row::new("derive-1", |bench| derive(bench, 1, SAMPLES, false)),
    Row::new("derive-100", |bench| derive(bench, 100, SAMPLES, false)),
    Row::new("derive-10000", |bench| derive(bench, 10_000, FEW, false)),
    Row::new("revoke-1", |bench| derive(bench, 1, SAMPLES, true)),
    Row::new("revoke-100", |bench| derive(bench, 100, SAMPLES, true)),
    Row::new("revoke-10000", |bench| derive(bench, 10_000, FEW, true)),
];

/// Samples of rows that take ten million instructions each.
const FEW: usize = 32;

/// The capability that the others are derived from.
const SOURCE: Slot = Slot::new(1);

/// `count` derivations, one by one, from one capability into a task of their
/// own, and the one revocation that takes them back.
fn derive(
    bench: &Bench<'_>,
    count: u32,
    samples: usize,
    is_revoke: bool,
) -> Result<Figures, Failure> {
    let factory = bench.boot.factory;
    let mut scope = Scope::default();
    let task: Task = scope.create(|slot| factory.create_task(slot, u64::from(count) + 2))?;
    let notification = scope.create(|slot| factory.create_notification(slot))?;
    task.delegate(Item::all(notification.slot()), SOURCE)?;
    let all = || {
        (SOURCE.number() + 1..)
            .take(count as usize)
            .try_for_each(|target| task.derive(SOURCE, Slot::new(target), Rights::W))
    };
    bench.meter.library(samples, || {
        let (deriving, derived) = time(all);
        derived?;
        let (revoking, revoked) = time(|| task.revoke(SOURCE));
        revoked?;
        Ok(if is_revoke { revoking } else { deriving })
    })
}
