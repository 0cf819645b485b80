//! Instructions that the CPU must refuse in user code, one function each.
//! They have the form of a partner's body; coming back from one means that the
//! CPU executed it.

use core::arch::asm;

use crate::Body;

macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident: $($line:literal),+;)+) => {$(
        $(#[$doc])*
        pub fn $name(_: u64) -> u64 {
            // SAFETY: the CPU refuses it and the thread ends. Should it not,
            // the registers that it could change are declared; what it would
            // do to the machine is what the test is about.
            unsafe {
                asm!($($line),+, out("rax") _, out("rcx") _, out("rdx") _, out("rsi") _,
                    out("rdi") _);
            }
            0
        }
    )+};
}

instructions! {
    /// Stops the CPU.
    hlt: "hlt";
    /// Keeps interrupts away.
    cli: "cli";
    /// Lets interrupts in.
    sti: "sti";
    /// Reads a port.
    port_in: "mov edx, 0x3f8", "in al, dx";
    /// Writes a port: on success, QEMU would end.
    port_out: "mov edx, 0x80", "xor eax, eax", "out dx, al";
    /// Reads a string from a port.
    port_in_string: "mov edx, 0x60", "lea rdi, [rsp - 64]", "insb";
    /// Reads CR0.
    read_cr0: "mov rax, cr0";
    /// Writes CR0.
    write_cr0: "mov eax, 0x80050033", "mov cr0, rax";
    /// Reads the address of the page tables.
    read_cr3: "mov rax, cr3";
    /// Replaces the page tables.
    write_cr3: "xor eax, eax", "mov cr3, rax";
    /// Writes CR4, protections off.
    write_cr4: "mov eax, 0x20", "mov cr4, rax";
    /// Writes a debug register.
    write_dr7: "xor eax, eax", "mov dr7, rax";
    /// Clears the trap on floating point.
    clts: "clts";
    /// Forgets a translation.
    invlpg: "invlpg [rsp]";
    /// Forgets all caches.
    wbinvd: "wbinvd";
    /// Reads the address of the system call entry.
    rdmsr: "mov ecx, 0xc0000082", "rdmsr";
    /// Replaces the system call entry.
    wrmsr: "mov ecx, 0xc0000082", "xor eax, eax", "xor edx, edx", "wrmsr";
    /// Replaces the segment table.
    lgdt: "lgdt [rsp]";
    /// Replaces the interrupt table.
    lidt: "lidt [rsp]";
    /// Replaces the local segment table.
    lldt: "xor eax, eax", "lldt ax";
    /// Replaces the task state.
    ltr: "mov eax, 0x28", "ltr ax";
    /// Tells where the segment table is.
    sgdt: "sgdt [rsp - 64]";
    /// Tells where the interrupt table is.
    sidt: "sidt [rsp - 64]";
    /// Tells the machine's status word.
    smsw: "smsw rax";
    /// Exchanges the GS bases.
    swapgs: "swapgs";
    /// Returns from a system call.
    sysret: "sysretq";
    /// Loads a kernel segment.
    kernel_segment: "mov eax, 0x10", "mov ds, eax";
    /// Sets the FS base without the kernel.
    wrfsbase: "xor eax, eax", "wrfsbase rax";
    /// Sets the GS base without the kernel.
    wrgsbase: "mov rax, -1", "wrgsbase rax";
    /// Chooses which registers `xsave` knows.
    xsetbv: "xor ecx, ecx", "mov eax, 1", "xor edx, edx", "xsetbv";
    /// Calls the vector of the timer.
    int_timer: "int 0xf0";
    /// Claims that there was a page fault.
    int_page_fault: "int 14";
    /// Claims that there was a double fault.
    int_double_fault: "int 8";
    /// Calls a vector that nobody uses.
    int_0x80: "int 0x80";
    /// An instruction that does not exist.
    undefined: "ud2";
    /// A breakpoint.
    breakpoint: "int3";
    /// Divides by zero.
    divide: "xor ecx, ecx", "xor edx, edx", "mov eax, 1", "div ecx";
    /// Reads at an address that no pointer can have.
    read_non_canonical: "mov rax, 0x800000000000", "mov rax, [rax]";
    /// Jumps to an address that no pointer can have.
    jump_non_canonical: "mov rax, 0x800000000000", "jmp rax";
    /// Jumps to the last page of the lower half.
    jump_last_page: "mov rax, 0x7ffffffff000", "jmp rax";
    /// Starts a virtual machine.
    vmrun: "xor eax, eax", "vmrun rax";
}

