//! The Postern kernel.
//!
//! Only wires: the machine brings up the hardware, the core decides, and here
//! the two meet and `init` is started. No unsafe code, and nothing that could
//! as well be in the core.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod banner;

use postern_abi::image::{Archive, Flat};
use postern_hypercall::Switch;
use postern_machine::{Boot, Hypervisor};

postern_machine::entry!(boot);

/// The program that the kernel starts.
const INIT: &str = "init";

fn boot(mut boot: Boot) -> ! {
    let bytes = boot.archive.len() as u64;
    let archive = Archive::new(boot.archive);
    banner::print(&mut boot, Hypervisor::meet(switch(archive)));
    let Some(archive) = archive else {
        boot.fail(format_args!("the boot archive is missing or broken ({bytes} bytes)"))
    };
    let Some(image) = archive.find(INIT).and_then(Flat::new) else {
        boot.fail(format_args!("the boot archive has no program `{INIT}`"))
    };
    let Some(frames) = boot.archive_frames.take() else {
        boot.fail(format_args!("the boot archive's memory is gone"))
    };
    match boot.kernel.start_init(frames, bytes, image) {
        Ok(()) => boot.enter(),
        Err(error) => boot.fail(format_args!("cannot start `{INIT}`: {error}")),
    }
}

/// Whether the boot command line lets hypercalls be used.
fn switch(archive: Option<Archive<'_>>) -> Switch {
    let line = archive.and_then(|archive| archive.find("cmdline"));
    let line = line.and_then(|line| core::str::from_utf8(line).ok());
    Switch::from_command_line(line.unwrap_or(""))
}
