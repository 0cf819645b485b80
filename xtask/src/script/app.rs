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

/// The folder with a copy of `tests/apps/NAME`.
pub fn outside(name: &str) -> Result<PathBuf> {
    let root = workspace::root();
    let original = root.join("tests/apps").join(name);
    ensure!(original.is_dir(), "there is no {}", workspace::shown(&original));
    // Several clones, and several people, do not share a copy.
    let mut hasher = DefaultHasher::new();
    (&root, rustix::process::geteuid().as_raw()).hash(&mut hasher);
    let copy = env::temp_dir().join(format!("postern-apps-{:016x}", hasher.finish())).join(name);
    copy_folder(&original, &copy, &root)
        .with_context(|| format!("cannot copy the crate to {}", copy.display()))?;
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path, root: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
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
