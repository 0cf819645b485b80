//! The system manifest: from `userland/system.toml` (and the `postern.toml` of
//! a program from outside) to the bytes that `init` reads.
//!
//! Must never let a manifest through that `init` could not carry out: every
//! mistake is found here, as many at once as make sense, each with its line. The grammar
//! is described in `docs/manifest.md`.

mod check;
mod compile;
mod diagnostic;
pub mod model;
mod packages;
mod parse;
pub mod suggest;
mod table;
#[cfg(test)]
mod tests;
pub mod value;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

pub use compile::compile;
pub use packages::{App, Packages};

use diagnostic::{Mistakes, Place, Source};
use model::{Machine, Program};

use crate::workspace;

/// The memory of the machine if nothing is said.
const MEMORY: u64 = 128 << 20;

/// The manifest of the system, from the top folder.
pub const SYSTEM: &str = "userland/system.toml";

/// A manifest has mistakes.
#[derive(Debug)]
pub struct Mistaken {
    /// How many, and where.
    summary: String,
    /// All of them, with their lines.
    pub explanation: String,
}

impl fmt::Display for Mistaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

impl std::error::Error for Mistaken {}

/// A manifest without mistakes.
pub struct Manifest {
    /// What it says about the machine.
    pub machine: Machine,
    /// The programs: those of the system, then those of the app.
    pub programs: Vec<Program>,
    /// How many of them are the system's.
    pub system: usize,
    /// The files it was read from.
    sources: Vec<Source>,
}

impl Manifest {
    /// Reads and checks the manifest of the system, with that of an app from
    /// outside if there is one. Mistakes are printed.
    pub fn load(app: Option<&App>) -> Result<Self> {
        Self::read(SYSTEM, app).inspect_err(|error| {
            if let Some(mistaken) = error.downcast_ref::<Mistaken>() {
                eprintln!("{}", mistaken.explanation);
            }
        })
    }

    /// Reads and checks the manifest in `file`, a path from the top folder.
    pub fn read(file: &str, app: Option<&App>) -> Result<Self> {
        let mut sources = vec![read(&workspace::root().join(file))?];
        if let Some(app) = app {
            let system = parse::parse(0, &sources[0], &mut Mistakes::default());
            let servers = system.programs.iter().filter(|program| !program.services.is_empty());
            let servers: Vec<_> = servers.map(|program| program.name.value.as_str()).collect();
            sources.push(app.source(&servers)?);
        }
        let packages = Packages::of_workspace()?;
        let mut mistakes = Mistakes::default();
        let manifest = Self::from_sources(sources, &packages, app, &mut mistakes);
        match mistakes.count() {
            0 => Ok(manifest),
            count => {
                let explanation = mistakes.render(&manifest.sources);
                let files: Vec<_> =
                    manifest.sources.iter().map(|source| source.path.as_str()).collect();
                let noun = if count == 1 { "mistake" } else { "mistakes" };
                let summary = format!("{count} {noun} in {}", files.join(" and "));
                bail!(Mistaken { summary, explanation })
            }
        }
    }

    fn from_sources(
        sources: Vec<Source>,
        packages: &Packages,
        app: Option<&App>,
        mistakes: &mut Mistakes,
    ) -> Self {
        let mut files = sources.iter().enumerate();
        let mut parse = |mistakes: &mut Mistakes| {
            let file = files.next();
            file.map(|(index, source)| parse::parse(index, source, mistakes)).unwrap_or_default()
        };
        let system = parse(mistakes);
        let outside = parse(mistakes);
        let machine = system.machine.or(outside.machine).unwrap_or(Machine { memory: MEMORY });
        // One mistake should not be reported as three: what concerns several
        // values is looked at when each of them makes sense.
        let count = system.programs.len();
        let mut programs = system.programs;
        programs.extend(outside.programs);
        if mistakes.count() == 0 {
            check::names(&programs, mistakes);
        }
        if mistakes.count() == 0 {
            let (system, outside) = programs.split_at(count);
            packages.check(system, mistakes);
            if let Some(app) = app {
                app.check(outside, mistakes);
            }
            check::check(&machine, &programs, mistakes);
        }
        Self { machine, programs, system: count, sources }
    }

    /// The system fits into a machine with this memory, as QEMU writes it.
    pub fn ensure_fits(&self, memory: &str) -> Result<()> {
        let needed = value::shown(self.machine.memory);
        // What QEMU does not understand either, QEMU will say.
        let is_less = value::qemu_size(memory).is_some_and(|size| size < self.machine.memory);
        ensure!(
            !is_less,
            "--memory {memory} is less than the {needed} that {} asks for (`[machine] memory`)",
            self.sources[0].path
        );
        Ok(())
    }

    /// A place as `FILE:LINE:COLUMN`.
    pub fn shown(&self, place: Place) -> String {
        diagnostic::position(&self.sources[place.file], place)
    }

    /// The manifest in `text`, which has no mistake.
    #[cfg(test)]
    pub fn for_test(text: &str, package: &str, bins: &[&str]) -> Self {
        let bins = bins.iter().map(|bin| (*bin).to_owned()).collect();
        let packages = Packages([(package.to_owned(), bins)].into());
        let sources = vec![Source { path: "system.toml".into(), text: text.into() }];
        let mut mistakes = Mistakes::default();
        let manifest = Self::from_sources(sources, &packages, None, &mut mistakes);
        assert_eq!(mistakes.render(&manifest.sources), "");
        manifest
    }
}

fn read(path: &Path) -> Result<Source> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Source { path: workspace::shown(path), text })
}
