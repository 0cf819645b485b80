//! The instruction, and the proof that it may be executed.

use core::arch::asm;
use core::arch::x86_64::__cpuid;

use crate::{Absent, Error, Features, Interface, Leaf, Outputs, Request, Switch, interface};

/// Which of the two instructions the CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Intel's.
    Vmcall,
    /// AMD's.
    Vmmcall,
}

impl Opcode {
    /// The one of the CPU vendor that `leaf`, leaf 0 of CPUID, names. Hygon's
    /// CPUs are AMD's.
    #[must_use]
    pub const fn of_vendor(leaf: Leaf) -> Self {
        const AMD: [u32; 3] = vendor(b"AuthenticAMD");
        const HYGON: [u32; 3] = vendor(b"HygonGenuine");
        const fn equal(leaf: Leaf, name: [u32; 3]) -> bool {
            leaf.ebx == name[0] && leaf.edx == name[1] && leaf.ecx == name[2]
        }
        if equal(leaf, AMD) || equal(leaf, HYGON) { Self::Vmmcall } else { Self::Vmcall }
    }
}

/// A vendor's name as EBX, EDX and ECX have it.
const fn vendor(name: &[u8; 12]) -> [u32; 3] {
    let mut words = [0; 3];
    let mut index = 0;
    while index < 12 {
        words[index / 4] |= (name[index] as u32) << (8 * (index % 4));
        index += 1;
    }
    words
}

/// The convention is spoken here: what it takes to make calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hypercalls {
    interface: Interface,
    opcode: Opcode,
}

/// Asks the CPU.
fn cpuid(leaf: u32) -> Leaf {
    let found = __cpuid(leaf);
    Leaf { eax: found.eax, ebx: found.ebx, ecx: found.ecx, edx: found.edx }
}

impl Hypercalls {
    /// Looks for the interface on this CPU. Executes CPUID and nothing else.
    ///
    /// # Errors
    /// Why there is none.
    pub fn detect(switch: Switch) -> Result<Self, Absent> {
        let interface = interface(switch, cpuid)?;
        Ok(Self { interface, opcode: Opcode::of_vendor(cpuid(0)) })
    }

    /// For who knows from elsewhere that the convention is spoken: a program
    /// whose kernel passes its calls on, or a test.
    ///
    /// # Safety
    /// Whoever answers the instruction keeps to the convention: it changes the
    /// seven registers of the outputs and the flags, and memory only as the
    /// call says.
    #[must_use]
    pub const unsafe fn assume(interface: Interface, opcode: Opcode) -> Self {
        Self { interface, opcode }
    }

    /// What was found.
    #[must_use]
    pub const fn interface(self) -> Interface {
        self.interface
    }

    /// Which calls there are.
    #[must_use]
    pub const fn features(self) -> Features {
        self.interface.features
    }

    /// The instruction of this CPU.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        self.opcode
    }

    /// Makes a call.
    ///
    /// # Errors
    /// What the hypervisor answered with the carry flag set.
    #[inline]
    pub fn call(self, request: Request) -> Result<Outputs, Error> {
        let (outputs, failed) = match self.opcode {
            // SAFETY: the interface was found, or `assume` was told so.
            Opcode::Vmcall => unsafe { vmcall(request) },
            // SAFETY: as above.
            Opcode::Vmmcall => unsafe { vmmcall(request) },
        };
        if failed { Err(Error::from_number(outputs.0[0])) } else { Ok(outputs) }
    }
}

/// Defines the function that executes one of the two instructions.
macro_rules! instruction {
    ($name:ident, $instruction:literal) => {
        /// Executes the instruction: the outputs, and the carry flag.
        ///
        /// # Safety
        /// As for [`Hypercalls::assume`].
        #[inline]
        unsafe fn $name(request: Request) -> (Outputs, bool) {
            let Request { code, arguments: [a, b, c, d, e, f] } = request;
            let mut outputs = [0; 7];
            let failed: u8;
            // SAFETY: the hypervisor changes what is declared here (contract);
            // memory is clobbered, as nothing says otherwise. The carry flag
            // lives only until the next block, so it is read in this one.
            unsafe {
                asm!(
                    $instruction,
                    "setc {failed}",
                    failed = lateout(reg_byte) failed,
                    inlateout("rax") code => outputs[0],
                    inlateout("rdi") a => outputs[1],
                    inlateout("rsi") b => outputs[2],
                    inlateout("rdx") c => outputs[3],
                    inlateout("rcx") d => outputs[4],
                    inlateout("r8") e => outputs[5],
                    inlateout("r9") f => outputs[6],
                    options(nostack),
                );
            }
            (Outputs(outputs), failed != 0)
        }
    };
}
instruction!(vmcall, "vmcall");
instruction!(vmmcall, "vmmcall");

/// Defines `hypercallN` with its number of arguments.
macro_rules! hypercalls {
    ($($name:ident($($argument:ident),*), $count:literal;)+) => {
        impl Hypercalls {
            $(
                #[doc = concat!("Makes call number `code` with ", $count, " arguments; the others are zero.")]
                ///
                /// # Errors
                /// What the hypervisor answered with the carry flag set.
                #[inline]
                #[allow(clippy::too_many_arguments, reason = "the convention has six")]
                pub fn $name(self, code: u32 $(, $argument: u64)*) -> Result<Outputs, Error> {
                    self.call(Request::new(code, [$($argument),*]))
                }
            )+
        }
    };
}
hypercalls! {
    hypercall0(), "no";
    hypercall1(rdi), "one";
    hypercall2(rdi, rsi), "two";
    hypercall3(rdi, rsi, rdx), "three";
    hypercall4(rdi, rsi, rdx, rcx), "four";
    hypercall5(rdi, rsi, rdx, rcx, r8), "five";
    hypercall6(rdi, rsi, rdx, rcx, r8, r9), "six";
}
