//! System tests: the whole system is booted and driven through its console as
//! a person would, by the scripts in `tests/scripts` (their language is
//! described there, in README.md) and of the examples, or by those in `tests` of
//! an app.
//!
//! Must never count a script as passed that was not played to its end.

mod app;
mod debugged;
mod fresh;
mod judge;
mod model;
mod parse;
mod play;
mod traced;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::judge::Values;
use self::model::{Boot, Crate, End, Script};
use crate::guests::Guests;
use crate::manifest::{App, Manifest, Mistaken, SYSTEM};
use crate::qemu::{Debugger, Machine};
use crate::suite::{Counts, Report, Verdict};
use crate::symbols::Symbols;
use crate::system::{Firmware, System};
use crate::{setup, step, workspace};

/// Begins the names of all system tests.
pub const PREFIX: &str = "system_";
/// Where the scripts are, from the top folder.
const FOLDER: &str = "tests/scripts";
/// Where the examples are, from the top folder.
const EXAMPLES: &str = "docs/examples";

/// Which scripts are played, and how.
pub struct Wanted<'a> {
    /// Only those whose names contain this.
    pub filter: &'a str,
    /// The crate whose scripts they are, if they are not Postern's own.
    pub app: Option<&'a Path>,
    /// What boots them, unless they say it themselves.
    pub firmware: Firmware,
    /// Whether what was seen last is shown of those that pass, too.
    pub verbose: bool,
}

/// A test of the system.
enum Test {
    /// A script.
    Script(PathBuf),
    /// A script of the example in a folder.
    Example(PathBuf, PathBuf),
    /// A crate that `cargo xtask new` makes passes its own test.
    Fresh,
    /// `cargo xtask trace` shows calls across servers.
    Traced,
    /// `cargo xtask gdb` stops where it is told to.
    Debugged,
}

/// The names of the scripts that match a filter, as tests: those of `app`, or
/// Postern's own.
pub fn names(filter: &str, app: Option<&Path>) -> Result<Vec<String>> {
    Ok(tests(filter, app)?.into_iter().map(|test| test.0).collect())
}

/// Plays the scripts and gives each result to `print`.
pub fn run(wanted: &Wanted<'_>, print: fn(&Report, &mut Symbols, bool)) -> Result<Counts> {
    let tests = tests(wanted.filter, wanted.app)?;
    let (start, mut counts) = (Instant::now(), Counts::default());
    if tests.is_empty() {
        return Ok(counts);
    }
    step::say("booting the system for each script");
    let mut systems = Systems::default();
    for (name, test) in tests {
        let done = match test {
            Test::Script(file) => play(&file, wanted, wanted.app, &mut systems),
            Test::Example(file, app) => play(&file, wanted, Some(&app), &mut systems),
            Test::Fresh => fresh::test(),
            Test::Traced => traced::test(),
            Test::Debugged => debugged::test(),
        };
        let (verdict, output) = match done {
            Ok(done) => done,
            Err(error) => (Verdict::Failed(format!("{error:#}")), Vec::new()),
        };
        match &verdict {
            Verdict::Passed => counts.passed += 1,
            Verdict::Failed(_) => counts.failed += 1,
            Verdict::Skipped(_) => counts.skipped += 1,
        }
        print(&Report { name, verdict, output }, &mut Symbols::default(), wanted.verbose);
    }
    println!("tests of the system: {counts} ({} s)", start.elapsed().as_secs());
    Ok(counts)
}

/// The tests that match, by their names.
fn tests(filter: &str, app: Option<&Path>) -> Result<Vec<(String, Test)>> {
    let (folder, prefix) = match app {
        Some(app) => (app.join("tests"), ""),
        None => (workspace::root().join(FOLDER), PREFIX),
    };
    let shown = workspace::shown(&folder);
    ensure!(folder.is_dir(), "there is no folder {shown}: a test is a file NAME.script in it");
    let mut tests = Vec::new();
    for (stem, path) in scripts(&folder)? {
        tests.push((format!("{prefix}{stem}"), Test::Script(path)));
    }
    ensure!(!tests.is_empty(), "there is no test in {shown} (NAME.script)");
    if app.is_none() {
        tests.push((fresh::NAME.to_owned(), Test::Fresh));
        tests.push((traced::NAME.to_owned(), Test::Traced));
        tests.push((debugged::NAME.to_owned(), Test::Debugged));
        tests.extend(examples()?);
    }
    tests.retain(|test| test.0.contains(filter));
    tests.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(tests)
}

/// The scripts in a folder, by their names.
fn scripts(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut scripts = Vec::new();
    let cannot = || format!("cannot list {}", workspace::shown(folder));
    for file in fs::read_dir(folder).with_context(cannot)? {
        let path = file.with_context(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "script") {
            let stem = path.file_stem().context("a script has a name")?.to_string_lossy();
            scripts.push((stem.replace('-', "_"), path));
        }
    }
    Ok(scripts)
}

