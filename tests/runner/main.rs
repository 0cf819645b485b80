//! Plays init and runs the tests: each in a fresh task on a quota of its own,
//! with a time limit, and afterwards everything must have come back.
//!
//! The command line (the archive's entry `cmdline`) says which tests:
//! `[list] [general] [filter=TEXT] [after=NAME]`. The lines that it writes are those of
//! `abi::harness`. It must never count a test as passed that did not end with
//! the code for that, and must come through whatever a test does.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod case;
mod outcome;
mod selection;
mod subject;

use alloc::string::String;
use alloc::vec::Vec;

use postern_runtime::syscall::abi::harness::{
    CMDLINE, EXIT_FAILURE, EXIT_PORT, EXIT_SUCCESS, MARK,
};
use postern_runtime::syscall::abi::stretch::Cause;
use postern_runtime::syscall::{Gate, PortWidth};
use postern_runtime::{Boot, Error, Explain, log, log_raw, slots};

use case::Runner;
use outcome::Outcome;
use selection::Selection;
use subject::Subject;

postern_runtime::init_main!(main);

/// The priority of the runner: above everything that a test can have.
const PRIORITY: u8 = 255;

/// Instructions for which the kernel may keep interrupts away in a test. (A
/// kernel with debug assertions takes more than the one that ships.)
const LONGEST: u64 = 20_000;

/// A test, as its subject described it.
struct Listed {
    name: String,
    seconds: u64,
}

/// How many tests came out how.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Longest stretch without interrupts in a test: instructions (time is
    /// counted in them), the cause, and the test.
    longest: (u64, Cause, String),
}

fn main(boot: Boot) -> i32 {
    let is_good = match run(&boot) {
        Ok(is_good) => is_good,
        Err(error) => {
            log!("the runner cannot go on: {error}");
            false
        }
    };
    let code = if is_good { EXIT_SUCCESS } else { EXIT_FAILURE };
    // If there is no such port, ending is all that is left.
    let _ = boot.io_ports.write(EXIT_PORT, PortWidth::Byte, code.into());
    i32::from(!is_good)
}

/// Runs everything; whether all was well.
fn run(boot: &Boot) -> Result<bool, Error> {
    let words = boot.archive.find(CMDLINE).and_then(|bytes| core::str::from_utf8(bytes).ok());
    let mut selection = Selection::parse(words.unwrap_or(""));
    if selection.general {
        boot.scheduler.set_fast_paths(false).explain("turning the fast paths off", "scheduler")?;
    }
    let runner = Runner::new(boot)?;
    let mut counts = Counts::default();
    for (name, file) in boot.archive.entries() {
        if name == "init" || name == CMDLINE {
            continue;
        }
        match Subject::load(boot, name, file) {
            Ok(subject) => run_subject(&runner, &subject, &mut selection, &mut counts),
            Err(error) => {
                let listed = Listed { name: String::from(name), seconds: 0 };
                report(&listed, &Outcome::failed(format_args!("not loaded: {error}")), &mut counts);
            }
        }
    }
    if selection.is_list() {
        return Ok(counts.failed == 0);
    }
    let (length, cause, test) = &counts.longest;
    log_raw!("{MARK}note longest stretch {length} instructions in {cause} ({test})\n");
    log_raw!("{MARK}end {} {} {}\n", counts.passed, counts.failed, counts.skipped);
    Ok(counts.failed == 0)
}

fn run_subject(
    runner: &Runner<'_>,
    subject: &Subject<'_>,
    selection: &mut Selection<'_>,
    counts: &mut Counts,
) {
    let listed = match runner.list(subject) {
        Ok(listed) => listed,
        Err(outcome) => {
            let whole = Listed { name: String::from(subject.name()), seconds: 0 };
            return report(&whole, &outcome, counts);
        }
    };
    let chosen: Vec<_> = listed.into_iter().filter(|test| selection.takes(&test.name)).collect();
    for test in chosen {
        if selection.is_list() {
            log_raw!("{MARK}list {}\n", test.name);
            continue;
        }
        log_raw!("{MARK}start {}\n", test.name);
        runner.begin_stretch();
        let mut outcome = runner.run(subject, &test);
        let (length, cause) = runner.end_stretch();
        if length > LONGEST && matches!(outcome, Outcome::Passed) {
            outcome = Outcome::failed(format_args!(
                "interrupts were off for {length} instructions in {cause}; {LONGEST} are allowed"
            ));
        }
        if length > counts.longest.0 {
            counts.longest = (length, cause, test.name.clone());
        }
        report(&test, &outcome, counts);
    }
}

/// Writes the result of a test, on one line.
fn report(test: &Listed, outcome: &Outcome, counts: &mut Counts) {
    let (word, reason, count) = match outcome {
        Outcome::Passed => ("ok", "", &mut counts.passed),
        Outcome::Skipped(reason) => ("skip", reason.as_str(), &mut counts.skipped),
        Outcome::Failed(reason) => ("fail", reason.as_str(), &mut counts.failed),
    };
    *count += 1;
    let space = if reason.is_empty() { "" } else { " " };
    let line = reason.replace(['\n', '\r'], " ");
    log_raw!("{MARK}{word} {}{space}{line}\n", test.name);
}

/// A gate bound to the runner's thread.
fn gate(boot: &Boot) -> Result<Gate, Error> {
    slots::fill("creating a gate", "factory", |slot| {
        boot.factory.create_bound_gate(slot, boot.thread, 0)
    })
}
