//! The one way out of the kernel.
//!
//! Whatever came in, it leaves through [`leave`]: the core says who runs, and
//! this loads that thread. No register may carry anything that is not in the
//! thread's [`UserState`]: what is not loaded is zeroed.

use core::arch::asm;
use core::convert::Infallible;
use core::mem::offset_of;

use postern_core::machine::{CARRY, Fault, Form, Next, Registers, USER_FLAGS, UserState};
use postern_core::{GoOn, NOTHING, Resume};

use crate::entry::pop_registers;
use crate::tables::{USER_CODE, USER_DATA, vector};
use crate::{cell, percpu, svm};

/// Flags that it always has: interrupts on, and bit 1.
pub const ALWAYS: u64 = 0x202;

/// Lets the core choose, again and again, until it is user code.
///
/// # Safety
/// Interrupts are off, the stack is this CPU's kernel stack, and no borrow of
/// the kernel's state is alive.
pub unsafe fn leave() -> ! {
    loop {
        // SAFETY: nothing else borrows the state (contract), and this borrow
        // ends before interrupts are let in below.
        let kernel = unsafe { cell::kernel() };
        match kernel.decide() {
            Next::User => {
                let state: *mut UserState = kernel.user_state();
                // SAFETY: the core gave out the current thread's state; it
                // stays where it is until that thread is not current any more.
                unsafe { resume(state) };
            }
            Next::Idle => {
                percpu::forget_user_state();
                // `sti` takes effect after `hlt` has begun, so no interrupt
                // is lost between the two.
                // SAFETY: the stack and GS are the kernel's, no borrow is alive.
                unsafe { asm!("sti", "hlt", "cli") };
            }
            Next::Work => {
                percpu::forget_user_state();
                kernel.work();
                // SAFETY: as above; `kernel` is not used any more.
                unsafe { asm!("sti", "nop", "cli") };
            }
        }
    }
}

/// Resumes a thread; comes back only after the exit of a guest, to choose
/// again.
///
/// # Safety
/// `state` is the state of the thread that the core made current, and stays
/// valid while it is. Its instruction pointer and FS base are canonical.
#[inline(always)]
unsafe fn resume(state: *mut UserState) {
    // SAFETY: valid (contract), and only this CPU uses it.
    let thread = unsafe { &mut *state };
    debug_assert!(postern_abi::address::is_user(thread.fs_base));
    // The FS base every time: a user can change it without being seen.
    // SAFETY: valid for as long as the thread is current (contract).
    unsafe { percpu::set_user_state(state, thread.fs_base) };
    // The most frequent one first.
    if thread.form == Form::Outputs {
        debug_assert!(postern_abi::address::is_user(thread.registers.rip));
        // SAFETY: as this function's.
        unsafe { outputs(state) }
    }
    if thread.form == Form::Guest {
        // SAFETY: as this function's; `thread` is not used any more.
        return unsafe { svm::run() };
    }
    // SAFETY: as this function's.
    unsafe { everything(thread) }
}

/// Leaves to a thread with every register.
///
/// # Safety
/// The state is the current thread's; its FS base is loaded, and entries know
/// of it.
#[inline(always)]
unsafe fn everything(thread: &mut UserState) -> ! {
    let registers = &mut thread.registers;
    if !postern_abi::address::is_user(registers.rip) {
        // Some CPUs report a jump to nowhere after it was made. It must not be
        // tried again from here.
        // SAFETY: `thread` and its parts are not used any more.
        unsafe { nowhere() }
    }
    registers.rflags = registers.rflags & USER_FLAGS | ALWAYS;
    registers.cs = u64::from(USER_CODE);
    registers.ss = u64::from(USER_DATA);
    // If it comes by a system call next, only the outputs count; any other way in
    // says so itself.
    thread.form = Form::Outputs;
    // SAFETY: as this function's; what must not be the user's choice was just
    // set.
    unsafe { full(thread) }
}

