//! docs/abi.md is complete: every number of an operation, a system call, an
//! error, a kind, a right, an environment record that the crate of the ABI has
//! stands in the text with its name. (That the text says the right thing about it,
//! a person has to see.)

use std::fs;

use crate::workspace;

fn read(path: &str) -> String {
    fs::read_to_string(workspace::root().join(path)).expect(path)
}

/// Names and values of lines such as `pub const NAME: u64 = VALUE;` and
/// `Name = VALUE,`, in the part of a file between two texts.
fn numbers(file: &str, from: &str, to: &str) -> Vec<(String, String)> {
    let text = read(&format!("kernel/abi/src/{file}"));
    let start = text.find(from).unwrap_or_else(|| panic!("{file} has no `{from}`"));
    let part = &text[start..];
    let part = &part[..part[from.len()..].find(to).map_or(part.len(), |end| end + from.len())];
    part.lines().filter_map(number).collect()
}

fn number(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim().split_once(" = ")?;
    let name = name.strip_prefix("pub const ").or(name.strip_prefix("const ")).unwrap_or(name);
    let name = name.split(':').next()?;
    let value = value.split([',', ';']).next()?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && value.starts_with(|first: char| first.is_ascii_digit() || first == '-'))
        .then(|| (name.to_owned(), value.to_owned()))
}

/// The rows of tables, and sentences, that have this word.
fn lines_with<'a>(text: &'a str, word: &str) -> impl Iterator<Item = &'a str> {
    let word = word.to_owned();
    text.lines().filter(move |line| {
        line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word)
    })
}

#[test]
fn operations_are_in_the_text() {
    let text = read("docs/abi.md");
    let mut operations = numbers("op.rs", "", "pub mod reason");
    operations.retain(|(_, value)| value.starts_with("0x") && value.len() == 5);
    assert!(operations.len() > 60, "only {} were found", operations.len());
    operations.retain(|(name, value)| {
        !lines_with(&text, name).any(|line| line.contains(&format!("`{value}`")))
    });
    assert!(operations.is_empty(), "docs/abi.md has no lines with {operations:?}");
}

#[test]
fn calls_errors_and_kinds_are_in_the_text() {
    let text = read("docs/abi.md");
    let calls = numbers("code.rs", "pub enum Code", "\n}");
    assert!(calls.len() >= 22, "only {} calls were found", calls.len());
    for (name, value) in calls {
        let number = value.strip_prefix("0x").map(|hex| u8::from_str_radix(hex, 16).expect("hex"));
        let number = number.unwrap_or_else(|| value.parse().expect("a number"));
        let row = format!("| {name} | `{number:#04x}` |");
        assert!(text.contains(&row), "docs/abi.md has no row {row}");
    }
    let errors = numbers("error.rs", "    NoSys = 1", "\n}");
    assert!(errors.len() >= 25, "only {} errors were found", errors.len());
    for (name, value) in errors {
        let row = format!("| {value} | {name} |");
        assert!(text.contains(&row), "docs/abi.md has no row {row}");
    }
    let kinds = numbers("rights.rs", "pub enum Kind", "\n}");
    assert!(kinds.len() >= 13, "only {} kinds were found", kinds.len());
    let start = text.find("**4.4**").expect("4.4");
    let told = &text[start..start + text[start..].find("**4.5**").expect("4.5")];
    // Where a line ends means nothing.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, value) in kinds {
        assert!(told.contains(&format!("{value} ")), "4.4 does not name kind {value}, {name}");
    }
}

#[test]
fn records_and_protocols_are_in_the_text() {
    let text = read("docs/abi.md");
    for (name, value) in numbers("env.rs", "pub const CAPABILITY", "/// Bytes of the header") {
        let found = lines_with(&text, &name).any(|line| line.contains(&value));
        assert!(found, "docs/abi.md has no line with {name} and {value}");
    }
    let protocols = numbers("tag.rs", "pub mod protocol", "\n}");
    assert!(protocols.len() >= 5, "only {} protocols were found", protocols.len());
    for (name, value) in protocols {
        let found = text.contains(&format!("{value} `{name}`"));
        assert!(found, "docs/abi.md does not say `{value}` of {name}");
    }
}
