//! The guest's own page tables, read as the CPU reads them.

use postern_syscall::Result;
use postern_syscall::vcpu::System;

use crate::machine::Host;

const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const PAGE: u64 = 4096;

/// The address in the guest's memory that `at` means; `None` where its tables
/// lead nowhere, or have another form than four levels.
pub fn translate(host: &mut impl Host, system: &System, at: u64) -> Option<u64> {
    const PAGING: u64 = 1 << 31;
    const FIVE_LEVELS: u64 = 1 << 12;
    if system.cr[0] & PAGING == 0 {
        return Some(at);
    }
    if system.efer & 1 << 10 == 0 || system.cr[3] & FIVE_LEVELS != 0 {
        return None;
    }
    let mut table = system.cr[2];
    for level in (0..4).rev() {
        let covered = PAGE << (9 * level);
        let mut entry = [0; 8];
        let place = (table & ADDRESS) + at / covered % 512 * 8;
        if !host.read(place, &mut entry) {
            return None;
        }
        let entry = u64::from_le_bytes(entry);
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 0 || level < 3 && entry & LARGE != 0 {
            return Some((entry & ADDRESS & !(covered - 1)) + at % covered);
        }
        table = entry;
    }
    None
}

/// Reads the guest's memory at an address of its own; how many bytes could be
/// read.
///
/// # Errors
/// The host's.
pub fn read(host: &mut impl Host, at: u64, bytes: &mut [u8]) -> Result<usize> {
    let system = host.system()?;
    for (index, byte) in bytes.iter_mut().enumerate() {
        let address = translate(host, &system, at.wrapping_add(index as u64));
        let is_there = address.is_some_and(|at| host.read(at, core::slice::from_mut(byte)));
        if !is_there {
            return Ok(index);
        }
    }
    Ok(bytes.len())
}
