//! System calls with every register under control, and what the border leaves
//! in them.

use core::arch::{asm, naked_asm};
use core::mem::offset_of;

use postern_runtime::syscall::Code;
use postern_runtime::syscall::abi::utcb::RUNTIME;

/// All registers around a system call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the names of the registers say it all")]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    /// The flags, before and after.
    pub flags: u64,
    /// The stack pointer after the call, less that before it.
    pub rsp: u64,
}

impl Registers {
    /// Every register filled with a value of its own, and `rax` for `code`.
    #[must_use]
    pub const fn patterned(rax: u64) -> Self {
        const fn pattern(number: u64) -> u64 {
            0xdead_0000_0000_0000 | number
        }
        Self {
            rax,
            rbx: pattern(1),
            rcx: pattern(2),
            rdx: pattern(3),
            rsi: pattern(4),
            rdi: pattern(5),
            rbp: pattern(6),
            r8: pattern(8),
            r9: pattern(9),
            r10: pattern(10),
            r11: pattern(11),
            r12: pattern(12),
            r13: pattern(13),
            r14: pattern(14),
            r15: pattern(15),
            flags: 0x202,
            rsp: 0,
        }
    }

    /// Executes `vmcall` with these registers; all registers afterwards.
    #[must_use]
    pub fn vmcall(mut self) -> Self {
        // SAFETY: as in `call`; the instruction is a fault or a hypercall.
        unsafe { probe_vmcall(&raw mut self) };
        self
    }

    /// Executes `vmmcall` with these registers; all registers afterwards.
    #[must_use]
    pub fn vmmcall(mut self) -> Self {
        // SAFETY: as in `vmcall`.
        unsafe { probe_vmmcall(&raw mut self) };
        self
    }

    /// Executes `syscall` with these registers; all registers afterwards.
    #[must_use]
    pub fn call(mut self) -> Self {
        // SAFETY: `probe` follows the C ABI, whatever the system call does to
        // the registers, and clears DF and TF. The call acts on this task only
        // (see the module); exit does not return, which is no harm.
        unsafe { probe(&raw mut self) };
        self
    }
}

/// A function that loads all registers from `registers`, executes an
/// instruction, and stores them.
macro_rules! probe {
    ($name:ident, $instruction:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(registers: *mut Registers) {
            naked_asm!(
                "push rbx",
                "push rbp",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                "push rdi",
                "mov [rdi + {rsp}], rsp",
                "mov rax, [rdi + {rax}]",
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
                "push [rdi + {flags}]",
                "mov rdi, [rdi + {rdi}]",
                "popfq",
                $instruction,
                // Exchanging and moving leave the flags alone.
                "xchg rdi, [rsp]",
                "mov [rdi + {rax}], rax",
                "mov [rdi + {rbx}], rbx",
                "mov [rdi + {rcx}], rcx",
                "mov [rdi + {rdx}], rdx",
                "mov [rdi + {rsi}], rsi",
                "mov [rdi + {rbp}], rbp",
                "mov [rdi + {r8}], r8",
                "mov [rdi + {r9}], r9",
                "mov [rdi + {r10}], r10",
                "mov [rdi + {r11}], r11",
                "mov [rdi + {r12}], r12",
                "mov [rdi + {r13}], r13",
                "mov [rdi + {r14}], r14",
                "mov [rdi + {r15}], r15",
                "pushfq",
                "pop [rdi + {flags}]",
                "mov rax, rsp",
                "sub rax, [rdi + {rsp}]",
                "mov [rdi + {rsp}], rax",
                "pop rax",
                "mov [rdi + {rdi}], rax",
                "push 0x202",
                "popfq",
                "pop r15",
                "pop r14",
                "pop r13",
                "pop r12",
                "pop rbp",
                "pop rbx",
                "ret",
                rax = const offset_of!(Registers, rax),
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
                flags = const offset_of!(Registers, flags),
                rsp = const offset_of!(Registers, rsp),
            )
        }
    };
}
probe!(probe, "syscall");
probe!(probe_vmcall, "vmcall");
probe!(probe_vmmcall, "vmmcall");

/// Byte offset in the UTCB where the stack pointer is kept meanwhile.
const KEPT: usize = (RUNTIME + 64) * 8;

/// Makes the null call with `stack` as the stack pointer; its output.
#[must_use]
pub fn null_with_stack(stack: u64) -> u64 {
    let out;
    // SAFETY: the stack pointer is kept in a word of the UTCB that nothing
    // else uses, and is back before anything uses the stack.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov fs:[{kept}], rsp",
            "mov rsp, {stack}",
            "syscall",
            "mov rsp, fs:[{kept}]",
            "pop rbp",
            "pop rbx",
            kept = const KEPT,
            stack = in(reg) stack,
            inlateout("rax") Code::Null.plain() => out,
            lateout("rdi") _, lateout("rsi") _, lateout("rdx") _, lateout("rcx") _,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
        );
    }
    out
}

