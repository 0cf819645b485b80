//! `cargo xtask test`: the tests on this computer, those in QEMU, those of the
//! whole system, and the budgets of the benchmarks.
//!
//! Must never be green without having run a test. Its last line is
//! `N passed, N failed`; if any were skipped, the line before says how many.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::manifest::App;
use crate::protocol::Line;
use crate::qemu::{CPU, Debugger, Machine, Outcome};
use crate::suite::{Counts, Next, Report, Suite, Verdict};
use crate::symbols::Symbols;
use crate::system::{Firmware, Kind, System};
use crate::{bench, host, script, session, setup, step};

/// What the suite is called where a test has its name.
const SUITE: &str = "(the tests in QEMU)";
/// A test without a result for so long has failed.
const SILENCE: Duration = Duration::from_secs(60);

/// After so many boots, or so much time, the suite gives up: a kernel on which
/// every test hangs would keep a machine busy for hours.
const MOST_BOOTS: u32 = 20;
/// See [`MOST_BOOTS`].
const MOST_TIME: Duration = Duration::from_secs(25 * 60);

#[derive(clap::Args)]
pub struct Options {
    /// Only tests whose names contain this (without the benchmarks)
    filter: Option<String>,
    /// Only the tests of a crate, which may be outside of the repository: the
    /// scripts in its folder `tests`, typed into the system with its programs
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host_only", "general", "fast"])]
    app: Option<PathBuf>,
    /// Print the names of the tests in QEMU instead of running them
    #[arg(long)]
    list: bool,
    /// Only the tests on this computer
    #[arg(long, conflicts_with_all = ["guest_only", "list"])]
    host_only: bool,
    /// Only the tests in QEMU
    #[arg(long)]
    guest_only: bool,
    /// Print what programs write in tests that pass, too
    #[arg(long, short)]
    verbose: bool,
    /// With the kernel's fast paths off only, instead of both ways
    #[arg(long)]
    general: bool,
    /// With the kernel's fast paths on only
    #[arg(long, conflicts_with = "general")]
    fast: bool,
    /// Boot with UEFI instead of the BIOS
    #[arg(long)]
    uefi: bool,
    /// The CPU that QEMU emulates (`max,-svm` is one that runs no guests)
    #[arg(long, default_value = CPU, value_name = "CPU")]
    cpu: String,
}

/// Which paths the kernel takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paths {
    /// The fast ones where it can.
    Fast,
    /// The general one for everything.
    General,
}

