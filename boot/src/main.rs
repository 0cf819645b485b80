//! Kernel and boot archive in, bootable disk images out.
//!
//! The only user of the bootloader crate. `cargo xtask` calls it as a process;
//! it must never know what a kernel or an archive contains, and must never
//! leave a half-written image behind: an image that exists is whole.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bootloader::{BootConfig, DiskImageBuilder};
use bootloader_boot_config::LevelFilter;
use clap::Parser;

/// Makes bootable disk images from a kernel and a boot archive.
#[derive(Parser)]
#[command(group = clap::ArgGroup::new("output").required(true).multiple(true))]
struct Options {
    /// The kernel, an ELF file
    #[arg(long)]
    kernel: PathBuf,
    /// The file that the kernel finds in memory when it starts
    #[arg(long)]
    ramdisk: PathBuf,
    /// Write an image for BIOS machines to this file
    #[arg(long, group = "output")]
    bios: Option<PathBuf>,
    /// Write an image for UEFI machines to this file
    #[arg(long, group = "output")]
    uefi: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    for file in [&options.kernel, &options.ramdisk] {
        ensure!(file.is_file(), "{} is not a file", file.display());
    }
    let mut builder = DiskImageBuilder::new(options.kernel);
    builder.set_ramdisk(options.ramdisk);
    builder.set_boot_config(&config());
    if let Some(image) = &options.bios {
        whole(image, |part| builder.create_bios_image(part))?;
    }
    if let Some(image) = &options.uefi {
        whole(image, |part| builder.create_uefi_image(part))?;
    }
    Ok(())
}

/// The bootloader says what goes wrong and nothing else: its progress messages
/// would stand between the lines of the test protocol on the serial port.
fn config() -> BootConfig {
    let mut config = BootConfig::default();
    config.log_level = LevelFilter::Warn;
    config
}

/// Writes a file next to `image` and renames it when it is complete.
fn whole(image: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = image.file_name().context("the image needs a file name")?.to_owned();
    name.push(".part");
    let part = image.with_file_name(name);
    write(&part).with_context(|| format!("cannot make the image {}", image.display()))?;
    fs::rename(&part, image).with_context(|| format!("cannot write {}", image.display()))
}
