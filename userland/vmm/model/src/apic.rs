//! The local interrupt controller with its timer, reached by MSRs (x2APIC).
//!
//! One CPU: what is sent to others goes nowhere. The timer's clock runs at
//! [`RATE`]; it counts down once or again and again, or fires at a value of the
//! time stamp counter.

/// Ticks of the timer in a second: a tick is a nanosecond.
pub const RATE: u64 = 1_000_000_000;
/// The least time between two ticks of a timer that comes again and again, in
/// nanoseconds: a guest that asks for more has its monitor busy, and with it all
/// that is less urgent.
pub const LEAST_PERIOD: u64 = 100_000;
/// MSR of the mode and the address.
pub const BASE: u32 = 0x1b;
/// MSR of the deadline.
pub const DEADLINE: u32 = 0x6e0;
/// First MSR of the registers.
pub const FIRST: u32 = 0x800;
/// Last MSR of the registers.
pub const LAST: u32 = 0x8ff;

/// On, in xAPIC mode, the only CPU, at the usual address.
const RESET_BASE: u64 = 0xfee0_0900;
const ON: u64 = 1 << 11;
const X2: u64 = 1 << 10;

/// Registers, by their number in the page of an xAPIC.
mod register {
    pub const ID: u32 = 0x02;
    pub const VERSION: u32 = 0x03;
    pub const TASK_PRIORITY: u32 = 0x08;
    pub const PROCESSOR_PRIORITY: u32 = 0x0a;
    pub const END: u32 = 0x0b;
    pub const LOGICAL: u32 = 0x0d;
    pub const SPURIOUS: u32 = 0x0f;
    pub const IN_SERVICE: u32 = 0x10;
    pub const BY_LEVEL: u32 = 0x18;
    pub const REQUESTED: u32 = 0x20;
    pub const ERRORS: u32 = 0x28;
    pub const COMMAND: u32 = 0x30;
    pub const TIMER: u32 = 0x32;
    pub const LAST_ENTRY: u32 = 0x37;
    pub const INITIAL: u32 = 0x38;
    pub const CURRENT: u32 = 0x39;
    pub const DIVIDE: u32 = 0x3e;
    pub const SELF: u32 = 0x3f;
}

/// Places in the vector table.
const TIMER: usize = 0;
const PIN0: usize = 3;
const ENTRIES: usize = 6;
/// In an entry: nothing is delivered.
const MASKED: u32 = 1 << 16;
/// In an entry: how it is delivered; 7: as the old controllers say.
const DELIVERY: u32 = 7 << 8;
/// In the timer's entry: again and again; at a deadline.
const MODE: u32 = 3 << 17;
const PERIODIC: u32 = 1 << 17;
const BY_DEADLINE: u32 = 2 << 17;

/// A set of vectors.
#[derive(Debug, Default)]
struct Vectors([u32; 8]);

impl Vectors {
    fn insert(&mut self, vector: u8) {
        self.0[usize::from(vector / 32)] |= 1 << (vector % 32);
    }

    fn remove(&mut self, vector: u8) {
        self.0[usize::from(vector / 32)] &= !(1 << (vector % 32));
    }

    fn highest(&self) -> Option<u8> {
        let (index, word) = self.0.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        Some((index * 32 + 31 - word.leading_zeros() as usize) as u8)
    }
}

/// The controller.
#[derive(Debug)]
pub struct Apic {
    base: u64,
    task_priority: u8,
    spurious: u32,
    requested: Vectors,
    in_service: Vectors,
    table: [u32; ENTRIES],
    initial: u32,
    divide: u32,
    /// When the count down began.
    started: Option<u64>,
    /// The value of the deadline, and when that is.
    deadline: Option<(u64, u64)>,
}

impl Default for Apic {
    fn default() -> Self {
        Self {
            base: RESET_BASE,
            task_priority: 0,
            spurious: 0xff,
            requested: Vectors::default(),
            in_service: Vectors::default(),
            table: [MASKED; ENTRIES],
            initial: 0,
            divide: 0,
            started: None,
            deadline: None,
        }
    }
}

