//! Guests: little programs that run in a virtual machine only, at address 0 of
//! its memory, in 64-bit mode with the stack at 0x8000.

use core::arch::naked_asm;

/// Bytes of a guest program, padded with HLT.
pub const BYTES: usize = 512;

macro_rules! guests {
    ($($(#[$doc:meta])* $name:ident: $($line:literal),+;)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name() -> [u8; BYTES] {
            #[unsafe(naked)]
            unsafe extern "C" fn code() {
                naked_asm!(
                    ".balign 16",
                    "77:",
                    $($line,)+
                    ".fill {bytes} - (. - 77b), 1, 0xf4",
                    bytes = const BYTES,
                )
            }
            // SAFETY: the text of the program, where it was put right above;
            // it is only copied.
            unsafe { (code as *const [u8; BYTES]).read() }
        }
    )+};
}

guests! {
    /// Halts, again and again.
    halt: "2:", "hlt", "jmp 2b";
    /// Runs for ever without an exit.
    spin: "2:", "inc rax", "jmp 2b";
    /// All registers distinct, VMMCALL, halts with what it got.
    vmmcall:
        "mov rbp, rdi", "call 78f", "vmmcall", "setc bl", "movzx ebx, bl", "hlt",
        "78:", "mov eax, 0x41000100", "mov rdi, rbp", "mov esi, 12", "mov edx, 13",
        "mov ecx, 14", "mov r8d, 15", "mov r9d, 16", "mov r10d, 20", "mov r15d, 25", "ret";
    /// The same with VMCALL, across the border of two pages.
    vmcall:
        "mov rbp, rdi", "call 78f", "vmcall", "setc bl", "movzx ebx, bl", "hlt",
        "78:", "mov eax, 0x41000100", "mov rdi, rbp", "mov esi, 12", "mov edx, 13",
        "mov ecx, 14", "mov r8d, 15", "mov r9d, 16", "mov r10d, 20", "mov r15d, 25", "ret";
    /// Counts in `rax` the instructions of a VMMCALL and its answer, by the
    /// time stamp counter.
    timed:
        "mov r15d, 8",
        "2:",
        "rdtsc", "mov r12, rax", "rdtsc", "sub rax, r12", "mov r13, rax",
        "rdtsc", "mov r12, rax", "mov eax, 0x41000102", "vmmcall", "rdtsc",
        "sub rax, r12", "sub rax, r13", "mov r14, rax",
        "dec r15", "jnz 2b", "mov rax, r14", "hlt";
    /// Endless hypercalls.
    flood: "2:", "mov eax, 0x41000102", "vmmcall", "inc rbx", "jmp 2b";
    /// Looks for the hypercall interface, and asks for the session if there is
    /// one; halts with the answer.
    detect:
        "mov eax, 1", "cpuid", "bt ecx, 31", "jnc 9f",
        "mov eax, 0x40000100", "cpuid", "cmp ebx, 0x6c707061", "jne 9f",
        "mov eax, 0x40000101", "cpuid", "cmp eax, 0x31234841", "jne 9f",
        "mov eax, 0x40000102", "cpuid", "test edx, 8", "jz 9f",
        "mov eax, 0x41000004", "vmmcall", "hlt",
        "9:", "mov eax, 0xbad", "hlt";
    /// Ports: writes and reads of each width.
    ports:
        "mov dx, 0x3f8", "mov eax, 0x41", "out dx, al", "in al, dx",
        "mov dx, 0x80", "mov ax, 0x1234", "out dx, ax", "mov dx, 0xcf8",
        "mov eax, 0x80000000", "out dx, eax", "in eax, dx", "out 0xf4, al", "hlt";
    /// Writes and reads every MSR from `rdi` to `rsi`.
    msrs:
        "mov ecx, edi", "2:", "xor eax, eax", "not eax", "mov edx, eax", "wrmsr", "rdmsr",
        "inc ecx", "cmp ecx, esi", "jne 2b", "hlt";
    /// Writes and reads every port from `rdi` to `rsi`.
    all_ports:
        "mov edx, edi", "2:", "mov al, 0xff", "out dx, al", "in al, dx",
        "inc edx", "cmp edx, esi", "jne 2b", "hlt";
    /// Reads the word at `rdi`, adds `rsi`, writes it back, halts.
    touch: "add [rdi], rsi", "mov rax, [rdi]", "hlt";
    /// Waits for an interrupt; the handler at 0x1c0 sets `rbx`.
    interrupts:
        "xor ebx, ebx", "sti", "nop", "hlt", "hlt",
        ".fill 0x1c0 - (. - 77b), 1, 0xf4", "inc rbx", "iretq";
    /// An exception without any table for it.
    triple: "ud2";
    /// Floating point and SIMD: adds to what is in the registers.
    float:
        "mov rax, cr0", "and al, 0xf3", "or al, 2", "mov cr0, rax",
        "mov rax, cr4", "or ax, 0x600", "mov cr4, rax",
        "movq xmm5, rdi", "2:", "vmmcall", "movq rax, xmm5", "cmp rax, rdi", "je 2b",
        "hlt";
    /// What belongs to the host: each must be an exit.
    forbidden:
        "mov eax, 0x1000", "vmrun rax", "vmload rax", "vmsave rax", "stgi", "clgi",
        "invd", "wbinvd", "mov dr0, rax", "mov rax, dr7", "hlt";
}
