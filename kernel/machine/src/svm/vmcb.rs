//! The control block of a virtual CPU, and its floating-point registers: one
//! page each.
//!
//! Layout and meaning of the fields are those of AMD's manual, volume 2,
//! appendix B. Whatever the core sets, interception, nested paging and the
//! switch for SVM itself stay as they are made here.

use postern_core::machine::{EventKind, GuestExit, GuestPaging, Registers, VCPU_STATE};
use postern_core::mem::Frames;

use super::Svm;
use crate::fpu::Place;
use crate::frame::Frame;
use crate::layout::PAGE;

/// The word at a byte offset.
const fn at(offset: usize) -> usize {
    offset / 8
}

/// Word offsets in the control area.
mod control {
    use super::at;

    pub const CR_AND_DR: usize = at(0x000);
    pub const EXCEPTIONS: usize = at(0x008);
    pub const MORE: usize = at(0x010);
    pub const PORTS: usize = at(0x040);
    pub const MSRS: usize = at(0x048);
    pub const TSC_OFFSET: usize = at(0x050);
    pub const ASID_AND_FLUSH: usize = at(0x058);
    pub const INTERRUPT: usize = at(0x060);
    pub const SHADOW: usize = at(0x068);
    pub const EXIT_CODE: usize = at(0x070);
    pub const INFO: usize = at(0x078);
    pub const INTERRUPTED_EVENT: usize = at(0x088);
    pub const NESTED: usize = at(0x090);
    pub const EVENT: usize = at(0x0a8);
    pub const NESTED_ROOT: usize = at(0x0b0);
    pub const CLEAN: usize = at(0x0c0);
}

/// Word offsets in the state that is saved.
mod save {
    use super::at;

    /// ES, CS, SS, DS, FS, GS, GDTR, LDTR, IDTR, TR: two words each.
    pub const SEGMENTS: usize = at(0x400);
    pub const SEGMENT_WORDS: usize = 20;
    /// The privilege level is byte 3 of this word.
    pub const CPL: usize = at(0x4c8);
    pub const EFER: usize = at(0x4d0);
    pub const CR4: usize = at(0x548);
    pub const CR3: usize = at(0x550);
    pub const CR0: usize = at(0x558);
    pub const DR7: usize = at(0x560);
    pub const DR6: usize = at(0x568);
    pub const RFLAGS: usize = at(0x570);
    pub const RIP: usize = at(0x578);
    pub const RSP: usize = at(0x5d8);
    pub const RAX: usize = at(0x5f8);
    /// STAR, LSTAR, CSTAR, SFMASK, kernel GS base, SYSENTER CS, ESP, EIP, CR2.
    pub const SYSTEM_CALLS: usize = at(0x600);
    pub const SYSTEM_CALL_WORDS: usize = 9;
    pub const PAT: usize = at(0x668);
}

/// EFER bits of the guest's: SCE, LME, LMA, NXE.
const GUEST_EFER: u64 = 1 | 1 << 8 | 1 << 10 | 1 << 11;
/// Must be set while a guest runs; the guest's own view of it is 0.
const SVME: u64 = 1 << 12;
/// V_INTR_MASKING: the host's flags gate physical interrupts. V_IGN_TPR: a
/// virtual interrupt waits for the guest's IF only.
const MASKING: u64 = 1 << 24 | 1 << 20;
/// V_IRQ: a virtual interrupt is pending.
const PENDING: u64 = 1 << 8;
/// An event in [`control::EVENT`] counts.
const VALID: u64 = 1 << 31;
/// Exceptions that are intercepted: #UD, for Intel's hypercall, and #MC, which
/// is the machine's.
const EXCEPTIONS: u64 = 1 << 6 | 1 << 18;
/// First word of intercepts: INTR NMI SMI INIT, RDPMC, CPUID, RSM, INVD, HLT,
/// INVLPGA, ports, MSRs, task switch, FERR, shutdown.
const INTERCEPTS: u64 = 0xf | 1 << 15 | 1 << 18 | 1 << 19 | 1 << 22 | 1 << 24 | 0x3f << 26;
/// Second word: VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, ICEBP,
/// WBINVD, MONITOR, MWAIT (both), XSETBV.
const MORE: u64 = 0x7f | 1 << 8 | 1 << 9 | 7 << 10 | 1 << 13;
/// Type bits of a segment: a busy 64-bit task state; present.
const TASK_STATE: u64 = 0x8b;
/// The bit that says busy, which some emulations do not set.
const BUSY: u64 = 2;

