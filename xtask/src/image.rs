//! `cargo xtask image`: disk images for BIOS and UEFI machines.
//!
//! Must write the same image that `run` boots: what was tried is what ships.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::manifest::{App, Manifest};
use crate::system::{Firmware, System};
use crate::{setup, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Add the programs of a crate, with its postern.toml
    #[arg(long, value_name = "PATH")]
    app: Option<PathBuf>,
    /// Write images in QEMU's own format, too
    #[arg(long)]
    qcow2: bool,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    let app = options.app.as_deref().map(App::find).transpose()?;
    let manifest = Manifest::load(app.as_ref())?;
    setup::ensure(setup::Need::Build)?;
    if options.qcow2 {
        setup::ensure_converter()?;
    }
    let system = System::from_manifest(&manifest, app.as_ref())?;
    let folder = workspace::output("")?;
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let image = folder.join(format!("postern-{}.img", firmware.name()));
        let made = system.image("", firmware)?;
        fs::copy(made, &image).with_context(|| format!("cannot write {}", image.display()))?;
        show(&image)?;
        if options.qcow2 {
            let compact = image.with_extension("qcow2");
            let mut convert = Command::new(setup::QEMU_IMG);
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
