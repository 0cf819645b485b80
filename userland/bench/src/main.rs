//! Benchmarks of kernel entries, calls and operations, in the place of init.
//!
//! Under `-icount shift=0,sleep=off` the time stamp counter counts executed
//! instructions, so every figure is a number of instructions: the stubs of
//! both sides and the kernel between them. What reading the counter costs is
//! measured first and subtracted. Lines on the log: `@@ overhead STUB LIBRARY`,
//! then one for each row, `@@ bench NAME MIN MEDIAN P99 SAMPLES`.
//!
//! The command line may say `filter=a,b`: then only rows are measured whose
//! names begin with one of these; `explain=ROW`: then only this row, with a
//! mark for a debugger before the first sample.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod failure;
mod measure;
mod partner;
mod rows;
mod scope;

use postern_runtime::syscall::abi::harness::{
    CMDLINE, EXIT_FAILURE, EXIT_PORT, EXIT_SUCCESS, MARK,
};
use postern_runtime::syscall::{IoPort, PortWidth};
use postern_runtime::{Boot, log, log_raw, own};

use crate::measure::Meter;
use crate::rows::Bench;

postern_runtime::init_main!(main);

fn main(boot: Boot) -> i32 {
    own::set_name("bench");
    let explained = word(&boot, "explain=");
    let filter = word(&boot, "filter=");
    let is_wanted = |name: &str| match (explained, filter) {
        (Some(row), _) => row == name,
        (None, Some(starts)) => starts.split(',').any(|start| name.starts_with(start)),
        (None, None) => true,
    };
    let bench = Bench { boot: &boot, meter: Meter::new(explained.is_some()) };
    log_raw!("{MARK}overhead {}\n", bench.meter);
    let mut is_good = true;
    for row in rows::all().filter(|row| is_wanted(row.name)) {
        match (row.run)(&bench) {
            Ok(figures) => log_raw!("{MARK}bench {} {figures}\n", row.name),
            Err(error) => {
                log_raw!("{MARK}fail {} {error}\n", row.name);
                is_good = false;
            }
        }
    }
    power_off(boot.io_ports, if is_good { EXIT_SUCCESS } else { EXIT_FAILURE });
    log!("the machine cannot be turned off");
    1
}

/// What the command line says after `key`; nothing is as good as no word.
fn word(boot: &Boot, key: &str) -> Option<&'static str> {
    let line = core::str::from_utf8(boot.archive.find(CMDLINE)?).ok()?;
    line.split_ascii_whitespace()
        .find_map(|word| word.strip_prefix(key))
        .filter(|value| !value.is_empty())
}

fn power_off(ports: IoPort, value: u8) {
    // Without the device nothing happens, and the caller says so.
    let _ = ports.write(EXIT_PORT, PortWidth::Byte, value.into());
}
