//! What this CPU has, and switching its protections on.
//!
//! Everything is chosen by CPUID: no feature is required that QEMU's plain
//! emulation lacks. Floating point is trapped (`CR0.TS`) until somebody uses it
//! ([`crate::fpu`]), and users can change neither segment bases nor protection
//! keys nor interrupts.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::fmt;

use x86_64::registers::control::{Cr0, Cr0Flags, Cr3, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::Msr;

bitflags::bitflags! {
    /// Features of the CPU that the kernel uses or reports.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Features: u32 {
        /// The kernel cannot execute user pages.
        const SMEP = 1;
        /// The kernel cannot read or write user pages.
        const SMAP = 1 << 1;
        /// Users cannot read the descriptor table registers.
        const UMIP = 1 << 2;
        /// Pages without instruction fetches.
        const NX = 1 << 3;
        /// Kernel pages stay in the TLB.
        const PGE = 1 << 4;
        /// Pages of 1 GiB.
        const HUGE_PAGES = 1 << 5;
        /// The interrupt controller is reached by MSRs.
        const X2APIC = 1 << 6;
        /// The timer takes deadlines in TSC units.
        const TSC_DEADLINE = 1 << 7;
        /// The TSC runs at the same rate in all power states.
        const INVARIANT_TSC = 1 << 8;
        /// Virtual machines, the AMD way.
        const SVM = 1 << 9;
    }
}

bitflags::bitflags! {
    /// Known flaws of this CPU that the kernel does nothing about.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flaws: u32 {
        /// User code can read kernel memory (rogue data cache load).
        const MELTDOWN = 1;
        /// The L1 cache can be read past the page tables.
        const L1TF = 1 << 1;
        /// CPU buffers leak (microarchitectural data sampling).
        const MDS = 1 << 2;
        /// Indirect branches can be steered by other tasks.
        const SPECTRE_V2 = 1 << 3;
        /// Loads can overtake older stores.
        const SPECULATIVE_STORE_BYPASS = 1 << 4;
    }
}

fn highest(base: u32) -> u32 {
    __cpuid(base).eax
}

fn is_amd() -> bool {
    let leaf = __cpuid(0);
    (leaf.ebx, leaf.edx, leaf.ecx)
        == (
            u32::from_le_bytes(*b"Auth"),
            u32::from_le_bytes(*b"enti"),
            u32::from_le_bytes(*b"cAMD"),
        )
}

impl Features {
    /// Asks the CPU.
    #[must_use]
    pub fn detect() -> Self {
        let mut features = Self::empty();
        let basic = __cpuid(1);
        features.set(Self::PGE, basic.edx & 1 << 13 != 0);
        features.set(Self::X2APIC, basic.ecx & 1 << 21 != 0);
        features.set(Self::TSC_DEADLINE, basic.ecx & 1 << 24 != 0);
        if highest(0) >= 7 {
            let seven = __cpuid_count(7, 0);
            features.set(Self::SMEP, seven.ebx & 1 << 7 != 0);
            features.set(Self::SMAP, seven.ebx & 1 << 20 != 0);
            features.set(Self::UMIP, seven.ecx & 1 << 2 != 0);
        }
        if highest(0x8000_0000) >= 0x8000_0001 {
            let extended = __cpuid(0x8000_0001);
            features.set(Self::NX, extended.edx & 1 << 20 != 0);
            features.set(Self::HUGE_PAGES, extended.edx & 1 << 26 != 0);
            features.set(Self::SVM, extended.ecx & 1 << 2 != 0);
        }
        if highest(0x8000_0000) >= 0x8000_0007 {
            features.set(Self::INVARIANT_TSC, __cpuid(0x8000_0007).edx & 1 << 8 != 0);
        }
        features
    }
}

