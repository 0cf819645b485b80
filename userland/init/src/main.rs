//! The first program. It holds capabilities to everything, and its job is to
//! hand them out: it starts the others with exactly what the system manifest
//! gives them, watches them, says on the log what died and why, and starts
//! again what the manifest wants to be there.
//!
//! It serves the interface `protocol::supervisor`. It must never wait for
//! another program (it only answers), never give a capability that the
//! manifest does not name, and never die: without it the machine is turned off.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod grants;
mod history;
mod inspect;
mod journal;
mod power;
mod requests;
mod start;
mod supervisor;
mod table;

use postern_manifest::{FILE, Manifest, Start};
use postern_runtime::{Boot, log, server};

use crate::supervisor::Init;

postern_runtime::init_main!(main);

fn main(boot: Boot) -> i32 {
    let Some(file) = boot.archive.find(FILE) else {
        log!("the boot archive has no system manifest (`{FILE}`)");
        return 1;
    };
    let manifest = match Manifest::parse(file) {
        Ok(manifest) => manifest,
        Err(error) => {
            log!("{error}");
            return 1;
        }
    };
    let mut init = Init::new(boot, manifest);
    for program in manifest.programs().filter(|program| program.start == Start::Boot) {
        init.start(program);
    }
    let error = server::serve(&mut init);
    log!("cannot receive any more: {error}");
    1
}