/// The folders of the examples.
pub fn example_folders() -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list {EXAMPLES}");
    let mut folders = Vec::new();
    for entry in fs::read_dir(workspace::root().join(EXAMPLES)).with_context(cannot)? {
        let folder = entry.with_context(cannot)?.path();
        if folder.join("Cargo.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

/// The scripts of the examples. An example without one is a mistake.
fn examples() -> Result<Vec<(String, Test)>> {
    let mut tests = Vec::new();
    for app in example_folders()? {
        let found = scripts(&app.join("tests"))?;
        ensure!(!found.is_empty(), "the example {} has no test", workspace::shown(&app));
        for (stem, path) in found {
            tests.push((format!("{PREFIX}example_{stem}"), Test::Example(path, app.clone())));
        }
    }
    Ok(tests)
}

/// Plays one script. Returns what was seen last, too.
fn play(
    file: &Path,
    wanted: &Wanted<'_>,
    app: Option<&Path>,
    systems: &mut Systems,
) -> Result<(Verdict, Vec<String>)> {
    let shown = workspace::shown(file);
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let mut script = parse::parse(&text).with_context(|| shown.clone())?;
    if let Some(app) = app {
        ensure!(script.boot.app.is_none(), "{shown}: a crate's test runs with that crate alone");
        script.boot.app = Some(Crate::Theirs(app.to_path_buf()));
    }
    if script.boot.end == End::Refused {
        return refused(&script, &shown);
    }
    let firmware = if script.boot.uefi { Firmware::Uefi } else { wanted.firmware };
    if firmware == Firmware::Uefi && setup::firmware().is_none() {
        let reason = "the UEFI firmware (OVMF) is not installed".to_owned();
        return Ok((Verdict::Skipped(reason), Vec::new()));
    }
    let system = systems.of(&script.boot)?;
    let machine = Machine {
        image: system.image("", firmware)?,
        firmware,
        memory: script.boot.memory.clone(),
        cpu: script.boot.cpu.clone(),
        // Counted time is the same on a busy computer; but the UEFI firmware
        // takes half a minute with it.
        counted: firmware == Firmware::Bios,
        debugger: Debugger::None,
    };
    let played = play::play(&script, &machine, &mut system.symbols())?;
    let verdict = played.result.map_or_else(
        |failure| Verdict::Failed(format!("{shown}:{}: {}", failure.line, failure.reason)),
        |()| Verdict::Passed,
    );
    Ok((verdict, played.transcript))
}

/// Looks at what xtask says about a system that it must not build.
fn refused(script: &Script, shown: &str) -> Result<(Verdict, Vec<String>)> {
    let words = match manifest(&script.boot) {
        Ok(_) => {
            let reason = format!("{shown}: expected that it is refused, but there is no mistake");
            return Ok((Verdict::Failed(reason), Vec::new()));
        }
        Err(error) => match error.downcast_ref::<Mistaken>() {
            Some(mistaken) => format!("{}\nerror: {mistaken}", mistaken.explanation),
            None => format!("error: {error:#}"),
        },
    };
    let lines: Vec<_> = words.lines().collect();
    let start = script.steps.first().context("a script has a first step")?;
    let verdict = match judge::judge(start, &lines, &mut Values::new()) {
        Ok(()) => Verdict::Passed,
        Err(failure) => Verdict::Failed(format!("{shown}:{}: {}", failure.line, failure.reason)),
    };
    Ok((verdict, lines.iter().map(|line| (*line).to_owned()).collect()))
}

fn manifest(boot: &Boot) -> Result<(Manifest, Option<App>)> {
    let app = match &boot.app {
        Some(Crate::Ours(name)) => Some(App::find(&app::outside(name)?)?),
        Some(Crate::Theirs(folder)) => Some(App::find(folder)?),
        None => None,
    };
    let manifest = Manifest::read(boot.manifest.as_deref().unwrap_or(SYSTEM), app.as_ref())?;
    manifest.ensure_fits(&boot.memory)?;
    Ok((manifest, app))
}

/// The systems that scripts were played on: most use the same.
#[derive(Default)]
struct Systems(Vec<(Boot, System)>);

impl Systems {
    fn of(&mut self, boot: &Boot) -> Result<&System> {
        // What the machine is and how it ends makes no other system.
        let Boot { app, manifest: file, is_cut, guests, .. } = boot.clone();
        let key = Boot { app, manifest: file, is_cut, guests, ..Boot::default() };
        if let Some(index) = self.0.iter().position(|one| one.0 == key) {
            return Ok(&self.0[index].1);
        }
        let (manifest, app) = manifest(boot)?;
        let mut system = System::from_manifest(&manifest, app.as_ref())?;
        if boot.is_cut {
            system.cut_manifest();
        }
        if guests {
            system.add(Guests::build()?);
        }
        let index = self.0.len();
        self.0.push((key, system));
        Ok(&self.0[index].1)
    }
}