/// A group of instructions with their names.
pub type Group = &'static [(&'static str, Body)];

macro_rules! group {
    ($(#[$doc:meta])* $group:ident: $($name:ident),+) => {
        $(#[$doc])*
        pub const $group: Group = &[$((stringify!($name), $name)),+];
    };
}

group! {
    /// Interrupts and the CPU's own state.
    CPU_STATE: hlt, cli, sti, clts, invlpg, wbinvd, swapgs, sysret
}
group! {
    /// Ports that the task was not given.
    PORTS: port_in, port_out, port_in_string
}
group! {
    /// Control and debug registers.
    CONTROL_REGISTERS: read_cr0, write_cr0, read_cr3, write_cr3, write_cr4, write_dr7
}
group! {
    /// Model specific registers.
    MODEL_SPECIFIC: rdmsr, wrmsr
}
group! {
    /// The tables of the CPU.
    TABLES: lgdt, lidt, lldt, ltr, kernel_segment
}
group! {
    /// Vectors that belong to the hardware.
    VECTORS: int_timer, int_page_fault, int_double_fault, int_0x80
}
group! {
    /// Instructions that a control bit forbids as if they did not exist.
    SWITCHED_OFF: wrfsbase, wrgsbase
}
group! {
    /// Where the CPU's tables are, which UMIP hides.
    HIDDEN: sgdt, sidt, smsw
}

/// Whether the CPU can hide its tables from users.
#[must_use]
pub fn has_umip() -> bool {
    let leaf = core::arch::x86_64::__cpuid_count(7, 0);
    leaf.ecx & 1 << 2 != 0
}

/// Tries to give itself the right to use ports and to keep interrupts away
/// (IOPL and IF through `popf`); the flags afterwards.
#[must_use]
pub fn flags_after_asking_for_more() -> u64 {
    let flags;
    // SAFETY: `popf` in user code ignores both; the flags are set back to what
    // they were, DF clear.
    unsafe {
        asm!(
            "pushfq",
            "pop rax",
            "or rax, 0x3000",
            "and rax, ~0x200",
            "push rax",
            "popfq",
            "pushfq",
            "pop {flags}",
            "push 0x202",
            "popfq",
            flags = out(reg) flags,
            out("rax") _,
        );
    }
    flags
}

/// Executes an undefined instruction with this frame pointer, which a crash
/// report follows.
pub fn crash_with_frame(frame: u64) -> u64 {
    // SAFETY: the thread ends here.
    unsafe { asm!("mov rbp, {}", "ud2", in(reg) frame, options(noreturn)) }
}

/// Executes an undefined instruction with this stack pointer.
pub fn crash_with_stack(stack: u64) -> u64 {
    // SAFETY: the thread ends here.
    unsafe { asm!("mov rsp, {}", "ud2", in(reg) stack, options(noreturn)) }
}

/// Sets the trap flag; the trap comes after the instruction behind it.
pub fn single_step(_: u64) -> u64 {
    // SAFETY: the trap ends the thread; should it not, the flags are as they
    // were.
    unsafe { asm!("push 0x302", "popfq", "nop", "nop", "push 0x202", "popfq") };
    0
}

/// Touches memory that is not aligned with the alignment check on.
pub fn unaligned_with_check(address: u64) -> u64 {
    let value;
    // SAFETY: reads mapped memory, and sets the flags back.
    unsafe {
        asm!("push 0x40202", "popfq", "mov {0}, [{1}]", "push 0x202", "popfq",
            out(reg) value, in(reg) address);
    }
    value
}
