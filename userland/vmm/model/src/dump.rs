//! A dump: what is known about the guest, as lines for a person.

use alloc::string::String;
use core::fmt::{self, Write};

use postern_syscall::Result;
use postern_syscall::vcpu::register::{RFLAGS, RIP};
use postern_syscall::vcpu::{System, segment};

use crate::exit::REGISTERS;
use crate::machine::{Host, Machine};
use crate::walk;

/// Place of the stack pointer among an exit's registers.
const RSP: usize = 8;
/// Words of the stack that are shown.
const WORDS: usize = 16;
/// Names of an exit's registers.
const NAMES: [&str; REGISTERS] = [
    "rip", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "rfl", "r8", "r9", "r10", "r11",
    "r12", "r13", "r14", "r15",
];

/// The dump of the guest as it is now.
///
/// # Errors
/// The host's.
pub fn text(machine: &Machine, host: &mut impl Host) -> Result<String> {
    let (registers, system) = (host.registers()?, host.system()?);
    let mut stack = [0; 8 * WORDS];
    let count = walk::read(host, registers[RSP], &mut stack)?;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _written = write(&mut text, machine, &registers, &system, &stack[..count]);
    Ok(text)
}

fn write(
    out: &mut String,
    machine: &Machine,
    registers: &[u64; REGISTERS],
    system: &System,
    stack: &[u8],
) -> fmt::Result {
    let (name, number) = (&machine.name, machine.dumps);
    writeln!(out, "*** dump {number} of guest `{name}`: begin")?;
    let session = core::str::from_utf8(&machine.session).unwrap_or("unknown");
    writeln!(out, "boot session: {session}")?;
    match machine.coredump {
        None => writeln!(out, "coredump data: the guest set none")?,
        Some(data) => {
            let (text, cr3) = (data.text, data.cr3);
            writeln!(out, "coredump data: kernel text {text:#x}, CR3 {cr3:#x}")?;
            writeln!(out, "  kernel map {:#x} to {:#x}", data.map_start, data.map_end)?;
            writeln!(out, "  buffers {:#x}, {} bytes", data.buffers, data.buffers_size)?;
            if (data.map_start..data.map_end).contains(&registers[RIP]) && registers[RIP] >= text {
                writeln!(out, "  rip is kernel text + {:#x}", registers[RIP] - text)?;
            }
        }
    }
    for (row, names) in NAMES.chunks(3).enumerate() {
        for (index, name) in names.iter().enumerate() {
            column(out, name, registers[3 * row + index], index)?;
        }
        writeln!(out)?;
    }
    let flags = registers[RFLAGS];
    let on = if flags & 1 << 9 != 0 { "on" } else { "off" };
    let level = system.segments[segment::SS].attributes >> 5 & 3;
    writeln!(out, "level {level}, interrupts {on}")?;
    for (index, (name, value)) in ["cr0", "cr2", "cr3"].into_iter().zip(&system.cr[..3]).enumerate()
    {
        column(out, name, *value, index)?;
    }
    writeln!(out)?;
    let [fs, gs] = [4, 5].map(|index| system.segments[index].base);
    for (index, (name, value)) in
        [("cr4", system.cr[3]), ("efer", system.efer), ("fs", fs)].into_iter().enumerate()
    {
        column(out, name, value, index)?;
    }
    writeln!(out)?;
    column(out, "gs", gs, 0)?;
    column(out, "kgs", system.calls[4], 1)?;
    writeln!(out)?;
    writeln!(out, "stack:{}", if stack.is_empty() { " not readable" } else { "" })?;
    for (row, line) in stack.chunks(32).enumerate() {
        write!(out, "  +{:#04x}", 32 * row)?;
        for word in line.chunks_exact(8) {
            let word = word.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            write!(out, " {word:016x}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "*** dump {number} of guest `{name}`: end")
}

/// One register in column `index` of a line.
fn column(out: &mut String, name: &str, value: u64, index: usize) -> fmt::Result {
    let before = if index == 0 { "  " } else { "   " };
    write!(out, "{before}{name:<4} {value:016x}")
}
