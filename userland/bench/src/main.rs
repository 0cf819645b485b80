//! Benchmarks of kernel entries and calls, in the place of init.
//!
//! Under `-icount shift=0,sleep=off` the time stamp counter counts executed
//! instructions, so every figure is a number of instructions: the stubs of
//! both sides and the kernel between them. What reading the counter costs is
//! measured first and subtracted. Each row is one line on the log:
//! `@@ bench NAME MIN MEDIAN P99 SAMPLES`.
//!
//! The command line may say `filter=a,b`: then only those rows are measured.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod measure;
mod relay;
mod rows;

use postern_runtime::syscall::abi::harness::{
    CMDLINE, EXIT_FAILURE, EXIT_PORT, EXIT_SUCCESS, MARK,
};
use postern_runtime::syscall::{IoPort, PortWidth};
use postern_runtime::{Boot, log, log_raw, own};

use crate::measure::Overhead;

postern_runtime::init_main!(main);

fn main(boot: Boot) -> i32 {
    own::set_name("bench");
    let filter = filter(&boot);
    let overhead = Overhead::measure();
    let mut result = Ok(());
    for row in rows::ROWS {
        if filter.is_none_or(|names| names.split(',').any(|name| name == row.name)) {
            result = match (row.run)(&boot, overhead) {
                Ok(figures) => {
                    log_raw!("{MARK}bench {} {figures}\n", row.name);
                    result
                }
                Err(error) => {
                    log_raw!("{MARK}fail {} {error}\n", row.name);
                    Err(error)
                }
            };
        }
    }
    power_off(boot.io_ports, if result.is_ok() { EXIT_SUCCESS } else { EXIT_FAILURE });
    log!("the machine cannot be turned off");
    1
}

/// The rows to measure; `None`: all.
fn filter(boot: &Boot) -> Option<&'static str> {
    let line = core::str::from_utf8(boot.archive.find(CMDLINE)?).ok()?;
    line.split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("filter="))
        .filter(|names| !names.is_empty())
}

fn power_off(ports: IoPort, value: u8) {
    // Without the device nothing happens, and the caller says so.
    let _ = ports.write(EXIT_PORT, PortWidth::Byte, value.into());
}
