//! Which packages there are, with which binaries: those of this workspace, and
//! the one of an app from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::diagnostic::{Mistakes, Source};
use super::model::Program;
use super::{read, suggest};
use crate::workspace;

/// Packages with their binaries.
#[derive(Debug, Default)]
pub struct Packages(pub BTreeMap<String, Vec<String>>);

impl Packages {
    /// Those of this workspace.
    pub fn of_workspace() -> Result<Self> {
        Ok(Self(
            metadata(&workspace::root().join("Cargo.toml"))?
                .into_iter()
                .map(|one| (one.name, one.bins))
                .collect(),
        ))
    }

    /// Every program of the system is in a package that exists.
    pub fn check(&self, programs: &[Program], mistakes: &mut Mistakes) {
        for program in programs {
            let Some(package) = &program.package else {
                let name = &program.name;
                let message = format!("the program `{}` has no `package`", name.value);
                mistakes
                    .add(name.place, message, "which package is it in?")
                    .help(format!("such as `package = \"postern-{}\"`", name.value));
                continue;
            };
            let Some(bins) = self.0.get(&package.value) else {
                let known = self.0.iter().filter(|(_, bins)| !bins.is_empty());
                let known = known.map(|(name, _)| name.as_str());
                mistakes
                    .add(package.place, format!("unknown package `{}`", package.value), "not here")
                    .help(suggest::help(&package.value, "packages with programs", known));
                continue;
            };
            check_binary(program, &package.value, bins, mistakes);
        }
    }
}

fn check_binary(program: &Program, package: &str, bins: &[String], mistakes: &mut Mistakes) {
    let binary = program.binary();
    if !bins.contains(&binary.value) {
        let message = format!("the package `{package}` has no program `{}`", binary.value);
        mistakes.add(binary.place, message, "no such binary").help(suggest::help(
            &binary.value,
            "its binaries",
            bins.iter().map(String::as_str),
        ));
    }
}

/// A crate whose programs are added to the system.
pub struct App {
    /// The folder that it is in.
    pub folder: PathBuf,
    /// Its package.
    pub package: String,
    /// Its binaries.
    pub bins: Vec<String>,
}

impl App {
    /// The crate in a folder, or with this `Cargo.toml`.
    pub fn find(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { path.join("Cargo.toml") } else { path.to_path_buf() };
        ensure!(
            file.is_file() && file.ends_with("Cargo.toml"),
            "--app needs a folder with a crate, and there is no {}",
            file.display()
        );
        let file =
            fs::canonicalize(&file).with_context(|| format!("cannot find {}", file.display()))?;
        let found = metadata(&file)?.into_iter().find(|package| package.file == file);
        let Some(found) = found else {
            bail!("{} is a workspace without a package: name the folder of one", file.display());
        };
        ensure!(
            !found.bins.is_empty(),
            "the package `{}` has no program: it needs src/main.rs or a [[bin]]",
            found.name
        );
        let folder = file.parent().context("a file is in a folder")?.to_path_buf();
        Ok(Self { folder, package: found.name, bins: found.bins })
    }

    /// Its `postern.toml`; without one, each of its programs gets what most
    /// programs need, of the `servers` that there are.
    pub(super) fn source(&self, servers: &[&str]) -> Result<Source> {
        let path = self.folder.join("postern.toml");
        if path.is_file() {
            return read(&path);
        }
        let text = self.bins.iter().map(|bin| default_manifest(bin, servers)).collect();
        Ok(Source { path: format!("(the default for {})", workspace::shown(&path)), text })
    }

    /// Its programs are binaries of its own.
    pub(super) fn check(&self, programs: &[Program], mistakes: &mut Mistakes) {
        for program in programs {
            if let Some(package) = program.package.as_ref().filter(|one| one.value != self.package)
            {
                let message = "a program from outside is in its own package";
                let label = format!("this is `{}`", self.package);
                mistakes.add(package.place, message, label).help("leave `package` out");
                continue;
            }
            check_binary(program, &self.package, &self.bins, mistakes);
        }
    }
}

/// What a program gets that has no manifest.
pub(super) fn default_manifest(bin: &str, servers: &[&str]) -> String {
    let usual = ["console", "names"].into_iter().filter(|name| servers.contains(name));
    let gates: Vec<_> = usual.map(|name| format!("{name} = \"{name}\"")).collect();
    format!(
        "[[program]]\nname = \"{bin}\"\nquota = \"4 MiB\"\n\
         capabilities = {{ log = true, clock = true }}\ngates = {{ {} }}\n\n",
        gates.join(", ")
    )
}

/// A package as cargo describes it.
struct Package {
    name: String,
    file: PathBuf,
    bins: Vec<String>,
}

fn metadata(manifest: &Path) -> Result<Vec<Package>> {
    let mut cargo = workspace::bare_metal_cargo();
    cargo.args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"]).arg(manifest);
    let text = workspace::output_of(&mut cargo)?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let targets = value["targets"].as_array().context("a package without targets")?;
    let is_bin = |target: &&Value| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
    };
    Ok(Package {
        name: text(&value["name"]).context("a package without a name")?,
        file: text(&value["manifest_path"]).context("a package without a file")?.into(),
        bins: targets.iter().filter(is_bin).filter_map(|target| text(&target["name"])).collect(),
    })
}
