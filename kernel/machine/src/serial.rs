//! The kernel's log: the first serial port, written by polling.
//!
//! A user program may own the same port's registers and interrupt. So after
//! [`Log::init`] nothing here changes a setting, and a byte is sent when the
//! line status says that there is room, whoever filled it.

use core::fmt;

use uart_16550::SerialPort;

/// I/O port of the first serial port.
const PORT: u16 = 0x3f8;
/// Polls before a byte is given up: a port that never gets ready must not
/// stop the kernel.
const PATIENCE: u32 = 1_000_000;

/// A way to the log. It has no state, so that a panic can make its own.
pub struct Log(SerialPort);

impl Log {
    /// A log on a port that was set up already.
    #[must_use]
    pub fn new() -> Self {
        // SAFETY: on a PC this is the first serial port or nothing; the kernel
        // may use every port.
        Self(unsafe { SerialPort::new(PORT) })
    }

    /// Sets the port up; called once, at boot.
    pub fn init(&mut self) {
        self.0.init();
    }

    /// Writes bytes, with a carriage return before each line feed.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.send(b'\r');
            }
            self.send(*byte);
        }
    }

    fn send(&mut self, byte: u8) {
        for _ in 0..PATIENCE {
            if self.0.try_send_raw(byte).is_ok() {
                return;
            }
        }
    }
}

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
