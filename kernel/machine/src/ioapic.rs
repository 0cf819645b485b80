//! The interrupt lines of a PC: the first I/O APIC.
//!
//! Line `i` is pin `i` (the global system interrupt `i`) and arrives as vector
//! `LINES + i`. ISA interrupts are the pins of the same number unless the
//! firmware says otherwise, which it does for the PIT (pin 2).

use core::ptr::NonNull;

use postern_core::machine::Trigger;

use crate::acpi::Interrupts;
use crate::tables::vector;

/// Interrupt lines that the kernel serves.
pub const LINES: u32 = 24;
/// Redirection entries begin here, two registers each.
const ENTRIES: u32 = 0x10;
/// Version; the number of pins less one in bits 16 to 23.
const VERSION: u32 = 1;
const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// The I/O APIC.
pub struct IoApic {
    /// An index and a data register.
    registers: NonNull<u32>,
    lines: u32,
    triggers: [Trigger; LINES as usize],
}

impl IoApic {
    /// Sets up every line for `apic`, masked.
    ///
    /// # Safety
    /// `registers` is the mapped, uncached page of the I/O APIC's registers,
    /// and nobody else uses it.
    #[must_use]
    pub unsafe fn new(registers: NonNull<u32>, interrupts: &Interrupts, apic: u32) -> Self {
        let mut io = Self { registers, lines: 0, triggers: interrupts.lines };
        io.lines = ((io.read(VERSION) >> 16 & 0xff) + 1).min(LINES);
        for line in 0..io.lines {
            io.set_trigger(line, interrupts.lines[line as usize]);
            io.write(ENTRIES + 2 * line + 1, apic << 24);
        }
        io
    }

    /// Number of lines.
    #[must_use]
    pub const fn lines(&self) -> u32 {
        self.lines
    }

    /// How a line interrupts. A level-triggered one does so for as long as the
    /// device wants something, so it is masked until it is served.
    #[must_use]
    pub fn trigger(&self, line: u32) -> Trigger {
        self.triggers.get(line as usize).copied().unwrap_or_default()
    }

    /// Sets how a line interrupts, and masks it; one that does not exist is
    /// ignored.
    pub fn set_trigger(&mut self, line: u32, trigger: Trigger) {
        if line >= self.lines {
            return;
        }
        self.triggers[line as usize] = trigger;
        let mut entry = MASKED | (u32::from(vector::LINES) + line);
        if trigger.level {
            entry |= LEVEL;
        }
        if trigger.low {
            entry |= ACTIVE_LOW;
        }
        self.write(ENTRIES + 2 * line, entry);
    }

    /// Masks or unmasks a line; one that does not exist is ignored.
    pub fn mask(&mut self, line: u32, masked: bool) {
        if line >= self.lines {
            return;
        }
        let register = ENTRIES + 2 * line;
        let entry = self.read(register);
        self.write(register, if masked { entry | MASKED } else { entry & !MASKED });
    }

    fn read(&self, register: u32) -> u32 {
        // SAFETY: the registers are mapped (contract of `new`): index at 0,
        // data at 0x10; the pair is used with interrupts off.
        unsafe {
            self.registers.write_volatile(register);
            self.registers.byte_add(0x10).read_volatile()
        }
    }

    fn write(&mut self, register: u32, value: u32) {
        // SAFETY: as in `read`; the vectors are ones that have stubs.
        unsafe {
            self.registers.write_volatile(register);
            self.registers.byte_add(0x10).write_volatile(value);
        }
    }
}
