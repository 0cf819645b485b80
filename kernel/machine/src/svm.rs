//! Virtual CPUs on AMD's SVM: what the CPU needs once, for all of them.
//!
//! A guest runs between two instructions of the kernel, with the kernel's own
//! page tables behind it. Everything by which it could reach the machine is
//! intercepted: all ports, all MSRs but those that VMLOAD switches for it, debug
//! registers, interrupts, every SVM instruction. What an exit means is the
//! core's business.

mod enter;
mod vmcb;

pub use enter::run;
pub use vmcb::Vcpu;

use core::arch::x86_64::__cpuid;

use x86_64::registers::control::{Efer, EferFlags};
use x86_64::registers::model_specific::Msr;

use crate::cpu::Features;
use crate::frame::{Frame, WORDS};
use crate::layout::PAGE;
use crate::memory::Early;

/// Where the CPU keeps the host's state while a guest runs.
const HOST_SAVE: u32 = 0xc001_0117;
/// Virtualisation's own switch; bit 4: firmware has switched it off.
const VM_CR: u32 = 0xc001_0114;
const SWITCHED_OFF: u64 = 1 << 4;
/// CPUID leaf of SVM; bit 0 of EDX: nested paging.
const LEAF: u32 = 0x8000_000a;
/// Pages of the map of intercepted ports.
const PORT_PAGES: u64 = 3;
/// Pages of the map of intercepted MSRs.
const MSR_PAGES: u64 = 2;

/// The guest's own MSRs: bases of FS and GS, and the one that SWAPGS exchanges.
/// VMLOAD and VMSAVE switch them, and an operating system writes one with each
/// switch of threads.
const FIRST_OWN: u32 = 0xc000_0100;
/// See above.
const LAST_OWN: u32 = 0xc000_0102;

/// What all virtual CPUs share.
#[derive(Debug, Clone, Copy)]
pub struct Svm {
    /// Holds the part of the host's state that VMRUN does not switch.
    host: Frame,
    /// Physical address of the map of ports, all of them intercepted.
    ports: u64,
    /// Physical address of the map of MSRs, all of them intercepted but the
    /// guest's own.
    msrs: u64,
}

impl Svm {
    /// Switches SVM on, if the CPU has it, with nested paging, and firmware did
    /// not switch it off.
    pub fn new(features: Features, early: &mut Early) -> Option<Self> {
        if !features.contains(Features::SVM) || __cpuid(LEAF).edx & 1 == 0 {
            return None;
        }
        // SAFETY: a CPU with SVM has this register; reading has no effects.
        if unsafe { Msr::new(VM_CR).read() } & SWITCHED_OFF != 0 {
            return None;
        }
        let (host, save) = (early.frame(), early.frame());
        host.zero();
        save.zero();
        let ports = filled(early, PORT_PAGES);
        let msrs = filled(early, MSR_PAGES);
        pass(msrs, FIRST_OWN..=LAST_OWN);
        // SAFETY: allows the SVM instructions, to the kernel only; the frame
        // for the host's state is nobody else's.
        unsafe {
            Efer::update(|efer| efer.insert(EferFlags::SECURE_VIRTUAL_MACHINE_ENABLE));
            Msr::new(HOST_SAVE).write(save.physical());
        }
        Some(Self { host, ports, msrs })
    }
}

impl Svm {
    /// Physical address of the block for the host's state.
    #[must_use]
    pub const fn host_block(self) -> u64 {
        self.host.physical()
    }
}

/// Takes MSRs of the second range, from `0xc000_0000` on, out of a map: two bits
/// for each, from the middle of its first page on.
fn pass(map: u64, msrs: core::ops::RangeInclusive<u32>) {
    // SAFETY: a frame of the map, which was just taken and nobody else uses yet.
    let frame = unsafe { Frame::new(map) };
    for msr in msrs {
        let bit = PAGE as usize * 8 / 2 + 2 * (msr & 0x1fff) as usize;
        let (word, shift) = (bit / 64, bit % 64);
        frame.set_word(word, frame.word(word) & !(3 << shift));
    }
}

/// Contiguous frames, all bits set; where they begin.
fn filled(early: &mut Early, pages: u64) -> u64 {
    let first = early.take(pages);
    for page in 0..pages {
        // SAFETY: usable RAM that was just taken, in the physical map.
        let frame = unsafe { Frame::new(first + page * PAGE) };
        (0..WORDS).for_each(|word| frame.set_word(word, u64::MAX));
    }
    first
}
