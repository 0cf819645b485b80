//! The kernel's last words: panics and exceptions of the kernel itself.
//!
//! Uses nothing that may be broken: no lock, no kernel state, its own log. Every
//! address that is followed is looked up in the page tables first. A panic
//! within the report ends it.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use postern_abi::harness::{EXIT_PANIC, SYMBOL_CLOSE, SYMBOL_OPEN};
use postern_core::machine::Registers;

use crate::frame::Frame;
use crate::layout::{IMAGE, STACKS, STACKS_END};
use crate::paging::{Table, translate};
use crate::serial::Log;
use crate::tables::vector;
use crate::{cpu, hypervisor, image, percpu};

/// Most frames of a backtrace.
const DEEPEST: usize = 40;

/// How many reports were begun; a second one is a panic within the first.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// An address that `xtask` turns into a name.
struct Symbol(u64);

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.0.wrapping_sub(image::base());
        if offset < 1 << 30 {
            write!(f, "{SYMBOL_OPEN}kernel+{offset:#x}{SYMBOL_CLOSE}")
        } else {
            write!(f, "{:#x}", self.0)
        }
    }
}

/// Begins a report, or ends a failed one.
fn begin() -> Log {
    x86_64::instructions::interrupts::disable();
    let mut log = Log::new();
    if BEGUN.fetch_add(1, Ordering::Relaxed) > 0 {
        log.write(b"\n*** panic within a panic\n");
        cpu::exit(EXIT_PANIC);
    }
    log
}

/// Completes a report.
fn end(log: &mut Log, frame: u64) -> ! {
    let _sent = backtrace(log, frame);
    hypervisor::dump(log);
    let number = percpu::number().unwrap_or(0);
    let _sent = writeln!(log, "*** CPU {number} halted, kernel build {}", image::BuildId);
    cpu::exit(EXIT_PANIC)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut log = begin();
    let _sent = writeln!(log, "\n*** KERNEL PANIC: {}", info.message());
    if let Some(location) = info.location() {
        let _sent = writeln!(log, "    at {location}");
    }
    let frame: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack)) };
    end(&mut log, frame)
}

/// An exception that ends everything: one of the kernel itself, an NMI, or
/// broken hardware.
pub fn exception(registers: &Registers) -> ! {
    percpu::recover();
    let mut log = begin();
    let number = registers.vector as u8;
    let name = name(number);
    let place = if registers.cs & 3 == 0 { "the kernel" } else { "user code" };
    let _sent = writeln!(log, "\n*** KERNEL PANIC: {name} (exception {number}) in {place}");
    if number == vector::PAGE_FAULT || number == vector::DOUBLE_FAULT {
        let address = cpu::fault_address();
        let stack = (STACKS..STACKS_END).contains(&address);
        let guess = if stack { ": the kernel stack overflowed" } else { "" };
        let _sent = writeln!(log, "    address {address:#x}{guess}");
    }
    let _sent = print_registers(&mut log, registers);
    end(&mut log, registers.rbp)
}

/// A message of its own for what stops the kernel in an orderly way.
pub fn fail(message: fmt::Arguments<'_>) -> ! {
    let mut log = begin();
    let _sent = writeln!(log, "*** KERNEL FAILED: {message}");
    cpu::exit(EXIT_PANIC)
}

fn name(number: u8) -> &'static str {
    match number {
        0 => "division error",
        vector::NMI => "non-maskable interrupt",
        vector::BREAKPOINT => "breakpoint",
        6 => "invalid instruction",
        7 => "floating point used",
        vector::DOUBLE_FAULT => "double fault",
        12 => "stack fault",
        vector::PROTECTION => "protection fault",
        vector::PAGE_FAULT => "page fault",
        vector::MACHINE_CHECK => "machine check",
        _ => "exception",
    }
}

fn print_registers(log: &mut Log, r: &Registers) -> fmt::Result {
    writeln!(log, "    rip {} rsp {:#x} rflags {:#x}", Symbol(r.rip), r.rsp, r.rflags)?;
    writeln!(log, "    cs {:#x} ss {:#x} error {:#x}", r.cs, r.ss, r.error)?;
    let general = [
        [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
        [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("r8 ", r.r8)],
        [("r9 ", r.r9), ("r10", r.r10), ("r11", r.r11), ("r12", r.r12)],
        [("r13", r.r13), ("r14", r.r14), ("r15", r.r15), ("cr3", cpu::root())],
    ];
    for line in general {
        write!(log, "   ")?;
        for (name, value) in line {
            write!(log, " {name} {value:016x}")?;
        }
        writeln!(log)?;
    }
    Ok(())
}

/// Follows the frame pointers, which every function of the kernel keeps.
fn backtrace(log: &mut Log, mut frame: u64) -> fmt::Result {
    writeln!(log, "    backtrace:")?;
    for _ in 0..DEEPEST {
        let (Some(above), Some(back)) = (read(frame), read(frame.wrapping_add(8))) else { break };
        if back < IMAGE {
            break;
        }
        // The call is the instruction before the one to which it returns.
        writeln!(log, "      {}", Symbol(back - 1))?;
        // Frames lie upwards; anything else is a user's or a broken one.
        if above <= frame {
            break;
        }
        frame = above;
    }
    Ok(())
}

/// The word at a kernel address, if it is aligned and mapped RAM.
fn read(address: u64) -> Option<u64> {
    if !address.is_multiple_of(8) || address < crate::layout::UPPER_HALF {
        return None;
    }
    // SAFETY: the root table in use is a root table in RAM.
    let root = Table(unsafe { Frame::new(cpu::root()) });
    let physical = translate(root, address)?.physical;
    translate(root, crate::layout::PHYSICAL.checked_add(physical)?)?;
    // SAFETY: it was just looked up that the physical map has it; only read.
    let frame = unsafe { Frame::new(physical & !(crate::layout::PAGE - 1)) };
    Some(frame.word((physical % crate::layout::PAGE / 8) as usize))
}
