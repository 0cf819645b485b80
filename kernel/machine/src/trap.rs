//! What the entries call: from a saved frame to a method of the kernel.
//!
//! Trims an event to what the core understands, and leaves. Everything here
//! runs on the kernel stack with interrupts off. It must never block and never
//! look at user memory.

use core::arch::asm;
use core::convert::Infallible;

use postern_abi::Code;
use postern_core::machine::{Fault, Registers, UserState};

use crate::tables::vector;
use crate::{cell, cpu, exit, fpu, report};

/// `Call` that waits for ever, as it is in `rax`.
pub const CALL: u64 = Code::Call.plain();
/// `Return`.
pub const RETURN: u64 = Code::Return.plain();
/// `Yield`.
pub const YIELD: u64 = Code::Yield.plain();
/// `ReplyReceive` that waits for ever.
pub const REPLY_RECEIVE: u64 = Code::ReplyReceive.plain();

/// Tries a path of the core, which ends in an exit of its own, and else takes
/// the general one with the same arguments.
macro_rules! paths {
    ($(
        $(#[$doc:meta])*
        $name:ident = $code:expr, |$kernel:ident, $args:pat_param| $path:expr $(, or $second:expr)*;
    )*) => {$(
        $(#[$doc])*
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
            let $kernel = unsafe { cell::kernel() };
            let $args = (rdi, rsi, [rdx, r10, r8, r9]);
            let _never: Option<Infallible> = $path;
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
                let $args = (rdi, rsi, [rdx, r10, r8, r9]);
                $(
                    // SAFETY: as that function's.
                    let $kernel = unsafe { cell::kernel() };
                    let _never: Option<Infallible> = $second;
                )*
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

paths! {
    /// Call that waits for ever.
    call = CALL,
        |kernel, (handle, tag, words)|
            kernel.fast_call(handle, tag, words, exit::Behind, exit::Begin),
        or kernel.fast_signal(handle, tag, words, exit::Behind),
        or kernel.fast_lend_on(handle, tag, words, exit::Begin),
        or kernel.fast_long_call(handle, tag, words, exit::Behind, exit::Begin);
    /// ReplyReceive that waits for ever.
    reply_receive = REPLY_RECEIVE,
        |kernel, (label, tag, words)|
            kernel.fast_reply_receive(label, tag, words, exit::Behind, exit::Again),
        or kernel.fast_long_reply_receive(label, tag, words, exit::Behind);
    /// Return.
    return_home = RETURN,
        |kernel, (label, tag, words)| kernel.fast_return(label, tag, words, exit::Behind),
        or kernel.fast_give_back_on(label, tag, words, exit::Behind),
        or kernel.fast_long_return(label, tag, words, exit::Behind);
}

/// Yield, whose arguments nobody looks at.
///
/// # Safety
/// As those above.
pub unsafe extern "C" fn give_way() -> ! {
    // SAFETY: as above.
    let kernel = unsafe { cell::kernel() };
    let _never: Option<Infallible> = kernel.fast_yield(exit::Empty);
    // SAFETY: as above; as there, without aligning the stack on every way.
    unsafe {
        asm!("and rsp, -16", "push rax", "push rax", "call {}", sym general,
            in("rax") YIELD, options(noreturn, nostack))
    }
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
        let fault = Fault { vector, error, address };
        // SAFETY: as in `general`.
        let kernel = unsafe { cell::kernel() };
        let _never: Option<Infallible> = kernel.fast_fault(fault, exit::Behind);
        // SAFETY: as in `general`.
        unsafe { cell::kernel() }.fault(fault);
    } else {
        // SAFETY: as in `general`.
        unsafe { interrupt(vector, true) };
    }
    // SAFETY: as in `general`.
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
        vector => unsafe { interrupt(vector, false) },
    }
}

/// Tells the kernel about a device or the timer. If it hit user code, it may not
/// come back.
///
/// # Safety
/// As for [`cell::kernel`]; interrupts are off, and from user code nothing of the
/// caller is needed any more.
#[inline(always)]
unsafe fn interrupt(vector: u8, from_user: bool) {
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
            if from_user {
                let _never: Option<Infallible> = kernel.fast_interrupt(line, exit::Behind);
            }
            // SAFETY: as the caller promises; the other borrow has ended.
            unsafe { cell::kernel() }.interrupt(line);
        }
        // Neither was delivered as an interrupt, so neither is answered.
        vector::SPURIOUS | vector::PIC..vector::LINES => {}
        // The controller's own errors, and vectors that nobody was given.
        _ => kernel.machine.end_of_interrupt(),
    }
}
