//! Steps that take a while: each says what it does, shows that it goes on, and
//! shows the program's own words when it fails.
//!
//! Must never hide a failure and never print the output of what succeeded.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a step that goes on says so.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// How much of a failed step's output is shown.
const SHOWN_BYTES: usize = 4000;

/// Says what happens now.
pub fn say(text: &str) {
    eprintln!("==> {text}");
}

/// Runs `command` with its output hidden, as the step called `text`.
pub fn quiet(text: &str, command: &mut Command) -> Result<()> {
    say(text);
    let mut output = temporary()?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let shown = format!("{command:?}").replace('"', "");
    if wait(text, command)? {
        return Ok(());
    }
    let mut bytes = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut bytes)?;
    let tail = &bytes[bytes.len().saturating_sub(SHOWN_BYTES)..];
    std::io::stderr().write_all(tail)?;
    bail!("this step failed: {text}\n  the command was: {shown}");
}

/// Runs `command` with its errors on the terminal, as the step called `text`.
pub fn visible(text: &str, command: &mut Command) -> Result<()> {
    say(text);
    let shown = format!("{command:?}").replace('"', "");
    if wait(text, command)? {
        return Ok(());
    }
    bail!("this step failed: {text}\n  the command was: {shown}");
}

/// Waits for `command`, with a sign of life now and then; whether it succeeded.
fn wait(text: &str, command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let start = Instant::now();
    let mut shown = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        sleep(Duration::from_millis(20));
        let seconds = start.elapsed().as_secs();
        if seconds / SIGN_OF_LIFE.as_secs() > shown {
            shown = seconds / SIGN_OF_LIFE.as_secs();
            eprintln!("    {seconds} s, still at it: {text}");
        }
    }
}

/// A file for the output of a step. A pipe would need a thread that empties it.
fn temporary() -> Result<File> {
    let path = crate::workspace::output("log")?.join(format!("step-{}", std::process::id()));
    let file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    // Open it stays, its name goes.
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(file)
}
