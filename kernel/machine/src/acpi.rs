//! The one thing that the kernel wants to know from ACPI: where the I/O APIC
//! is, and how its pins are wired (the MADT).
//!
//! The tables are allegations of the firmware: lengths are bounded, checksums
//! are checked, every byte is read through a function that can say no, and
//! without usable tables there are defaults that fit every PC.

use postern_core::machine::Trigger;

/// What is known about the machine's interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupts {
    /// Physical address of the I/O APIC that begins with pin 0; none on a machine
    /// without any firmware tables, which has the old controllers.
    pub io_apic: Option<u64>,
    /// How each of its pins interrupts.
    pub lines: [Trigger; 24],
    /// Whether the firmware said so.
    pub told: bool,
}

impl Default for Interrupts {
    /// ISA interrupts by edge, the others as PCI wires them.
    fn default() -> Self {
        let mut lines = [Trigger { level: true, low: true }; 24];
        lines[..16].fill(Trigger { level: false, low: false });
        Self { io_apic: Some(0xfec0_0000), lines, told: false }
    }
}

/// Longest table that is looked at.
const LONGEST: u32 = 64 * 1024;
/// Most tables that are looked at.
const MOST: u64 = 256;

/// Physical memory, as far as it can be read.
pub struct Memory<R: Fn(u64) -> Option<u8>>(pub R);

impl<R: Fn(u64) -> Option<u8>> Memory<R> {
    fn number<const BYTES: usize>(&self, at: u64) -> Option<u64> {
        let mut value = 0;
        for byte in 0..BYTES as u64 {
            value |= u64::from((self.0)(at.checked_add(byte)?)?) << (8 * byte);
        }
        Some(value)
    }

    fn is_sound(&self, at: u64, bytes: u64) -> bool {
        let mut sum = 0_u8;
        for byte in 0..bytes {
            let Some(value) = at.checked_add(byte).and_then(&self.0) else { return false };
            sum = sum.wrapping_add(value);
        }
        sum == 0
    }

    /// Length of the table at `at`, if it is a sound one with this name.
    fn table(&self, at: u64, name: [u8; 4]) -> Option<u64> {
        let length = self.number::<4>(at.checked_add(4)?)?;
        let fits = (36..=u64::from(LONGEST)).contains(&length);
        let right = self.number::<4>(at)? == u64::from(u32::from_le_bytes(name));
        (right && fits && self.is_sound(at, length)).then_some(length)
    }

    /// Reads the MADT that the root pointer at `rsdp` leads to.
    #[must_use]
    pub fn interrupts(&self, rsdp: u64) -> Option<Interrupts> {
        if self.number::<8>(rsdp)? != u64::from_le_bytes(*b"RSD PTR ") || !self.is_sound(rsdp, 20) {
            return None;
        }
        let revision = self.number::<1>(rsdp + 15)?;
        let extended = match revision {
            0 | 1 => 0,
            _ => self.number::<8>(rsdp + 24)?,
        };
        if extended != 0
            && let Some(found) = self.find::<8>(extended, *b"XSDT")
        {
            return Some(found);
        }
        self.find::<4>(self.number::<4>(rsdp + 16)?, *b"RSDT")
    }

    /// Looks for the MADT in a table of addresses of `BYTES` bytes.
    fn find<const BYTES: usize>(&self, root: u64, name: [u8; 4]) -> Option<Interrupts> {
        let length = self.table(root, name)?;
        let count = ((length - 36) / BYTES as u64).min(MOST);
        (0..count).find_map(|index| {
            let at = self.number::<BYTES>(root + 36 + index * BYTES as u64)?;
            let length = self.table(at, *b"APIC")?;
            Some(self.madt(at, length))
        })
    }

    fn madt(&self, table: u64, length: u64) -> Interrupts {
        let mut found = Interrupts { told: true, ..Interrupts::default() };
        let (mut at, end) = (table + 44, table + length);
        while at + 2 <= end {
            let (Some(kind), Some(bytes)) = (self.number::<1>(at), self.number::<1>(at + 1)) else {
                break;
            };
            if bytes < 2 || at + bytes > end {
                break;
            }
            match (kind, bytes) {
                (1, 12..) => self.io_apic(at, &mut found),
                (2, 10..) => self.source_override(at, &mut found),
                _ => {}
            }
            at += bytes;
        }
        found
    }

    fn io_apic(&self, at: u64, found: &mut Interrupts) {
        let (address, first) = (self.number::<4>(at + 4), self.number::<4>(at + 8));
        if let (Some(address), Some(0)) = (address, first)
            && address != 0
            && address.is_multiple_of(16)
        {
            found.io_apic = Some(address);
        }
    }

    /// An ISA interrupt that is wired in another way than usual.
    fn source_override(&self, at: u64, found: &mut Interrupts) {
        let (pin, flags) = (self.number::<4>(at + 4), self.number::<2>(at + 8));
        let (Some(pin), Some(flags)) = (pin, flags) else { return };
        if let Some(line) = found.lines.get_mut(pin as usize) {
            // 0 says "as the bus does": ISA, by edge, active high.
            *line = Trigger { low: flags & 3 == 3, level: flags >> 2 & 3 == 3 };
        }
    }
}
