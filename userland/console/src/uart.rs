//! The 16550 serial port, through an I/O port capability.
//!
//! The kernel writes its log to the same port, so nothing here resets the
//! chip or clears its FIFOs; it only turns interrupts on.

use postern_runtime::syscall::{IoPort, PortWidth, Result};

const BASE: u16 = 0x3f8;
const DATA: u16 = BASE;
const INTERRUPT_ENABLE: u16 = BASE + 1;
const INTERRUPT_ID: u16 = BASE + 2;
const FIFO_CONTROL: u16 = BASE + 2;
const MODEM_CONTROL: u16 = BASE + 4;
const LINE_STATUS: u16 = BASE + 5;

/// Interrupt when there is input.
const ON_INPUT: u8 = 1;
/// Interrupt when the transmitter is empty.
const ON_EMPTY: u8 = 2;
/// FIFOs on, interrupt from one byte on.
const FIFO_ON: u8 = 1;
/// Data terminal ready, request to send, and OUT2, which lets interrupts out.
const MODEM_READY: u8 = 0x0b;
/// Line status: input is there.
const HAS_INPUT: u8 = 1;
/// Line status: the transmitter's FIFO is empty.
const IS_EMPTY: u8 = 0x20;
/// What a port reads as when there is no device.
const ABSENT: u8 = 0xff;

/// Bytes of the transmitter's FIFO.
pub const FIFO: usize = 16;

/// The serial port.
#[derive(Debug, Clone, Copy)]
pub struct Uart(IoPort);

impl Uart {
    pub const fn new(ports: IoPort) -> Self {
        Self(ports)
    }

    fn read(self, port: u16) -> Result<u8> {
        Ok(self.0.read(port, PortWidth::Byte)? as u8)
    }

    fn write(self, port: u16, value: u8) -> Result<()> {
        self.0.write(port, PortWidth::Byte, value.into())
    }

    /// Turns FIFOs and the input interrupt on.
    pub fn start(self) -> Result<()> {
        self.write(FIFO_CONTROL, FIFO_ON)?;
        self.write(MODEM_CONTROL, MODEM_READY)?;
        self.write(INTERRUPT_ENABLE, ON_INPUT)
    }

    /// Whether the interrupt for an empty transmitter is wanted.
    pub fn set_empty_interrupt(self, wanted: bool) -> Result<()> {
        self.write(INTERRUPT_ENABLE, if wanted { ON_INPUT | ON_EMPTY } else { ON_INPUT })
    }

    /// Reads the reason of an interrupt, which for an empty transmitter also
    /// clears it. Whether there was one.
    pub fn take_interrupt(self) -> Result<bool> {
        Ok(self.read(INTERRUPT_ID)? & 1 == 0)
    }

    /// The next byte of input, if there is one.
    pub fn input(self) -> Result<Option<u8>> {
        let status = self.read(LINE_STATUS)?;
        if status == ABSENT || status & HAS_INPUT == 0 {
            return Ok(None);
        }
        self.read(DATA).map(Some)
    }

    /// Whether [`FIFO`] bytes can be sent. A port without a device takes
    /// everything: nobody reads it, and nobody must wait for it.
    pub fn can_send(self) -> Result<bool> {
        Ok(self.read(LINE_STATUS)? & IS_EMPTY != 0)
    }

    /// Sends up to [`FIFO`] bytes; to be called when [`Uart::can_send`].
    pub fn send(self, bytes: &[u8]) -> Result<usize> {
        self.0.write_bytes(DATA, &bytes[..bytes.len().min(FIFO)])
    }
}
