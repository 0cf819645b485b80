//! Reads, writes and jumps to any address; entry points of partners.

use core::arch::asm;
use core::sync::atomic::AtomicU64;

use postern_runtime::own;
use postern_runtime::syscall::control;

use crate::{Body, board};

/// Word `index` of the [`board`].
///
/// # Panics
/// If the board has no such word.
#[must_use]
pub fn shared_word(index: usize) -> &'static AtomicU64 {
    assert!(index < board::WORDS, "the board has {} words", board::WORDS);
    // SAFETY: the page is mapped at this address before a test or a peer
    // begins, and for as long as it runs; the index is inside; everybody uses
    // the words as atomics only.
    unsafe { AtomicU64::from_ptr((board::ADDRESS as *mut u64).add(index)) }
}

/// The first instruction of a partner.
#[must_use]
pub fn entry(is_peer: bool) -> u64 {
    let function = if is_peer { enter_peer } else { enter_helper };
    function as *const () as u64
}

extern "C" fn enter_helper(body: u64, argument: u64) -> ! {
    // SAFETY: only `Partner::start` uses this entry, and it passes a `Body` of
    // this very program, whose text is at the same addresses in every task.
    let body: Body = unsafe { core::mem::transmute(body as *const ()) };
    control::exit(body(argument))
}

extern "C" fn enter_peer(body: u64, argument: u64) -> ! {
    // The copied name points into the environment, which a peer does not have.
    own::set_name("peer");
    enter_helper(body, argument)
}

/// Reads the word at `address`.
#[must_use]
pub fn read(address: u64) -> u64 {
    let value;
    // SAFETY: the compiler cannot see into it; it changes nothing, and a
    // fault ends the thread.
    unsafe {
        asm!("mov {}, [{}]", out(reg) value, in(reg) address,
            options(nostack, preserves_flags, readonly));
    }
    value
}

/// Writes the word at `address`.
pub fn write(address: u64, value: u64) {
    // SAFETY: tests write to memory that they mapped for it, which no Rust
    // reference covers, or where a fault ends the thread (see the module).
    unsafe {
        asm!("mov [{}], {}", in(reg) address, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Calls the code at `address`, which returns in `rax`.
#[must_use]
pub fn execute(address: u64) -> u64 {
    let value;
    // SAFETY: the code was written by the test as a function of the C ABI
    // without arguments, or the jump faults (see the module).
    unsafe {
        asm!("call {}", in(reg) address, lateout("rax") value, clobber_abi("C"));
    }
    value
}

/// Pushes until the stack ends.
pub fn overflow_stack(_: u64) -> u64 {
    // SAFETY: the guard page below the stack ends the thread before it touches
    // anything else.
    unsafe { asm!("2:", "push 0", "jmp 2b", options(noreturn)) }
}

/// The address of the instruction of [`mark`].
#[must_use]
pub fn text_address() -> u64 {
    mark as *const () as u64
}

/// A function whose text tests try to overwrite.
#[inline(never)]
extern "C" fn mark() -> u64 {
    17
}

/// The word that [`constant_address`] points to.
static CONSTANT: u64 = 0x5eed_5eed;

/// The address of a constant of the program.
#[must_use]
pub fn constant_address() -> u64 {
    &raw const CONSTANT as u64
}

/// The address of a local variable of the caller's stack.
#[must_use]
pub fn stack_address() -> u64 {
    let address;
    // SAFETY: copies a register.
    unsafe { asm!("mov {}, rsp", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}
