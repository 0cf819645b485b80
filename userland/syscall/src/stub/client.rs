//! One system call between two clock readings.
//!
//! All stubs here have the same shape: a reading, which is put on the stack
//! because no register survives a system call; then what is measured; then the
//! second reading, and only after it the look at the carry flag. What the
//! shape costs without the middle is what [`empty`] measures.

use core::arch::{asm, naked_asm};

use abi::op::notification::SIGNAL;
use abi::{Code, Tag};
use postern_abi as abi;

use crate::{Capability, Notification};

/// Two clock readings, and whether the call between them failed.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    /// Before the stub.
    pub begin: u64,
    /// After the stub, in this thread.
    pub end: u64,
    /// Whether the carry flag was set.
    pub failed: bool,
}

impl Timed {
    /// From one reading to the other.
    #[must_use]
    pub const fn elapsed(self) -> u64 {
        self.end - self.begin
    }
}

/// The readings around `$stub`, which finds `$input` in r12 r13 r14 r15 r8.
macro_rules! timed {
    ($input:expr, $($stub:literal),*) => {{
        let input: [u64; 5] = $input;
        let (begin, end, carry): (u64, u64, u64);
        // SAFETY: every register that the kernel destroys is declared, pushes
        // and pops are balanced, and the block is not marked `nomem`, so the
        // compiler assumes that memory (the UTCB) changed. The functions below
        // make calls only that leave the caller's memory and FS base alone.
        unsafe {
            asm!(
                "rdtsc",
                "shl rdx, 32",
                "or rax, rdx",
                "push rax",
                $($stub,)*
                "rdtsc",
                "setc cl",
                "shl rdx, 32",
                "or rax, rdx",
                "pop r11",
                inlateout("r12") input[0] => _,
                inlateout("r13") input[1] => _,
                inlateout("r14") input[2] => _,
                inlateout("r15") input[3] => _,
                inlateout("r8") input[4] => _,
                lateout("rax") end,
                lateout("rcx") carry,
                lateout("r11") begin,
                lateout("rdx") _,
                lateout("rsi") _,
                lateout("rdi") _,
                lateout("r9") _,
                lateout("r10") _,
            );
        }
        Timed { begin, end, failed: carry as u8 != 0 }
    }};
}

/// No stub at all: what the readings themselves cost.
#[inline(never)]
#[must_use]
pub fn empty() -> Timed {
    // The carry flag is 0 after the `or`.
    timed!([0; 5],)
}

/// A call without arguments that leaves the caller alone, such as `Null` and
/// `Yield`. Six instructions.
///
/// # Panics
/// If it is another call.
#[inline(never)]
#[must_use]
pub fn short(code: Code) -> Timed {
    assert!(matches!(code, Code::Null | Code::Yield), "a call that takes arguments");
    timed!(
        [code.plain(), 0, 0, 0, 0],
        "push rbx",
        "push rbp",
        "mov eax, r12d",
        "syscall",
        "pop rbp",
        "pop rbx"
    )
}

/// Uses a floating-point register: from then on the kernel keeps them all for
/// this thread.
pub fn use_fpu() {
    // SAFETY: the compiler uses none of these registers.
    unsafe { asm!("movq xmm0, rsp", options(nomem, nostack, preserves_flags)) };
}

/// An IPC that waits for ever: `first` is the capability (`Call`, `Send`) or
/// the label (`Reply`, `ReplyReceive`). The message words are what happens to
/// be in their registers. Eight instructions.
///
/// # Panics
/// If it is no IPC, or an operation on a kernel object.
#[inline(never)]
#[must_use]
pub fn ipc(code: Code, first: u64, tag: Tag) -> Timed {
    let is_ipc = matches!(code, Code::Call | Code::Send | Code::Reply | Code::ReplyReceive);
    assert!(is_ipc && tag.protocol() != abi::tag::protocol::KOBJECT, "no message");
    timed!(
        [code.plain(), first, tag.bits(), 0, 0],
        "push rbx",
        "push rbp",
        "mov eax, r12d",
        "mov rdi, r13",
        "mov rsi, r14",
        "syscall",
        "pop rbp",
        "pop rbx"
    )
}

/// Signals `bits` of a notification. Ten instructions.
#[inline(never)]
#[must_use]
pub fn signal(notification: Notification, bits: u64) -> Timed {
    let tag = Tag::new(abi::tag::protocol::KOBJECT, 2);
    let slot = notification.slot().word();
    timed!(
        [Code::Call.plain(), slot, tag.bits(), SIGNAL, bits],
        "push rbx",
        "push rbp",
        "mov eax, r12d",
        "mov rdi, r13",
        "mov rsi, r14",
        "mov rdx, r15",
        "mov r10, r8",
        "syscall",
        "pop rbp",
        "pop rbx"
    )
}

/// Reads the clock over and over until two readings are more than `gap` apart,
/// and returns the one before the gap: the last that the loop took before it
/// was interrupted. `None` if that has not happened by `deadline`.
#[inline(never)]
#[must_use]
pub fn spin(gap: u64, deadline: u64) -> Option<u64> {
    let (before, after): (u64, u64);
    // SAFETY: reads the clock, touches nothing but the registers that it names.
    unsafe {
        asm!(
            "rdtsc",
            "shl rdx, 32",
            "or rax, rdx",
            "2:",
            "mov {before}, rax",
            "rdtsc",
            "shl rdx, 32",
            "or rax, rdx",
            "cmp rax, {deadline}",
            "ja 3f",
            "mov {step}, rax",
            "sub {step}, {before}",
            "cmp {step}, {gap}",
            "jbe 2b",
            "3:",
            before = out(reg) before,
            step = out(reg) _,
            gap = in(reg) gap,
            deadline = in(reg) deadline,
            out("rax") after,
            out("rdx") _,
            options(nomem, nostack),
        );
    }
    (after - before > gap).then_some(before)
}

/// Says to a debugger that the next sample is the one to look at: stops there
/// when the argument is [`abi::harness::BENCH_MARK`] (`cargo xtask bench
/// --explain`). Does nothing.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn postern_bench_mark(value: u64) {
    naked_asm!("ret")
}
