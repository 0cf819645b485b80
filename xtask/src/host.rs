//! The tests that run on this computer, by way of `cargo test`.
//!
//! Must never count a crate whose tests did not compile as tested.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::suite::Counts;
use crate::{step, workspace};

/// Runs the host tests and returns their counts.
pub fn run(filter: Option<&str>) -> Result<Counts> {
    step::say("running the tests on this computer (cargo test)");
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-fail-fast", "--quiet"]).args(filter);
    let output = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context("cannot start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut counts = count(&text);
    if !output.status.success() {
        std::io::stdout().write_all(&output.stdout).context("cannot print")?;
        // It did not compile, or a test took its whole process down.
        if counts.failed == 0 {
            println!("test (host) ... FAILED: cargo test ended with {}", output.status);
            counts.failed = 1;
        }
    }
    println!("tests on this computer: {counts}");
    Ok(counts)
}

/// Adds up the results of all test programs of a `cargo test`.
fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        let of = |what: &str| {
            line.split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                .unwrap_or(0)
        };
        counts += Counts { passed: of("passed"), failed: of("failed"), skipped: of("ignored") };
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_programs_are_added() {
        let text = "\nrunning 3 tests\n...\ntest result: ok. 3 passed; 0 failed; 1 ignored; \
                    0 measured; 0 filtered out; finished in 0.00s\n\n\
                    test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered \
                    out; finished in 1.25s\nfailed\n";
        assert_eq!(count(text), Counts { passed: 13, failed: 2, skipped: 1 });
        assert_eq!(count("error: could not compile"), Counts::default());
    }
}
