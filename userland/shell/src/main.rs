//! The shell: a person types commands, one a line.
//!
//! It has gates to the console, the supervisor, the file server and the store,
//! and power over nothing else: what a command does, one of them does.
//!
//! Capabilities: `console` (to be handed on to programs that are files),
//! `supervisor`, `fs`, `kv` (gates), `log`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod commands;
mod files;
mod format;
mod terminal;
mod vm;

use postern_runtime::protocol::supervisor::SupervisorClient;
use postern_runtime::syscall::abi::harness::PROMPT;
use postern_runtime::{Env, Result, log, print, println};

use crate::files::Servers;
use crate::terminal::{Input, Terminal};

postern_runtime::main!(main);

fn main(env: Env) -> Result<i32> {
    let supervisor = env.capability::<SupervisorClient>("supervisor")?;
    let servers = Servers::new(&env, supervisor);
    let mut terminal = Terminal::new(postern_runtime::own::console()?);
    println!("\nPostern. `help` lists the commands.");
    loop {
        print!("{PROMPT}");
        match terminal.line() {
            Ok(Input::Line(line)) => commands::execute(&line, supervisor, &servers),
            Ok(Input::GivenUp) => {}
            Err(error) => {
                log!("the console is gone: {error}");
                return Ok(1);
            }
        }
    }
}
