//! `log!` to the kernel's log, `print!` to the console.
//!
//! Lines are put together on the stack and sent as few messages as they fit,
//! so that lines of several programs do not mix. Nothing here allocates.
//! Output that cannot be delivered is lost: a program must not fail because
//! nobody listens.

use core::fmt::{self, Write};

use postern_syscall::Log;

use crate::own;

/// Collects text and hands it on in pieces.
struct Buffer<F: FnMut(&[u8])> {
    bytes: [u8; Log::MAX_BYTES],
    used: usize,
    send: F,
}

impl<F: FnMut(&[u8])> Buffer<F> {
    fn new(send: F) -> Self {
        Self { bytes: [0; Log::MAX_BYTES], used: 0, send }
    }

    fn flush(&mut self) {
        if self.used != 0 {
            (self.send)(&self.bytes[..self.used]);
            self.used = 0;
        }
    }
}

impl<F: FnMut(&[u8])> Write for Buffer<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            if self.used == self.bytes.len() {
                self.flush();
            }
            let count = rest.len().min(self.bytes.len() - self.used);
            self.bytes[self.used..self.used + count].copy_from_slice(&rest[..count]);
            self.used += count;
            rest = &rest[count..];
        }
        Ok(())
    }
}

fn to_log(bytes: &[u8]) {
    if let Ok(log) = own::log() {
        let _ = log.write(bytes);
    }
}

/// Writes one line to the kernel's log, with the program's name before it.
pub fn log_line(text: fmt::Arguments<'_>) {
    let mut buffer = Buffer::new(to_log);
    let _ = writeln!(buffer, "{}: {text}", own::name());
    buffer.flush();
}

/// Writes to the kernel's log exactly what is given: for the lines of the test
/// protocol ([`postern_syscall::abi::harness`]).
pub fn log_raw(text: fmt::Arguments<'_>) {
    let mut buffer = Buffer::new(to_log);
    let _ = buffer.write_fmt(text);
    buffer.flush();
}

/// Writes to the console; to the kernel's log if the program has none.
pub fn print(text: fmt::Arguments<'_>) {
    match own::console() {
        Ok(console) => {
            let mut buffer = Buffer::new(|bytes| {
                let _ = console.write_all(bytes);
            });
            let _ = buffer.write_fmt(text);
            buffer.flush();
        }
        Err(_) => log_raw(text),
    }
}

/// Writes a line to the kernel's log, with the program's name before it.
#[macro_export]
macro_rules! log {
    ($($text:tt)*) => { $crate::output::log_line(core::format_args!($($text)*)) };
}

/// Writes to the kernel's log exactly what is given, without name or line end.
#[macro_export]
macro_rules! log_raw {
    ($($text:tt)*) => { $crate::output::log_raw(core::format_args!($($text)*)) };
}

/// Writes to the console.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(core::format_args!($($text)*)) };
}

/// Writes to the console, and a line end.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($text:tt)*) => { $crate::output::print(core::format_args!("{}\n", core::format_args!($($text)*))) };
}
