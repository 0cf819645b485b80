//! The README shows an example file by file; here is what keeps it true.

use std::fs;

use crate::workspace;

/// The files of the example, and how the README marks them.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", "toml"),
    ("src/lib.rs", "rust"),
    ("src/bin/greeter.rs", "rust"),
    ("src/bin/guest.rs", "rust"),
    ("postern.toml", "toml"),
];

fn read(path: &str) -> String {
    fs::read_to_string(workspace::root().join(path)).expect(path)
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let readme = read("README.md");
    for (path, language) in FILES {
        let file = read(&format!("docs/examples/greet/{path}"));
        let listing = format!("`{path}`:\n\n```{language}\n{file}```\n");
        assert!(readme.contains(&listing), "README.md does not show {path} as it is");
    }
    assert!(
        readme.contains("cargo xtask run --app docs/examples/greet --exec \"run guest; shutdown\"")
    );
}

#[test]
fn the_example_is_as_short_as_the_readme_says() {
    let sources = FILES.iter().filter(|(_, language)| *language == "rust");
    let lines: usize =
        sources.map(|(path, _)| read(&format!("docs/examples/greet/{path}")).lines().count()).sum();
    assert!(read("README.md").contains(&format!("{lines} lines together")), "{lines} lines");
    assert!(lines < 60, "{lines} lines");
    assert!(read("docs/examples/greet/src/bin/greeter.rs").lines().count() <= 30);
}