impl Flaws {
    /// Asks the CPU; what it does not deny counts as there.
    #[must_use]
    pub fn detect() -> Self {
        let mut flaws = Self::all();
        if is_amd() {
            flaws -= Self::MELTDOWN | Self::L1TF | Self::MDS;
            let more = highest(0x8000_0000) >= 0x8000_0008;
            if more && __cpuid(0x8000_0008).ebx & 1 << 26 != 0 {
                flaws -= Self::SPECULATIVE_STORE_BYPASS;
            }
        } else if highest(0) >= 7 && __cpuid_count(7, 0).edx & 1 << 29 != 0 {
            // SAFETY: CPUID says that IA32_ARCH_CAPABILITIES exists; reading
            // it has no effects.
            let denied = unsafe { Msr::new(0x10a).read() };
            flaws.set(Self::MELTDOWN | Self::L1TF, denied & 1 == 0);
            flaws.set(Self::SPECULATIVE_STORE_BYPASS, denied & 1 << 4 == 0);
            flaws.set(Self::MDS, denied & 1 << 5 == 0);
        }
        flaws
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bitflags::parser::to_writer(self, f)
    }
}

impl fmt::Display for Flaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bitflags::parser::to_writer(self, f)
    }
}

/// Switches on what this CPU has. The kernel's own page tables are in use.
pub fn protect(features: Features) {
    let mut control = Cr0::read();
    control |= Cr0Flags::WRITE_PROTECT
        | Cr0Flags::TASK_SWITCHED
        | Cr0Flags::MONITOR_COPROCESSOR
        | Cr0Flags::NUMERIC_ERROR;
    control -= Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::ALIGNMENT_MASK;
    // With OSFXSR, SSE instructions find `TS` and trap like the x87 ones.
    let mut more = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::MACHINE_CHECK_EXCEPTION
        | Cr4Flags::DEBUGGING_EXTENSIONS
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE;
    more.set(Cr4Flags::PAGE_GLOBAL, features.contains(Features::PGE));
    more.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, features.contains(Features::SMEP));
    more.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, features.contains(Features::SMAP));
    more.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, features.contains(Features::UMIP));
    // SAFETY: paging and protected mode stay as they are; what is switched on
    // forbids things that the kernel never does (it reaches user memory only
    // through its own map). Everything not named is off, among it FSGSBASE
    // (the sign test on GS relies on that), PKE, PCE and 5-level paging.
    unsafe {
        Cr0::write(control);
        Cr4::write(more);
        Efer::update(|efer| {
            efer.set(EferFlags::NO_EXECUTE_ENABLE, features.contains(Features::NX))
        });
    }
}

/// Physical address of the root table in use.
#[inline(always)]
#[must_use]
pub fn root() -> u64 {
    Cr3::read_raw().0.start_address().as_u64()
}

/// Whether this root table is in use.
#[inline(always)]
#[must_use]
pub fn is_root(root: u64) -> bool {
    let current: u64;
    // SAFETY: only reads. The register holds nothing but the address, as roots
    // are loaded without flags.
    unsafe { asm!("mov {}, cr3", out(reg) current, options(nomem, nostack, preserves_flags)) };
    current == root
}

/// Uses a root table.
///
/// # Safety
/// `root` is a root table whose upper half is the kernel's, and stays one for
/// as long as it is in use.
#[inline(always)]
pub unsafe fn set_root(root: u64) {
    // SAFETY: as the caller promises: the kernel sees no difference. (Raw
    // assembly, as `Cr3::write` would first build typed frames.)
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Address of the last page fault.
#[must_use]
pub fn fault_address() -> u64 {
    x86_64::registers::control::Cr2::read_raw()
}

/// Ends QEMU through its `isa-debug-exit` device; elsewhere halts for ever.
pub fn exit(code: u8) -> ! {
    x86_64::instructions::interrupts::disable();
    // SAFETY: no other device answers at this port.
    unsafe { x86_64::instructions::port::Port::new(postern_abi::harness::EXIT_PORT).write(code) };
    loop {
        x86_64::instructions::hlt();
    }
}
