//! Rows about relay segments: what does not depend on their size, and what is
//! done beside calls.

use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::{Capability, Gate, Relay, Rights, Tag, Timeouts, ipc, window};
use postern_runtime::{Boot, slots};

use crate::measure::{Figures, Overhead, samples};
use crate::rows::{Failure, Far, Peer};

/// Everything goes along and comes back.
const LENT: Tag = Tag::new(0x7e, 4).with_relay();

/// A segment in the window; gone when it is dropped.
struct Segment(Relay);

impl Segment {
    fn new(boot: &Boot, bytes: u64) -> Result<Self, Failure> {
        let relay = slots::fill("creating a relay segment", "factory", |slot| {
            boot.factory.create_relay(slot, bytes, false)
        });
        let segment = Self(relay.map_err(Failure::Runtime)?);
        segment.0.activate().map_err(Failure::Operation)?;
        Ok(segment)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Failing here only keeps a slot in use.
        let _ = slots::destroy(self.0.slot());
    }
}

/// A crossing with a segment of `BYTES`, and back.
pub fn cross<const BYTES: u64>(boot: &Boot, overhead: Overhead) -> Result<Figures, Failure> {
    let far = Far::make(boot)?;
    round_trip(boot, far.gate, BYTES, overhead)
}

/// A call to a thread with a segment of `BYTES`, and the answer.
pub fn call<const BYTES: u64>(boot: &Boot, overhead: Overhead) -> Result<Figures, Failure> {
    let peer = Peer::start(boot)?;
    round_trip(boot, peer.gate, BYTES, overhead)
}

fn round_trip(boot: &Boot, gate: Gate, bytes: u64, overhead: Overhead) -> Result<Figures, Failure> {
    let _segment = Segment::new(boot, bytes)?;
    let slot = gate.slot();
    let once = || ipc::call(slot, LENT, [11, 22, 33, 44], Timeouts::NEVER);
    // What is measured is also right.
    let answer = once().map_err(Failure::Operation)?;
    let shown = window::shown().map_err(Failure::Operation)?;
    if !answer.tag.has_relay() || shown.bytes != bytes {
        return Err(Failure::WrongAnswer);
    }
    samples(overhead, || once().map(drop)).map_err(Failure::Operation)
}

/// The active segment against a parked one.
pub fn swap(boot: &Boot, overhead: Overhead) -> Result<Figures, Failure> {
    let _first = Segment::new(boot, PAGE)?;
    window::park(0).map_err(Failure::Operation)?;
    let _second = Segment::new(boot, 1 << 20)?;
    samples(overhead, || window::swap(0)).map_err(Failure::Operation)
}

/// A mask of one page of a long segment, in place of another one: three tables
/// go and three are made.
pub fn mask(boot: &Boot, overhead: Overhead) -> Result<Figures, Failure> {
    let _segment = Segment::new(boot, 1 << 20)?;
    let mut page = 0;
    let next = || {
        page = (page + 1) % 256;
        window::mask_page(page, Rights::R)
    };
    samples(overhead, next).map_err(Failure::Operation)
}

/// A mask that only takes W away: no tables.
pub fn mask_rights(boot: &Boot, overhead: Overhead) -> Result<Figures, Failure> {
    let _segment = Segment::new(boot, 1 << 20)?;
    samples(overhead, || window::mask(0, 1 << 20, Rights::R)).map_err(Failure::Operation)
}
