//! What the suite makes of good and of broken guests.

use std::time::Duration;

use super::*;

/// Feeds lines to a suite and returns what it reported, one line a report.
fn feed(suite: &mut Suite, lines: &[&str]) -> Vec<String> {
    lines.iter().flat_map(|line| suite.line(line).0).map(|report| report.to_string()).collect()
}

fn over(suite: &mut Suite, outcome: &Outcome) -> (Vec<String>, Next) {
    let (reports, next) = suite.boot_over(outcome);
    (reports.iter().map(Report::to_string).collect(), next)
}

#[test]
fn a_good_suite_is_counted() {
    let mut suite = Suite::default();
    let lines =
        ["hello", "@@ start a", "@@ ok a", "@@ start b", "@@ skip b no SVM", "@@ end 1 0 1"];
    assert_eq!(feed(&mut suite, &lines), ["test a ... ok", "test b ... skipped: no SVM"]);
    assert_eq!(over(&mut suite, &Outcome::Success), (vec![], Next::Done));
    assert_eq!(suite.counts, Counts { passed: 1, failed: 0, skipped: 1 });
    assert_eq!(suite.counts.to_string(), "1 passed, 0 failed, 1 skipped");
}

#[test]
fn output_belongs_to_the_test_that_ran() {
    let mut suite = Suite::default();
    feed(&mut suite, &["boot", "@@ start a", "mine"]);
    let report = suite.line("half a line@@ fail a 1 != 2").0.pop().expect("a report");
    assert_eq!(report.verdict, failed("1 != 2"));
    assert_eq!(report.output, ["mine", "half a line"]);
}

#[test]
fn whatever_ends_a_boot_fails_the_running_test_and_the_next_boot_goes_on() {
    let silent = Outcome::Silent(Duration::from_secs(60));
    for outcome in [Outcome::Panic, Outcome::Reset, silent, Outcome::Success, Outcome::InitDied] {
        let mut suite = Suite::default();
        feed(&mut suite, &["@@ start a", "@@ ok a", "@@ start b", "last words"]);
        let (reports, next) = over(&mut suite, &outcome);
        assert!(reports[0].starts_with("test b ... FAILED: "), "{reports:?}");
        assert_eq!(next, Next::Resume("b".into()));
        feed(&mut suite, &["@@ start c", "@@ ok c", "@@ end 1 0 0"]);
        assert_eq!(over(&mut suite, &Outcome::Success), (vec![], Next::Done));
        assert_eq!(suite.counts, Counts { passed: 2, failed: 1, skipped: 0 });
    }
}

#[test]
fn a_panic_between_tests_is_a_failure_and_the_next_boot_goes_on() {
    let mut suite = Suite::default();
    feed(&mut suite, &["@@ start a", "@@ ok a"]);
    let (reports, next) = over(&mut suite, &Outcome::Panic);
    assert_eq!(reports, ["test (after a) ... FAILED: the kernel panicked"]);
    assert_eq!(next, Next::Resume("a".into()));
}

#[test]
fn a_boot_without_a_test_is_not_tried_again() {
    let mut suite = Suite::default();
    let (reports, next) = over(&mut suite, &Outcome::Panic);
    assert_eq!(reports, ["test (start of the suite) ... FAILED: the kernel panicked"]);
    assert_eq!(next, Next::Done);
}

#[test]
fn a_panic_after_the_end_is_a_failure() {
    let mut suite = Suite::default();
    feed(&mut suite, &["@@ start a", "@@ ok a", "@@ end 1 0 0"]);
    let (reports, next) = over(&mut suite, &Outcome::Panic);
    assert_eq!(reports, ["test (after a) ... FAILED: the kernel panicked"]);
    assert_eq!(next, Next::Done);
}

#[test]
fn a_runner_that_lies_is_found_out() {
    let cases: [(&[&str], &str); 5] = [
        (&["@@ ok a"], "although it was not running"),
        (&["@@ start a", "@@ start b"], "the next test began"),
        (&["@@ start a", "@@ end 0 0 0"], "the suite ended before"),
        (&["@@ start a", "@@ ok a", "@@ end 2 0 0"], "the runner counted [2, 0, 0]"),
        (&["@@ start a", "@@ ok a", "@@ start a"], "it ran already"),
    ];
    for (lines, expected) in cases {
        let mut suite = Suite::default();
        let reports = feed(&mut suite, lines);
        assert!(reports.iter().any(|line| line.contains(expected)), "{lines:?} gave {reports:?}");
        assert!(suite.counts.failed > 0);
    }
}

#[test]
fn a_runner_that_ignores_after_ends_the_suite() {
    let mut suite = Suite::default();
    feed(&mut suite, &["@@ start a"]);
    assert_eq!(over(&mut suite, &Outcome::Panic).1, Next::Resume("a".into()));
    feed(&mut suite, &["@@ start a"]);
    assert_eq!(over(&mut suite, &Outcome::Panic).1, Next::Done);
}
