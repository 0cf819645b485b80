//! A driver of the second serial port, small enough for a test: in loopback
//! mode, so that everything sent comes back as input.

use postern_tests::syscall::{IoPort, Irq, PortWidth, Result, Trigger};
use postern_tests::{Ctx, Failure, Verdict};

const DATA: u16 = 0x2f8;
const ENABLE: u16 = DATA + 1;
const REASON: u16 = DATA + 2;
const MODEM: u16 = DATA + 4;
const STATUS: u16 = DATA + 5;
const SCRATCH: u16 = DATA + 7;

/// Interrupt on input, and on an empty transmitter.
const ON_INPUT: u32 = 1;
const ON_EMPTY: u32 = 2;
/// Loopback, interrupts let out, ready.
const LOOPBACK: u32 = 0x1b;

/// The port and its line.
#[derive(Clone, Copy)]
pub struct Uart {
    ports: IoPort,
    pub irq: Irq,
}

impl Uart {
    /// The port, silent, its line unbound and triggered as said.
    pub fn new(ctx: &Ctx, trigger: Trigger) -> core::result::Result<Self, Failure> {
        let uart = Self { ports: ctx.uart, irq: ctx.uart_irq };
        uart.write(SCRATCH, 0x5a)?;
        if uart.read(SCRATCH)? != 0x5a {
            return Err(Failure::skip(format_args!("there is no second serial port")));
        }
        // A test before this one may have died half-way.
        uart.irq.unbind()?;
        uart.irq.configure(trigger, false)?;
        uart.write(MODEM, LOOPBACK)?;
        uart.write(ENABLE, 0)?;
        while uart.take()?.is_some() {}
        uart.serve()?;
        Ok(uart)
    }

    fn read(self, port: u16) -> Result<u32> {
        self.ports.read(port, PortWidth::Byte)
    }

    fn write(self, port: u16, value: u32) -> Result<()> {
        self.ports.write(port, PortWidth::Byte, value)
    }

    /// Makes the port want something: its transmitter is empty.
    pub fn want(self) -> Result<()> {
        self.write(ENABLE, ON_EMPTY)
    }

    /// Gives it what it wants: the line falls.
    pub fn serve(self) -> Result<()> {
        self.read(REASON)?;
        self.write(ENABLE, 0)
    }

    /// Interrupts on input, from now on.
    pub fn listen(self) -> Result<()> {
        self.write(ENABLE, ON_INPUT)
    }

    /// Sends a byte, which comes back.
    pub fn send(self, byte: u8) -> Result<()> {
        self.write(DATA, byte.into())
    }

    /// A byte of input, if there is one.
    pub fn take(self) -> Result<Option<u8>> {
        if self.read(STATUS)? & 1 == 0 {
            return Ok(None);
        }
        Ok(Some(self.read(DATA)? as u8))
    }

    /// Silent again, the line unbound and as it was at boot.
    pub fn end(self) -> Verdict {
        self.serve()?;
        self.write(MODEM, 0)?;
        self.irq.unbind()?;
        Ok(self.irq.configure(Trigger::Edge, false)?)
    }
}
