//! `cargo xtask trace`: runs commands with the kernel's trace on, and writes
//! what happened for Perfetto (ui.perfetto.dev) or chrome://tracing.
//!
//! The guest prints one line a record (userland/trace); they are taken out of
//! what it prints otherwise.

mod build;
pub mod json;
mod picture;
mod record;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};

use record::Line;

#[derive(clap::Args)]
pub struct Options {
    /// Type these commands, separated by `;`, while the trace is on
    #[arg(long, value_name = "COMMANDS")]
    exec: String,
    /// The file for Perfetto, as JSON
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Draw it, too: who called whom, from the first command on
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Draw only the time in which this program calls or is called
    #[arg(long, requires = "svg", value_name = "PROGRAM")]
    focus: Option<String>,
    /// Type these commands before the trace is turned on
    #[arg(long, value_name = "COMMANDS")]
    before: Option<String>,
    /// Add the programs of a crate, as `cargo xtask run --app` does
    #[arg(long, value_name = "PATH")]
    app: Option<PathBuf>,
    /// KiB of the ring; the oldest records are overwritten when it is full
    #[arg(long, default_value_t = 2048, value_name = "KIB")]
    size: u32,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    let (records, lost) = run(options)?;
    let trace = build::build(&records);
    let text = json::write(&trace);
    json::check(&text).context("the trace would not open")?;
    fs::write(&options.out, text)
        .with_context(|| format!("cannot write {}", options.out.display()))?;
    println!(
        "{}: {} records, {} calls, {} programs; open it at https://ui.perfetto.dev",
        options.out.display(),
        records.len(),
        trace.calls.len(),
        trace.programs.len()
    );
    if lost != 0 {
        println!("{lost} older records were overwritten: --size makes more room");
    }
    if let Some(file) = &options.svg {
        fs::write(file, picture::draw(&trace, options.focus.as_deref()))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the system; the records, and how many were overwritten.
fn run(options: &Options) -> Result<(Vec<record::Record>, u64)> {
    let before = options.before.as_deref().unwrap_or("");
    let commands =
        format!("{before}; trace on {}; {}; trace off; shutdown", options.size, options.exec);
    let program = env::current_exe().context("cannot find xtask itself")?;
    let mut command = Command::new(program);
    // In counted time a nanosecond is an instruction: the same everywhere.
    command.args(["run", "--counted", "--exec", &commands]);
    if let Some(app) = &options.app {
        command.arg("--app").arg(app);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start xtask run")?;
    let output = child.stdout.take().context("xtask run has no output")?;
    let (mut records, mut end) = (Vec::new(), None);
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what the system prints")?;
        let line = String::from_utf8_lossy(&line);
        match record::parse(line.trim_end()) {
            Some(Line::Record(record)) => records.push(record),
            Some(Line::End { count, lost }) => end = Some((count, lost)),
            None => println!("{}", line.trim_end()),
        }
    }
    let status = child.wait().context("cannot wait for xtask run")?;
    ensure!(status.success(), "the system did not run to its end");
    let Some((count, lost)) = end else { bail!("the system wrote no trace") };
    ensure!(
        count == records.len() as u64,
        "{} of {count} records arrived: other output was mixed into them",
        records.len()
    );
    Ok((records, lost))
}
