//! What the entries call: from a saved frame to a method of the kernel.
//!
//! Trims an event to what the core understands, and leaves. Everything here
//! runs on the kernel stack with interrupts off. It must never block and never
//! look at user memory.

use core::arch::asm;

use postern_abi::Code;
use postern_core::machine::{Fault, Registers, UserState};

use crate::tables::vector;
use crate::{cell, cpu, exit, fpu, report};

/// `Call` that waits for ever, as it is in `rax`.
pub const CALL: u64 = Code::Call.plain();
/// `Return`.
pub const RETURN: u64 = Code::Return.plain();
/// `ReplyReceive` that waits for ever.
pub const REPLY_RECEIVE: u64 = Code::ReplyReceive.plain();

/// System calls with a fast path: for each an entry that tries it and falls back
/// to the general path. `rcx` stands for the user's `r10`.
macro_rules! fast_paths {
    ($($name:ident = $code:expr, $core:ident $(, or $second:ident)?;)*) => {$(
        /// As its code says.
        ///
        /// # Safety
        /// Only for [`mod@crate::entry`]: it does not return.
        pub unsafe extern "C" fn $name(
            rdi: u64,
            rsi: u64,
            rdx: u64,
            r10: u64,
            r8: u64,
            r9: u64,
        ) -> ! {
            // SAFETY: an entry from user code is the only user of the state, and the
            // borrow ends before the exit or the general path.
            let kernel = unsafe { cell::kernel() };
            if let Some(resume) = kernel.$core(rdi, rsi, [rdx, r10, r8, r9]) {
                // SAFETY: the core made this thread current.
                unsafe { exit::fast(resume) }
            }
            #[cold]
            #[inline(never)]
            unsafe extern "C" fn fall_back(
                rdi: u64,
                rsi: u64,
                rdx: u64,
                r10: u64,
                r8: u64,
                r9: u64,
            ) -> ! {
                $(
                    // SAFETY: as that function's.
                    let kernel = unsafe { cell::kernel() };
                    if let Some(resume) = kernel.$second(rdi, rsi, [rdx, r10, r8, r9]) {
                        // SAFETY: the core made this thread current.
                        unsafe { exit::fast(resume) }
                    }
                )?
                // SAFETY: as that function's.
                unsafe { general(rdi, rsi, rdx, r10, r8, r9, $code) }
            }
            // SAFETY: the same arguments in the same registers. Not a call of the
            // compiler's, which would have every way through pay for aligning
            // the stack.
            unsafe {
                asm!("and rsp, -16", "call {}", sym fall_back,
                    in("rdi") rdi, in("rsi") rsi, in("rdx") rdx, in("rcx") r10,
                    in("r8") r8, in("r9") r9, options(noreturn, nostack))
            }
        }
    )*};
}

fast_paths! {
    call = CALL, fast_call, or fast_cross;
    reply_receive = REPLY_RECEIVE, fast_reply_receive;
    return_home = RETURN, fast_return;
}

/// A system call that takes the general path.
///
/// # Safety
/// Only for [`mod@crate::entry`]: it does not return.
#[cold]
#[inline(never)]
pub unsafe extern "C" fn general(
    rdi: u64,
    rsi: u64,
    rdx: u64,
    r10: u64,
    r8: u64,
    r9: u64,
    rax: u64,
) -> ! {
    // SAFETY: an entry from user code is the only user of the state, and the
    // borrow ends before the exit.
    unsafe { cell::kernel() }.syscall(rax, [rdi, rsi, rdx, r10, r8, r9]);
    // SAFETY: entries run on the kernel stack with interrupts off.
    unsafe { exit::leave() }
}

/// An interrupt or exception that hit user code; its registers are saved.
///
/// # Safety
/// Only for [`mod@crate::entry`]: `state` is the current thread's, and it does not
/// return.
pub unsafe extern "C" fn from_user(state: *const UserState) -> ! {
    // SAFETY: the entry code wrote it, and nobody else uses it now.
    let Registers { vector, error, .. } = unsafe { &(*state).registers };
    let (vector, mut error) = (*vector as u8, *error);
    if vector < 32 {
        // Registers that the handler cannot look at: only their user can fail,
        // so they are open.
        match vector {
            vector::FLOATING_POINT => error = fpu::x87_status(),
            vector::SIMD => error = fpu::simd_status(),
            _ => {}
        }
        let address = match vector {
            vector::PAGE_FAULT => cpu::fault_address(),
            _ => 0,
        };
        // SAFETY: as in `system_call`.
        unsafe { cell::kernel() }.fault(Fault { vector, error, address });
    } else {
        // SAFETY: as in `system_call`.
        unsafe { interrupt(vector) };
    }
    // SAFETY: as in `system_call`.
    unsafe { exit::leave() }
}

/// An interrupt or exception that hit the kernel. Interrupts can do so only
/// where the exit lets them in; an exception means that the kernel is broken.
///
/// # Safety
/// Only for [`mod@crate::entry`].
pub unsafe extern "C" fn from_kernel(registers: &mut Registers) {
    match registers.vector as u8 {
        // User code can make the CPU report a trap late, inside the kernel:
        // nothing to do with it there.
        vector::DEBUG if registers.cs & 3 == 0 => registers.rflags &= !0x100,
        vector if vector < 32 => report::exception(registers),
        // SAFETY: the exit holds no borrow where it lets interrupts in.
        vector => unsafe { interrupt(vector) },
    }
}

/// Tells the kernel about a device or the timer.
///
/// # Safety
/// As for [`cell::kernel`]; interrupts are off.
unsafe fn interrupt(vector: u8) {
    // SAFETY: as the caller promises.
    let kernel = unsafe { cell::kernel() };
    match vector {
        vector::TIMER => {
            kernel.machine.timer_fired();
            kernel.timer();
        }
        vector::LINES..vector::LINES_END => {
            let line = u32::from(vector - vector::LINES);
            kernel.machine.line_fired(line);
            kernel.interrupt(line);
        }
        // Neither was delivered as an interrupt, so neither is answered.
        vector::SPURIOUS | vector::PIC..vector::LINES => {}
        // The controller's own errors, and vectors that nobody was given.
        _ => kernel.machine.end_of_interrupt(),
    }
}
