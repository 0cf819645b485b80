//! Images of guests for the boot archive: what `vm run` finds there.
//!
//! An image is an archive with a kernel and perhaps a ramdisk. Must never need
//! anything that the system itself is not built with.

use std::fs;

use anyhow::{Context, Result};

use crate::archive::archive;
use crate::build::{self, Profile, Program};
use crate::manifest::Manifest;
use crate::system::System;

/// Begins the names of images in the boot archive.
const PREFIX: &str = "guest-";
/// The manifest of the system that runs as a guest, from the top folder.
const POSTERN: &str = "userland/guest.toml";
/// The guest of the tests.
const TESTED: &str = "postern-guest";

/// The images.
pub struct Guests {
    /// Files for the boot archive.
    pub files: Vec<(String, Vec<u8>)>,
    /// Programs whose addresses the guests can print.
    pub programs: Vec<Program>,
}

impl Guests {
    /// Compiles all of them.
    pub fn build() -> Result<Self> {
        let mut guests = Self { files: Vec::new(), programs: Vec::new() };
        for (profile, suffix) in [(Profile::Release, ""), (Profile::Debug, "-debug")] {
            for program in build::programs(&[TESTED], profile)? {
                let name = format!("{}{suffix}", program.name);
                guests.add(&name, &[("kernel", &program.stripped()?)])?;
                guests.programs.push(Program { name, ..program });
            }
        }
        let manifest = Manifest::read(POSTERN, None).context("the guest system")?;
        let system = System::from_manifest(&manifest, None)?;
        let (kernel, ramdisk) = (system.loaded(), system.ramdisk("")?);
        guests.add("postern", &[("kernel", kernel), ("ramdisk", &ramdisk)])?;
        Ok(guests)
    }

    /// Images of kernels from elsewhere, each given as `NAME=KERNEL[,RAMDISK]` and
    /// with this command line.
    pub fn from_files(given: &[String], command_line: &str) -> Result<Self> {
        let mut guests = Self { files: Vec::new(), programs: Vec::new() };
        for given in given {
            let parts = given.split_once('=').filter(|(name, _)| !name.is_empty());
            let (name, files) = parts.context("a guest is given as NAME=KERNEL[,RAMDISK]")?;
            let (kernel, ramdisk) = files.split_once(',').unwrap_or((files, ""));
            let read = |file: &str| fs::read(file).with_context(|| format!("cannot read {file}"));
            let kernel = read(kernel)?;
            let ramdisk = if ramdisk.is_empty() { Vec::new() } else { read(ramdisk)? };
            let line = command_line.as_bytes();
            guests.add(name, &[("kernel", &kernel), ("ramdisk", &ramdisk), ("cmdline", line)])?;
        }
        Ok(guests)
    }

    fn add(&mut self, name: &str, parts: &[(&str, &[u8])]) -> Result<()> {
        self.files.push((format!("{PREFIX}{name}"), archive(parts)?));
        Ok(())
    }
}