/// What is set before a guest says otherwise: 64-bit segments of an operating
/// system, paging off, protected mode.
const RESET_CR0: u64 = 0x11;
const RESET_PAT: u64 = 0x0007_0406_0007_0406;

/// A virtual CPU as the CPU knows it.
#[derive(Debug)]
pub struct Vcpu {
    frames: Frames,
    /// The first of them.
    block: Frame,
    /// The second.
    float: Place,
}

/// A segment's first word: selector, attributes, limit.
const fn segment(attributes: u64, limit: u64) -> u64 {
    attributes << 16 | limit << 32
}

impl Vcpu {
    /// Pages that one needs.
    pub const PAGES: u64 = 2;

    /// A virtual CPU after a reset, in frames of its own (contents arbitrary):
    /// 32-bit protected mode, flat segments, paging off.
    #[must_use]
    pub fn new(frames: Frames, svm: &Svm) -> Self {
        let (block, float) = (Frame::of(&frames, 0), Place::new(Frame::of(&frames, 1)));
        block.zero();
        // All debug registers, read and write.
        block.set_word(control::CR_AND_DR, u64::from(u32::MAX) << 32);
        block.set_word(control::EXCEPTIONS, EXCEPTIONS | INTERCEPTS << 32);
        block.set_word(control::MORE, MORE);
        block.set_word(control::PORTS, svm.ports);
        block.set_word(control::MSRS, svm.msrs);
        // One address space number for all, and all translations flushed at
        // each entry: they change whenever the core unmaps something.
        block.set_word(control::ASID_AND_FLUSH, 1 | 1 << 32);
        block.set_word(control::INTERRUPT, MASKING);
        block.set_word(control::NESTED, 1);
        let flat = 0xffff_ffff;
        let kinds = [0xc93, 0xc9b, 0xc93, 0xc93, 0xc93, 0xc93, 0, 0x82, 0, TASK_STATE];
        for (index, attributes) in kinds.into_iter().enumerate() {
            let limit = if attributes >= 0xc00 { flat } else { 0xffff };
            block.set_word(save::SEGMENTS + 2 * index, segment(attributes, limit));
        }
        block.set_word(save::EFER, SVME);
        block.set_word(save::CR0, RESET_CR0);
        block.set_word(save::PAT, RESET_PAT);
        block.set_word(save::DR6, 0xffff_0ff0);
        block.set_word(save::DR7, 0x400);
        Self { frames, block, float }
    }

    /// Gives the frames back.
    pub fn into_frames(self) -> Frames {
        self.frames
    }

    /// Physical address of the control block.
    pub(super) fn block(&self) -> u64 {
        self.block.physical()
    }

    /// The guest's floating-point registers while it does not run.
    pub(super) fn float(&mut self) -> &mut Place {
        &mut self.float
    }

    /// The system registers, as [`postern_core::machine::Machine::vcpu_state`]
    /// lists them.
    #[must_use]
    pub fn state(&self) -> [u64; VCPU_STATE] {
        let mut state = [0; VCPU_STATE];
        for (place, value) in state.iter_mut().zip(places()) {
            *place = self.block.word(value);
        }
        state[EFER] &= !SVME;
        state
    }

    /// Sets the system registers.
    ///
    /// # Errors
    /// The number of a register that cannot have this value in any guest; the
    /// CPU itself refuses others when the guest is entered.
    pub fn set_state(&mut self, state: &[u64; VCPU_STATE]) -> Result<(), usize> {
        if state[EFER] & !GUEST_EFER != 0 {
            return Err(EFER);
        }
        // With any other one an exception in the guest's user code would not
        // even be a shutdown in some emulations.
        let task_state = SEGMENTS + 18;
        if state[task_state] >> 16 & 0xff | BUSY != TASK_STATE {
            return Err(task_state);
        }
        for (value, place) in state.iter().zip(places()) {
            self.block.set_word(place, *value);
        }
        self.block.set_word(save::EFER, state[EFER] | SVME);
        self.block.set_word(control::SHADOW, state[SHADOW] & 1);
        // The privilege level is that of the stack segment.
        let level = state[SEGMENTS + 4] >> 16 >> 5 & 3;
        self.block.set_word(save::CPL, level << 24);
        Ok(())
    }

    /// What is delivered when the guest is entered next.
    pub fn inject(&mut self, kind: EventKind, vector: u8, error: Option<u32>) {
        let (has, code) = error.map_or((0, 0), |code| (1, u64::from(code)));
        let event = u64::from(vector) | (kind as u64) << 8 | has << 11 | VALID | code << 32;
        self.block.set_word(control::EVENT, event);
    }

