//! The serial port: output by polling, input by its interrupt.

use core::fmt::{self, Write};

use crate::bare;

/// The serial port.
pub struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                bare::send(b'\r');
            }
            bare::send(byte);
        }
        Ok(())
    }
}

macro_rules! print {
    ($($text:tt)*) => {{
        use core::fmt::Write as _;
        let _ = write!($crate::console::Serial, $($text)*);
    }};
}
macro_rules! println {
    ($($text:tt)*) => { $crate::console::print!("{}\n", format_args!($($text)*)) };
}
pub(crate) use {print, println};

/// Sets the port up.
pub fn start() {
    bare::start_serial();
}

/// Waits for a line, which is echoed.
pub fn line(buffer: &mut [u8; 80]) -> &str {
    let mut used = 0;
    loop {
        match bare::receive() {
            Some(b'\r' | b'\n') => {
                println!("");
                return core::str::from_utf8(&buffer[..used]).unwrap_or("");
            }
            Some(byte) => {
                if let Some(free) = buffer.get_mut(used) {
                    (*free, used) = (byte, used + 1);
                    bare::send(byte);
                }
            }
            None => bare::wait(),
        }
    }
}
