//! The shell: a person types commands, one a line.
//!
//! It has a gate to the console and a gate to the supervisor, and power over
//! nothing else: what a command does, the supervisor does.
//!
//! Capabilities: `console`, `supervisor` (gates), `log`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod commands;
mod format;
mod terminal;
mod vm;

use postern_runtime::protocol::supervisor::SupervisorClient;
use postern_runtime::syscall::abi::harness::PROMPT;
use postern_runtime::{Env, Result, log, print, println};

use crate::terminal::{Input, Terminal};

postern_runtime::main!(main);

fn main(env: Env) -> Result<i32> {
    let supervisor = env.capability::<SupervisorClient>("supervisor")?;
    let mut terminal = Terminal::new(postern_runtime::own::console()?);
    println!("\nPostern. `help` lists the commands.");
    loop {
        print!("{PROMPT}");
        match terminal.line() {
            Ok(Input::Line(line)) => commands::execute(&line, supervisor),
            Ok(Input::GivenUp) => {}
            Err(error) => {
                log!("the console is gone: {error}");
                return Ok(1);
            }
        }
    }
}