impl Apic {
    /// The MSR of the mode and the address.
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The guest writes that MSR; `None` if it may not: the address stays, and
    /// the way back from x2APIC leads through off.
    #[must_use]
    pub fn set_base(&mut self, value: u64) -> Option<()> {
        let (before, after) = (self.base & (ON | X2), value & (ON | X2));
        let is_way = match (before, after) {
            (_, X2) => false,
            (0, after) => after & X2 == 0,
            (ON, _) => true,
            (_, after) => after == before || after == 0,
        };
        if !is_way || (self.base ^ value) & !(ON | X2) != 0 {
            return None;
        }
        if after == 0 {
            *self = Self::default();
        }
        self.base = value;
        Some(())
    }

    const fn is_on(&self) -> bool {
        self.base & ON != 0 && self.spurious & 1 << 8 != 0
    }

    /// Whether the old controllers' interrupts reach the CPU.
    #[must_use]
    pub const fn passes_pic(&self) -> bool {
        let pin = self.table[PIN0];
        !self.is_on() || pin & MASKED == 0 && pin & DELIVERY == DELIVERY
    }

    /// The interrupt that the CPU is to take next.
    #[must_use]
    pub fn next(&self) -> Option<u8> {
        let vector = self.requested.highest()?;
        (vector >> 4 > self.processor_priority() >> 4).then_some(vector)
    }

    /// The CPU takes it.
    pub fn accept(&mut self, vector: u8) {
        self.requested.remove(vector);
        self.in_service.insert(vector);
    }

    fn processor_priority(&self) -> u8 {
        let served = self.in_service.highest().unwrap_or(0) & 0xf0;
        if self.task_priority >= served { self.task_priority } else { served }
    }

    /// Nanoseconds of a whole count down; `None` if it never ends.
    fn period(&self) -> Option<u64> {
        let exponent = ((self.divide & 3 | self.divide >> 1 & 4) + 1) & 7;
        let count = u64::from(self.initial) << exponent;
        (count != 0).then_some(count)
    }

    const fn is_periodic(&self) -> bool {
        self.table[TIMER] & MODE == PERIODIC
    }

    /// When the timer wants to be looked at.
    #[must_use]
    pub fn wakes(&self) -> Option<u64> {
        match self.deadline {
            Some((_, time)) => Some(time),
            None => {
                let least = if self.is_periodic() { LEAST_PERIOD } else { 0 };
                Some(self.started?.saturating_add(self.period()?.max(least)))
            }
        }
    }

    /// It is `now`: the timer fires if it is time.
    pub fn tick(&mut self, now: u64) {
        if self.wakes().is_none_or(|time| time > now) {
            return;
        }
        let entry = self.table[TIMER];
        match self.period().filter(|_| self.is_periodic()) {
            // What was missed is not made up for.
            Some(period) => {
                let started = self.started.unwrap_or(now);
                self.started = Some(now - (now - started) % period);
            }
            None => (self.started, self.deadline) = (None, None),
        }
        if entry & MASKED == 0 {
            self.request(entry as u8);
        }
    }

    fn request(&mut self, vector: u8) {
        if self.is_on() && vector >= 16 {
            self.requested.insert(vector);
        }
    }