impl Options {
    /// One boot after the other: the suite passes both ways, as the fast paths
    /// are no second semantics.
    fn paths(&self) -> &[Paths] {
        match (self.general, self.fast || self.filter.is_some()) {
            (true, _) => &[Paths::General],
            (false, true) => &[Paths::Fast],
            (false, false) => &[Paths::Fast, Paths::General],
        }
    }
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    if let Some(filter) = &options.filter {
        ensure!(!filter.contains(char::is_whitespace), "a filter is one word, not `{filter}`");
    }
    // First, because nothing is as fast: a mistake is seen at once.
    let app = options.app.as_deref().map(App::find).transpose()?.map(|app| app.folder);
    if !options.host_only {
        setup::ensure(if options.uefi { setup::Need::Uefi } else { setup::Need::Bios })?;
    }
    if options.list {
        return list(options, app.as_deref());
    }
    let mut counts = Counts::default();
    let is_ours = app.is_none();
    if !options.guest_only && is_ours {
        counts += host::run(options.filter.as_deref())?;
    }
    if !options.host_only {
        // Their names begin with it, those of the others never do.
        if is_ours
            && !options.filter.as_ref().is_some_and(|filter| filter.starts_with(script::PREFIX))
        {
            for paths in options.paths() {
                counts += or_failed(SUITE, guest(options, *paths));
            }
        }
        counts +=
            or_failed("(the system tests)", script::run(&wanted(options, app.as_deref()), print));
    }
    if !options.host_only && is_ours && options.filter.is_none() {
        counts += or_failed("(the benchmarks)", bench::check());
    }
    if counts.passed + counts.failed == 0 {
        eprintln!("error: no test ran");
    }
    if counts.skipped > 0 {
        println!("{} skipped", counts.skipped);
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    let is_good = counts.failed == 0 && counts.passed > 0;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A part that could not even run counts as one failed test, so that the other
/// parts still run and the last line still tells the truth.
fn or_failed(part: &str, result: Result<Counts>) -> Counts {
    result.unwrap_or_else(|error| {
        println!("test {part} ... FAILED: {error:#}");
        Counts { failed: 1, ..Counts::default() }
    })
}

/// Which system tests are meant, and how they run.
fn wanted<'a>(options: &'a Options, app: Option<&'a Path>) -> script::Wanted<'a> {
    script::Wanted {
        app,
        filter: options.filter.as_deref().unwrap_or_default(),
        firmware: Firmware::from_option(options.uefi),
        verbose: options.verbose,
    }
}

fn machine(options: &Options, system: &System, cmdline: &str) -> Result<Machine> {
    let firmware = Firmware::from_option(options.uefi);
    Ok(Machine {
        image: system.image(cmdline, firmware)?,
        firmware,
        memory: "256M".into(),
        cpu: options.cpu.clone(),
        counted: true,
        debugger: Debugger::None,
    })
}

/// The words for the runner: which tests, and after which one to begin.
fn cmdline(paths: Paths, filter: Option<&str>, after: Option<&str>) -> String {
    let paths = (paths == Paths::General).then(|| "general".to_owned());
    let filter = filter.map(|text| format!("filter={text}"));
    let after = after.map(|name| format!("after={name}"));
    paths.into_iter().chain(filter).chain(after).collect::<Vec<_>>().join(" ")
}

fn list(options: &Options, app: Option<&Path>) -> Result<ExitCode> {
    let mut count = if app.is_none() { list_guest(options)? } else { 0 };
    for name in script::names(options.filter.as_deref().unwrap_or_default(), app)? {
        println!("{name}");
        count += 1;
    }
    ensure!(count > 0, "there is no test");
    Ok(ExitCode::SUCCESS)
}

/// Lets the runner print the names of its tests; returns how many there are.
fn list_guest(options: &Options) -> Result<u64> {
    let system = System::build(Kind::Tests)?;
    let filter = cmdline(Paths::Fast, options.filter.as_deref(), None);
    let machine = machine(options, &system, format!("list {filter}").trim_end())?;
    let mut count = 0;
    let outcome = session::lines(&machine, SILENCE, |line| match Line::parse(line) {
        Some((_, Line::List(name))) => {
            println!("{name}");
            count += 1;
            true
        }
        _ => false,
    })?;
    ensure!(outcome == Outcome::Success, "{outcome}");
    Ok(count)
}

/// Runs the suite in QEMU, with as many boots as it needs.
fn guest(options: &Options, paths: Paths) -> Result<Counts> {
    let system = System::build(Kind::Tests)?;
    let mut symbols = system.symbols();
    let mut suite = Suite::default();
    let mut after = None;
    let start = Instant::now();
    let mut boots = 0;
    loop {
        let words = cmdline(paths, options.filter.as_deref(), after.as_deref());
        let machine = machine(options, &system, &words)?;
        boots += 1;
        let which = if paths == Paths::General { ", fast paths off" } else { "" };
        step::say(&format!("booting the tests in QEMU{which} (boot {boots})"));
        let outcome = session::lines(&machine, SILENCE, |line| {
            let (reports, is_protocol) = suite.line(line);
            reports.iter().for_each(|report| print(report, &mut symbols, options.verbose));
            is_protocol
        })?;
        let (reports, next) = suite.boot_over(&outcome);
        reports.iter().for_each(|report| print(report, &mut symbols, options.verbose));
        match next {
            Next::Done => break,
            Next::Resume(name) if boots < MOST_BOOTS && start.elapsed() < MOST_TIME => {
                after = Some(name);
            }
            Next::Resume(name) => {
                let reason =
                    format!("gave up after {name}: too many boots, the others did not run");
                suite.counts += or_failed(SUITE, Err(anyhow!(reason)));
                break;
            }
        }
    }
    let mut counts = suite.counts;
    if counts.total() == 0 && options.filter.is_none() {
        counts += or_failed(SUITE, Err(anyhow!("the suite is empty")));
    }
    suite.notes.iter().for_each(|note| println!("{note}"));
    let which = if paths == Paths::General { " with the fast paths off" } else { "" };
    println!("tests in QEMU{which}: {counts} ({} s, {boots} boots)", start.elapsed().as_secs());
    Ok(counts)
}

fn print(report: &Report, symbols: &mut Symbols, is_verbose: bool) {
    println!("{report}");
    if is_verbose || matches!(report.verdict, Verdict::Failed(_)) {
        for line in &report.output {
            println!("    | {}", symbols.line(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_told_what_to_run() {
        assert_eq!(cmdline(Paths::Fast, None, None), "");
        assert_eq!(cmdline(Paths::Fast, Some("gate"), None), "filter=gate");
        assert_eq!(cmdline(Paths::General, Some("gate"), Some("a")), "general filter=gate after=a");
    }
}
