//! Into a guest and out of it.

use core::arch::{asm, naked_asm};
use core::mem::offset_of;

use postern_core::machine::Registers;

use crate::{cell, fpu, percpu};

/// Exits that only say that the machine wants something: an interrupt, an NMI,
/// SMI, INIT.
const INTERRUPTS: core::ops::RangeInclusive<u64> = 0x60..=0x63;

/// The machine is broken, which is nothing that a guest is told.
const MACHINE_CHECK: u64 = 0x52;

/// Enters the guest that the current thread is, and tells the core of its exit.
///
/// # Safety
/// As for [`crate::exit::leave`]; the core made a thread current that is a
/// virtual CPU.
#[inline(never)]
pub unsafe fn run() {
    percpu::forget_user_state();
    // SAFETY: nothing else borrows the state (contract); interrupts are off
    // until the borrow ends.
    let kernel = unsafe { cell::kernel() };
    let host = kernel.machine.host_block();
    let (state, vcpu, space) = kernel.guest().expect("the current thread is a virtual CPU");
    let registers = &mut state.registers;
    vcpu.load(registers, space.root().expect("a guest's memory is there while it runs"));
    // SAFETY: the block is complete and its nested tables are the guest's; the
    // host's block is this CPU's. Floating point is the guest's while it is
    // open: the kernel itself uses none, and the core has closed it (the thread
    // of a guest uses none outside).
    unsafe {
        vcpu.float().load();
        enter(registers, vcpu.block(), host);
        vcpu.float().save();
        fpu::close();
    }
    let exit = vcpu.store(registers);
    assert!(exit.code != MACHINE_CHECK, "a machine check while a guest ran");
    if INTERRUPTS.contains(&exit.code) {
        // It is still pending; the borrow has ended.
        // SAFETY: the stack and GS are the kernel's.
        unsafe { asm!("sti", "nop", "cli") };
    } else {
        kernel.guest_exit(exit);
    }
}

/// Loads the guest's registers, runs it until its exit, stores them.
///
/// # Safety
/// `block` and `host` are physical addresses of control blocks; that of the
/// guest is complete. Interrupts are off.
#[unsafe(naked)]
#[rustfmt::skip]
unsafe extern "C" fn enter(registers: *mut Registers, block: u64, host: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdi",
        "push rdx",
        // FS, GS, TR, LDTR and the MSRs of system calls are not switched by
        // VMRUN.
        "mov rax, rdx",
        "vmsave rax",
        "mov rax, rsi",
        "mov rbx, [rdi + {rbx}]",
        "mov rcx, [rdi + {rcx}]",
        "mov rdx, [rdi + {rdx}]",
        "mov rsi, [rdi + {rsi}]",
        "mov rbp, [rdi + {rbp}]",
        "mov r8, [rdi + {r8}]",
        "mov r9, [rdi + {r9}]",
        "mov r10, [rdi + {r10}]",
        "mov r11, [rdi + {r11}]",
        "mov r12, [rdi + {r12}]",
        "mov r13, [rdi + {r13}]",
        "mov r14, [rdi + {r14}]",
        "mov r15, [rdi + {r15}]",
        "mov rdi, [rdi + {rdi}]",
        // With the global flag clear, setting IF lets nothing in here; while
        // the guest runs it makes physical interrupts exits.
        "clgi",
        "sti",
        "vmload rax",
        "vmrun rax",
        // RAX and RSP are the host's again.
        "vmsave rax",
        "mov rax, [rsp]",
        "vmload rax",
        "cli",
        "stgi",
        "mov rax, [rsp + 8]",
        "mov [rax + {rbx}], rbx",
        "mov [rax + {rcx}], rcx",
        "mov [rax + {rdx}], rdx",
        "mov [rax + {rsi}], rsi",
        "mov [rax + {rdi}], rdi",
        "mov [rax + {rbp}], rbp",
        "mov [rax + {r8}], r8",
        "mov [rax + {r9}], r9",
        "mov [rax + {r10}], r10",
        "mov [rax + {r11}], r11",
        "mov [rax + {r12}], r12",
        "mov [rax + {r13}], r13",
        "mov [rax + {r14}], r14",
        "mov [rax + {r15}], r15",
        "pop rdx",
        "pop rdi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "cld",
        "ret",
        rbx = const offset_of!(Registers, rbx),
        rcx = const offset_of!(Registers, rcx),
        rdx = const offset_of!(Registers, rdx),
        rsi = const offset_of!(Registers, rsi),
        rdi = const offset_of!(Registers, rdi),
        rbp = const offset_of!(Registers, rbp),
        r8 = const offset_of!(Registers, r8),
        r9 = const offset_of!(Registers, r9),
        r10 = const offset_of!(Registers, r10),
        r11 = const offset_of!(Registers, r11),
        r12 = const offset_of!(Registers, r12),
        r13 = const offset_of!(Registers, r13),
        r14 = const offset_of!(Registers, r14),
        r15 = const offset_of!(Registers, r15),
    )
}
