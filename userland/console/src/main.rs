//! The console server: owns the serial port, and shows it to its clients as
//! the interface `protocol::console::Console`.
//!
//! Input comes by interrupt, output goes out as fast as the port takes it.
//! Clients are told apart by the label of their gate; each has one gate, bound
//! to this program's thread by whoever starts it. The server never waits for a
//! client: reads are kept until something was typed, writes until there is
//! room.
//!
//! Capabilities: `uart` (I/O ports 0x3f8 to 0x3ff), `uart-irq` (interrupt 4),
//! `log`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod server;
mod uart;

use postern_runtime::syscall::{IoPort, Irq};
use postern_runtime::{Env, Explain, Result, log, server as runtime};

use crate::server::Terminal;
use crate::uart::Uart;

postern_runtime::main!(main);

/// The signal bit of the port's interrupt.
const INTERRUPT: u64 = 1;

fn main(env: Env) -> Result<i32> {
    let uart = Uart::new(env.capability::<IoPort>("uart")?);
    let irq = env.capability::<Irq>("uart-irq")?;

    let notification = runtime::notification()?;
    irq.bind(notification, INTERRUPT).explain("binding the interrupt", "uart-irq")?;
    uart.start().explain("setting up the serial port", "uart")?;

    let mut server = Terminal::new(uart, irq);
    // What was typed before the interrupt was bound brings no interrupt now.
    server.look().explain("reading the serial port", "uart")?;
    let error = runtime::serve(&mut server);
    log!("cannot receive any more: {error}");
    Ok(1)
}
