//! Page tables of a guest, made here and then written to its memory.

use alloc::vec;
use alloc::vec::Vec;

use postern_abi::PAGE;

use super::Memory;

/// Bits of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u64);

impl Flags {
    /// Something is there.
    pub const PRESENT: Self = Self(1);
    /// It can be written.
    pub const WRITE: Self = Self(1 << 1);
    /// It is a page of 2 MiB.
    pub const LARGE: Self = Self(1 << 7);
    /// It holds no code.
    pub const NO_EXECUTE: Self = Self(1 << 63);

    /// Adds a bit, or takes it away.
    pub fn set(&mut self, flag: Self, on: bool) {
        self.0 = if on { self.0 | flag.0 } else { self.0 & !flag.0 };
    }
}

impl core::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Tables of four levels; the first one is the root.
pub struct Tables {
    /// Where they will lie.
    at: u64,
    tables: Vec<[u64; 512]>,
}

impl Tables {
    /// Tables that map nothing, for this place in the guest's memory.
    pub fn new(at: u64) -> Self {
        Self { at, tables: vec![[0; 512]] }
    }

    /// Maps `bytes` from `physical` on at `at`, in small pages, or large ones if
    /// the flags say so.
    ///
    /// # Errors
    /// What is wrong with the place.
    pub fn map(
        &mut self,
        at: u64,
        physical: u64,
        bytes: u64,
        flags: Flags,
    ) -> Result<(), &'static str> {
        let is_large = flags.0 & Flags::LARGE.0 != 0;
        let (level, size) = if is_large { (1, PAGE << 9) } else { (0, PAGE) };
        let end = at.checked_add(bytes).ok_or("a mapping past the last address")?;
        let is_canonical = |address: u64| (address as i64) << 16 >> 16 == address as i64;
        if !at.is_multiple_of(size) || !physical.is_multiple_of(size) {
            return Err("a mapping that is not aligned");
        }
        if bytes != 0 && !(is_canonical(at) && is_canonical(end - 1) && at >> 63 == (end - 1) >> 63)
        {
            return Err("a mapping where no address can be");
        }
        for offset in (0..bytes).step_by(size as usize) {
            let table = self.descend(at + offset, level)?;
            let entry = &mut self.tables[table][index(at + offset, level)];
            if *entry != 0 {
                return Err("two mappings at one place");
            }
            *entry = (physical + offset) | flags.0;
        }
        Ok(())
    }

    /// The table of `level` on the way to `address`, made if it is not there.
    fn descend(&mut self, address: u64, level: u32) -> Result<usize, &'static str> {
        let mut table = 0;
        for upper in (level + 1..4).rev() {
            let slot = index(address, upper);
            let entry = self.tables[table][slot];
            table = if entry == 0 {
                let new = self.tables.len();
                self.tables.push([0; 512]);
                let rights = Flags::PRESENT.0 | Flags::WRITE.0;
                self.tables[table][slot] = (self.at + new as u64 * PAGE) | rights;
                new
            } else if entry & Flags::LARGE.0 != 0 {
                return Err("two mappings at one place");
            } else {
                (((entry & ADDRESS) - self.at) / PAGE) as usize
            };
        }
        Ok(table)
    }

    /// Writes them; the first address behind them.
    ///
    /// # Errors
    /// The memory's.
    pub fn write<M: Memory>(&self, memory: &mut M) -> Result<u64, M::Error> {
        for (number, table) in self.tables.iter().enumerate() {
            for (index, entry) in table.iter().enumerate().filter(|(_, entry)| **entry != 0) {
                let at = self.at + number as u64 * PAGE + 8 * index as u64;
                memory.write(at, &entry.to_le_bytes())?;
            }
        }
        Ok(self.at + self.tables.len() as u64 * PAGE)
    }
}

/// The slot in a table of `level` on the way to `address`.
fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % 512
}
