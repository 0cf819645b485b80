//! The old interrupt controllers (8259): silent where there is an I/O APIC, the
//! interrupt lines of machines without firmware tables, such as virtual ones.
//!
//! Interrupts end by themselves (AEOI), so nobody answers them. Their pins
//! arrive at the CPU through pin 0 of its own controller.

use postern_core::machine::Trigger;

use crate::port;
use crate::tables::vector;

const COMMANDS: [u16; 2] = [0x20, 0xa0];
const DATA: [u16; 2] = [0x21, 0xa1];
/// The pin of the first to which the second is connected.
const CASCADE: u32 = 2;
/// Lines of both.
pub const LINES: u32 = 16;

/// Last word of the initialisation: 8086 mode, and with the second bit the end
/// of an interrupt is not waited for.
const MANUAL_END: u8 = 1;
const AUTOMATIC_END: u8 = 3;

/// Starts both with pin 0 at vector `first`, all pins masked.
fn start(first: u8, last_word: u8) {
    for (number, (command, data)) in COMMANDS.into_iter().zip(DATA).enumerate() {
        port::write_byte(command, 0x11);
        port::write_byte(data, first + 8 * number as u8);
        port::write_byte(data, if number == 0 { 1 << CASCADE } else { CASCADE as u8 });
        port::write_byte(data, last_word);
        port::write_byte(data, 0xff);
    }
}

/// Moves their vectors away from the exceptions and masks all their pins. A
/// spurious interrupt of theirs is still possible.
pub fn silence() {
    start(vector::PIC, MANUAL_END);
}

/// Both controllers, in use.
pub struct Pics {
    /// A bit for each line.
    masked: u16,
    triggers: [Trigger; LINES as usize],
}

impl Pics {
    /// Sets up every line, masked, by edge.
    #[must_use]
    pub fn new() -> Self {
        start(vector::LINES, AUTOMATIC_END);
        let mut pics = Self { masked: u16::MAX, triggers: [Trigger::default(); LINES as usize] };
        pics.mask(CASCADE, false);
        pics
    }

    /// See [`crate::lines::Lines::trigger`].
    #[must_use]
    pub fn trigger(&self, line: u32) -> Trigger {
        self.triggers.get(line as usize).copied().unwrap_or_default()
    }

    /// Notes how a line interrupts, and masks it. What the controllers do about
    /// levels is firmware's to set.
    pub fn set_trigger(&mut self, line: u32, trigger: Trigger) {
        if line != CASCADE
            && let Some(place) = self.triggers.get_mut(line as usize)
        {
            *place = trigger;
            self.mask(line, true);
        }
    }

    /// Masks or unmasks a line; one that does not exist is ignored.
    pub fn mask(&mut self, line: u32, masked: bool) {
        if line >= LINES {
            return;
        }
        let bit = 1 << line;
        self.masked = if masked { self.masked | bit } else { self.masked & !bit };
        self.masked &= !(1 << CASCADE);
        let [first, second] = self.masked.to_le_bytes();
        if line < 8 {
            port::write_byte(DATA[0], first);
        } else {
            port::write_byte(DATA[1], second);
        }
    }
}
