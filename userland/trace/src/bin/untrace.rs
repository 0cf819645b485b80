//! Has the recorder stop and write what it has.
//!
//! Capabilities: `tracer`, `console` (gates), `log`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_runtime::{Env, Result, println};
use postern_trace::TracerClient;

postern_runtime::main!(main);

fn main(env: Env) -> Result<i32> {
    let tracer: TracerClient = env.capability("tracer")?;
    match tracer.stop() {
        Ok((count, lost)) => {
            println!("{count} records, {lost} older ones were overwritten");
            Ok(0)
        }
        Err(error) => {
            println!("no trace: {error}");
            Ok(1)
        }
    }
}
