//! The test that a crate of `cargo xtask new` runs and passes its own test as
//! it is, and that this test fails when the crate does something else. It
//! calls the commands as a person does.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::app;
use crate::suite::Verdict;

/// The name of the test.
pub const NAME: &str = "system_new_passes_its_own_test";
/// The crate that is made.
const CRATE: &str = "fresh-crate";

/// Runs the test. Returns what the commands printed, too.
pub fn test() -> Result<(Verdict, Vec<String>)> {
    let folder = app::folder(CRATE);
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the crate of the last time")?;
    }
    let mut output = Vec::new();
    if !xtask("new", &[], &folder, &mut output)? {
        return Ok((Verdict::Failed("`cargo xtask new` failed".into()), output));
    }
    app::share_target(&folder).context("cannot link the folder `target`")?;
    let passes = xtask("test", &["--app"], &folder, &mut output)?;
    if !passes || output.last().is_none_or(|line| line != "1 passed, 0 failed") {
        return Ok((Verdict::Failed("the new crate fails its own test".into()), output));
    }
    let script = folder.join("tests").join(format!("{CRATE}.script"));
    let text = fs::read_to_string(&script).context("cannot read the test of the new crate")?;
    fs::write(&script, text.replace("the count is 42", "the count is 43"))
        .context("cannot change the test of the new crate")?;
    output.clear();
    let passes = xtask("test", &["--app"], &folder, &mut output)?;
    if passes || output.last().is_none_or(|line| line != "0 passed, 1 failed") {
        return Ok((Verdict::Failed("a wrong expectation passes".into()), output));
    }
    Ok((Verdict::Passed, output))
}

/// Runs a command of xtask on a path; returns whether it succeeded, and adds what it
/// printed.
pub fn xtask(name: &str, options: &[&str], app: &Path, output: &mut Vec<String>) -> Result<bool> {
    let program = env::current_exe().context("cannot find xtask itself")?;
    let mut command = Command::new(program);
    command.arg(name).args(options).arg(app).stdin(Stdio::null());
    let done = command.output().with_context(|| format!("cannot start xtask {name}"))?;
    for bytes in [&done.stderr, &done.stdout] {
        output.extend(String::from_utf8_lossy(bytes).lines().map(str::to_owned));
    }
    Ok(done.status.success())
}
