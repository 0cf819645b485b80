//! A system: a kernel with its programs, made into a disk image.
//!
//! Must never decide what the programs do; which ones there are is all it
//! knows. An image is named after what is in it, so that several runs at once
//! cannot take each other's.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use postern_abi::harness::CMDLINE;

use crate::archive;
use crate::build::{self, Profile, Program};
use crate::symbols::Symbols;
use crate::workspace;

/// Images that were not used for so long are removed.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Which programs a system has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a person uses.
    Normal,
    /// The in-QEMU tests.
    Tests,
    /// The benchmarks.
    Bench,
}

impl Kind {
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Normal => &[
                "postern-init",
                "postern-console",
                "postern-names",
                "postern-shell",
                "postern-crasher",
                "postern-echo-server",
                "postern-echo-client",
            ],
            Self::Tests => &["postern-tests"],
            Self::Bench => &["postern-bench"],
        }
    }

    /// Names of the binary that the kernel starts as `init`.
    fn init(self) -> &'static [&'static str] {
        match self {
            Self::Normal => &["init", "postern-init"],
            Self::Tests => &["runner"],
            Self::Bench => &["bench", "postern-bench"],
        }
    }

    fn profile(self) -> Profile {
        if self == Self::Tests { Profile::Checked } else { Profile::Release }
    }
}

/// What the machine starts from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// The BIOS, from a master boot record.
    Bios,
    /// UEFI, from a GUID partition table.
    Uefi,
}

impl Firmware {
    /// The firmware that the option `--uefi` chooses.
    pub fn from_option(uefi: bool) -> Self {
        if uefi { Self::Uefi } else { Self::Bios }
    }

    /// Its name in options and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        }
    }
}

/// A compiled system.
pub struct System {
    kernel: Program,
    init: Program,
    programs: Vec<Program>,
    /// The kernel as it is loaded.
    loaded: Vec<u8>,
    /// The files of the archive, without the command line.
    files: Vec<(String, Vec<u8>)>,
    boot_tool: PathBuf,
}

impl System {
    /// Compiles everything that a system of this kind needs.
    pub fn build(kind: Kind) -> Result<Self> {
        let kernel = build::kernel(kind.profile())?;
        let mut programs = build::programs(kind.packages(), kind.profile())?;
        let Some(index) = programs.iter().position(|one| kind.init().contains(&&*one.name)) else {
            bail!(
                "no program can be init: {} must have a binary called `{}`",
                kind.packages()[0],
                kind.init()[0]
            );
        };
        let init = programs.remove(index);
        let loaded = kernel.stripped()?;
        kernel.executable(&loaded)?;
        let flat = archive::flat(&init.executable(&init.stripped()?)?)
            .with_context(|| format!("the program `{}` cannot be init", init.name))?;
        let mut files = vec![("init".to_owned(), flat)];
        for program in &programs {
            let stripped = program.stripped()?;
            program.executable(&stripped)?;
            files.push((program.name.clone(), stripped));
        }
        let boot_tool = build::boot_tool()?;
        Ok(Self { kernel, init, programs, loaded, files, boot_tool })
    }

    /// The kernel's file with its symbols, for a debugger.
    pub fn kernel_elf(&self) -> &Path {
        &self.kernel.elf
    }

    /// The names of all addresses that the guest can print.
    pub fn symbols(&self) -> Symbols {
        let mut symbols = Symbols::default();
        symbols.add("kernel", &self.kernel.elf);
        symbols.add("init", &self.init.elf);
        for program in self.programs.iter().chain([&self.init]) {
            symbols.add(&program.name, &program.elf);
        }
        symbols
    }

    /// The disk image of this system with a command line for `init`; one that
    /// exists already is used again.
    pub fn image(&self, cmdline: &str, firmware: Firmware) -> Result<PathBuf> {
        let mut files: Vec<_> =
            self.files.iter().map(|file| (file.0.as_str(), file.1.as_slice())).collect();
        files.push((CMDLINE, cmdline.as_bytes()));
        let ramdisk = archive::archive(&files)?;
        let tool = fs::read(&self.boot_tool)
            .with_context(|| format!("cannot read {}", self.boot_tool.display()))?;
        let mut hasher = DefaultHasher::new();
        (&self.loaded, &ramdisk, tool).hash(&mut hasher);
        let key = hasher.finish();

        let folder = workspace::output("images")?;
        remove_old(&folder)?;
        let image = folder.join(format!("{key:016x}-{}.img", firmware.name()));
        if image.is_file() {
            return Ok(image);
        }
        let kernel_file = folder.join(format!("{key:016x}.kernel"));
        let ramdisk_file = folder.join(format!("{key:016x}.ramdisk"));
        workspace::write_whole(&kernel_file, &self.loaded)?;
        workspace::write_whole(&ramdisk_file, &ramdisk)?;
        let part = folder.join(format!("{key:016x}.{}", std::process::id()));
        let mut boot = Command::new(&self.boot_tool);
        boot.arg("--kernel").arg(&kernel_file).arg("--ramdisk").arg(&ramdisk_file);
        boot.arg(format!("--{}", firmware.name())).arg(&part);
        workspace::output_of(&mut boot).context("cannot make the disk image")?;
        fs::rename(&part, &image).with_context(|| format!("cannot write {}", image.display()))?;
        Ok(image)
    }
}

/// Removes files that nobody can be waiting for any more.
fn remove_old(folder: &Path) -> Result<()> {
    for file in fs::read_dir(folder).context("cannot list the images")?.flatten() {
        let age = file.metadata().and_then(|data| data.modified()).ok();
        if age.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > KEPT) {
            // Another run may be faster; then it is gone, as it should be.
            let _ = fs::remove_file(file.path());
        }
    }
    Ok(())
}
