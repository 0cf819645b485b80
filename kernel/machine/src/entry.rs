//! The ways into the kernel: `syscall`, interrupts, exceptions.
//!
//! Assembly that saves the user's registers where they belong and calls Rust
//! on this CPU's kernel stack. It must never decide anything, and never touch
//! user memory. Interrupts are off on every way in (interrupt gates, SFMASK).
//!
//! An interrupt of user code pushes straight into the thread: `TSS.RSP0` is the
//! end of its [`Registers`]. One of kernel code (idle and between the steps of
//! long work) pushes the same frame onto the kernel stack.
//!
//! The code is RIP-relative throughout, as the kernel is a PIE.

use core::arch::naked_asm;
use core::mem::offset_of;

use postern_abi::{ABI_VERSION, Code};
use postern_core::machine::{Form, Registers, UserState};

use crate::{exit, percpu, trap};

/// Bytes of a stub for one vector.
const STUB: usize = 16;

/// Address of the stub for a vector.
#[must_use]
pub fn stub(vector: usize) -> u64 {
    (stubs as *const ()).addr() as u64 + (vector * STUB) as u64
}

/// Stubs for all vectors, [`STUB`] bytes each: an error code where the CPU
/// pushes none, the vector, and on to the common part.
#[unsafe(naked)]
#[rustfmt::skip]
extern "C" fn stubs() {
    naked_asm!(
        ".balign 16",
        ".set .Lpostern_vector, 0",
        ".rept 256",
        ".balign 16",
        // Vectors with an error code: 8, 10 to 14, 17, 21, 29, 30.
        ".if ((0x60227d00 >> (.Lpostern_vector & 31)) & 1) && (.Lpostern_vector < 32)",
        ".else",
        "push 0",
        ".endif",
        // `push` of a 32-bit immediate.
        ".byte 0x68",
        ".long .Lpostern_vector",
        // Vectors with a stack of their own: 1, 2, 8, 18.
        ".if ((0x00040106 >> (.Lpostern_vector & 31)) & 1) && (.Lpostern_vector < 32)",
        "jmp {own_stack}",
        ".else",
        "jmp {common}",
        ".endif",
        ".set .Lpostern_vector, .Lpostern_vector + 1",
        ".endr",
        own_stack = sym own_stack,
        common = sym common,
    )
}

/// Pushes the general registers in the order of [`Registers`], and gives the
/// kernel its flags (DF and AC come from the user otherwise). The flags go
/// through the place of r15, as nothing below the registers may be written.
macro_rules! push_registers {
    () => {
        "push rax
         push rdi
         push rsi
         push rdx
         push rcx
         push r8
         push r9
         push r10
         push r11
         push rbx
         push rbp
         push r12
         push r13
         push r14
         push 2
         popfq
         push r15"
    };
}

/// Undoes [`push_registers`] and drops vector and error code.
macro_rules! pop_registers {
    () => {
        "pop r15
         pop r14
         pop r13
         pop r12
         pop rbp
         pop rbx
         pop r11
         pop r10
         pop r9
         pop r8
         pop rcx
         pop rdx
         pop rsi
         pop rdi
         pop rax
         add rsp, 16"
    };
}
pub(crate) use pop_registers;

/// Interrupts and exceptions on the ordinary stack.
#[unsafe(naked)]
#[rustfmt::skip]
extern "C" fn common() {
    naked_asm!(
        push_registers!(),
        "test byte ptr [rsp + {cs}], 3",
        "jz 2f",
        // User code: `rsp` is the thread's `UserState`.
        "swapgs",
        "mov rdi, rsp",
        "jmp {from_user}",
        // Kernel code: GS is looked after by what cannot come back.
        "2:",
        "mov rdi, rsp",
        "call {from_kernel}",
        pop_registers!(),
        "iretq",
        cs = const offset_of!(Registers, cs),
        from_user = sym from_user,
        from_kernel = sym trap::from_kernel,
    )
}

