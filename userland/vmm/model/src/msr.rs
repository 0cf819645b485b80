//! The MSRs that a guest needs; all others are general protection faults.

use postern_syscall::vcpu::Exit;
use postern_syscall::vcpu::register::{RAX, RCX, RDX};
use postern_syscall::{Result, vcpu};

use crate::apic;
use crate::exit::{REGISTERS, behind};
use crate::machine::{Host, Machine};

const TIME: u32 = 0x10;
/// What the CPU's microcode is, and a configuration register: both are read to
/// find out about flaws.
const MICROCODE: u32 = 0x8b;
const CONFIGURATION: u32 = 0xc001_0015;
const SYSENTER: u32 = 0x174;
const PAT: u32 = 0x277;
const EFER: u32 = 0xc000_0080;
const STAR: u32 = 0xc000_0081;
const FLAGS_MASK: u32 = 0xc000_0084;
const FS: u32 = 0xc000_0100;
const GS: u32 = 0xc000_0101;
const KERNEL_GS: u32 = 0xc000_0102;

/// EFER: bits that a guest can set, and the one that says that it is in long
/// mode, which only the CPU sets.
const EFER_BITS: u64 = 1 | 1 << 8 | 1 << 11;
const LONG_MODE_ACTIVE: u64 = 1 << 10;
const PAGING: u64 = 1 << 31;

/// The guest reads or writes an MSR; `None`: that is a general protection
/// fault.
pub fn access(
    machine: &mut Machine,
    host: &mut impl Host,
    exit: &Exit,
) -> Result<Option<[u64; REGISTERS]>> {
    let msr = exit.registers[RCX] as u32;
    let mut registers = behind(exit);
    if exit.info[0] & 1 != 0 {
        let value = exit.registers[RDX] << 32 | exit.registers[RAX] & 0xffff_ffff;
        return Ok(write(machine, host, msr, value)?.map(|()| registers));
    }
    let Some(value) = read(machine, host, msr)? else { return Ok(None) };
    (registers[RAX], registers[RDX]) = (value & 0xffff_ffff, value >> 32);
    Ok(Some(registers))
}

fn read(machine: &mut Machine, host: &mut impl Host, msr: u32) -> Result<Option<u64>> {
    Ok(match msr {
        TIME => Some(host.ticks()),
        MICROCODE | CONFIGURATION => Some(0),
        apic::BASE => Some(machine.apic.base()),
        apic::DEADLINE => {
            machine.apic.tick(host.now());
            Some(machine.apic.deadline())
        }
        apic::FIRST..=apic::LAST => machine.apic.read(msr, host.now()),
        _ => {
            let mut system = host.system()?;
            place(&mut system, msr).map(|place| *place)
        }
    })
}

fn write(machine: &mut Machine, host: &mut impl Host, msr: u32, value: u64) -> Result<Option<()>> {
    Ok(match msr {
        // The counter is the host's.
        TIME | MICROCODE => Some(()),
        apic::BASE => machine.apic.set_base(value),
        apic::DEADLINE => {
            machine.apic.set_deadline(value, host.time_at(value));
            Some(())
        }
        apic::FIRST..=apic::LAST => machine.apic.write(msr, value, host.now()),
        _ => {
            let mut system = host.system()?;
            if !allows(&system, msr, value) {
                return Ok(None);
            }
            let Some(place) = place(&mut system, msr) else { return Ok(None) };
            let kept = if msr == EFER { *place & LONG_MODE_ACTIVE } else { 0 };
            *place = value & !if msr == EFER { LONG_MODE_ACTIVE } else { 0 } | kept;
            host.set_system(&system)?;
            Some(())
        }
    })
}

/// Whether the CPU would take the value.
fn allows(system: &vcpu::System, msr: u32, value: u64) -> bool {
    let is_canonical = (value as i64) << 16 >> 16 == value as i64;
    match msr {
        EFER => {
            let changes = (system.efer ^ value) & 1 << 8 != 0;
            value & !(EFER_BITS | LONG_MODE_ACTIVE) == 0 && !(changes && system.cr[0] & PAGING != 0)
        }
        // Each byte a kind of memory: 0, 1, 4 to 7.
        PAT => value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)),
        FLAGS_MASK => value >> 32 == 0,
        STAR => true,
        _ => is_canonical,
    }
}

/// Where the value is kept.
fn place(system: &mut vcpu::System, msr: u32) -> Option<&mut u64> {
    const LAST_SYSENTER: u32 = SYSENTER + 2;
    Some(match msr {
        SYSENTER..=LAST_SYSENTER => &mut system.calls[5 + (msr - SYSENTER) as usize],
        PAT => &mut system.pat,
        EFER => &mut system.efer,
        STAR..=FLAGS_MASK => &mut system.calls[(msr - STAR) as usize],
        FS | GS => &mut system.segments[4 + (msr - FS) as usize].base,
        KERNEL_GS => &mut system.calls[4],
        _ => return None,
    })
}
