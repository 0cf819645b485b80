//! Turns the machine off, by the ways that QEMU has.

use postern_runtime::syscall::abi::harness::{EXIT_FAILURE, EXIT_PORT, EXIT_SUCCESS};
use postern_runtime::syscall::{IoPort, PortWidth};

/// Power management control of QEMU's q35 and pc machines.
const ACPI_CONTROL: u16 = 0x604;
/// Sleep enable, sleep type 0: soft off.
const ACPI_SOFT_OFF: u32 = 0x2000;

/// Turns the machine off: through `isa-debug-exit` if QEMU has it, which tells
/// success from failure, else through ACPI. Comes back if neither works.
pub fn off(ports: IoPort, code: u64) {
    let value = if code == 0 { EXIT_SUCCESS } else { EXIT_FAILURE };
    // Ports without a device take every write.
    let _ = ports.write(EXIT_PORT, PortWidth::Byte, value.into());
    let _ = ports.write(ACPI_CONTROL, PortWidth::Word, ACPI_SOFT_OFF);
}
