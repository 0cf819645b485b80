//! A monitor for one guest: the machine of `postern_vm_model` on a virtual CPU.
//!
//! ```text
//! vmm IMAGE [MEMORY] [--background]
//! ```
//!
//! The image is the entry `guest-IMAGE` of the boot archive, itself an archive
//! with a `kernel` and perhaps a `ramdisk`. MEMORY is a number of MiB (`64M`);
//! the guest gets it piece by piece, as it uses it, out of this program's
//! quota. The guest's serial port is this program's console; Ctrl-] ends the
//! guest, Ctrl-\ is a non-maskable interrupt for it. In the background the guest has no keyboard, and its lines begin with
//! its name.
//!
//! Whatever the guest does ends at worst in the end of this program. It exits
//! with the guest's code, or with 1.
//!
//! Capabilities: `archive`, `console`, `log`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod console;
mod host;
mod image;
mod memory;
mod options;
mod run;

use postern_runtime::syscall::Memory;
use postern_runtime::{Env, println};

use crate::image::Archive;
use crate::options::Options;
use crate::run::Outcome;

postern_runtime::main!(main);

/// Exit code when the guest could not be started, or ended in another way than
/// by turning itself off.
const FAILED: i32 = 1;

fn main(env: Env) -> i32 {
    let options = match Options::read(env.arguments().skip(1)) {
        Ok(options) => options,
        Err(mistake) => {
            println!("vm: {mistake}");
            return FAILED;
        }
    };
    let started = env
        .capability::<Memory>("archive")
        .map_err(image::Error::from)
        .and_then(Archive::open)
        .and_then(|archive| run::start(&archive, &options));
    match started {
        Ok(guest) => match guest.run() {
            Outcome::Guest(0) => 0,
            Outcome::Guest(code) => code.into(),
            Outcome::Ended => 0,
            Outcome::Failed => FAILED,
        },
        Err(error) => {
            println!("vm: `{}` cannot be started: {error}", options.image);
            FAILED
        }
    }
}
