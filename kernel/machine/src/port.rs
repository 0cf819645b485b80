//! I/O ports.
//!
//! Who may use which port is decided by the core; here is only the instruction.

use x86_64::instructions::port::Port;

/// Reads a port, `width` 1, 2 or 4 bytes.
#[must_use]
pub fn read(port: u16, width: u8) -> u32 {
    // SAFETY: an I/O port is no memory. What a device does when it is told to
    // (memory access included) is the responsibility of whoever may use it:
    // the kernel's own drivers, and holders of an I/O port capability.
    unsafe {
        match width {
            1 => Port::<u8>::new(port).read().into(),
            2 => Port::<u16>::new(port).read().into(),
            _ => Port::<u32>::new(port).read(),
        }
    }
}

/// Writes a port, `width` 1, 2 or 4 bytes.
pub fn write(port: u16, width: u8, value: u32) {
    // SAFETY: as in `read`.
    unsafe {
        match width {
            1 => Port::new(port).write(value as u8),
            2 => Port::new(port).write(value as u16),
            _ => Port::new(port).write(value),
        }
    }
}

/// Reads a byte.
#[must_use]
pub fn read_byte(port: u16) -> u8 {
    read(port, 1) as u8
}

/// Writes a byte.
pub fn write_byte(port: u16, value: u8) {
    write(port, 1, value.into());
}
