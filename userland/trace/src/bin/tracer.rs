//! The recorder: turns the trace on when it starts, and writes it to the log
//! when it is asked to stop. Its argument is the size of the ring in KiB.
//!
//! Capabilities: `trace`, `log`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;
use core::fmt::Write;

use postern_runtime::interface::Answer;
use postern_runtime::{Env, Result, exit, log, log_raw, server};
use postern_trace::{Error, Ring, Tracer, TracerServer};

postern_runtime::main!(main);

/// KiB of the ring if nothing else is said.
const SIZE: u64 = 1024;
/// Bytes that are written to the log at once.
const PIECE: usize = 400;

fn main(env: Env) -> Result<i32> {
    let size = env.arguments().nth(1).and_then(|text| text.parse().ok()).unwrap_or(SIZE);
    let ring = Ring::start(&env, size.saturating_mul(1024))?;
    let error = server::serve(&mut TracerServer(Recorder { ring }));
    log!("cannot receive any more: {error}");
    Ok(1)
}

struct Recorder {
    ring: Ring,
}

impl Tracer for Recorder {
    fn stop(&mut self, answer: Answer<'_, (u64, u64), Error>) {
        self.ring.stop();
        let (mut count, mut text) = (0_u64, String::with_capacity(2 * PIECE));
        for record in self.ring.by_ref() {
            count += 1;
            let [first, second] = record.values;
            // A string takes everything.
            let _ = writeln!(
                text,
                "@trace {} {} {} {first:x} {second:x} {}",
                record.time,
                record.event as u8,
                record.thread,
                record.name()
            );
            if text.len() >= PIECE {
                log_raw!("{text}");
                text.clear();
            }
        }
        log_raw!("{text}@trace end {count} {}\n", self.ring.lost());
        answer.send(Ok((count, self.ring.lost())));
        exit(0)
    }
}
