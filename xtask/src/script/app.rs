//! The crates of `tests/apps`, put where a crate from outside is: not in this
//! repository.
//!
//! Each is copied to a folder of its own beside the computer's other temporary
//! files, which stays, so that it is compiled once and not every time.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Stands in a file for the path of this repository.
const REPOSITORY: &str = "@POSTERN@";
/// The versions that cargo takes.
const LOCK: &str = "Cargo.lock";
/// This repository's [`LOCK`], in a copy.
const ORIGIN: &str = "postern.lock";
/// Where cargo puts what it makes.
const TARGET: &str = "target";
/// What is in a copy beside the crate.
const KEPT: [&str; 3] = [LOCK, ORIGIN, TARGET];

/// The folder with a copy of `tests/apps/NAME`.
pub fn outside(name: &str) -> Result<PathBuf> {
    let root = workspace::root();
    let original = root.join("tests/apps").join(name);
    ensure!(original.is_dir(), "there is no {}", workspace::shown(&original));
    let copy = folder(name);
    copy_folder(&original, &copy, &root)
        .and_then(|()| lock(&copy, &root))
        .and_then(|()| share_target(&copy))
        .with_context(|| format!("cannot copy the crate to {}", copy.display()))?;
    Ok(copy)
}

/// Where a crate of this name is, outside of this repository.
pub fn folder(name: &str) -> PathBuf {
    // Several clones, and several people, do not share a copy.
    let mut hasher = DefaultHasher::new();
    (workspace::root(), rustix::process::geteuid().as_raw()).hash(&mut hasher);
    env::temp_dir().join(format!("postern-apps-{:016x}", hasher.finish())).join(name)
}

/// Lets the copies share what cargo makes: each stands on the same runtime.
pub fn share_target(copy: &Path) -> Result<()> {
    fs::create_dir_all(copy.with_file_name(TARGET))?;
    let link = copy.join(TARGET);
    if !link.exists() {
        std::os::unix::fs::symlink(Path::new("..").join(TARGET), &link)?;
    }
    Ok(())
}

/// Lets the copy have the versions that this repository has, which are on this
/// computer already. Cargo changes its file, so the one it came from is kept.
fn lock(copy: &Path, root: &Path) -> Result<()> {
    let (lock, origin) = (fs::read(root.join(LOCK))?, copy.join(ORIGIN));
    if fs::read(&origin).is_ok_and(|old| old == lock) && copy.join(LOCK).is_file() {
        return Ok(());
    }
    workspace::write_whole(&copy.join(LOCK), &lock)?;
    workspace::write_whole(&origin, &lock)
}

fn copy_folder(from: &Path, to: &Path, root: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for old in fs::read_dir(to)? {
        let name = old?.file_name();
        if from.join(&name).exists() || KEPT.iter().any(|kept| name == *kept) {
            continue;
        }
        // Cargo would take a file that is left from an earlier test.
        let old = to.join(&name);
        if old.is_dir() { fs::remove_dir_all(&old)? } else { fs::remove_file(&old)? }
    }
    for file in fs::read_dir(from)? {
        let file = file?;
        let copy = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copy_folder(&file.path(), &copy, root)?;
            continue;
        }
        let text = fs::read_to_string(file.path())?;
        let text = text.replace(REPOSITORY, &root.display().to_string());
        // Cargo compiles again what is newer.
        if fs::read_to_string(&copy).is_ok_and(|old| old == text) {
            continue;
        }
        workspace::write_whole(&copy, text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_client_are_short() {
        let folder = workspace::root().join("tests/apps/adder/src");
        let files = ["lib.rs", "bin/adder-server.rs", "bin/adder-client.rs"];
        let read = |file| fs::read_to_string(folder.join(file)).expect(file).lines().count();
        let lines: usize = files.into_iter().map(read).sum();
        assert!(lines < 60, "{lines} lines");
    }
}
