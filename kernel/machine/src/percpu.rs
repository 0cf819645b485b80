//! What belongs to one CPU, reached through GS.
//!
//! In the kernel the GS base points to the CPU's [`PerCpu`]; `swapgs` at the
//! border exchanges it with the user's, which is always 0 or a small number
//! (FSGSBASE is off), so that its sign tells the two apart. Must never hold
//! what another CPU needs: that is the business of the one cell.

use core::arch::asm;
use core::mem::offset_of;

use postern_core::machine::{Registers, UserState};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::{GsBase, KernelGsBase};
use x86_64::structures::gdt::GlobalDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;

/// The data of a CPU. `repr(C)`, as the entry code knows the offsets.
#[repr(C, align(64))]
pub struct PerCpu {
    /// Top of the kernel stack, 16-byte aligned.
    pub stack: u64,
    /// Number of this CPU.
    pub number: u32,
    /// Begins 4 bytes off, so that its first stack pointer lies on 8.
    pub tss: TaskStateSegment,
    /// Segments of this CPU.
    pub gdt: GlobalDescriptorTable<8>,
}

/// Offset of the kernel stack's top.
pub const STACK: usize = offset_of!(PerCpu, stack);
/// Offset of the end of the running thread's registers: the stack pointer
/// that the CPU loads when an interrupt hits user code (`TSS.RSP0`).
pub const USER_END: usize =
    offset_of!(PerCpu, tss) + offset_of!(TaskStateSegment, privilege_stack_table);
const NUMBER: usize = offset_of!(PerCpu, number);

const _: () = assert!(USER_END.is_multiple_of(8) && size_of::<Registers>().is_multiple_of(16));
const _: () = assert!(offset_of!(UserState, registers) == 0);

impl PerCpu {
    /// Data of a CPU that runs nothing yet.
    #[must_use]
    pub const fn new(number: u32, stack: u64) -> Self {
        Self { stack, number, tss: TaskStateSegment::new(), gdt: GlobalDescriptorTable::empty() }
    }
}

/// Makes `data` the data of this CPU.
///
/// # Safety
/// The GDT and TSS in `data` are complete; nobody else uses `data` from now on.
pub unsafe fn install(data: &'static mut PerCpu) {
    GsBase::write(VirtAddr::from_ptr(data));
    KernelGsBase::write(VirtAddr::zero());
}

#[inline(always)]
fn load<const OFFSET: usize>() -> u64 {
    let value;
    // SAFETY: in the kernel GS points to this CPU's data (`install`), and the
    // constants used here are offsets in it with 8 bytes behind them.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) value, const OFFSET,
            options(nostack, preserves_flags, readonly));
    }
    value
}

#[inline(always)]
fn store<const OFFSET: usize>(value: u64) {
    // SAFETY: as in `load`; no Rust reference to the field exists.
    unsafe {
        asm!("mov gs:[{}], {}", const OFFSET, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Number of this CPU; `None` before its data is there.
#[must_use]
pub fn number() -> Option<u32> {
    let installed = GsBase::read().as_u64() >> 63 == 1;
    installed.then(|| load::<NUMBER>() as u32)
}

/// Where entries from user code save registers from now on, and the FS base of
/// that code.
///
/// # Safety
/// `state` is valid until the next call, for whatever enters from user code.
/// `fs_base` is canonical.
#[inline(always)]
pub unsafe fn set_user_state(state: *mut UserState, fs_base: u64) {
    store::<USER_END>(state as u64 + size_of::<Registers>() as u64);
    // SAFETY: MSR 0xc000_0100 is the FS base, which the kernel does not use;
    // canonical as the caller promises.
    unsafe {
        asm!("wrmsr", in("ecx") 0xc000_0100_u32, in("eax") fs_base as u32,
            in("edx") (fs_base >> 32) as u32, options(nostack, preserves_flags));
    }
}

/// No user code is running, and whatever runs next counts as another thread.
pub fn forget_user_state() {
    store::<USER_END>(0);
}

/// Makes GS the kernel's again where that is not certain: an exception in the
/// kernel may hit just before or after a `swapgs`. Only for what never returns.
pub fn recover() {
    if (GsBase::read().as_u64() as i64) >= 0 && KernelGsBase::read().as_u64() >> 63 == 1 {
        // SAFETY: the positive base is the user's, so the kernel's is in the
        // other register.
        unsafe { asm!("swapgs", options(nostack, preserves_flags)) };
    }
}
