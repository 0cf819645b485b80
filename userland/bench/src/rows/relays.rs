//! Relay segments: calls with one, whose cost must not depend on its size, and
//! what is done with them beside calls.

use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::stub::client;
use postern_runtime::syscall::{Capability, Code, Gate, Relay, Rights, Tag, Timeouts, ipc, window};

use super::crossings::entry;
use super::{Bench, Row};
use crate::failure::Failure;
use crate::measure::{Figures, SAMPLES, time};
use crate::partner::{Partner, Role};
use crate::scope::Scope;

pub const ROWS: &[Row] = &[
    Row::new("relay-4k", |bench| cross(bench, 4 << 10)),
    Row::new("relay-1m", |bench| cross(bench, 1 << 20)),
    Row::new("relay-64m", |bench| cross(bench, 64 << 20)),
    Row::new("relay-1g", |bench| cross(bench, 1 << 30)),
    Row::new("relay-thread-4k", |bench| call(bench, 4 << 10)),
    Row::new("relay-thread-1m", |bench| call(bench, 1 << 20)),
    Row::new("relay-thread-1g", |bench| call(bench, 1 << 30)),
    Row::new("relay-swap", swap),
    Row::new("relay-mask", mask),
    Row::new("relay-mask-rights", mask_rights),
];

/// Everything goes along and comes back.
const LENT: Tag = Tag::new(0x7e, 4).with_relay();

/// A segment in the window.
fn segment(bench: &Bench<'_>, scope: &mut Scope, bytes: u64) -> Result<Relay, Failure> {
    let relay = scope.create(|slot| bench.boot.factory.create_relay(slot, bytes, false))?;
    relay.activate()?;
    Ok(relay)
}

/// A crossing with a segment of `bytes`, and back.
fn cross(bench: &Bench<'_>, bytes: u64) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    let gate = entry(bench, &mut scope)?;
    round_trip(bench, gate, bytes)
}

/// A call to a thread of another task with a segment of `bytes`, and the
/// answer.
fn call(bench: &Bench<'_>, bytes: u64) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    let partner = Partner::start(bench, Role::new("echo"))?;
    let gate = partner.gate(bench, &mut scope)?;
    round_trip(bench, gate, bytes)
}

fn round_trip(bench: &Bench<'_>, gate: Gate, bytes: u64) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    segment(bench, &mut scope, bytes)?;
    // What is measured is also right.
    let answer = ipc::call(gate.slot(), LENT, [11, 22, 33, 44], Timeouts::NEVER)?;
    if !answer.tag.has_relay() || window::shown()?.bytes != bytes {
        return Err(Failure::WrongAnswer);
    }
    bench.meter.stub(|| Ok(client::ipc(Code::Call, gate.slot().word(), LENT)))
}

/// Samples of a call of the library.
fn library(
    bench: &Bench<'_>,
    mut operation: impl FnMut() -> postern_runtime::syscall::Result<()>,
) -> Result<Figures, Failure> {
    bench.meter.library(SAMPLES, || {
        let (elapsed, result) = time(&mut operation);
        result?;
        Ok(elapsed)
    })
}

/// The active segment against a parked one.
fn swap(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    segment(bench, &mut scope, PAGE)?;
    window::park(0)?;
    segment(bench, &mut scope, 1 << 20)?;
    library(bench, || window::swap(0))
}

/// A mask of one page of a long segment, in place of another one: three tables
/// go and three are made.
fn mask(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    segment(bench, &mut scope, 1 << 20)?;
    let mut page = 0;
    library(bench, || {
        page = (page + 1) % 256;
        window::mask_page(page, Rights::R)
    })
}

/// A mask that only takes W away: no tables.
fn mask_rights(bench: &Bench<'_>) -> Result<Figures, Failure> {
    let mut scope = Scope::default();
    segment(bench, &mut scope, 1 << 20)?;
    library(bench, || window::mask(0, 1 << 20, Rights::R))
}
