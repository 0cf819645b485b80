//! What becomes of a guest after an exit.

use core::fmt;

use postern_syscall::vcpu::register::{RAX, RBX, RCX, RDX};
use postern_syscall::{ErrorCode, vcpu};

/// Number of registers of an exit.
pub const REGISTERS: usize = 18;

/// How it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// With these registers, in the order of [`vcpu::Exit::registers`].
    Resume([u64; REGISTERS]),
    /// With these, as soon as an interrupt comes.
    Wait([u64; REGISTERS]),
    /// Not at all.
    End(End),
}

/// Why a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It turned itself off, with this code.
    Off(u8),
    /// It halted with interrupts off: nothing can wake it.
    Halted,
    /// An exception that it could not even handle as a double fault.
    Shutdown,
    /// Its state is one that no CPU has.
    Invalid,
    /// It used an address at which there is nothing.
    NoMemory {
        /// The address, in the guest's memory.
        address: u64,
        /// Whether it wrote.
        write: bool,
    },
    /// There is no memory left for an address of its own.
    Exhausted {
        /// The address, in the guest's memory.
        address: u64,
    },
    /// It moved a string through a port.
    StringPort {
        /// The port.
        port: u16,
    },
    /// It did something that the machine cannot do.
    Unsupported {
        /// The exit code, of AMD's manual.
        code: u64,
    },
    /// The host's operations failed.
    Host(ErrorCode),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off(0) => f.write_str("turned itself off"),
            Self::Off(code) => write!(f, "turned itself off with code {code}"),
            Self::Halted => f.write_str("halted with interrupts off"),
            Self::Shutdown => f.write_str("shut down by a triple fault"),
            Self::Invalid => f.write_str("has an invalid state"),
            Self::NoMemory { address, write } => {
                let how = if *write { "wrote to" } else { "read" };
                write!(f, "{how} address {address:#x}, where there is no memory")
            }
            Self::Exhausted { address } => {
                write!(f, "needs memory at {address:#x}, and there is none left for it")
            }
            Self::StringPort { port } => write!(f, "moved a string through port {port:#x}"),
            Self::Unsupported { code } => write!(f, "did what is not emulated: exit {code:#x}"),
            Self::Host(code) => write!(f, "cannot be run any more: {code}"),
        }
    }
}

/// The registers with RAX, RBX, RCX and RDX set, behind the instruction.
pub fn with_results(exit: &vcpu::Exit, results: [u64; 4]) -> [u64; REGISTERS] {
    let mut registers = behind(exit);
    for (register, value) in [RAX, RBX, RCX, RDX].into_iter().zip(results) {
        registers[register] = value;
    }
    registers
}

/// The registers, behind the instruction.
pub fn behind(exit: &vcpu::Exit) -> [u64; REGISTERS] {
    let mut registers = exit.registers;
    registers[vcpu::register::RIP] = exit.next;
    registers
}
