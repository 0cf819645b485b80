//! `cargo xtask bench`: instructions of kernel paths, counted by QEMU.
//!
//! Must never judge anything but the release build with counted time: only
//! those numbers are the same on every computer.

mod explain;
mod figures;
mod plot;
mod remote;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::protocol::Line;
use crate::qemu::{CPU, Debugger, Machine, Outcome};
use crate::suite::Counts;
use crate::system::{Firmware, Kind, System};
use crate::{session, setup, step, workspace};
use figures::{Known, Measured, as_json, judge};

/// A benchmark without a result for so long is stuck.
const SILENCE: Duration = Duration::from_secs(180);

#[derive(clap::Args)]
pub struct Options {
    /// Only rows whose names begin with one of these
    #[arg(value_name = "FILTER")]
    rows: Vec<String>,
    /// Fail if a row is over its budget in xtask/budgets.toml
    #[arg(long)]
    check: bool,
    /// Write the rows to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the rows, as an SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Do not count instructions but measure time, and print ratios
    #[arg(long, conflicts_with_all = ["check", "json", "plot"])]
    wall: bool,
    /// Show in which functions one sample of this row spends its instructions
    #[arg(long, value_name = "ROW", conflicts_with_all = ["rows", "check", "json", "plot", "wall"])]
    explain: Option<String>,
    /// With --explain: print every instruction, too
    #[arg(long, requires = "explain")]
    instructions: bool,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    setup::ensure(setup::Need::Bios)?;
    if let Some(row) = &options.explain {
        print!("{}", explain::row(row, options.instructions)?);
        return Ok(ExitCode::SUCCESS);
    }
    if options.wall {
        let mut rows = options.rows.clone();
        if !rows.is_empty() {
            rows.push(table::UNIT.to_owned());
        }
        let measured = measure(&rows, false)?;
        println!("{}", table::ratios(&measured).context("the row to compare with is missing")?);
        return Ok(ExitCode::SUCCESS);
    }
    let known = Known::load()?;
    let measured = measure(&options.rows, true)?;
    println!("{}", table::counted(&measured, &known));
    if let Some(file) = &options.json {
        workspace::write_whole(file, as_json(&measured, &known).as_bytes())?;
    }
    if let Some(file) = &options.plot {
        let svg = plot::svg(&measured.rows, &known).context("there is nothing to draw")?;
        workspace::write_whole(file, svg.as_bytes())?;
    }
    if !options.check {
        return Ok(ExitCode::SUCCESS);
    }
    let is_wanted = |name: &str| {
        options.rows.is_empty() || options.rows.iter().any(|start| name.starts_with(start.as_str()))
    };
    let failures: Vec<_> = judge(&measured.rows, &known.budgets, is_wanted)
        .into_iter()
        .filter_map(Result::err)
        .collect();
    ensure!(failures.is_empty(), "over budget:\n  {}", failures.join("\n  "));
    Ok(ExitCode::SUCCESS)
}

/// Measures all rows and counts those within and over their budgets, as tests.
pub fn check() -> Result<Counts> {
    let known = Known::load()?;
    let mut counts = Counts::default();
    for result in judge(&measure(&[], true)?.rows, &known.budgets, |_| true) {
        match result {
            Ok(text) => {
                counts.passed += 1;
                println!("bench {text} ... ok");
            }
            Err(text) => {
                counts.failed += 1;
                println!("bench {text} ... FAILED");
            }
        }
    }
    Ok(counts)
}

/// The machine that the benchmarks run on.
fn machine(system: &System, cmdline: &str) -> Result<Machine> {
    Ok(Machine {
        image: system.image(cmdline, Firmware::Bios)?,
        firmware: Firmware::Bios,
        // The largest segment of the rows is 1 GiB.
        memory: "4G".into(),
        cpu: CPU.into(),
        counted: true,
        debugger: Debugger::None,
    })
}

/// Boots the benchmarks and returns what they measured: instructions, or if
/// they are not `counted`, time in a unit of the host's.
fn measure(wanted: &[String], counted: bool) -> Result<Measured> {
    let system = System::build(Kind::Bench)?;
    let cmdline =
        if wanted.is_empty() { String::new() } else { format!("filter={}", wanted.join(",")) };
    let machine = Machine { counted, ..machine(&system, &cmdline)? };
    step::say(if counted { "counting instructions in QEMU" } else { "measuring time in QEMU" });
    let (mut rows, mut overhead, mut other) = (Vec::new(), None, Vec::new());
    let outcome = session::lines(&machine, SILENCE, |line| match Line::parse(line) {
        Some((_, Line::Bench(row))) => {
            rows.push(row);
            true
        }
        Some((_, Line::Overhead(readings))) => {
            overhead = Some(readings);
            true
        }
        parsed => {
            other.push(line.to_owned());
            parsed.is_some()
        }
    })?;
    if outcome != Outcome::Success {
        let mut symbols = system.symbols();
        other.iter().for_each(|line| eprintln!("    | {}", symbols.line(line)));
        bail!("{outcome}");
    }
    ensure!(!rows.is_empty(), "no row was measured");
    let overhead = overhead.context("the benchmarks did not say what reading the clock costs")?;
    Ok(Measured { rows, overhead })
}

#[cfg(test)]
mod tests {
    use crate::protocol::Row;

    /// A row all of whose figures are the same.
    pub fn row(name: &str, median: u64) -> Row {
        Row { name: name.into(), min: median, median, p99: median, samples: 100 }
    }
}
