//! The first program. It holds capabilities to everything, and its job is to
//! hand them out: it starts the others with exactly what they need, watches
//! them, says on the log what died and why, and starts again what a person
//! needs to go on.
//!
//! It serves the interface `protocol::supervisor`. It must never wait for
//! another program (it only answers), never give a capability that the plan
//! does not name, and never die: without it the machine is turned off.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod plan;
mod power;
mod start;
mod supervisor;
mod table;

use postern_runtime::{Boot, log, server};

use crate::supervisor::Init;

postern_runtime::init_main!(main);

fn main(boot: Boot) -> i32 {
    let mut init = Init::new(boot);
    for plan in plan::AT_BOOT {
        init.start(plan);
    }
    let error = server::serve(&mut init);
    log!("cannot receive any more: {error}");
    1
}