/// The thread stands where no code can be.
///
/// # Safety
/// As for [`leave`].
#[cold]
unsafe fn nowhere() -> ! {
    let fault = Fault { vector: vector::PROTECTION, error: 0, address: 0 };
    // SAFETY: no other borrow is alive (contract); this one ends here.
    unsafe { cell::kernel() }.fault(fault);
    // SAFETY: as this function's.
    unsafe { leave() }
}

/// Leaves to a thread that came by a system call.
///
/// # Safety
/// `state` is the current thread's; its instruction pointer is canonical.
#[inline(always)]
unsafe fn outputs(state: *const UserState) -> ! {
    // SAFETY: from here on only `state` is read; the user's stack pointer is
    // loaded with interrupts off, and what can still hit has its own stack. The
    // instruction pointer is canonical, so `sysret` does not fault.
    unsafe {
        asm!(
            "mov rcx, [rdi + {rip}]",
            "mov r11d, [rdi + {rflags}]",
            "and r11d, {carry}",
            "or r11d, {always}",
            "mov rsp, [rdi + {rsp}]",
            "mov rax, [rdi + {rax}]",
            "mov rsi, [rdi + {rsi}]",
            "mov rdx, [rdi + {rdx}]",
            "mov r10, [rdi + {r10}]",
            "mov r8, [rdi + {r8}]",
            "mov r9, [rdi + {r9}]",
            "mov rdi, [rdi + {rdi}]",
            "xor ebx, ebx",
            "xor ebp, ebp",
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            "swapgs",
            "sysretq",
            in("rdi") state,
            rip = const offset_of!(Registers, rip),
            rflags = const offset_of!(Registers, rflags),
            rsp = const offset_of!(Registers, rsp),
            rax = const offset_of!(Registers, rax),
            rdi = const offset_of!(Registers, rdi),
            rsi = const offset_of!(Registers, rsi),
            rdx = const offset_of!(Registers, rdx),
            r10 = const offset_of!(Registers, r10),
            r8 = const offset_of!(Registers, r8),
            r9 = const offset_of!(Registers, r9),
            carry = const CARRY,
            always = const ALWAYS,
            options(noreturn),
        )
    }
}

/// Leaves to a thread with every register.
///
/// # Safety
/// `state` is the current thread's; its selectors and flags are a user's, its
/// instruction pointer is canonical.
#[inline(always)]
unsafe fn full(state: *const UserState) -> ! {
    // SAFETY: the registers are popped in the order in which the entry pushed
    // them, with interrupts off; what can still hit has its own stack.
    unsafe {
        asm!(
            "mov rsp, rdi",
            pop_registers!(),
            "swapgs",
            "iretq",
            in("rdi") state,
            options(noreturn),
        )
    }
}

/// A thread that a fast path resumes goes on behind its system call.
pub struct Behind;
/// It begins a crossing.
pub struct Begin;

impl<const KIND: u64> GoOn<'_, KIND, Infallible> for Behind {
    #[inline(always)]
    fn go_on(self, resume: Resume<'_, KIND>) -> Infallible {
        const RIP: usize = offset_of!(UserState, registers) + offset_of!(Registers, rip);
        const RSP: usize = offset_of!(UserState, registers) + offset_of!(Registers, rsp);
        // SAFETY: the core made this thread current.
        unsafe { fast::<KIND, RIP, RSP>(resume) }
    }
}

impl<const KIND: u64> GoOn<'_, KIND, Infallible> for Begin {
    #[inline(always)]
    fn go_on(self, resume: Resume<'_, KIND>) -> Infallible {
        const RIP: usize = offset_of!(UserState, begin.0);
        const RSP: usize = offset_of!(UserState, begin.1);
        // SAFETY: as above.
        unsafe { fast::<KIND, RIP, RSP>(resume) }
    }
}

/// It goes on behind a system call that returns nothing.
pub struct Empty;

