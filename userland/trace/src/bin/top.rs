//! What the programs do, second by second: CPU time, calls and messages. Its
//! arguments are how many times to look, and for how many milliseconds each.
//!
//! It counts what the kernel's trace ring tells, so nothing is counted while it
//! does not run; while it does, calls take the kernel's general path, and cost
//! more.
//!
//! Capabilities: `trace`, `log`, `console` (gate).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use postern_runtime::syscall::ErrorNumber;
use postern_runtime::syscall::abi::trace::{Event, NOBODY, Record, flag};
use postern_runtime::{Env, Error, Result, println, time};
use postern_trace::Ring;

postern_runtime::main!(main);

/// KiB of the ring: enough for what happens in a pause.
const SIZE: u64 = 512;
/// How often the ring is emptied.
const PAUSE: Duration = Duration::from_millis(5);

/// What one program did.
#[derive(Default)]
struct Row {
    name: String,
    /// Nanoseconds of CPU time in it.
    time: u64,
    /// Calls that it made.
    calls: u64,
    /// Calls that it answered.
    answers: u64,
    /// Messages without an answer that it sent.
    messages: u64,
    /// How often it got the CPU.
    switches: u64,
    /// Exceptions.
    faults: u64,
}

/// Who has done what since the last table.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    /// The program of a thread, by what its records said.
    threads: Vec<(u32, usize)>,
    /// Who has the CPU, since when.
    running: Option<(usize, u64)>,
}

impl Table {
    fn row(&mut self, name: &str) -> usize {
        self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name: name.into(), ..Row::default() });
            self.rows.len() - 1
        })
    }

    fn take(&mut self, record: &Record) {
        let name = if record.thread == NOBODY { "(idle)" } else { record.name() };
        let index = self.row(name);
        match self.threads.iter_mut().find(|(thread, _)| *thread == record.thread) {
            Some(known) => known.1 = index,
            None => self.threads.push((record.thread, index)),
        }
        match record.event {
            Event::Switch => {
                self.charge(record.time);
                self.running = Some((index, record.time));
                self.rows[index].switches += 1;
            }
            Event::Call if record.values[0] & flag::MESSAGE != 0 => self.rows[index].messages += 1,
            Event::Call => self.rows[index].calls += 1,
            Event::Reply => {
                let by = record.values[0] as u32;
                let found = self.threads.iter().find(|(thread, _)| *thread == by);
                if let Some(answering) = found.map(|(_, index)| *index) {
                    self.rows[answering].answers += 1;
                }
            }
            Event::Fault => self.rows[index].faults += 1,
            _ => {}
        }
    }

    /// Charges the time up to `now` to who has the CPU.
    fn charge(&mut self, now: u64) {
        if let Some((index, since)) = &mut self.running {
            self.rows[*index].time += now.saturating_sub(*since);
            *since = now;
        }
    }

    /// Prints who did something, and forgets it.
    fn print(&mut self, passed: Duration) {
        let whole = passed.as_nanos().max(1) as u64;
        self.rows.sort_by_key(|row| core::cmp::Reverse(row.time));
        println!(
            "{:<16} {:>6} {:>12} {:>8} {:>8} {:>8} {:>8} {:>6}",
            "PROGRAM", "CPU", "TIME", "CALLS", "ANSWERS", "MESSAGES", "SWITCHES", "FAULTS"
        );
        for row in self.rows.iter().filter(|row| row.time + row.calls + row.answers != 0) {
            let tenths = row.time.saturating_mul(1000) / whole;
            println!(
                "{:<16} {:>4}.{}% {:>9} us {:>8} {:>8} {:>8} {:>8} {:>6}",
                row.name,
                tenths / 10,
                tenths % 10,
                row.time / 1000,
                row.calls,
                row.answers,
                row.messages,
                row.switches,
                row.faults
            );
        }
        *self = Self::default();
    }
}

fn main(env: Env) -> Result<i32> {
    let mut numbers = env.arguments().skip(1).map(|word| word.parse::<u32>());
    let times = numbers.next().and_then(core::result::Result::ok).unwrap_or(1);
    let pause = numbers.next().and_then(core::result::Result::ok).unwrap_or(1000);
    let pause = Duration::from_millis(pause.into());
    let mut ring = match Ring::start(&env, SIZE * 1024) {
        Ok(ring) => ring,
        Err(Error::Refused { code, .. }) if code.number == ErrorNumber::Busy => {
            println!("top: the trace is on already; `trace off` ends it");
            return Ok(1);
        }
        Err(error) => return Err(error),
    };
    let mut table = Table::default();
    for _ in 0..times {
        let start = time::now();
        while time::now() - start < pause {
            time::sleep(PAUSE.min(pause));
            for record in ring.by_ref() {
                table.take(&record);
            }
        }
        let now = time::now();
        table.charge(now.as_nanos() as u64);
        table.print(now - start);
    }
    if ring.lost() != 0 {
        println!("{} records were lost: the figures are too low", ring.lost());
    }
    Ok(0)
}
