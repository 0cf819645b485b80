//! The two old interrupt controllers (8259), the second behind pin 2 of the
//! first.
//!
//! Priorities are fixed: pin 0 first. Pins interrupt by their rising edge.

/// Ports of commands and data, first and second controller.
pub const PORTS: [u16; 4] = [0x20, 0x21, 0xa0, 0xa1];
/// The pin of the first one to which the second is connected.
const CASCADE: u8 = 2;

#[derive(Debug, Default)]
struct Chip {
    /// Pins as they are.
    lines: u8,
    requested: u8,
    in_service: u8,
    masked: u8,
    base: u8,
    /// Which word of the initialisation is expected on the data port; 0: none.
    step: u8,
    has_fourth: bool,
    ends_by_itself: bool,
    shows_service: bool,
}

impl Chip {
    fn set_line(&mut self, pin: u8, high: bool) {
        let bit = 1 << pin;
        if high && self.lines & bit == 0 {
            self.requested |= bit;
        }
        self.lines = if high { self.lines | bit } else { self.lines & !bit };
    }

    /// The pin that is to be served next.
    fn next(&self) -> Option<u8> {
        let pending = self.requested & !self.masked;
        let pin = pending.trailing_zeros() as u8;
        (pin < 8 && self.in_service.trailing_zeros() as u8 > pin).then_some(pin)
    }

    fn acknowledge(&mut self, pin: u8) {
        self.requested &= !(1 << pin);
        if !self.ends_by_itself {
            self.in_service |= 1 << pin;
        }
    }

    fn command(&mut self, value: u8) {
        if value & 0x10 != 0 {
            // The edges of before are forgotten.
            *self = Self { lines: self.lines, step: 2, ..Self::default() };
            self.has_fourth = value & 1 != 0;
        } else if value & 8 != 0 {
            if value & 2 != 0 {
                self.shows_service = value & 1 != 0;
            }
        } else {
            match value >> 5 {
                // The most urgent one that is served.
                1 | 5 => self.in_service &= self.in_service.wrapping_sub(1),
                3 | 7 => self.in_service &= !(1 << (value & 7)),
                _ => {}
            }
        }
    }

    fn data(&mut self, value: u8) {
        match self.step {
            2 => (self.base, self.step) = (value & 0xf8, 3),
            3 => self.step = if self.has_fourth { 4 } else { 0 },
            4 => (self.ends_by_itself, self.step) = (value & 2 != 0, 0),
            _ => self.masked = value,
        }
    }
}

/// Both controllers.
#[derive(Debug, Default)]
pub struct Pics {
    chips: [Chip; 2],
}

impl Pics {
    /// Sets a pin, 0 to 15.
    pub fn set_line(&mut self, line: u8, high: bool) {
        if let Some(chip) = self.chips.get_mut(usize::from(line / 8)) {
            chip.set_line(line % 8, high);
        }
        self.cascade();
    }

    fn cascade(&mut self) {
        let second = self.chips[1].next().is_some();
        self.chips[0].set_line(CASCADE, second);
    }

    /// The vector of the interrupt that the CPU is to take next.
    #[must_use]
    pub fn next(&self) -> Option<u8> {
        let [first, second] = &self.chips;
        match first.next()? {
            // Without a request any more it is the last pin, as on real ones.
            CASCADE => Some(second.base | second.next().unwrap_or(7)),
            pin => Some(first.base | pin),
        }
    }

    /// The CPU takes it.
    pub fn acknowledge(&mut self) {
        let [first, second] = &mut self.chips;
        let Some(pin) = first.next() else { return };
        first.acknowledge(pin);
        if pin == CASCADE {
            if let Some(pin) = second.next() {
                second.acknowledge(pin);
            }
            first.set_line(CASCADE, false);
            self.cascade();
        }
    }

    /// The guest reads one of `PORTS`.
    #[must_use]
    pub fn read(&self, port: u16) -> u8 {
        let chip = &self.chips[usize::from(port >> 7 & 1)];
        match port & 1 {
            0 if chip.shows_service => chip.in_service,
            0 => chip.requested,
            _ => chip.masked,
        }
    }

    /// The guest writes one of `PORTS`.
    pub fn write(&mut self, port: u16, value: u8) {
        let chip = &mut self.chips[usize::from(port >> 7 & 1)];
        if port & 1 == 0 {
            chip.command(value)
        } else {
            chip.data(value)
        }
        self.cascade();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pics: &mut Pics) -> Option<u8> {
        let vector = pics.next();
        pics.acknowledge();
        vector
    }

    fn set_up(fourth: u8) -> Pics {
        let mut pics = Pics::default();
        for (command, base) in [(0x20, 0x30), (0xa0, 0x38)] {
            pics.write(command, 0x11);
            pics.write(command + 1, base);
            pics.write(command + 1, if command == 0x20 { 4 } else { 2 });
            pics.write(command + 1, fourth);
            pics.write(command + 1, 0);
        }
        pics
    }

    #[test]
    fn an_edge_interrupts_once() {
        let mut pics = set_up(3);
        pics.set_line(4, true);
        pics.set_line(4, true);
        assert_eq!((take(&mut pics), take(&mut pics)), (Some(0x34), None));
        pics.set_line(4, false);
        pics.set_line(4, true);
        assert_eq!(take(&mut pics), Some(0x34));
    }

    #[test]
    fn masked_pins_wait() {
        let mut pics = set_up(3);
        pics.write(0x21, 0x10);
        assert_eq!(pics.read(0x21), 0x10);
        pics.set_line(4, true);
        assert!(pics.next().is_none());
        assert_eq!(pics.read(0x20), 0x10, "requested");
        pics.write(0x21, 0);
        assert_eq!(take(&mut pics), Some(0x34));
    }

    #[test]
    fn the_second_is_behind_the_first() {
        let mut pics = set_up(3);
        pics.set_line(12, true);
        pics.set_line(9, true);
        assert_eq!(take(&mut pics), Some(0x39), "the more urgent one first");
        assert_eq!(take(&mut pics), Some(0x3c));
        assert_eq!(take(&mut pics), None);
    }

    #[test]
    fn what_is_served_holds_back_until_its_end() {
        let mut pics = set_up(1);
        pics.set_line(4, true);
        assert_eq!(take(&mut pics), Some(0x34));
        pics.set_line(5, true);
        assert!(pics.next().is_none());
        pics.set_line(1, true);
        assert_eq!(take(&mut pics), Some(0x31), "a more urgent one is let in");
        pics.write(0x20, 0x0b);
        assert_eq!(pics.read(0x20), 0x12);
        pics.write(0x20, 0x20);
        assert!(pics.next().is_none(), "4 is still served");
        pics.write(0x20, 0x64);
        assert_eq!(take(&mut pics), Some(0x35));
    }

    #[test]
    fn any_bytes_do_no_harm() {
        let mut pics = Pics::default();
        for value in 0..=255 {
            for port in PORTS {
                pics.write(port, value);
                pics.set_line(value, value & 1 != 0);
                let _ = (pics.read(port), take(&mut pics));
            }
        }
    }
}