    /// Lets a virtual interrupt pend; `false` if one does already.
    pub fn interrupt(&mut self, vector: u8) -> bool {
        if self.block.word(control::INTERRUPT) & PENDING != 0 {
            return false;
        }
        // The highest priority, so that only IF holds it back.
        let pending = PENDING | 0xf << 16 | u64::from(vector) << 32;
        let task_priority = self.block.word(control::INTERRUPT) & 0xff;
        self.block.set_word(control::INTERRUPT, MASKING | task_priority | pending);
        true
    }

    /// Puts in what the guest needs to go on.
    pub(super) fn load(&self, registers: &Registers, root: u64) {
        self.block.set_word(control::NESTED_ROOT, root);
        self.block.set_word(control::CLEAN, 0);
        if self.block.word(save::RIP) != registers.rip {
            // The instruction after STI or a load of SS is over.
            self.block.set_word(control::SHADOW, 0);
        }
        self.block.set_word(save::RAX, registers.rax);
        self.block.set_word(save::RSP, registers.rsp);
        self.block.set_word(save::RIP, registers.rip);
        self.block.set_word(save::RFLAGS, registers.rflags | 2);
    }

    /// Takes out what the guest left, and what the exit is about.
    pub(super) fn store(&self, registers: &mut Registers) -> GuestExit {
        registers.rax = self.block.word(save::RAX);
        registers.rsp = self.block.word(save::RSP);
        registers.rip = self.block.word(save::RIP);
        registers.rflags = self.block.word(save::RFLAGS);
        // An event that was under way when something else came first is
        // delivered again; otherwise nothing is left to be.
        let event = self.block.word(control::INTERRUPTED_EVENT);
        self.block.set_word(control::EVENT, if event & VALID != 0 { event } else { 0 });
        // Some emulations write the code's lower half only.
        let code = self.block.word(control::EXIT_CODE) as u32 as i32 as i64 as u64;
        let info = [self.block.word(control::INFO), self.block.word(control::INFO + 1)];
        GuestExit {
            code,
            info,
            next: registers.rip.wrapping_add(length(code, info, registers.rip)),
            level: (self.block.word(save::CPL) >> 24) as u8 & 3,
            interruptible: registers.rflags & 1 << 9 != 0
                && self.block.word(control::SHADOW) & 1 == 0,
            pending: self.block.word(control::INTERRUPT) & PENDING != 0,
            paging: self.paging(),
        }
    }

    /// How the guest translates addresses.
    fn paging(&self) -> GuestPaging {
        const PAGING: u64 = 1 << 31;
        const FIVE_LEVELS: u64 = 1 << 12;
        let long = self.block.word(save::EFER) & 1 << 10 != 0;
        if self.block.word(save::CR0) & PAGING == 0 {
            GuestPaging::Off
        } else if long && self.block.word(save::CR4) & FIVE_LEVELS == 0 {
            GuestPaging::FourLevels(self.block.word(save::CR3) & !(PAGE - 1))
        } else {
            GuestPaging::Other
        }
    }
}

/// Place of EFER in the list of system registers.
const EFER: usize = 4;
/// Place of the interrupt shadow there.
const SHADOW: usize = 15;
/// Place of the first segment there.
const SEGMENTS: usize = 16;

/// Where the system registers are in the block, in their order.
fn places() -> impl Iterator<Item = usize> {
    let first = [save::CR0, save::SYSTEM_CALLS + 8, save::CR3, save::CR4, save::EFER, save::PAT];
    let calls = save::SYSTEM_CALLS..save::SYSTEM_CALLS + save::SYSTEM_CALL_WORDS - 1;
    let last = [control::TSC_OFFSET, control::SHADOW];
    let segments = save::SEGMENTS..save::SEGMENTS + save::SEGMENT_WORDS;
    first.into_iter().chain(calls).chain(last).chain(segments)
}

/// Bytes of the instruction that caused an exit, as far as the exit tells: no
/// prefixes that do nothing.
fn length(code: u64, info: [u64; 2], rip: u64) -> u64 {
    match code {
        // CPUID, RDPMC, INVD, WBINVD, RDMSR and WRMSR.
        0x72 | 0x6f | 0x76 | 0x89 | 0x7c => 2,
        // HLT.
        0x78 => 1,
        // For ports the exit says it.
        0x7b => info[1].wrapping_sub(rip),
        // VMMCALL and its relatives, MONITOR, MWAIT, XSETBV.
        0x80..=0x86 | 0x8a..=0x8d => 3,
        _ => 0,
    }
}
