//! The old timer (8254): channel 0 interrupts, channel 2 is only looked at (it
//! was the speaker's). Channel 1 does nothing.
//!
//! Its clock runs at 3,579,545 / 3 Hz.

use crate::apic;

/// Ports of the three channels and of commands.
pub const FIRST: u16 = 0x40;
/// See above.
pub const LAST: u16 = 0x43;
/// The port with the gate and the output of channel 2.
pub const GATE: u16 = 0x61;

const TICKS: u128 = 3_579_545;
const IN: u128 = 3_000_000_000;

/// Clock ticks in so many nanoseconds.
fn ticks(nanoseconds: u64) -> u64 {
    (u128::from(nanoseconds) * TICKS / IN) as u64
}

/// Nanoseconds after which so many ticks are over.
fn nanoseconds(ticks: u64) -> u64 {
    (u128::from(ticks) * IN).div_ceil(TICKS) as u64
}

/// Which bytes of a count are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Access {
    Low,
    High,
    #[default]
    Both,
}

#[derive(Debug, Default)]
struct Channel {
    mode: u8,
    access: Access,
    /// What is counted down from; 0 is 65536.
    reload: u16,
    /// When the count began; not yet, if a count is missing.
    started: Option<u64>,
    /// The first byte of two.
    low: Option<u8>,
    /// What was latched, and is not read yet.
    latched: Option<u16>,
    status: Option<u8>,
    is_second_read: bool,
}

impl Channel {
    fn is_periodic(&self) -> bool {
        matches!(self.mode, 2 | 3)
    }

    fn period(&self) -> u64 {
        if self.reload == 0 { 1 << 16 } else { self.reload.into() }
    }

    /// Ticks since the count began.
    fn gone(&self, now: u64) -> Option<u64> {
        Some(ticks(now.saturating_sub(self.started?)))
    }

    fn count(&self, now: u64) -> u16 {
        let (Some(gone), period) = (self.gone(now), self.period()) else { return self.reload };
        let left = match self.mode {
            2 => period - gone % period,
            3 => period - 2 * (gone % period) % period,
            _ => period.wrapping_sub(gone),
        };
        left as u16
    }

    fn output(&self, now: u64) -> bool {
        let (Some(gone), period) = (self.gone(now), self.period()) else { return self.mode != 0 };
        match self.mode {
            2 => gone % period != period - 1,
            3 => gone % period < period.div_ceil(2),
            _ => gone >= period,
        }
    }

    fn command(&mut self, value: u8, now: u64) {
        match value >> 4 & 3 {
            0 => self.latched = self.latched.or(Some(self.count(now))),
            access => {
                let mode = value >> 1 & 7;
                *self = Self {
                    mode: if mode > 5 { mode - 4 } else { mode },
                    access: [Access::Low, Access::High, Access::Both][usize::from(access) - 1],
                    ..Self::default()
                };
            }
        }
    }

    fn write(&mut self, value: u8, now: u64) {
        self.reload = match (self.access, self.low.take()) {
            (Access::Low, _) => value.into(),
            (Access::High, _) => u16::from(value) << 8,
            (Access::Both, None) => return self.low = Some(value),
            (Access::Both, Some(low)) => u16::from_le_bytes([low, value]),
        };
        self.started = Some(now);
    }

    fn read(&mut self, now: u64) -> u8 {
        if let Some(status) = self.status.take() {
            return status;
        }
        let [low, high] = self.latched.unwrap_or_else(|| self.count(now)).to_le_bytes();
        let is_high = match self.access {
            Access::Low => false,
            Access::High => true,
            Access::Both => {
                self.is_second_read = !self.is_second_read;
                !self.is_second_read
            }
        };
        if is_high || self.access != Access::Both {
            self.latched = None;
        }
        if is_high { high } else { low }
    }
}

/// The timer.
#[derive(Debug, Default)]
pub struct Pit {
    channels: [Channel; 3],
    gate: u8,
    /// How many periods of channel 0 have interrupted.
    told: u64,
    /// When it did last.
    last: u64,
}

impl Pit {
    /// When channel 0 interrupts next.
    #[must_use]
    pub fn wakes(&self) -> Option<u64> {
        let channel = &self.channels[0];
        let started = channel.started?;
        if !channel.is_periodic() && self.told > 0 {
            return None;
        }
        let at = channel.period().saturating_mul(self.told.saturating_add(1));
        let time = started.saturating_add(nanoseconds(at));
        Some(time.max(self.last.saturating_add(apic::LEAST_PERIOD)))
    }

    /// It is `now`: whether channel 0 interrupts. What was missed is not made up
    /// for.
    pub fn tick(&mut self, now: u64) -> bool {
        if self.wakes().is_none_or(|time| time > now) {
            return false;
        }
        self.last = now;
        let channel = &self.channels[0];
        self.told = channel.gone(now).unwrap_or(0).div_euclid(channel.period()).max(self.told + 1);
        true
    }

    /// The guest reads a port from `FIRST` to `LAST`, or `GATE`.
    pub fn read(&mut self, port: u16, now: u64) -> u8 {
        match port {
            // The refresh of memory is something that changes.
            GATE => {
                let refresh = ((now / 15_000) & 1) as u8;
                self.gate | refresh << 4 | u8::from(self.channels[2].output(now)) << 5
            }
            LAST => 0xff,
            port => self.channels[usize::from(port & 3)].read(now),
        }
    }

