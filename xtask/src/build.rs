//! Compiles the kernel, the programs and the tool that makes disk images.
//!
//! Must never guess where cargo puts a file (cargo says so in its messages),
//! and must let nothing but the repository decide how bare-metal code is
//! compiled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::elf::Executable;
use crate::manifest::App;
use crate::workspace::{self, BARE_METAL};
use crate::{setup, step};

/// How bare-metal code is compiled: a profile of the workspace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What ships and what is measured.
    Release,
    /// What the tests run: with overflow checks and debug assertions.
    Checked,
    /// Without optimisation.
    Debug,
    /// What ships, with all debug information.
    Debugger,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Checked => "checked",
            Self::Debug => "dev",
            Self::Debugger => "debugger",
        }
    }
}

/// A compiled program, with its symbols.
#[derive(Clone)]
pub struct Program {
    /// The name of the binary.
    pub name: String,
    /// The file as cargo made it.
    pub elf: PathBuf,
}

impl Program {
    /// The file without anything that is not loaded.
    pub fn stripped(&self) -> Result<Vec<u8>> {
        let tool = setup::llvm_tool(setup::sysroot()?, "llvm-strip")
            .context("llvm-strip is missing (rustup component add llvm-tools)")?;
        let output = workspace::output("stripped")?;
        let stripped = output.join(format!("{}.{}", self.name, std::process::id()));
        let mut strip = Command::new(tool);
        strip.arg("--strip-all").arg("-o").arg(&stripped).arg(&self.elf);
        workspace::output_of(&mut strip)?;
        let bytes =
            fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
        fs::remove_file(&stripped).context("cannot remove a temporary file")?;
        Ok(bytes)
    }

    /// The program as its loader will see it, checked.
    pub fn executable(&self, stripped: &[u8]) -> Result<Executable> {
        Executable::parse(stripped).with_context(|| {
            format!("the program `{}` cannot be loaded ({})", self.name, self.elf.display())
        })
    }
}

/// Compiles the kernel.
pub fn kernel(profile: Profile) -> Result<Program> {
    let mut found = programs(&["postern-kernel"], profile)?;
    match (found.pop(), found.is_empty()) {
        (Some(kernel), true) => Ok(kernel),
        _ => bail!("the package postern-kernel must have exactly one binary"),
    }
}

/// Compiles all binaries of some packages, in the order of cargo's messages.
pub fn programs(packages: &[&str], profile: Profile) -> Result<Vec<Program>> {
    let mut cargo = workspace::bare_metal_cargo();
    cargo.args(["build", "--bins", "--target", BARE_METAL, "--profile", profile.name()]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let text = format!("building {} ({})", packages.join(", "), profile.name());
    step::say(&text);
    let mut found = executables(&mut cargo).with_context(|| format!("{text} failed"))?;
    // Cargo reports what finishes first first; an image should not depend on it.
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Compiles the binaries of an app: from outside into its own target folder,
/// from inside of this repository (the examples) into one for all of them.
///
/// Cargo runs in the top folder of this repository, so that the flags and the
/// toolchain are those of all other programs.
pub fn app(app: &App, profile: Profile) -> Result<Vec<Program>> {
    let mut cargo = workspace::bare_metal_cargo();
    cargo.args(["build", "--bins", "--target", BARE_METAL, "--profile", Profile::Release.name()]);
    cargo.arg("--manifest-path").arg(app.folder.join("Cargo.toml"));
    let root = workspace::root();
    if app.folder.starts_with(&root) {
        cargo.arg("--target-dir").arg(root.join("target/apps"));
    }
    // Names for the addresses in crash reports.
    let debug = if profile == Profile::Debugger { "full" } else { "line-tables-only" };
    cargo.arg("--config").arg(format!("profile.release.debug='{debug}'"));
    let text = format!("building {} in {}", app.package, workspace::shown(&app.folder));
    step::say(&text);
    executables(&mut cargo).with_context(|| format!("{text} failed"))
}

/// The tool that makes disk images. The first time takes minutes.
pub fn boot_tool() -> Result<PathBuf> {
    let mut cargo = workspace::boot_cargo();
    cargo.args(["build", "--release", "--locked", "--target-dir", "target"]);
    // Only for the words: whether it is up to date, cargo knows.
    if !workspace::root().join("boot/target/release/postern-boot").is_file() {
        step::visible("building the boot loader (once; takes two to four minutes)", &mut cargo)?;
    }
    cargo.arg("--quiet");
    let found = executables(&mut cargo).context("building the boot loader failed")?;
    Ok(found.into_iter().next().context("boot/ has no binary")?.elf)
}

/// Runs a cargo build and returns the executables that it reports.
fn executables(cargo: &mut Command) -> Result<Vec<Program>> {
    cargo.arg("--message-format=json-render-diagnostics");
    let output = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo says why above");
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(artifact).collect())
}

/// The executable that a message of cargo is about, if it is about one.
fn artifact(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    (message["reason"] == "compiler-artifact").then_some(())?;
    Some(Program {
        name: message["target"]["name"].as_str()?.to_owned(),
        elf: Path::new(message["executable"].as_str()?).to_path_buf(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executables_are_taken_from_cargos_messages() {
        let line =
            r#"{"reason":"compiler-artifact","target":{"name":"init"},"executable":"/t/init"}"#;
        let program = artifact(line).expect("an executable");
        assert_eq!((program.name.as_str(), program.elf.to_str()), ("init", Some("/t/init")));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"abi"},"executable":null}"#;
        for line in [library, r#"{"reason":"build-finished","success":true}"#, "warning: x"] {
            assert!(artifact(line).is_none(), "{line}");
        }
    }
}
