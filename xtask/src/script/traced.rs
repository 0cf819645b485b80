//! The test that `cargo xtask trace` writes what viewers read, and that it shows
//! who called whom across servers. It calls the command as a person does.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::fresh;
use crate::suite::Verdict;
use crate::trace::json;
use crate::workspace;

/// The name of the test.
pub const NAME: &str = "system_trace_shows_calls_across_servers";

/// What is typed: one command that the console alone serves, one with files.
const COMMANDS: &str = "echo hello; cat /welcome.txt";

/// Runs the test. Returns what the command printed, too.
pub fn test() -> Result<(Verdict, Vec<String>)> {
    let file = workspace::output("traces")?.join(format!("{}.json", std::process::id()));
    let mut output = Vec::new();
    let options = ["--exec", COMMANDS, "--out"];
    let done = fresh::xtask("trace", &options, &file, &mut output)?;
    if !done {
        return Ok((Verdict::Failed("`cargo xtask trace` failed".into()), output));
    }
    let text = fs::read_to_string(&file).context("it wrote no trace")?;
    // A test leaves nothing behind; if it stays, the next one has another name.
    let _ = fs::remove_file(&file);
    let verdict = match look(&text) {
        Ok(()) => Verdict::Passed,
        Err(error) => Verdict::Failed(format!("{error:#}")),
    };
    Ok((verdict, output))
}

/// Whether the trace shows what was typed.
fn look(text: &str) -> Result<()> {
    json::check(text)?;
    let whole: Value = serde_json::from_str(text)?;
    let events = whole["traceEvents"].as_array().context("no events")?;
    let processes: BTreeMap<u64, &str> = events
        .iter()
        .filter(|event| event["name"] == "process_name")
        .filter_map(|event| Some((event["pid"].as_u64()?, event["args"]["name"].as_str()?)))
        .collect();
    let find = |phase: &str, program: &str, name: &str| {
        let is_it = |event: &&Value| {
            let process = event["pid"].as_u64().and_then(|pid| processes.get(&pid));
            let found = event["name"].as_str().is_some_and(|text| text.starts_with(name));
            event["ph"] == phase && process == Some(&program) && found
        };
        let found = events.iter().find(is_it);
        found.with_context(|| format!("no `{name}` ({phase}) of `{program}`"))
    };
    let span = |event: &Value| Some((event["ts"].as_f64()?, event["dur"].as_f64()?));
    for (server, method) in [("console", "console.write"), ("fs", "files.read")] {
        let outer = find("X", "shell", &format!("{method} -> {server}"))?;
        let inner = find("X", server, &format!("{method} for shell"))?;
        let (start, length) = span(outer).context("no times")?;
        let (from, inside) = span(inner).context("no times")?;
        anyhow::ensure!(
            start <= from && from + inside <= start + length + 1e-6,
            "{server} serves {method} outside of the shell's call"
        );
        find("s", "shell", method)?;
        find("f", server, method)?;
    }
    // Somebody had the CPU, and a key was an interrupt.
    find("X", "CPU", "shell")?;
    find("i", "CPU", "interrupt 4")?;
    Ok(())
}