impl GoOn<'_, NOTHING, Infallible> for Empty {
    #[inline(always)]
    fn go_on(self, resume: Resume<'_, NOTHING>) -> Infallible {
        let user = resume.user;
        debug_assert!(postern_abi::address::is_user(user.registers.rip));
        debug_assert!(postern_abi::address::is_user(user.fs_base));
        // SAFETY: the core made this thread current; as in `fast`.
        unsafe {
            asm!(
                "mov gs:[{user_end}], r11",
                "mov eax, [r11 + {fs_base} - {size}]",
                "mov edx, [r11 + {fs_base} + 4 - {size}]",
                "mov ecx, {fs_base_msr}",
                "wrmsr",
                "mov rcx, [r11 + {rip} - {size}]",
                "mov rsp, [r11 + {rsp} - {size}]",
                "mov r11d, {always}",
                "xor eax, eax",
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
                "swapgs",
                "sysretq",
                in("r11") (&raw const user.registers).add(1),
                size = const size_of::<Registers>(),
                user_end = const percpu::USER_END,
                fs_base = const offset_of!(UserState, fs_base),
                fs_base_msr = const 0xc000_0100_u32,
                rip = const offset_of!(Registers, rip),
                rsp = const offset_of!(Registers, rsp),
                always = const ALWAYS,
                options(noreturn, nostack),
            )
        }
    }
}

/// It goes on where it was, with all of its registers.
pub struct Again;

impl GoOn<'_, NOTHING, Infallible> for Again {
    #[inline(always)]
    fn go_on(self, resume: Resume<'_, NOTHING>) -> Infallible {
        let user = resume.user;
        // SAFETY: the core made this thread current, so its state is valid for
        // as long as it is; its FS base is canonical.
        unsafe {
            percpu::set_user_state(user, user.fs_base);
            everything(user)
        }
    }
}

/// Leaves to a thread that came by a system call, or begins a crossing, and
/// whose outputs are in hand: instruction and stack pointer are at these offsets
/// of its state.
///
/// # Safety
/// As for [`leave`], but for `resume`: the core gave it out.
#[inline(always)]
unsafe fn fast<const KIND: u64, const RIP: usize, const RSP: usize>(resume: Resume<'_, KIND>) -> ! {
    let Resume { user, label, tag, words } = resume;
    debug_assert!(postern_abi::address::is_user(user.registers.rip));
    debug_assert!(postern_abi::address::is_user(user.begin.0));
    debug_assert!(postern_abi::address::is_user(user.fs_base));
    // SAFETY: the state is valid for as long as the thread is current, so
    // entries from user code can save registers there. Nothing is used after
    // this but registers and that state; interrupts are off, and what can still
    // hit has its own stack. FS base and instruction pointer are canonical, so
    // neither `wrmsr` nor `sysret` faults.
    unsafe {
        asm!(
            "mov gs:[{user_end}], r11",
            "mov rbx, rdx",
            "mov eax, [r11 + {fs_base} - {size}]",
            "mov edx, [r11 + {fs_base} + 4 - {size}]",
            "mov ecx, {fs_base_msr}",
            "wrmsr",
            "mov rdx, rbx",
            "mov eax, {kind}",
            "mov rcx, [r11 + {rip} - {size}]",
            "mov rsp, [r11 + {rsp} - {size}]",
            "mov r11d, {always}",
            "xor ebx, ebx",
            "xor ebp, ebp",
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            "swapgs",
            "sysretq",
            in("r11") (&raw const user.registers).add(1),
            in("rdi") label,
            in("rsi") tag,
            in("rdx") words[0],
            in("r10") words[1],
            in("r8") words[2],
            in("r9") words[3],
            size = const size_of::<Registers>(),
            user_end = const percpu::USER_END,
            fs_base = const offset_of!(UserState, fs_base),
            fs_base_msr = const 0xc000_0100_u32,
            rip = const RIP,
            rsp = const RSP,
            kind = const KIND,
            always = const ALWAYS,
            options(noreturn, nostack),
        )
    }
}
