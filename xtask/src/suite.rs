//! The in-QEMU tests as a state machine: protocol lines and the ends of boots
//! go in, results come out.
//!
//! Must never count a test as passed that did not say so itself, and never let
//! a test go missing: what started has a result.

use std::collections::BTreeSet;
use std::fmt;

use crate::protocol::Line;
use crate::qemu::Outcome;

/// How much output of a test is kept, from its end: a test that hangs may have
/// printed for a minute.
const KEPT_LINES: usize = 200;

/// How many tests came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that do not apply here.
    pub skipped: u64,
}

impl Counts {
    /// All of them.
    pub fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// How a test came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed, and why.
    Failed(String),
    /// It does not apply here, and why.
    Skipped(String),
}

/// A test that is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What programs and the kernel wrote while it ran.
    pub output: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Passed => write!(f, "test {} ... ok", self.name),
            Verdict::Failed(reason) => write!(f, "test {} ... FAILED: {reason}", self.name),
            Verdict::Skipped(reason) => write!(f, "test {} ... skipped: {reason}", self.name),
        }
    }
}

/// What to do when a boot is over.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the suite is over.
    Done,
    /// Boot again and start after the test of this name.
    Resume(String),
}

/// The suite, over as many boots as it needs.
#[derive(Default)]
pub struct Suite {
    /// All results so far.
    pub counts: Counts,
    /// What the runner wants to be shown at the end.
    pub notes: Vec<String>,
    /// Results of this boot, to compare with what the runner counted.
    boot: Counts,
    seen: BTreeSet<String>,
    running: Option<String>,
    last: Option<String>,
    output: Vec<String>,
    is_over: bool,
}

impl Suite {
    /// Takes a line that the guest wrote; returns the tests that it ended and
    /// whether it was a line of the protocol.
    pub fn line(&mut self, line: &str) -> (Vec<Report>, bool) {
        let Some((before, line)) = Line::parse(line) else {
            self.keep(line);
            return (Vec::new(), false);
        };
        if !before.is_empty() {
            self.keep(before);
        }
        let reports = match line {
            Line::Start(name) => self.start(name),
            Line::Ok(name) => self.result(name, Verdict::Passed),
            Line::Skip(name, reason) => self.result(name, Verdict::Skipped(reason.to_owned())),
            Line::Fail(name, reason) => self.result(name, Verdict::Failed(reason.to_owned())),
            Line::End(counted) => self.end(counted),
            Line::Note(text) => {
                self.notes.push(text.to_owned());
                Vec::new()
            }
            Line::List(_) | Line::Overhead(_) | Line::Bench(_) => Vec::new(),
        };
        (reports, true)
    }

    /// Keeps a line of output, for a report.
    fn keep(&mut self, line: &str) {
        if self.output.len() == KEPT_LINES {
            self.output.remove(0);
        }
        self.output.push(line.to_owned());
    }

    fn start(&mut self, name: &str) -> Vec<Report> {
        let mut reports = self.abandon("the next test began before this one had a result");
        self.output.clear();
        if !self.seen.insert(name.to_owned()) {
            self.is_over = true;
            reports.push(self.report(name, failed("it ran already: the runner repeats itself")));
            return reports;
        }
        self.running = Some(name.to_owned());
        reports
    }

    fn result(&mut self, name: &str, verdict: Verdict) -> Vec<Report> {
        if self.running.as_deref() == Some(name) {
            self.running = None;
            return vec![self.report(name, verdict)];
        }
        if matches!(verdict, Verdict::Skipped(_)) && self.seen.insert(name.to_owned()) {
            // A test that does not apply need not start.
            return vec![self.report(name, verdict)];
        }
        vec![self.report(name, failed("a result although it was not running"))]
    }

    fn end(&mut self, counted: [u64; 3]) -> Vec<Report> {
        let mut reports = self.abandon("the suite ended before this test had a result");
        self.is_over = true;
        let boot = [self.boot.passed, self.boot.failed, self.boot.skipped];
        if counted != boot {
            let reason = format!(
                "the runner counted {counted:?} passed, failed, skipped; its lines say {boot:?}"
            );
            reports.push(self.report("(the runner)", failed(&reason)));
        }
        reports
    }

    /// Takes the end of a boot; returns what failed by it, and what to do.
    pub fn boot_over(&mut self, outcome: &Outcome) -> (Vec<Report>, Next) {
        let has_results = self.boot != Counts::default();
        let is_good = matches!(outcome, Outcome::Success | Outcome::Failure);
        let why = if is_good {
            "the system powered off before all tests had run".to_owned()
        } else {
            outcome.to_string()
        };
        let reports = if self.running.is_some() {
            self.abandon(&why)
        } else if self.is_over && is_good {
            Vec::new()
        } else {
            let place = match &self.last {
                Some(last) if has_results => format!("(after {last})"),
                _ => "(start of the suite)".to_owned(),
            };
            let reports = vec![self.report(&place, failed(&why))];
            // Without a test that ran, another boot would end the same way.
            self.is_over |= !has_results;
            reports
        };
        self.boot = Counts::default();
        match &self.last {
            Some(last) if !self.is_over => (reports, Next::Resume(last.clone())),
            _ => (reports, Next::Done),
        }
    }

    /// Fails the running test.
    fn abandon(&mut self, why: &str) -> Vec<Report> {
        let running = self.running.take();
        running.map(|name| self.report(&name, failed(why))).into_iter().collect()
    }

    fn report(&mut self, name: &str, verdict: Verdict) -> Report {
        for counts in [&mut self.counts, &mut self.boot] {
            match &verdict {
                Verdict::Passed => counts.passed += 1,
                Verdict::Failed(_) => counts.failed += 1,
                Verdict::Skipped(_) => counts.skipped += 1,
            }
        }
        if !name.starts_with('(') {
            self.last = Some(name.to_owned());
        }
        Report { name: name.to_owned(), verdict, output: std::mem::take(&mut self.output) }
    }
}

fn failed(reason: &str) -> Verdict {
    Verdict::Failed(reason.to_owned())
}

#[cfg(test)]
mod tests;
