//! The interrupt controller of a CPU: xAPIC by memory, x2APIC by MSRs.
//!
//! Which one is chosen at boot by CPUID; both have the same registers. Must
//! never be asked by another CPU than its own.

use core::ptr::NonNull;

use x86_64::registers::model_specific::Msr;

use crate::cpu::Features;
use crate::tables::vector;

/// Registers, by their offset in the page of an xAPIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Register {
    /// Number of the controller.
    Id = 0x20,
    /// Interrupts of lower priority are held back.
    TaskPriority = 0x80,
    /// A write says that the interrupt is served.
    EndOfInterrupt = 0xb0,
    /// Spurious vector, and the switch for the whole controller.
    Spurious = 0xf0,
    /// How the timer interrupts.
    Timer = 0x320,
    /// How pin 0 (the PICs) interrupts.
    Pin0 = 0x350,
    /// How pin 1 (NMI) interrupts.
    Pin1 = 0x360,
    /// How the controller reports its own errors.
    Error = 0x370,
    /// A write starts the timer.
    InitialCount = 0x380,
    /// What is left of it.
    CurrentCount = 0x390,
    /// What the timer's clock is divided by.
    Divide = 0x3e0,
}

/// The MSR with address and mode of the controller.
const BASE: u32 = 0x1b;
const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2: u64 = 1 << 10;
/// In a vector table entry: nothing is delivered.
pub const MASKED: u32 = 1 << 16;
/// In a vector table entry: delivered as an NMI.
const DELIVER_NMI: u32 = 4 << 8;
/// In a vector table entry: delivered as the old controllers say.
const DELIVER_PIC: u32 = 7 << 8;
/// In [`Register::Spurious`]: the controller is on.
const SOFTWARE_ENABLE: u32 = 1 << 8;
/// In [`Register::Divide`]: by 1.
const BY_ONE: u32 = 0b1011;

/// Access to the registers of this CPU's controller.
pub trait Access {
    /// Reads a register.
    fn read(&self, register: Register) -> u32;
    /// Writes a register.
    fn write(&mut self, register: Register, value: u32);
    /// Number of this controller, as interrupts are addressed to it.
    fn id(&self) -> u32;
}

/// Registers in memory.
pub struct XApic(NonNull<u32>);

impl Access for XApic {
    #[inline(always)]
    fn read(&self, register: Register) -> u32 {
        // SAFETY: the page of registers is mapped (contract of
        // `LocalApic::new`), and `register` is in it.
        unsafe { self.0.byte_add(register as usize).read_volatile() }
    }

    #[inline(always)]
    fn write(&mut self, register: Register, value: u32) {
        // SAFETY: as in `read`; no register makes the controller write memory.
        unsafe { self.0.byte_add(register as usize).write_volatile(value) };
    }

    fn id(&self) -> u32 {
        self.read(Register::Id) >> 24
    }
}

/// Registers as MSRs.
pub struct X2Apic(());

impl X2Apic {
    const fn msr(register: Register) -> Msr {
        Msr::new(0x800 + (register as u32 >> 4))
    }
}

impl Access for X2Apic {
    #[inline(always)]
    fn read(&self, register: Register) -> u32 {
        // SAFETY: the mode is on (`LocalApic::new`), and the registers named
        // in `Register` can be read without effects.
        unsafe { Self::msr(register).read() as u32 }
    }

    #[inline(always)]
    fn write(&mut self, register: Register, value: u32) {
        // SAFETY: as in `read`; callers give values that the register takes.
        unsafe { Self::msr(register).write(value.into()) };
    }

    fn id(&self) -> u32 {
        self.read(Register::Id)
    }
}

/// This CPU's controller.
pub enum LocalApic {
    /// By memory.
    X(XApic),
    /// By MSRs.
    X2(X2Apic),
}

impl LocalApic {
    /// Physical address of the page of registers.
    #[must_use]
    pub fn physical() -> u64 {
        // SAFETY: every 64-bit CPU has this MSR; reading has no effects.
        unsafe { Msr::new(BASE).read() & 0x000f_ffff_ffff_f000 }
    }

    /// Switches the controller on, with everything masked but NMIs.
    ///
    /// # Safety
    /// `registers` is the mapped, uncached page of [`LocalApic::physical`], and
    /// nobody else uses the controller.
    #[must_use]
    pub unsafe fn new(registers: NonNull<u32>, features: Features) -> Self {
        let x2 = features.contains(Features::X2APIC);
        let mut base = Msr::new(BASE);
        // SAFETY: the address stays, and the bits only switch on what CPUID
        // says is there. (From "off" the way to x2APIC leads through xAPIC.)
        unsafe {
            let value = base.read() | BASE_ENABLE;
            base.write(value);
            if x2 {
                base.write(value | BASE_X2);
            }
        }
        let mut apic = if x2 { Self::X2(X2Apic(())) } else { Self::X(XApic(registers)) };
        apic.write(Register::TaskPriority, 0);
        apic.write(Register::Timer, MASKED | u32::from(vector::TIMER));
        apic.write(Register::Pin0, MASKED);
        apic.write(Register::Pin1, DELIVER_NMI);
        apic.write(Register::Error, vector::ERROR.into());
        apic.write(Register::Divide, BY_ONE);
        apic.write(Register::Spurious, SOFTWARE_ENABLE | u32::from(vector::SPURIOUS));
        apic
    }

    /// Lets the interrupts of the old controllers through.
    pub fn pass_pics(&mut self) {
        self.write(Register::Pin0, DELIVER_PIC);
    }

    /// The interrupt is served.
    #[inline(always)]
    pub fn end_of_interrupt(&mut self) {
        self.write(Register::EndOfInterrupt, 0);
    }

    /// How it is reached, for people.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::X(_) => "xAPIC",
            Self::X2(_) => "x2APIC",
        }
    }
}

impl Access for LocalApic {
    #[inline(always)]
    fn read(&self, register: Register) -> u32 {
        match self {
            Self::X(apic) => apic.read(register),
            Self::X2(apic) => apic.read(register),
        }
    }

    #[inline(always)]
    fn write(&mut self, register: Register, value: u32) {
        match self {
            Self::X(apic) => apic.write(register, value),
            Self::X2(apic) => apic.write(register, value),
        }
    }

    fn id(&self) -> u32 {
        match self {
            Self::X(apic) => apic.id(),
            Self::X2(apic) => apic.id(),
        }
    }
}
