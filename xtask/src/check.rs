//! `cargo xtask check`: formatting, lints, host tests and documentation of all
//! crates, those for the bare machine with their target.
//!
//! Must never change a file, and must go on after a failure: one call shows
//! all that is wrong.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::{self, BARE_METAL};
use crate::{script, setup, step};

#[derive(clap::Args)]
pub struct Options {
    /// Only formatting and lints
    #[arg(long)]
    fast: bool,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    setup::ensure(setup::Need::Build)?;
    setup::ensure_linters()?;
    let bare = bare_metal_packages()?;
    let mut failed = Vec::new();
    let mut check = |text: &'static str, command: &mut Command| {
        if let Err(error) = step::visible(text, command) {
            eprintln!("error: {error:#}");
            failed.push(text);
        }
    };
    check("format", workspace::cargo().args(["fmt", "--all", "--check"]));
    check("format of boot/", workspace::boot_cargo().args(["fmt", "--check"]));
    for example in script::example_folders()? {
        let mut cargo = workspace::cargo();
        cargo.args(["fmt", "--check", "--manifest-path"]).arg(example.join("Cargo.toml"));
        check("format of an example", &mut cargo);
    }
    let clippy = ["clippy", "--quiet"];
    let deny = ["--", "-D", "warnings"];
    check("clippy, host", workspace::cargo().args(clippy).arg("--all-targets").args(deny));
    if !bare.is_empty() {
        let mut cargo = workspace::bare_metal_cargo();
        cargo.args(clippy).args(["--target", BARE_METAL]).args(&bare).args(deny);
        check("clippy, bare machine", &mut cargo);
    }
    // The same profile as the tool that is used, to share the boot loader.
    let mut cargo = workspace::boot_cargo();
    cargo.args(clippy).args(["--release", "--locked", "--target-dir", "target"]).args(deny);
    check("clippy, boot/ (the first time takes minutes)", &mut cargo);
    if !options.fast {
        check("host tests", workspace::cargo().args(["test", "--quiet"]));
        let documentation = ["doc", "--no-deps", "--quiet", "--document-private-items"];
        let mut cargo = workspace::cargo();
        cargo.args(documentation).env("RUSTDOCFLAGS", "-D warnings");
        check("documentation, host", &mut cargo);
        if !bare.is_empty() {
            let mut cargo = workspace::bare_metal_cargo();
            cargo.args(documentation).args(["--target", BARE_METAL]).args(&bare);
            cargo.env("RUSTDOCFLAGS", "-D warnings");
            check("documentation, bare machine", &mut cargo);
        }
    }
    if failed.is_empty() {
        println!("all checks passed");
        return Ok(ExitCode::SUCCESS);
    }
    println!("failed: {}", failed.join("; "));
    Ok(ExitCode::FAILURE)
}

/// Arguments that select the packages that are not built for the host: all but
/// the default members.
fn bare_metal_packages() -> Result<Vec<String>> {
    let mut cargo = workspace::cargo();
    let text = workspace::output_of(cargo.args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let hosted = metadata["workspace_default_members"].as_array().context("no default members")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let bare = packages.iter().filter(|package| !hosted.contains(&package["id"]));
    Ok(bare
        .filter_map(|package| Some(format!("--package={}", package["name"].as_str()?)))
        .collect())
}