/// Counts down from `rounds` with `stack` as the stack pointer, so that
/// interrupts meet it.
pub fn spin_with_stack(stack: u64, rounds: u64) {
    // SAFETY: as in `null_with_stack`; the loop does not use the stack.
    unsafe {
        asm!(
            "mov fs:[{kept}], rsp",
            "mov rsp, {stack}",
            "2:",
            "dec {rounds}",
            "jnz 2b",
            "mov rsp, fs:[{kept}]",
            kept = const KEPT,
            stack = in(reg) stack,
            rounds = inout(reg) rounds => _,
        );
    }
}

/// Fills the registers with values that begin with `seed`, counts down from
/// `rounds`, and tells how many registers kept their value (12 do).
#[must_use]
pub fn kept_registers(seed: u64, rounds: u64) -> u64 {
    let kept;
    // SAFETY: every register that is used is declared or pushed.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "lea rbx, [rax + 1]",
            "lea rdx, [rax + 2]",
            "lea rsi, [rax + 3]",
            "lea rdi, [rax + 4]",
            "lea rbp, [rax + 5]",
            "lea r8, [rax + 6]",
            "lea r9, [rax + 7]",
            "lea r10, [rax + 8]",
            "lea r11, [rax + 9]",
            "lea r12, [rax + 10]",
            "lea r13, [rax + 11]",
            "lea r14, [rax + 12]",
            "2:",
            "dec rcx",
            "jnz 2b",
            "xor r15d, r15d",
            "sub rbx, 1",
            "cmp rbx, rax",
            "sete cl",
            "add r15, rcx",
            "sub rdx, 2",
            "cmp rdx, rax",
            "sete cl",
            "add r15, rcx",
            "sub rsi, 3",
            "cmp rsi, rax",
            "sete cl",
            "add r15, rcx",
            "sub rdi, 4",
            "cmp rdi, rax",
            "sete cl",
            "add r15, rcx",
            "sub rbp, 5",
            "cmp rbp, rax",
            "sete cl",
            "add r15, rcx",
            "sub r8, 6",
            "cmp r8, rax",
            "sete cl",
            "add r15, rcx",
            "sub r9, 7",
            "cmp r9, rax",
            "sete cl",
            "add r15, rcx",
            "sub r10, 8",
            "cmp r10, rax",
            "sete cl",
            "add r15, rcx",
            "sub r11, 9",
            "cmp r11, rax",
            "sete cl",
            "add r15, rcx",
            "sub r12, 10",
            "cmp r12, rax",
            "sete cl",
            "add r15, rcx",
            "sub r13, 11",
            "cmp r13, rax",
            "sete cl",
            "add r15, rcx",
            "sub r14, 12",
            "cmp r14, rax",
            "sete cl",
            "add r15, rcx",
            "pop rbp",
            "pop rbx",
            inout("rax") seed => _,
            inout("rcx") rounds => _,
            out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _, out("r10") _,
            out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") kept,
        );
    }
    kept
}

/// Steps into a system call: the trap flag is set by the instruction before
/// it. Comes back only if nothing traps.
pub fn trap_into_null(_: u64) -> u64 {
    let out;
    // SAFETY: as in `null_with_stack`; a trap ends the thread.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "push 0x302",
            "popfq",
            "syscall",
            "push 0x202",
            "popfq",
            "pop rbp",
            "pop rbx",
            inlateout("rax") Code::Null.plain() => out,
            lateout("rdi") _, lateout("rsi") _, lateout("rdx") _, lateout("rcx") _,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
        );
    }
    out
}

/// Loads the null selector into FS and GS, which zeroes their bases, and makes
/// a call and a sleep.
pub fn forget_segments() {
    // SAFETY: changes what `fs:[0]` means, which a thread that is expected to
    // die of it uses next.
    unsafe {
        asm!("mov fs, {0:x}", "mov gs, {0:x}", in(reg) 0, options(nomem, nostack, preserves_flags));
    }
    let _ = postern_runtime::syscall::control::null();
    let _ = postern_runtime::syscall::control::sleep_until(
        postern_runtime::syscall::control::clock() + 1_000_000,
    );
}

/// The first instruction of a thread that pushes all its registers, in the
/// order `rax rbx rcx rdx rsi rdi rbp r8` to `r15`, flags, and exits.
#[must_use]
pub fn pushing_entry() -> u64 {
    push_all as *const () as u64
}

#[unsafe(naked)]
unsafe extern "C" fn push_all() -> ! {
    naked_asm!(
        "push rax",
        "push rbx",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rbp",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "pushfq",
        "mov eax, {exit}",
        "xor edi, edi",
        "syscall",
        "ud2",
        exit = const Code::Exit.plain(),
    )
}
