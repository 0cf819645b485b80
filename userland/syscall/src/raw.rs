//! The `syscall` instruction, one `asm!` block per register shape
//! (docs/abi.md section 2).
//!
//! The kernel destroys every register except `rsp` and those that carry
//! results. The compiler refuses `rbx` and `rbp` as operands, so the blocks push
//! and pop them; everything else is declared destroyed. The carry flag is read
//! in the same block, because flags do not survive between blocks.
//!
//! Nothing here gives a value a meaning: that is for [`crate::ipc`] and
//! [`crate::control`].

use core::arch::asm;

use abi::code::NAMESPACE;
use postern_abi as abi;

use crate::ErrorCode;

/// What a system call left in the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Whether the carry flag was set: the call failed.
    pub failed: bool,
    /// `rax`: output 0, or the error.
    pub rax: u64,
    /// `rdi`: output 1.
    pub rdi: u64,
    /// `rsi`: output 2.
    pub rsi: u64,
    /// `rdx r10 r8 r9`: outputs 3 to 6.
    pub words: [u64; 4],
}

/// The error in `rax` of a call that failed. Out of line: no successful call
/// pays for it.
#[cold]
#[must_use]
pub fn error(rax: u64) -> ErrorCode {
    // A number that this ABI does not know can only come from a newer kernel.
    ErrorCode::decode(rax).unwrap_or(ErrorCode::new(abi::ErrorNumber::NoSys, 0))
}

/// A system call with all six arguments and all seven outputs.
///
/// # Safety
/// `rax` must not be [`abi::Code::SetFsBase`], unless `rdi` is the address of
/// the calling thread's UTCB; and a `Task` or `Thread` operation must not pull
/// memory from under the caller's own references (see the crate's page).
#[inline(always)]
pub unsafe fn full(rax: u64, rdi: u64, rsi: u64, words: [u64; 4]) -> Output {
    let (out0, out1, out2, w0, w1, w2, w3, carry): (u64, u64, u64, u64, u64, u64, u64, u64);
    // SAFETY: the block declares every register that the kernel destroys,
    // balances its pushes and pops, and is not marked `nomem`, so the compiler
    // assumes that memory (the UTCB) changed. The rest is the caller's promise.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "pop rbp",
            "pop rbx",
            "setc cl",
            inlateout("rax") rax => out0,
            inlateout("rdi") rdi => out1,
            inlateout("rsi") rsi => out2,
            inlateout("rdx") words[0] => w0,
            inlateout("r10") words[1] => w1,
            inlateout("r8") words[2] => w2,
            inlateout("r9") words[3] => w3,
            lateout("rcx") carry,
            lateout("r11") _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
        );
    }
    Output { failed: carry as u8 != 0, rax: out0, rdi: out1, rsi: out2, words: [w0, w1, w2, w3] }
}

/// A system call with one argument, of which only output 0 matters.
///
/// # Safety
/// As [`full`].
#[inline(always)]
pub unsafe fn short(rax: u64, rdi: u64) -> (u64, bool) {
    let (out, carry): (u64, u64);
    // SAFETY: as in `full`.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "pop rbp",
            "pop rbx",
            "setc cl",
            inlateout("rax") rax => out,
            inlateout("rdi") rdi => _,
            lateout("rcx") carry,
            lateout("rsi") _,
            lateout("rdx") _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
        );
    }
    (out, carry as u8 != 0)
}

/// Any system call at all, for tests that try what no program would: unknown
/// codes, bad handles, impossible tags.
///
/// # Panics
/// If `rax` is `SetFsBase`, the one call that could make [`crate::utcb`] read
/// and write somewhere else; use [`full`] for that.
#[must_use]
pub fn invoke(rax: u64, rdi: u64, rsi: u64, words: [u64; 4]) -> Output {
    let set_fs_base = NAMESPACE | abi::Code::SetFsBase as u32;
    assert!(rax as u32 != set_fs_base, "raw::invoke cannot set the FS base");
    // SAFETY: not `SetFsBase`; for operations on oneself see the crate's page.
    unsafe { full(rax, rdi, rsi, words) }
}

/// Ends the calling activation; the kernel never comes back from it.
pub fn exit(code: u64) -> ! {
    // SAFETY: nothing of the activation is used afterwards.
    unsafe {
        asm!(
            "syscall",
            "ud2",
            in("rax") abi::Code::Exit.plain(),
            in("rdi") code,
            options(noreturn),
        );
    }
}

/// As [`exit`], after a report of the kernel: where the activation is, by its
/// frame pointers, and who waits for it.
#[inline(always)]
pub fn panic(code: u64) -> ! {
    // SAFETY: nothing of the activation is used afterwards.
    unsafe {
        asm!(
            "mov rsi, rbp",
            "syscall",
            "ud2",
            in("rax") abi::Code::Panic.plain(),
            in("rdi") code,
            options(noreturn),
        );
    }
}

/// Does nothing, but costs the compiler what a system call costs it: every
/// register. What benchmarks subtract must be measured with it.
#[inline(always)]
pub fn clobber_registers() {
    // SAFETY: no instruction at all.
    unsafe {
        asm!(
            "",
            lateout("rax") _,
            lateout("rcx") _,
            lateout("rdx") _,
            lateout("rsi") _,
            lateout("rdi") _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
        );
    }
}

/// The time stamp counter: cycles, or executed instructions under QEMU's
/// `-icount shift=0`. Reading it is ambient (docs/CAVEATS.md).
#[inline(always)]
#[must_use]
pub fn time_stamp() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reads a counter, touches nothing else; CR4.TSD is off.
    unsafe {
        asm!("rdtsc", out("rax") low, out("rdx") high, options(nomem, nostack, preserves_flags));
    }
    high << 32 | low
}

/// The time stamp counter after everything that the program did before: the CPU
/// may read it earlier otherwise.
#[inline(always)]
#[must_use]
pub fn time_stamp_in_order() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: as in `time_stamp`; the fence waits for earlier instructions. Not
    // `nomem`: the compiler keeps the order, too.
    unsafe {
        asm!(
            "lfence",
            "rdtsc",
            out("rax") low,
            out("rdx") high,
            options(nostack, preserves_flags),
        );
    }
    high << 32 | low
}

/// Reads one byte at any address, mapped or not. If it is not, the thread
/// faults, which is why this exists: crash tests need a way to fault that is
/// no undefined behaviour.
#[inline(always)]
#[must_use]
pub fn peek(address: u64) -> u8 {
    let byte: u64;
    // SAFETY: a load that the compiler cannot see into: it changes nothing,
    // and a fault ends the thread.
    unsafe {
        asm!(
            "movzx {byte:e}, byte ptr [{address}]",
            byte = out(reg) byte,
            address = in(reg) address,
            options(nostack, preserves_flags, readonly),
        );
    }
    byte as u8
}
