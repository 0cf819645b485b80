//! docs/conformance.md says which tests hold which statement; here is what
//! keeps it true: every test that it names exists, every statement has a row,
//! and every test of a statement stands in that statement's row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::workspace;

/// First and last statement of each section.
const STATEMENTS: [(u32, u32); 8] =
    [(1, 14), (20, 33), (40, 47), (50, 55), (60, 71), (80, 85), (90, 92), (100, 102)];
/// Rows of the table of features that belong here.
const ROWS: [&str; 18] = [
    "L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L12", "L13", "L14", "G3",
    "G7", "G8", "G9",
];

/// A row of the table: what is said of it today, and its tests.
struct Row {
    today: String,
    tests: Vec<String>,
}

/// The rows by their first column.
fn rows() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(workspace::root().join("docs/conformance.md")).expect("the page");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, today, tests] = cells[..] else { panic!("not four columns: {line}") };
        let tests = tests.split(", ").filter(|test| !test.is_empty());
        let tests = tests.map(|test| {
            let name = test.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            name.unwrap_or_else(|| panic!("not a name: {test}")).to_owned()
        });
        let row = Row { today: today.to_owned(), tests: tests.collect() };
        let known = rows.insert(name.to_owned(), row);
        assert!(known.is_none(), "{name} has two rows");
    }
    rows
}

/// Names of the functions in all sources below a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path())
    {
        if entry.is_dir() {
            functions(&entry, names);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&entry).expect("a source");
            let after = text.split("\nfn ").skip(1);
            names.extend(after.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
        }
    }
}

/// The functions of the tests' sources, among which the tests are.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["tests/subjects", "kernel/core/src/tests"] {
        functions(&workspace::root().join(folder), &mut names);
    }
    names
}

/// The statement that a test is named after: `gate_c07_...` is `C07`.
fn statement(test: &str) -> Option<String> {
    let number = test.strip_prefix("gate_c")?.split('_').next()?;
    number.bytes().all(|digit| digit.is_ascii_digit()).then(|| format!("C{number}"))
}

#[test]
fn every_test_in_the_table_exists() {
    let tests = tests();
    for (name, row) in rows() {
        for test in &row.tests {
            let exists = match test.strip_suffix('*') {
                Some(start) => tests.iter().any(|name| name.starts_with(start)),
                None => tests.contains(test),
            };
            assert!(exists, "{name}: there is no test {test}");
        }
    }
}

#[test]
fn every_statement_has_a_row_and_tests_or_a_reason() {
    let rows = rows();
    let numbers = STATEMENTS.into_iter().flat_map(|(first, last)| first..=last);
    let statements = numbers.map(|number| format!("C{number:02}"));
    for name in statements.chain(ROWS.map(str::to_owned)) {
        let row = rows.get(&name).unwrap_or_else(|| panic!("{name} has no row"));
        let is_covered = !row.tests.is_empty() || row.today.starts_with('C');
        let waits = row.today.starts_with("waits for ");
        assert!(is_covered || waits, "{name} has neither tests nor a reason");
    }
}

#[test]
fn every_test_of_a_statement_is_in_its_row() {
    let rows = rows();
    for test in tests() {
        if let Some(statement) = statement(&test) {
            let row = rows.get(&statement).unwrap_or_else(|| panic!("{statement} has no row"));
            assert!(row.tests.contains(&test), "{statement} does not name {test}");
        }
    }
}
