//! `cargo xtask new`: a crate with a server, its client and a test, which runs
//! at once. Its files are in `new/template`.
//!
//! Must never write over anything, and must refuse a name under which the crate
//! would not build or not start.

use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use postern_manifest::MAX_NAME;

use crate::manifest::Manifest;
use crate::workspace;

/// The files of a new crate: where they go, and what is in them. In both,
/// `@NAME@` stands for the name.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("new/template/Cargo.toml.in")),
    ("postern.toml", include_str!("new/template/postern.toml.in")),
    ("src/lib.rs", include_str!("new/template/lib.rs.in")),
    ("src/bin/@NAME@-server.rs", include_str!("new/template/server.rs.in")),
    ("src/bin/@NAME@-client.rs", include_str!("new/template/client.rs.in")),
    ("tests/@NAME@.script", include_str!("new/template/test.script.in")),
    (".gitignore", "/target\n"),
];
/// The versions of what the crate stands on: those that this repository was
/// tested with, and that are on this computer already.
const LOCK: &str = "Cargo.lock";
/// The programs of a crate are called like it, with one of these behind.
const PROGRAMS: [&str; 2] = ["server", "client"];
/// Names that mean something else in a program: crates of the language, and
/// modules of the runtime's prelude.
const TAKEN: [&str; 8] = ["alloc", "core", "names", "proc-macro", "server", "std", "test", "time"];
/// Words of the language, which no crate can be called.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

#[derive(clap::Args)]
pub struct Options {
    /// The folder of the new crate, inside or outside of this repository; its
    /// last part is the name of the crate
    path: PathBuf,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    let name = create(&options.path)?;
    let path = options.path.display();
    println!("{path} has the crate `{name}`: programs `{name}-server` and `{name}-client`");
    println!("  cargo xtask run --app {path} --exec \"run {name}-client 40 2; shutdown\"");
    println!("  cargo xtask test --app {path}");
    Ok(ExitCode::SUCCESS)
}

/// Makes the crate; returns its name.
fn create(path: &Path) -> Result<String> {
    let folder = absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
    let name = folder.file_name().with_context(|| {
        format!("{} does not end with the name of the new crate", path.display())
    })?;
    let name = name.to_str().context("the name of the new crate is not text")?;
    check_name(name)?;
    let system = Manifest::load(None)?;
    for suffix in PROGRAMS {
        let program = format!("{name}-{suffix}");
        ensure!(
            !system.programs.iter().any(|one| one.name.value == program),
            "the system has a program called `{program}`: choose another name than `{name}`"
        );
    }
    ensure_empty(&folder)?;
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let repository = way_to_repository(&folder)?;
    for (file, text) in FILES {
        let file = folder.join(file.replace("@NAME@", name));
        let text = text
            .replace("@NAME@", name)
            .replace("@CRATE@", &name.replace('-', "_"))
            .replace("@POSTERN@", &repository);
        write(&file, text.as_bytes())?;
    }
    let lock = fs::read(workspace::root().join(LOCK)).context("cannot read Cargo.lock")?;
    write(&folder.join(LOCK), &lock)?;
    Ok(name.to_owned())
}

/// The crate can have this name, and so can its programs.
fn check_name(name: &str) -> Result<()> {
    let longest = MAX_NAME - "-server".len();
    let is_made_of = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.bytes().all(is_made_of) || !name.starts_with(|first: char| first.is_ascii_lowercase())
    {
        bail!(
            "`{name}` cannot be the name of a crate with programs: \
             lower-case letters, digits and `-`, a letter first"
        );
    }
    ensure!(
        name.len() <= longest,
        "`{name}` is too long: `{name}-server` would have more than {MAX_NAME} characters"
    );
    ensure!(!KEYWORDS.contains(&name), "`{name}` is a word of Rust: choose another name");
    ensure!(
        !TAKEN.contains(&name) && !name.starts_with("postern-"),
        "`{name}` means something else in a program of Postern: choose another name"
    );
    Ok(())
}

/// Nothing is there that would be lost.
fn ensure_empty(folder: &Path) -> Result<()> {
    // A link to nowhere does not "exist", and yet nothing can be made there.
    if fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    ensure!(folder.is_dir(), "{} exists and is no folder", folder.display());
    let mut files =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    ensure!(files.next().is_none(), "{} exists and is not empty", folder.display());
    Ok(())
}

/// This repository as the crate in `folder` names it: from the inside by a
/// relative path, so that a clone elsewhere works, too.
fn way_to_repository(folder: &Path) -> Result<String> {
    let resolved = |path: &Path| {
        fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))
    };
    let (root, folder) = (resolved(&workspace::root())?, resolved(folder)?);
    if let Ok(inside) = folder.strip_prefix(&root) {
        return Ok(vec![".."; inside.components().count()].join("/"));
    }
    let root = root.to_str().context("the path of this repository is not text")?;
    ensure!(
        !root.contains(|letter: char| letter == '\'' || letter.is_control()),
        "a Cargo.toml cannot name the folder of this repository, {root:?}"
    );
    Ok(root.to_owned())
}

/// Writes a file that is not there yet.
fn write(file: &Path, contents: &[u8]) -> Result<()> {
    let folder = file.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(file, contents))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        format!("{:#}", create(path).expect_err("refused"))
    }

    #[test]
    fn a_name_that_would_not_work_is_refused() {
        for name in ["a", "fine", "my-2nd-try", &"x".repeat(24)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for (name, why) in [
            ("Greet", "lower-case letters"),
            ("2nd", "a letter first"),
            ("-x", "a letter first"),
            ("my_app", "lower-case letters"),
            ("", "a letter first"),
            (&"x".repeat(25), "too long"),
            ("match", "a word of Rust"),
            ("core", "something else"),
            ("postern-abi", "something else"),
        ] {
            let error = check_name(name).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = workspace::output("new").expect("a folder");
        let folder = folder.join(std::process::id().to_string());
        let full = folder.join("full");
        fs::create_dir_all(&full).and_then(|()| fs::write(full.join("file"), "")).expect("write");
        assert!(refusal(&full).ends_with("exists and is not empty"));
        fs::write(folder.join("a-file"), "").expect("write");
        assert!(refusal(&folder.join("a-file")).ends_with("exists and is no folder"));
        assert!(refusal(&folder.join("echo")).contains("a program called `echo-server`"));
        assert!(refusal(Path::new("/")).contains("does not end with the name"));
        assert!(!folder.join("echo").exists());

        let made = folder.join("deep/counter");
        assert_eq!(create(&made).expect("made"), "counter");
        let toml = fs::read_to_string(made.join("Cargo.toml")).expect("Cargo.toml");
        let depth = made.strip_prefix(workspace::root()).expect("inside").components().count();
        let way = format!("'{}/userland/runtime'", vec![".."; depth].join("/"));
        assert!(toml.contains(&way), "{toml}");
        assert!(made.join("src/bin/counter-server.rs").is_file());
        assert!(made.join("tests/counter.script").is_file());
        fs::remove_dir_all(&folder).expect("remove");
    }
}
