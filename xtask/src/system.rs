//! A system: a kernel with its programs, made into a disk image.
//!
//! Must never decide what the programs do: which ones there are, and what each
//! is given, the manifest says. An image is named after what is in it, so that several runs at once
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
use crate::guests::Guests;
use crate::manifest::{self, App, Manifest};
use crate::symbols::Symbols;
use crate::workspace;

/// Images that were not used for so long are removed.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Which programs a system has, beside those of a manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The in-QEMU tests.
    Tests,
    /// The benchmarks.
    Bench,
}

impl Kind {
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Tests => &["postern-tests"],
            Self::Bench => &["postern-bench"],
        }
    }

    /// Names of the binary that the kernel starts as `init`.
    fn init(self) -> &'static [&'static str] {
        match self {
            Self::Tests => &["runner"],
            Self::Bench => &["bench", "postern-bench"],
        }
    }

    fn profile(self) -> Profile {
        if self == Self::Tests { Profile::Checked } else { Profile::Release }
    }
}

/// The package that starts what a manifest says, and its binary.
const INIT: (&str, &str) = ("postern-init", "init");

/// The folder with the files of the file server, from the top folder.
const FILES: &str = "userland/files";

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
    /// Compiles a system that has no manifest.
    pub fn build(kind: Kind) -> Result<Self> {
        let mut programs = build::programs(kind.packages(), kind.profile())?;
        let Some(index) = programs.iter().position(|one| kind.init().contains(&&*one.name)) else {
            bail!(
                "no program can be init: {} must have a binary called `{}`",
                kind.packages()[0],
                kind.init()[0]
            );
        };
        let init = programs.remove(index);
        Self::assemble(kind.profile(), init, programs, Vec::new())
    }

    /// Compiles the system of the manifest, with the programs of an app from
    /// outside if there is one.
    pub fn from_manifest(manifest: &Manifest, app: Option<&App>) -> Result<Self> {
        Self::from_manifest_with(manifest, app, Profile::Release)
    }

    /// As [`System::from_manifest`], compiled with another profile.
    pub fn from_manifest_with(
        manifest: &Manifest,
        app: Option<&App>,
        profile: Profile,
    ) -> Result<Self> {
        let (system, outside) = manifest.programs.split_at(manifest.system);
        let mut packages = vec![INIT.0];
        packages.extend(system.iter().filter_map(|one| Some(one.package.as_ref()?.value.as_str())));
        packages.sort_unstable();
        packages.dedup();
        let built = build::programs(&packages, profile)?;
        let mut programs = named(system, &built)?;
        if let Some(app) = app {
            programs.extend(named(outside, &build::app(app, profile)?)?);
        }
        let init = built.iter().find(|program| program.name == INIT.1);
        let init = init.with_context(|| format!("{} has no binary `{}`", INIT.0, INIT.1))?;
        let compiled = manifest::compile(&manifest.programs)?;
        let mut files = vec![(postern_manifest::FILE.to_owned(), compiled)];
        files.extend(archive::folder(&workspace::root().join(FILES))?);
        Self::assemble(profile, init.clone(), programs, files)
    }

    /// Leaves only the first half of the compiled manifest: what a system does
    /// that cannot know what to do.
    pub fn cut_manifest(&mut self) {
        for (_, bytes) in self.files.iter_mut().filter(|file| file.0 == postern_manifest::FILE) {
            bytes.truncate(bytes.len() / 2);
        }
    }

    /// Puts guest images into the boot archive.
    pub fn add(&mut self, guests: Guests) {
        self.files.extend(guests.files);
        self.programs.extend(guests.programs);
    }

    /// Puts the files of the boot archive together, each checked.
    fn assemble(
        profile: Profile,
        init: Program,
        programs: Vec<Program>,
        mut files: Vec<(String, Vec<u8>)>,
    ) -> Result<Self> {
        let kernel = build::kernel(profile)?;
        let loaded = kernel.stripped()?;
        kernel.executable(&loaded)?;
        let flat = archive::flat(&init.executable(&init.stripped()?)?)
            .with_context(|| format!("the program `{}` cannot be init", init.name))?;
        files.insert(0, ("init".to_owned(), flat));
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

    /// The kernel as it is loaded.
    pub fn loaded(&self) -> &[u8] {
        &self.loaded
    }

    /// The boot archive, with a command line for `init`.
    pub fn ramdisk(&self, cmdline: &str) -> Result<Vec<u8>> {
        let mut files: Vec<_> =
            self.files.iter().map(|file| (file.0.as_str(), file.1.as_slice())).collect();
        files.push((CMDLINE, cmdline.as_bytes()));
        archive::archive(&files)
    }

    /// The file of the kernel (`kernel`), of `init`, or of a program.
    pub fn elf(&self, name: &str) -> Option<&Path> {
        match name {
            "kernel" => Some(self.kernel_elf()),
            "init" => Some(&self.init.elf),
            _ => self.programs.iter().find(|one| one.name == name).map(|one| one.elf.as_path()),
        }
    }

    /// The programs, `init` among them, and their files.
    pub fn programs(&self) -> impl Iterator<Item = (&str, &Path)> {
        let all = self.programs.iter().chain([&self.init]);
        all.map(|program| (program.name.as_str(), program.elf.as_path()))
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
        let ramdisk = self.ramdisk(cmdline)?;
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

/// The compiled programs under the names that the manifest gives them: two of
/// them can be the same binary.
fn named(wanted: &[manifest::model::Program], built: &[Program]) -> Result<Vec<Program>> {
    let find = |program: &manifest::model::Program| {
        let binary = &program.binary().value;
        let found = built.iter().find(|one| one.name == *binary);
        let found = found.with_context(|| format!("cargo did not build the binary `{binary}`"))?;
        Ok(Program { name: program.name.value.clone(), elf: found.elf.clone() })
    };
    wanted.iter().map(find).collect()
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
