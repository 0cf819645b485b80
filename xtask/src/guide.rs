//! The guide (docs/guide) shows the examples file by file; here is what keeps it
//! true. That they do what it says, their scripts show (`crate::script`).

use std::collections::BTreeSet;
use std::fs;

use crate::workspace;

const GUIDE: &str = "docs/guide";
const EXAMPLES: &str = "docs/examples";

fn read(path: &str) -> String {
    fs::read_to_string(workspace::root().join(path)).expect(path)
}

fn names(folder: &str) -> Vec<String> {
    let files = fs::read_dir(workspace::root().join(folder)).expect(folder);
    let mut names: Vec<_> = files
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    names
}

/// The fenced blocks of a page: what stands in the line before it, its language,
/// its text.
fn blocks(page: &str) -> Vec<(String, String, String)> {
    let (mut blocks, mut lines, mut before) = (Vec::new(), page.lines(), String::new());
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            let text: String = inside.map(|line| format!("{line}\n")).collect();
            blocks.push((before.clone(), language.to_owned(), text));
        } else if !line.is_empty() {
            before = line.to_owned();
        }
    }
    blocks
}

/// Every listing is a file of an example, and the whole file.
#[test]
fn listings_are_files() {
    let mut shown = BTreeSet::new();
    for page in names(GUIDE) {
        for (before, language, text) in blocks(&read(&format!("{GUIDE}/{page}"))) {
            if language == "sh" {
                continue;
            }
            let path = before.strip_prefix('`').and_then(|rest| rest.strip_suffix("`:"));
            let path = path.unwrap_or_else(|| panic!("{page}: no file is named: {before}"));
            assert_eq!(text, read(path), "{page} does not show {path} as it is");
            shown.insert(path.to_owned());
        }
    }
    // What a reader has to see of each example.
    for example in examples() {
        let folder = format!("{EXAMPLES}/{example}");
        for file in sources(&folder).into_iter().chain(tests(&folder)) {
            assert!(shown.contains(&file), "the guide does not show {file}");
        }
    }
}

fn examples() -> Vec<String> {
    let is_crate =
        |name: &String| workspace::root().join(EXAMPLES).join(name).join("Cargo.toml").is_file();
    names(EXAMPLES).into_iter().filter(is_crate).collect()
}

fn tests(folder: &str) -> Vec<String> {
    names(&format!("{folder}/tests")).iter().map(|name| format!("{folder}/tests/{name}")).collect()
}

fn sources(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for part in ["src", "src/bin"] {
        if !workspace::root().join(folder).join(part).is_dir() {
            continue;
        }
        let inside = names(&format!("{folder}/{part}"));
        let inside = inside.iter().filter(|name| name.ends_with(".rs"));
        files.extend(inside.map(|name| format!("{folder}/{part}/{name}")));
    }
    files
}

/// Commands name examples that there are, and commands of xtask.
#[test]
fn commands_can_be_typed() {
    let mut count = 0;
    for page in names(GUIDE) {
        let text = read(&format!("{GUIDE}/{page}"));
        for (_, _, text) in blocks(&text).iter().filter(|block| block.1 == "sh") {
            for line in text.lines() {
                let words = line.strip_prefix("cargo xtask ");
                let words = words.unwrap_or_else(|| panic!("{page}: `{line}`"));
                let mut words = words.split(' ');
                let command = words.next().unwrap_or_default();
                assert!(
                    ["run", "test", "new", "caps", "trace"].contains(&command),
                    "{page}: `{line}`"
                );
                let app = words.skip_while(|word| *word != "--app").nth(1);
                if let Some(app) = app.filter(|app| !app.starts_with("../")) {
                    assert!(workspace::root().join(app).is_dir(), "{page}: `{line}`");
                }
                count += 1;
            }
        }
    }
    assert!(count > 5, "{count} commands");
}

/// Each page leads to the next one, and the first page to all of them.
#[test]
fn pages_lead_on() {
    let pages = names(GUIDE);
    let first = read(&format!("{GUIDE}/README.md"));
    let numbered: Vec<_> = pages.iter().filter(|page| *page != "README.md").collect();
    for (index, page) in numbered.iter().enumerate() {
        assert!(first.contains(&format!("{}. [", index + 1)), "{page}");
        assert!(first.contains(&format!("]({page})")), "README.md does not lead to {page}");
        if let Some(next) = numbered.get(index + 1) {
            assert!(
                read(&format!("{GUIDE}/{page}")).contains(&format!("]({next})")),
                "{page} does not lead to {next}"
            );
        }
    }
    assert_eq!(numbered.len(), examples().len());
}
