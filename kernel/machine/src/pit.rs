//! The old timer chip (8254), against which the others are measured once.
//!
//! Channel 2 only, which can interrupt nobody. Not used after boot.

use crate::apic::{Access, LocalApic, Register};
use crate::clock::{Rates, ticks};
use crate::port;

/// Data of channel 2.
const DATA: u16 = 0x42;
/// Commands.
const COMMAND: u16 = 0x43;
/// Gate of channel 2 (bit 0) and the speaker (bit 1).
const GATE: u16 = 0x61;
/// Channel 2, both bytes, count down once.
const COUNT_DOWN: u8 = 0b1011_0000;
/// Freeze the count of channel 2 for reading.
const LATCH: u8 = 0b1000_0000;
/// The chip's clock is 3579545 / 3 Hz.
const CLOCK_TIMES_3: u64 = 3_579_545;
/// Length of a measurement, about 10 ms.
const WINDOW: u16 = 12_000;
/// Polls before the chip counts as missing.
const PATIENCE: u32 = 1_000_000;
/// Two measurements agree if they differ by less than a 2000th.
const AGREE: u64 = 2000;

/// Moments of all three counters.
struct Moment {
    count: u16,
    tsc: u64,
    apic: u32,
}

fn count() -> u16 {
    port::write_byte(COMMAND, LATCH);
    u16::from_le_bytes([port::read_byte(DATA), port::read_byte(DATA)])
}

/// The next moment at which the count changes.
fn edge(apic: &LocalApic) -> Option<Moment> {
    let before = count();
    for _ in 0..PATIENCE {
        let count = count();
        let tsc = ticks();
        if count != before {
            return Some(Moment { count, tsc, apic: apic.read(Register::CurrentCount) });
        }
    }
    None
}

/// Passes some time without touching the chip: under emulation an access to it
/// costs a thousand other instructions.
fn pause() {
    for _ in 0..5000 {
        // SAFETY: no instruction at all; it only keeps the loop.
        unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
    }
}

fn once(apic: &mut LocalApic) -> Option<Rates> {
    let gate = port::read_byte(GATE);
    port::write_byte(GATE, gate & !2 | 1);
    port::write_byte(COMMAND, COUNT_DOWN);
    port::write_byte(DATA, 0xff);
    port::write_byte(DATA, 0xff);
    apic.write(Register::InitialCount, u32::MAX);
    let begin = edge(apic)?;
    let mut polls = 0;
    while begin.count.wrapping_sub(count()) < WINDOW {
        pause();
        polls += 1;
        if polls > PATIENCE {
            return None;
        }
    }
    let end = edge(apic)?;
    apic.write(Register::InitialCount, 0);
    port::write_byte(GATE, gate & !2);
    let counts = u64::from(begin.count.wrapping_sub(end.count));
    let rate = |ticks: u64| ticks.checked_mul(CLOCK_TIMES_3)?.checked_div(counts * 3);
    Some(Rates {
        tsc: rate(end.tsc - begin.tsc)?,
        apic: rate(u64::from(begin.apic.wrapping_sub(end.apic)))?,
        source: "PIT",
    })
}

/// Measures the rates of the TSC and of the timer of `apic`, which must be
/// masked; again if something disturbed. `None` if there is no such chip.
pub fn measure(apic: &mut LocalApic) -> Option<Rates> {
    let mut last = once(apic)?;
    for _ in 0..8 {
        let next = once(apic)?;
        let close = |a: u64, b: u64| a.abs_diff(b) <= a / AGREE;
        if close(last.tsc, next.tsc) && close(last.apic, next.apic) {
            return Some(next);
        }
        last = next;
    }
    Some(last)
}