/// Exceptions with a stack of their own, on which the frame was pushed.
#[unsafe(naked)]
#[rustfmt::skip]
extern "C" fn own_stack() {
    naked_asm!(
        push_registers!(),
        "test byte ptr [rsp + {cs}], 3",
        "jz 2f",
        "swapgs",
        "cmp byte ptr [rsp + {vector}], 1",
        "jne 4f",
        // A debug exception of user code: move the frame to where an ordinary
        // one would be.
        "mov rdi, gs:[{user_end}]",
        "sub rdi, {size}",
        "mov rsi, rsp",
        "mov ecx, {size} / 8",
        "mov rax, rdi",
        "rep movsq",
        "mov rdi, rax",
        "jmp {from_user}",
        // Kernel code: GS may still, or again, be the user's, whose base is
        // never negative.
        "2:",
        "xor ebx, ebx",
        "mov ecx, 0xc0000101",
        "rdmsr",
        "test edx, edx",
        "js 4f",
        "swapgs",
        "inc ebx",
        "4:",
        "mov rdi, rsp",
        "call {from_kernel}",
        "test ebx, ebx",
        "jz 5f",
        "swapgs",
        "5:",
        pop_registers!(),
        "iretq",
        cs = const offset_of!(Registers, cs),
        vector = const offset_of!(Registers, vector),
        user_end = const percpu::USER_END,
        size = const size_of::<Registers>(),
        from_user = sym from_user,
        from_kernel = sym trap::from_kernel,
    )
}

/// Goes on with the saved thread in `rdi`, on the kernel stack.
#[unsafe(naked)]
#[rustfmt::skip]
extern "C" fn from_user() {
    naked_asm!(
        "mov qword ptr [rdi + {form}], {full}",
        "mov rsp, gs:[{stack}]",
        "call {from_user}",
        "ud2",
        form = const offset_of!(UserState, form),
        full = const Form::Full as u64,
        stack = const percpu::STACK,
        from_user = sym trap::from_user,
    )
}

/// Where `syscall` comes in: `rcx` holds the instruction pointer, `r11` the
/// flags, which the convention lets go.
///
/// Everything that the convention destroys is left where it is, so that the
/// Rust functions find the arguments in registers (`rcx` in place of `r10`).
/// The calls with a fast path, without flags and timeouts, have an entry of
/// their own: what they are is then known. None of the functions returns; they
/// end in the exit. `Null` is answered here: there is nothing to decide.
#[unsafe(naked)]
#[rustfmt::skip]
pub extern "C" fn system_call() {
    naked_asm!(
        "swapgs",
        "mov r11, gs:[{user_end}]",
        "mov [r11 + {rip} - {size}], rcx",
        "mov [r11 + {rsp} - {size}], rsp",
        "mov rsp, gs:[{stack}]",
        "mov rcx, r10",
        "cmp rax, {code_call}",
        "je 2f",
        "cmp rax, {code_return}",
        "je 5f",
        "cmp rax, {code_reply_receive}",
        "je 3f",
        "cmp rax, {code_yield}",
        "je 6f",
        "cmp rax, {code_null}",
        "je 4f",
        // Keeps the stack aligned below the seventh argument.
        "push rax",
        "push rax",
        "call {general}",
        "2: call {call}",
        "3: call {reply_receive}",
        "ud2",
        "5: call {return_home}",
        "ud2",
        "6: call {give_way}",
        "ud2",
        // Changes nothing: out again.
        "4:",
        "mov rcx, [r11 + {rip} - {size}]",
        "mov rsp, [r11 + {rsp} - {size}]",
        "mov eax, {version}",
        "xor edi, edi",
        "xor esi, esi",
        "xor edx, edx",
        "xor r10d, r10d",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor ebx, ebx",
        "xor ebp, ebp",
        "xor r12d, r12d",
        "xor r13d, r13d",
        "xor r14d, r14d",
        "xor r15d, r15d",
        "mov r11d, {flags}",
        "swapgs",
        "sysretq",
        user_end = const percpu::USER_END,
        rip = const offset_of!(Registers, rip),
        rsp = const offset_of!(Registers, rsp),
        size = const size_of::<Registers>(),
        stack = const percpu::STACK,
        code_call = const trap::CALL as u32,
        code_reply_receive = const trap::REPLY_RECEIVE as u32,
        code_return = const trap::RETURN as u32,
        return_home = sym trap::return_home,
        code_yield = const trap::YIELD as u32,
        give_way = sym trap::give_way,
        code_null = const Code::Null.plain() as u32,
        version = const ABI_VERSION,
        flags = const exit::ALWAYS,
        general = sym trap::general,
        call = sym trap::call,
        reply_receive = sym trap::reply_receive,
    )
}

// The order in which `push_registers` pushes.
const _: () = assert!(
    offset_of!(Registers, r15) == 0
        && offset_of!(Registers, r11) == 48
        && offset_of!(Registers, rcx) == 80
        && offset_of!(Registers, rax) == 112
        && offset_of!(Registers, vector) == 120
        && offset_of!(Registers, ss) == 168
        && size_of::<Registers>() == 176
);
