//! `cargo xtask image`: disk images for BIOS and UEFI machines.
//!
//! Must write the same image that `run` boots: what was tried is what ships.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::manifest::Manifest;
use crate::system::{Firmware, System};
use crate::{setup, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Write images in QEMU's own format, too
    #[arg(long)]
    qcow2: bool,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    setup::ensure(setup::Need::Build)?;
    let converter = "qemu-img";
    ensure!(
        !options.qcow2 || workspace::is_installed(converter),
        "--qcow2 needs {converter}, which is not installed (Debian: apt-get install qemu-utils)"
    );
    let system = System::from_manifest(&Manifest::load(None)?, None)?;
    let folder = workspace::output("")?;
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let image = folder.join(format!("postern-{}.img", firmware.name()));
        let made = system.image("", firmware)?;
        fs::copy(made, &image).with_context(|| format!("cannot write {}", image.display()))?;
        show(&image)?;
        if options.qcow2 {
            let compact = image.with_extension("qcow2");
            let mut convert = Command::new(converter);
            convert.args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&image).arg(&compact);
            workspace::output_of(&mut convert)?;
            show(&compact)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(image: &Path) -> Result<()> {
    let bytes = fs::metadata(image).context("the image is gone")?.len();
    println!("{}  {} KiB", workspace::shown(image), bytes.div_ceil(1024));
    Ok(())
}