    /// The guest writes one of them.
    pub fn write(&mut self, port: u16, value: u8, now: u64) {
        match port {
            GATE => {
                // The count of channel 2 begins when its gate opens.
                if value & 1 != 0 && self.gate & 1 == 0 && self.channels[2].started.is_some() {
                    self.channels[2].started = Some(now);
                }
                self.gate = value & 3;
            }
            LAST if value >> 6 == 3 => self.read_back(value, now),
            LAST => {
                let channel = usize::from(value >> 6);
                self.channels[channel].command(value, now);
                if channel == 0 && value >> 4 & 3 != 0 {
                    self.told = 0;
                }
            }
            port => {
                let channel = usize::from(port & 3);
                self.channels[channel].write(value, now);
                if channel == 0 {
                    self.told = 0;
                }
            }
        }
    }

    /// Latches counts and states of several channels.
    fn read_back(&mut self, value: u8, now: u64) {
        for (index, channel) in self.channels.iter_mut().enumerate() {
            if value >> (index + 1) & 1 == 0 {
                continue;
            }
            if value & 0x20 == 0 {
                channel.latched = channel.latched.or(Some(channel.count(now)));
            }
            if value & 0x10 == 0 {
                let access = match channel.access {
                    Access::Low => 1,
                    Access::High => 2,
                    Access::Both => 3,
                };
                let no_count = u8::from(channel.started.is_none());
                let output = u8::from(channel.output(now));
                channel.status =
                    Some(output << 7 | no_count << 6 | access << 4 | channel.mode << 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    /// Sets a channel to `mode` with `count`.
    fn set(pit: &mut Pit, channel: u8, mode: u8, count: u16, now: u64) {
        pit.write(LAST, channel << 6 | 0x30 | mode << 1, now);
        for byte in count.to_le_bytes() {
            pit.write(FIRST + u16::from(channel), byte, now);
        }
    }

    fn read(pit: &mut Pit, channel: u8, now: u64) -> u16 {
        pit.write(LAST, channel << 6, now);
        let port = FIRST + u16::from(channel);
        u16::from_le_bytes([pit.read(port, now), pit.read(port, now)])
    }

    #[test]
    fn it_counts_down() {
        let mut pit = Pit::default();
        set(&mut pit, 2, 0, 12_000, 0);
        let count = read(&mut pit, 2, MILLISECOND);
        assert_eq!(count, 12_000 - 1193);
        assert_eq!(pit.read(GATE, MILLISECOND) & 0x20, 0);
        assert_eq!(pit.read(GATE, 11 * MILLISECOND) & 0x20, 0x20);
        // The gate begins it again.
        pit.write(GATE, 1, 20 * MILLISECOND);
        assert_eq!(read(&mut pit, 2, 20 * MILLISECOND), 12_000);
    }

    #[test]
    fn it_interrupts_again_and_again() {
        for mode in [2, 3] {
            let mut pit = Pit::default();
            set(&mut pit, 0, mode, 11_932, 0);
            let first = pit.wakes().expect("an interrupt");
            assert!(first.abs_diff(10 * MILLISECOND) < 1000, "{first}");
            assert!(!pit.tick(first - 1) && pit.tick(first) && !pit.tick(first));
            assert!(pit.tick(35 * MILLISECOND));
            let next = pit.wakes().expect("another");
            assert!(next.abs_diff(40 * MILLISECOND) < 1000, "{next}");
        }
    }

    #[test]
    fn it_interrupts_once() {
        for mode in [0, 4] {
            let mut pit = Pit::default();
            assert_eq!(pit.wakes(), None);
            set(&mut pit, 0, mode, 1193, 5);
            let time = pit.wakes().expect("an interrupt");
            assert!(time.abs_diff(MILLISECOND) < 1000);
            assert!(pit.tick(time) && pit.wakes().is_none() && !pit.tick(u64::MAX));
            set(&mut pit, 0, mode, 1193, time);
            assert!(pit.wakes().is_some_and(|next| next > time));
        }
    }

    #[test]
    fn it_interrupts_as_often_as_that_and_no_more() {
        let mut pit = Pit::default();
        set(&mut pit, 0, 2, 1, MILLISECOND);
        assert!(pit.tick(2 * MILLISECOND));
        assert_eq!(pit.wakes(), Some(2 * MILLISECOND + apic::LEAST_PERIOD));
    }

    #[test]
    fn states_are_read_back() {
        let mut pit = Pit::default();
        set(&mut pit, 0, 2, 100, 0);
        pit.write(LAST, 0b1110_0010, 0);
        assert_eq!(pit.read(FIRST, 0), 0x80 | 0x30 | 4);
    }

    #[test]
    fn any_bytes_do_no_harm() {
        let mut pit = Pit::default();
        for round in 0..4_u64 {
            for value in 0..=255 {
                for port in (FIRST..=LAST).chain([GATE]) {
                    let now = u64::MAX / 5 * round + u64::from(value) * 1_000_003;
                    pit.write(port, value, now);
                    let _ = (pit.read(port, now), pit.tick(now), pit.wakes());
                }
            }
        }
    }
}
