//! A guest that nobody types to: its lines are read until it ends or falls
//! silent. What `test` and `bench` have in common.
//!
//! Must never wait without a bound: only lines of the protocol count as signs
//! of life, so that a program that prints for ever is ended, too.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::protocol::Lines;
use crate::qemu::{Event, Guest, Machine, Outcome};

/// How long a boot may take until the first line of the protocol, on a busy
/// machine without hardware virtualisation.
const BOOT: Duration = Duration::from_secs(120);

/// How long a guest may run in all. A suite takes a few minutes; one that
/// repeats itself gives signs of life for ever.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Runs `machine` and gives each of its lines to `take`, which says whether the
/// line is a sign of life. After `silence` without one the guest is ended.
pub fn lines(
    machine: &Machine,
    silence: Duration,
    mut take: impl FnMut(&str) -> bool,
) -> Result<Outcome> {
    let guest = Guest::start(machine)?;
    let mut lines = Lines::default();
    let mut patience = BOOT.max(silence);
    let end = Instant::now() + LONGEST;
    let mut deadline = Instant::now() + patience;
    loop {
        match guest.next(deadline.min(end)) {
            Event::Output(bytes) => {
                for line in lines.feed(&bytes) {
                    if take(&line) {
                        patience = silence;
                        deadline = Instant::now() + patience;
                    }
                }
                // Output without end must not keep the deadline from being seen.
                if Instant::now() < deadline.min(end) {
                    continue;
                }
            }
            Event::End => {
                lines.rest().map(|line| take(&line));
                return guest.finish();
            }
            Event::Silence | Event::Quit | Event::InputEnd => {}
        }
        lines.rest().map(|line| take(&line));
        if Instant::now() >= end {
            let minutes = LONGEST.as_secs() / 60;
            return Ok(Outcome::Other(format!("it was not done after {minutes} minutes")));
        }
        return Ok(Outcome::Silent(patience));
    }
}
