//! `cargo xtask bench`: instructions of kernel paths, counted by QEMU.
//!
//! Must never measure anything but the release build with counted time: only
//! those numbers are the same on every computer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::protocol::{Line, Row};
use crate::qemu::{Machine, Outcome};
use crate::suite::Counts;
use crate::system::{Firmware, Kind, System};
use crate::{session, setup, step, workspace};

/// A benchmark without a result for so long is stuck.
const SILENCE: Duration = Duration::from_secs(180);

/// Most instructions that the median of a row may take.
type Budgets = BTreeMap<String, u64>;

#[derive(clap::Args)]
pub struct Options {
    /// Only these rows
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// Fail if a row is over its budget in xtask/budgets.toml
    #[arg(long)]
    check: bool,
    /// Write the rows to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    setup::ensure(setup::Need::Bios)?;
    let budgets = budgets()?;
    let rows = measure(&options.rows)?;
    println!("{}", table(&rows, &budgets));
    if let Some(file) = &options.json {
        workspace::write_whole(file, as_json(&rows, &budgets).as_bytes())?;
    }
    if !options.check {
        return Ok(ExitCode::SUCCESS);
    }
    let is_wanted =
        |name: &str| options.rows.is_empty() || options.rows.iter().any(|row| row == name);
    let failures: Vec<_> =
        judge(&rows, &budgets, is_wanted).into_iter().filter_map(Result::err).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n  "));
    Ok(ExitCode::SUCCESS)
}

/// Measures all rows and counts those within and over their budgets, as tests.
pub fn check() -> Result<Counts> {
    let budgets = budgets()?;
    let mut counts = Counts::default();
    for result in judge(&measure(&[])?, &budgets, |_| true) {
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

fn budgets() -> Result<Budgets> {
    let file = workspace::root().join("xtask/budgets.toml");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).context("in xtask/budgets.toml (every line is `row = instructions`)")
}

/// Boots the benchmarks and returns what they measured.
fn measure(wanted: &[String]) -> Result<Vec<Row>> {
    let system = System::build(Kind::Bench)?;
    let cmdline =
        if wanted.is_empty() { String::new() } else { format!("filter={}", wanted.join(",")) };
    let machine = Machine {
        image: system.image(&cmdline, Firmware::Bios)?,
        firmware: Firmware::Bios,
        // The largest segment of the rows is 1 GiB.
        memory: "4G".into(),
        counted: true,
        debugger: false,
    };
    step::say("counting instructions in QEMU");
    let (mut rows, mut other) = (Vec::new(), Vec::new());
    let outcome = session::lines(&machine, SILENCE, |line| match Line::parse(line) {
        Some((_, Line::Bench(row))) => {
            eprintln!("    {}: {}", row.name, row.median);
            rows.push(row);
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
    Ok(rows)
}

/// For each row with a budget, and each budget without a row, whether it is
/// kept.
fn judge(
    rows: &[Row],
    budgets: &Budgets,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Result<String, String>> {
    let one = |(name, budget): (&String, &u64)| {
        let Some(row) = rows.iter().find(|row| row.name == *name) else {
            return Err(format!("{name}: not measured, its budget is {budget}"));
        };
        let text = format!("{name}: {} instructions, its budget is {budget}", row.median);
        if row.median <= *budget { Ok(text) } else { Err(text) }
    };
    budgets.iter().filter(|budget| is_wanted(budget.0)).map(one).collect()
}

fn table(rows: &[Row], budgets: &Budgets) -> String {
    let head = ["row", "min", "median", "p99", "samples", "budget"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let budget = budgets.get(&row.name).map_or("-".to_owned(), u64::to_string);
        let numbers = [row.min, row.median, row.p99, row.samples].map(|count| count.to_string());
        let [min, median, p99, samples] = numbers;
        [row.name.clone(), min, median, p99, samples, budget]
    });
    let lines: Vec<_> = std::iter::once(head).chain(cells).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let shown = lines.iter().map(|line| {
        let cell = |(column, text): (usize, &String)| match column {
            0 => format!("{text:<0$}", width(0)),
            _ => format!("{text:>0$}", width(column)),
        };
        line.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ")
    });
    shown.collect::<Vec<_>>().join("\n")
}

fn as_json(rows: &[Row], budgets: &Budgets) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "row": row.name, "min": row.min, "median": row.median, "p99": row.p99,
                "samples": row.samples, "budget": budgets.get(&row.name),
            })
        })
        .collect();
    let qemu = workspace::output_of(Command::new(setup::QEMU).arg("--version"));
    let mut git = Command::new("git");
    git.current_dir(workspace::root()).args(["describe", "--always", "--dirty", "--abbrev=40"]);
    let all = json!({
        "rows": rows,
        "qemu": qemu.ok().and_then(|text| text.lines().next().map(str::to_owned)),
        "commit": workspace::output_of(&mut git).ok(),
    });
    format!("{all:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, median: u64) -> Row {
        Row { name: name.into(), min: median, median, p99: median, samples: 100 }
    }

    #[test]
    fn a_row_over_its_budget_fails_by_name() {
        let budgets = Budgets::from([("null".into(), 60), ("call-0w".into(), 200)]);
        let results = judge(&[row("null", 60), row("call-0w", 201)], &budgets, |_| true);
        let over = "call-0w: 201 instructions, its budget is 200".to_owned();
        let kept = "null: 60 instructions, its budget is 60".to_owned();
        assert_eq!(results, [Err(over), Ok(kept)]);
    }

    #[test]
    fn a_budget_without_a_row_fails_unless_it_was_not_asked_for() {
        let budgets = Budgets::from([("null".into(), 60)]);
        let results = judge(&[row("other", 1)], &budgets, |_| true);
        assert_eq!(results, [Err("null: not measured, its budget is 60".into())]);
        assert!(judge(&[row("other", 1)], &budgets, |name| name == "other").is_empty());
    }

    #[test]
    fn the_table_is_aligned() {
        let budgets = Budgets::from([("null".into(), 60)]);
        let text = table(&[row("null", 5), row("call-0w", 12345)], &budgets);
        let expected = "row        min  median    p99  samples  budget\n\
                        null         5       5      5      100      60\n\
                        call-0w  12345   12345  12345      100       -";
        assert_eq!(text, expected);
    }
}
