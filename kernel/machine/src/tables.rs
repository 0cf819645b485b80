//! The CPU's own tables: segments (GDT), task state (TSS), interrupts (IDT).
//!
//! Written once for each CPU at boot; afterwards only `TSS.RSP0` changes. The
//! order of the segments is the one that `syscall` and `sysret` dictate.

use core::arch::asm;
use core::mem::offset_of;

use x86_64::instructions::segmentation::{CS, DS, ES, FS, GS, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::registers::control::{Efer, EferFlags};
use x86_64::registers::model_specific::{LStar, Msr, SFMask, Star};
use x86_64::registers::rflags::RFlags;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, SegmentSelector};
use x86_64::{PrivilegeLevel, VirtAddr};

use crate::entry;
use crate::percpu::{self, PerCpu};

/// Kernel code.
pub const KERNEL_CODE: u16 = 0x08;
/// Kernel data.
pub const KERNEL_DATA: u16 = 0x10;
/// User data, with the privilege level that `sysret` gives it.
pub const USER_DATA: u16 = 0x18 | 3;
/// User code, the one after user data (`sysret` counts on it).
pub const USER_CODE: u16 = 0x20 | 3;
/// Task state.
const TASK_STATE: u16 = 0x28;

/// Exceptions with a stack of their own, because they can hit the kernel where
/// its stack pointer or GS is not its own; the n-th uses IST slot n.
pub const OWN_STACK: [u8; 4] =
    [vector::DEBUG, vector::NMI, vector::DOUBLE_FAULT, vector::MACHINE_CHECK];

/// Interrupt vectors.
pub mod vector {
    /// Single step, `int1`.
    pub const DEBUG: u8 = 1;
    /// Non-maskable interrupt.
    pub const NMI: u8 = 2;
    /// `int3`, the one that users may raise.
    pub const BREAKPOINT: u8 = 3;
    /// An exception while another one was delivered.
    pub const DOUBLE_FAULT: u8 = 8;
    /// General protection.
    pub const PROTECTION: u8 = 13;
    /// Page fault.
    pub const PAGE_FAULT: u8 = 14;
    /// An x87 instruction failed.
    pub const FLOATING_POINT: u8 = 16;
    /// A SIMD instruction failed.
    pub const SIMD: u8 = 19;
    /// Broken hardware.
    pub const MACHINE_CHECK: u8 = 18;
    /// First vector that is not an exception; the masked PICs sit here.
    pub const PIC: u8 = 0x20;
    /// Vector of interrupt line 0.
    pub const LINES: u8 = 0x30;
    /// First vector past the lines.
    pub const LINES_END: u8 = LINES + crate::ioapic::LINES as u8;
    /// The timer of this CPU.
    pub const TIMER: u8 = 0xf0;
    /// The interrupt controller reports an error of its own.
    pub const ERROR: u8 = 0xfe;
    /// An interrupt that went away before it was delivered.
    pub const SPURIOUS: u8 = 0xff;
}

/// One interrupt gate.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Gate {
    low: u64,
    high: u64,
}

impl Gate {
    /// A gate that keeps interrupts off.
    const fn new(handler: u64, ist: u64, level: u64) -> Self {
        const INTERRUPT_GATE: u64 = 0x8e00 << 32;
        Self {
            low: handler & 0xffff
                | (KERNEL_CODE as u64) << 16
                | ist << 32
                | INTERRUPT_GATE
                | level << 45
                | (handler >> 16 & 0xffff) << 48,
            high: handler >> 32,
        }
    }
}

/// The interrupt table: one page, the same for all CPUs.
#[repr(C, align(4096))]
pub struct Interrupts([Gate; 256]);

impl Interrupts {
    /// Every vector leads to its stub in [`mod@entry`].
    #[must_use]
    pub fn new() -> Self {
        let mut gates = [Gate::new(0, 0, 0); 256];
        for (number, gate) in gates.iter_mut().enumerate() {
            let own = OWN_STACK.iter().position(|own| usize::from(*own) == number);
            let ist = own.map_or(0, |slot| slot as u64 + 1);
            let level = if number == usize::from(vector::BREAKPOINT) { 3 } else { 0 };
            *gate = Gate::new(entry::stub(number), ist, level);
        }
        Self(gates)
    }
}

/// Completes the tables in `data` and loads everything on this CPU.
///
/// # Safety
/// Runs once for each CPU, on the kernel's page tables. `own_stacks` are the
/// tops of mapped stacks that nothing else uses, one for each of
/// [`OWN_STACK`]. `interrupts` never changes.
pub unsafe fn load(
    data: &'static mut PerCpu,
    own_stacks: [u64; OWN_STACK.len()],
    interrupts: &'static Interrupts,
) {
    for (slot, top) in own_stacks.into_iter().enumerate() {
        data.tss.interrupt_stack_table[slot] = VirtAddr::new(top);
    }
    let task_state = &raw const data.tss;
    data.gdt.append(Descriptor::kernel_code_segment());
    data.gdt.append(Descriptor::kernel_data_segment());
    data.gdt.append(Descriptor::user_data_segment());
    data.gdt.append(Descriptor::user_code_segment());
    // SAFETY: the TSS lives in `data`, which is never freed or moved.
    data.gdt.append(unsafe { Descriptor::tss_segment_unchecked(task_state) });
    let pointer = DescriptorTablePointer {
        limit: (size_of::<Interrupts>() - 1) as u16,
        base: VirtAddr::from_ptr(interrupts),
    };
    // SAFETY: the selectors name the descriptors just made; the tables live
    // for ever; GS is loaded before its base is set.
    unsafe {
        data.gdt.load_unsafe();
        CS::set_reg(SegmentSelector(KERNEL_CODE));
        SS::set_reg(SegmentSelector(KERNEL_DATA));
        DS::set_reg(SegmentSelector::NULL);
        ES::set_reg(SegmentSelector::NULL);
        FS::set_reg(SegmentSelector::NULL);
        GS::set_reg(SegmentSelector::NULL);
        // No local segments: with a null selector nothing can be loaded.
        asm!("lldt {:x}", in(reg) 0, options(nostack, preserves_flags));
        load_tss(SegmentSelector::new(TASK_STATE >> 3, PrivilegeLevel::Ring0));
        lidt(&pointer);
        percpu::install(data);
    }
    system_calls();
}

/// The MSR with the segment for `sysenter`, which faults while it is 0.
const SYSENTER_SEGMENT: u32 = 0x174;

/// Makes `syscall` come in at [`entry::system_call`], and `sysenter` nowhere.
fn system_calls() {
    let cleared = RFlags::INTERRUPT_FLAG
        | RFlags::TRAP_FLAG
        | RFlags::DIRECTION_FLAG
        | RFlags::ALIGNMENT_CHECK
        | RFlags::NESTED_TASK
        | RFlags::RESUME_FLAG
        | RFlags::IOPL_LOW
        | RFlags::IOPL_HIGH;
    SFMask::write(cleared);
    LStar::write(VirtAddr::from_ptr(entry::system_call as *const ()));
    // SAFETY: `sysret` adds 8 for the stack and 16 for the code segment, which
    // gives the user's; `syscall` loads the kernel's code segment and the one
    // after it. The entry point is set.
    unsafe {
        Star::write_raw(KERNEL_DATA | 3, KERNEL_CODE);
        Efer::update(|efer| efer.insert(EferFlags::SYSTEM_CALL_EXTENSIONS));
        Msr::new(SYSENTER_SEGMENT).write(0);
    }
}

const _: () = assert!(offset_of!(Gate, high) == 8 && size_of::<Interrupts>() == 4096);
