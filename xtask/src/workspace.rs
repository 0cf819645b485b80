//! Where things are in the repository, and how cargo is called.
//!
//! Must never guess the path of something that cargo can tell.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The target of the kernel and all programs.
pub const BARE_METAL: &str = "x86_64-unknown-none";

/// Variables that would silently replace the flags of `.cargo/config.toml`, or
/// give the kernel unstable features that the project does not allow itself.
const OVERRIDES: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "RUSTC_BOOTSTRAP",
];

/// The top folder of the repository.
pub fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map(Path::to_path_buf).unwrap_or(xtask)
}

/// The folder for what xtask makes, created if need be.
pub fn output(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/postern").join(name);
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    Ok(folder)
}

/// `path` as a person in the top folder would type it.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The cargo that runs xtask, in the top folder, with inherited flags as the
/// user set them.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// Cargo for the kernel and programs: nothing but the repository decides how
/// they are compiled.
pub fn bare_metal_cargo() -> Command {
    let mut command = cargo();
    for name in OVERRIDES {
        command.env_remove(name);
    }
    command
}

/// Cargo for the workspace in `boot/`, the only one that may use unstable
/// features.
pub fn boot_cargo() -> Command {
    let mut command = bare_metal_cargo();
    command.current_dir(root().join("boot")).env("RUSTC_BOOTSTRAP", "1");
    // The bootloader's build script runs cargo again. With a target directory
    // from the environment both would wait for the same lock, for ever.
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
        command.env_remove(name);
    }
    command
}

/// The output of a command that is quick and must succeed, without the last
/// line break.
pub fn output_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed ({}): {}", output.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Whether a program of this name is in one of the folders of `PATH`.
pub fn is_installed(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Writes a file in one piece: whoever reads it sees the old or the new one.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let mut name = path.file_name().context("a file needs a name")?.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    fs::write(&part, contents)
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
