//! A 16550 serial port: registers in, bytes out.
//!
//! What is sent is gone at once, so the transmitter is always empty. Input
//! waits in a queue that is longer than a real port's; what does not fit is
//! lost, as it is on a real one.

use alloc::collections::VecDeque;

/// Most bytes of input that wait for the guest.
const INPUT: usize = 1024;

/// Divisor latch access, in the line control register.
const DIVISOR_LATCH: u8 = 0x80;
/// Interrupt enable: input is there.
const ON_INPUT: u8 = 1;
/// Interrupt enable: the transmitter is empty.
const ON_EMPTY: u8 = 2;
/// Modem control: the interrupt line is connected.
const OUT2: u8 = 8;
/// Modem control: what is sent is received.
const LOOP: u8 = 0x10;

/// A serial port.
#[derive(Debug, Default)]
pub struct Uart {
    enabled: u8,
    line: u8,
    modem: u8,
    scratch: u8,
    divisor: [u8; 2],
    has_fifos: bool,
    /// The transmitter has become empty, and nobody was told yet.
    is_empty_news: bool,
    input: VecDeque<u8>,
}

impl Uart {
    /// Gives the guest something to read; how much of it found room.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(INPUT - self.input.len());
        self.input.extend(&bytes[..count]);
        count
    }

    /// Whether the interrupt line is high.
    #[must_use]
    pub fn interrupts(&self) -> bool {
        self.modem & OUT2 != 0 && self.cause() != 1
    }

    /// The value of the interrupt identification register, without FIFO bits.
    fn cause(&self) -> u8 {
        match () {
            () if self.enabled & ON_INPUT != 0 && !self.input.is_empty() => 4,
            () if self.enabled & ON_EMPTY != 0 && self.is_empty_news => 2,
            () => 1,
        }
    }

    /// The guest reads register 0 to 7.
    pub fn read(&mut self, register: u16) -> u8 {
        let is_latch = self.line & DIVISOR_LATCH != 0;
        match register & 7 {
            0 if is_latch => self.divisor[0],
            0 => self.input.pop_front().unwrap_or(0),
            1 if is_latch => self.divisor[1],
            1 => self.enabled,
            2 => {
                let cause = self.cause();
                self.is_empty_news &= cause != 2;
                cause | if self.has_fifos { 0xc0 } else { 0 }
            }
            3 => self.line,
            4 => self.modem,
            5 => 0x60 | u8::from(!self.input.is_empty()),
            // Carrier, ready, clear to send.
            6 => 0xb0,
            _ => self.scratch,
        }
    }

    /// The guest writes register 0 to 7; what it has sent, if it has.
    pub fn write(&mut self, register: u16, value: u8) -> Option<u8> {
        let is_latch = self.line & DIVISOR_LATCH != 0;
        match register & 7 {
            0 if is_latch => self.divisor[0] = value,
            0 => {
                self.is_empty_news = true;
                if self.modem & LOOP == 0 {
                    return Some(value);
                }
                self.receive(&[value]);
            }
            1 if is_latch => self.divisor[1] = value,
            1 => {
                // The transmitter is empty, so whoever wants to know is told.
                self.is_empty_news |= value & ON_EMPTY != 0;
                self.enabled = value & 0xf;
            }
            2 => {
                self.has_fifos = value & 1 != 0;
                if value & 2 != 0 {
                    self.input.clear();
                }
            }
            3 => self.line = value,
            4 => self.modem = value & 0x1f,
            7 => self.scratch = value,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_out_and_come_in() {
        let mut uart = Uart::default();
        assert_eq!(uart.write(0, b'x'), Some(b'x'));
        assert_eq!(uart.read(5), 0x60);
        assert_eq!(uart.receive(b"ab"), 2);
        assert_eq!(uart.read(5), 0x61);
        assert_eq!([uart.read(0), uart.read(0), uart.read(0)], [b'a', b'b', 0]);
        assert_eq!(uart.read(5), 0x60);
        assert_eq!(uart.receive(&[0; 2000]), INPUT, "the rest is lost");
        uart.write(2, 3);
        assert_eq!(uart.read(5), 0x60, "cleared");
    }

    #[test]
    fn the_divisor_is_behind_a_latch() {
        let mut uart = Uart::default();
        uart.write(3, 0x83);
        assert_eq!((uart.write(0, 3), uart.write(1, 1)), (None, None));
        assert_eq!((uart.read(0), uart.read(1)), (3, 1));
        uart.write(3, 3);
        assert_eq!((uart.read(0), uart.read(1), uart.read(3)), (0, 0, 3));
    }

    #[test]
    fn interrupts_have_causes() {
        let mut uart = Uart::default();
        uart.receive(b"a");
        uart.write(1, ON_INPUT);
        assert!(!uart.interrupts(), "the line is not connected");
        uart.write(4, 0x0b);
        assert!(uart.interrupts());
        assert_eq!(uart.read(2), 4);
        uart.read(0);
        assert!(!uart.interrupts());
        assert_eq!(uart.read(2), 1);
        // An empty transmitter is told once, then again after each byte.
        uart.write(1, ON_INPUT | ON_EMPTY);
        assert!(uart.interrupts());
        assert_eq!((uart.read(2), uart.read(2)), (2, 1));
        assert!(!uart.interrupts());
        uart.write(0, b'x');
        assert!(uart.interrupts());
    }

    #[test]
    fn a_loop_keeps_bytes_inside() {
        let mut uart = Uart::default();
        uart.write(4, LOOP);
        assert_eq!(uart.write(0, 7), None);
        assert_eq!(uart.read(0), 7);
    }
}