    /// The MSR of the deadline.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        self.deadline.map_or(0, |(value, _)| value)
    }

    /// The guest sets the deadline, which is at `time`; 0 is none. In another
    /// mode of the timer it is ignored.
    pub fn set_deadline(&mut self, value: u64, time: u64) {
        if self.table[TIMER] & MODE == BY_DEADLINE {
            self.deadline = (value != 0).then_some((value, time));
        }
    }

    /// The guest reads MSR `msr`; `None` if there is none.
    #[must_use]
    pub fn read(&self, msr: u32, now: u64) -> Option<u64> {
        if self.base & X2 == 0 {
            return None;
        }
        let number = msr - FIRST;
        let row = |first: u32, set: &Vectors| u64::from(set.0[(number - first) as usize]);
        Some(match number {
            register::ID => 0,
            register::VERSION => (ENTRIES as u64 - 1) << 16 | 0x14,
            register::TASK_PRIORITY => self.task_priority.into(),
            register::PROCESSOR_PRIORITY => self.processor_priority().into(),
            // Cluster 0, the first in it.
            register::LOGICAL => 1,
            register::SPURIOUS => self.spurious.into(),
            register::IN_SERVICE..register::BY_LEVEL => row(register::IN_SERVICE, &self.in_service),
            register::BY_LEVEL..register::REQUESTED => 0,
            register::REQUESTED..register::ERRORS => row(register::REQUESTED, &self.requested),
            register::ERRORS | register::COMMAND => 0,
            register::TIMER..=register::LAST_ENTRY => {
                self.table[(number - register::TIMER) as usize].into()
            }
            register::INITIAL => self.initial.into(),
            register::CURRENT => self.current(now),
            register::DIVIDE => self.divide.into(),
            _ => return None,
        })
    }

    fn current(&self, now: u64) -> u64 {
        let (Some(started), Some(period)) = (self.started, self.period()) else { return 0 };
        let gone = now.saturating_sub(started).min(period);
        // Both are multiples of what the clock is divided by, or near it.
        ((u128::from(period - gone) * u128::from(self.initial)) / u128::from(period)) as u64
    }

    /// The guest writes MSR `msr`; `None` if it may not.
    #[must_use]
    pub fn write(&mut self, msr: u32, value: u64, now: u64) -> Option<()> {
        let number = msr - FIRST;
        if self.base & X2 == 0 || number != register::COMMAND && value >> 32 != 0 {
            return None;
        }
        let low = value as u32;
        match number {
            register::TASK_PRIORITY => self.task_priority = low as u8,
            register::END if low == 0 => {
                if let Some(vector) = self.in_service.highest() {
                    self.in_service.remove(vector);
                }
            }
            register::SPURIOUS => {
                self.spurious = low & 0x1ff;
                if !self.is_on() {
                    self.table.iter_mut().for_each(|entry| *entry |= MASKED);
                }
            }
            register::ERRORS if low == 0 => {}
            register::COMMAND => self.command(value),
            register::TIMER..=register::LAST_ENTRY => {
                let index = (number - register::TIMER) as usize;
                let masked = if self.is_on() { 0 } else { MASKED };
                if index == TIMER && (low ^ self.table[TIMER]) & MODE != 0 {
                    (self.started, self.deadline) = (None, None);
                }
                self.table[index] = low & (MODE | MASKED | DELIVERY | 0xff) | masked;
            }
            register::INITIAL if self.table[TIMER] & MODE == BY_DEADLINE => {}
            register::INITIAL => {
                self.initial = low;
                self.started = (low != 0).then_some(now);
            }
            register::DIVIDE => self.divide = low & 0b1011,
            register::SELF => self.request(low as u8),
            _ => return None,
        }
        Some(())
    }

    /// Sends an interrupt: to this CPU, by number or by "self" or "all".
    fn command(&mut self, value: u64) {
        let (mode, shorthand, to) = (value >> 8 & 7, value >> 18 & 3, (value >> 32) as u32);
        let is_ours = match shorthand {
            1 | 2 => true,
            0 => matches!(to, 0 | u32::MAX) && value >> 11 & 1 == 0 || to == 1,
            _ => false,
        };
        if is_ours && mode == 0 {
            self.request(value as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> Apic {
        let mut apic = Apic::default();
        assert_eq!(apic.read(0x802, 0), None, "not in x2APIC mode yet");
        assert_eq!(apic.set_base(RESET_BASE | X2), Some(()));
        assert_eq!(apic.write(0x80f, 0x1ff, 0), Some(()));
        apic
    }

    #[test]
    fn modes_have_an_order() {
        let mut apic = Apic::default();
        assert_eq!(apic.set_base(RESET_BASE ^ 0x1000), None, "the address");
        assert_eq!(apic.set_base(RESET_BASE & !ON | X2), None);
        assert_eq!(apic.set_base(RESET_BASE | X2), Some(()));
        assert_eq!(apic.set_base(RESET_BASE), None, "back only through off");
        assert_eq!(apic.set_base(RESET_BASE & !ON), Some(()));
        assert_eq!(apic.set_base(RESET_BASE | X2), None);
        assert_eq!(apic.set_base(RESET_BASE), Some(()));
    }

    #[test]
    fn interrupts_are_taken_by_priority() {
        let mut apic = on();
        for vector in [0x31, 0x52, 0x50] {
            assert_eq!(apic.write(0x83f, vector, 0), Some(()));
        }
        assert_eq!(apic.read(0x821, 0), Some(1 << 0x11));
        assert_eq!(apic.next(), Some(0x52));
        apic.accept(0x52);
        assert_eq!(apic.next(), None, "of the same class");
        assert_eq!(apic.read(0x80a, 0), Some(0x50));
        assert_eq!(apic.write(0x80b, 0, 0), Some(()));
        assert_eq!(apic.next(), Some(0x50));
        apic.accept(0x50);
        assert_eq!(apic.write(0x80b, 0, 0), Some(()));
        assert_eq!(apic.write(0x808, 0x30, 0), Some(()));
        assert_eq!(apic.next(), None, "held back by the task's priority");
        assert_eq!(apic.write(0x808, 0, 0), Some(()));
        assert_eq!(apic.next(), Some(0x31));
    }

    #[test]
    fn the_timer_counts_down_once() {
        let mut apic = on();
        for (msr, value) in [(0x83e, 0b1011), (0x832, 0xf0), (0x838, 1000)] {
            assert_eq!(apic.write(msr, value, 500), Some(()));
        }
        assert_eq!((apic.wakes(), apic.read(0x839, 600)), (Some(1500), Some(900)));
        apic.tick(1499);
        assert_eq!(apic.next(), None);
        apic.tick(1500);
        assert_eq!((apic.next(), apic.wakes()), (Some(0xf0), None));
        assert_eq!(apic.read(0x839, 1600), Some(0));
        // Divided by two, then stopped.
        assert_eq!(apic.write(0x83e, 0, 0), Some(()));
        assert_eq!(apic.write(0x838, 1000, 0), Some(()));
        assert_eq!(apic.wakes(), Some(2000));
        assert_eq!(apic.write(0x838, 0, 0), Some(()));
        assert_eq!(apic.wakes(), None);
    }

    #[test]
    fn the_timer_counts_down_again_and_again() {
        let mut apic = on();
        for (msr, value) in [(0x83e, 0b1011), (0x832, 0x2_00f0), (0x838, 100_000)] {
            assert_eq!(apic.write(msr, value, 0), Some(()));
        }
        apic.tick(350_000);
        assert_eq!((apic.next(), apic.wakes()), (Some(0xf0), Some(400_000)));
        // As often as that, and no more.
        assert_eq!(apic.write(0x838, 1, 400_000), Some(()));
        assert_eq!(apic.wakes(), Some(400_000 + LEAST_PERIOD));
        apic.tick(500_000);
        assert_eq!(apic.wakes(), Some(500_000 + LEAST_PERIOD));
    }

    #[test]
    fn the_timer_fires_at_a_deadline() {
        let mut apic = on();
        apic.set_deadline(77, 1000);
        assert_eq!(apic.wakes(), None, "in another mode");
        assert_eq!(apic.write(0x832, 0x4_00f0, 0), Some(()));
        apic.set_deadline(77, 1000);
        assert_eq!((apic.wakes(), apic.deadline()), (Some(1000), 77));
        apic.tick(1000);
        assert_eq!((apic.next(), apic.wakes(), apic.deadline()), (Some(0xf0), None, 0));
        apic.set_deadline(0, 0);
        assert_eq!(apic.wakes(), None);
    }

    #[test]
    fn what_is_switched_off_stays_silent() {
        let mut apic = Apic::default();
        assert!(apic.passes_pic());
        assert_eq!(apic.set_base(RESET_BASE | X2), Some(()));
        assert_eq!(apic.write(0x83f, 0x40, 0), Some(()));
        assert_eq!(apic.next(), None);
        assert_eq!(apic.write(0x80f, 0x1ff, 0), Some(()));
        assert!(!apic.passes_pic(), "its pin is masked");
        assert_eq!(apic.write(0x835, 0x700, 0), Some(()));
        assert!(apic.passes_pic());
    }

    #[test]
    fn every_register_and_value_is_harmless() {
        let mut apic = on();
        for msr in FIRST..=LAST {
            for value in [0, 1, 0x2_00f0, 0xffff_ffff, u64::MAX] {
                let _ = apic.write(msr, value, value);
                let _ = apic.read(msr, value);
                apic.tick(value);
                if let Some(vector) = apic.next() {
                    apic.accept(vector);
                }
            }
        }
        assert_eq!(apic.write(0x802, 0, 0), None, "its number");
        assert_eq!(apic.read(0x80b, 0), None, "what is only written");
    }
}
