//! The test that `cargo xtask gdb` stops in a program and in the kernel, lists
//! what the kernel knows, and shows the view of another thread. It calls the
//! command as a person does.

use std::fs;

use anyhow::{Context, Result};

use super::fresh;
use crate::gdb::GDB;
use crate::suite::Verdict;
use crate::workspace;

/// The name of the test.
pub const NAME: &str = "system_gdb_stops_in_programs_and_in_the_kernel";

/// What gdb is told.
const SCRIPT: &str = "postern break crasher walk_the_plank
continue
bt 3
postern tasks
postern threads
postern gates
python shell = [n for n, t in threads().items() if program_of(t) == 'shell'][0]
python gdb.execute(f'postern thread {shell}')
bt
postern back
bt 1
postern break kernel write_frame
continue
bt 1
";

/// What it has to say, in this order. Where it stops it says so in pieces, and
/// what the system says on its own console may come between two of them.
const EXPECTED: [&str; 13] = [
    "Breakpoint 1, ",
    "#0  crasher::walk_the_plank (depth=7) at userland/crasher/src/main.rs",
    "#1 ",
    "crasher::open_the_hatch",
    "  crasher ",
    " *",
    "Ready",
    "thread 0 (init)",
    "postern_syscall::raw::full",
    "shell::main",
    "#0  crasher::walk_the_plank",
    "Breakpoint 2, ",
    "write_frame",
];

/// Runs the test. Returns what was printed, too.
pub fn test() -> Result<(Verdict, Vec<String>)> {
    if !workspace::is_installed(GDB) {
        return Ok((Verdict::Skipped(format!("{GDB} is not installed")), Vec::new()));
    }
    let script = workspace::output("gdb")?.join(format!("{}.test", std::process::id()));
    fs::write(&script, SCRIPT).context("cannot write the commands for gdb")?;
    let mut output = Vec::new();
    let options = ["--exec", "crash", "--script"];
    let done = fresh::xtask("gdb", &options, &script, &mut output)?;
    // A test leaves nothing behind; if it stays, the next one has another name.
    let _ = fs::remove_file(&script);
    if !done {
        return Ok((Verdict::Failed("`cargo xtask gdb` failed".into()), output));
    }
    let text = output.join("\n");
    let mut rest = text.as_str();
    for expected in EXPECTED {
        let Some(at) = rest.find(expected) else {
            return Ok((Verdict::Failed(format!("gdb did not say `{expected}`")), output));
        };
        rest = &rest[at + expected.len()..];
    }
    Ok((Verdict::Passed, output))
}
