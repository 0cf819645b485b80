//! The name server: servers register their doors, clients look them up.
//!
//! It never waits for a server or a client: a door is handed on, and whoever
//! got it asks for a session itself. So a server that hangs hangs nobody but
//! its own clients, and a server may ask for names while it is being asked.
//!
//! Capabilities: `log`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_names::{Directory, NameServer};
use postern_runtime::{Env, log, server};

postern_runtime::main!(main);

fn main(env: Env) -> i32 {
    let directory = match env.generation() {
        1 => Directory::default(),
        _ => Directory::after_restart(),
    };
    let error = server::serve(&mut NameServer(directory));
    log!("cannot receive any more: {error}");
    1
}
