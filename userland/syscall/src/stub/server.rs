//! The other sides of the measured operations: whole threads, in assembly.
//!
//! Each is a function that never returns, to be called by a program that does
//! nothing else, or to be started as a thread with its argument in `rdi`. Those
//! that say so push one word and need a stack.

use core::arch::naked_asm;

use abi::{Code, Tag};
use postern_abi as abi;

/// The tag of what [`report`] sends: one word.
pub const REPORT: Tag = Tag::new(1, 1);

/// Answers every message with its own label, tag and words. Three instructions
/// a round.
#[unsafe(naked)]
pub extern "C" fn echo() -> ! {
    naked_asm!(
        "2:",
        "mov eax, {receive}",
        "syscall",
        "jc 2b",
        "3:",
        "mov eax, {reply_receive}",
        "syscall",
        "jnc 3b",
        "jmp 2b",
        receive = const Code::Receive.plain(),
        reply_receive = const Code::ReplyReceive.plain(),
    )
}

/// Answers every message with an empty one. Four instructions a round.
#[unsafe(naked)]
pub extern "C" fn answer() -> ! {
    naked_asm!(
        "2:",
        "mov eax, {receive}",
        "syscall",
        "jc 2b",
        "3:",
        "mov eax, {reply_receive}",
        "xor esi, esi",
        "syscall",
        "jnc 3b",
        "jmp 2b",
        receive = const Code::Receive.plain(),
        reply_receive = const Code::ReplyReceive.plain(),
    )
}

/// Calls the gate in `slot` with every message, and answers with what comes
/// back; if the call fails, with an empty message. Six instructions a round.
/// Needs a stack.
#[unsafe(naked)]
pub extern "C" fn forward(slot: u64) -> ! {
    naked_asm!(
        "push rdi",
        "2:",
        "mov eax, {receive}",
        "syscall",
        "jc 2b",
        "3:",
        "mov eax, {call}",
        "mov rdi, [rsp]",
        "syscall",
        "mov eax, {reply_receive}",
        "syscall",
        "jnc 3b",
        "jmp 2b",
        receive = const Code::Receive.plain(),
        call = const Code::Call.plain(),
        reply_receive = const Code::ReplyReceive.plain(),
    )
}

/// Waits for signals (or messages), reads the clock as the first thing after
/// each, and sends the reading to the gate in `slot`. Needs a stack.
#[unsafe(naked)]
pub extern "C" fn report(slot: u64) -> ! {
    naked_asm!(
        "push rdi",
        "2:",
        "mov eax, {receive}",
        "syscall",
        "rdtsc",
        "shl rdx, 32",
        "or rdx, rax",
        "mov eax, {send}",
        "mov rdi, [rsp]",
        "mov esi, {tag}",
        "syscall",
        "jmp 2b",
        receive = const Code::Receive.plain(),
        send = const Code::Send.plain(),
        tag = const REPORT.bits(),
    )
}

/// Reads from `address`, which is not mapped, over and over.
#[unsafe(naked)]
pub extern "C" fn fault(address: u64) -> ! {
    naked_asm!("2:", "mov al, [rdi]", "jmp 2b")
}

/// Yields over and over. Three instructions a round.
#[unsafe(naked)]
pub extern "C" fn give_way() -> ! {
    naked_asm!("2:", "mov eax, {code}", "syscall", "jmp 2b", code = const Code::Yield.plain())
}

/// As [`give_way`], with floating-point registers in use.
#[unsafe(naked)]
pub extern "C" fn give_way_with_fpu() -> ! {
    naked_asm!("movq xmm0, rsp", "jmp {}", sym give_way)
}

/// Waits for messages and drops them.
#[unsafe(naked)]
pub extern "C" fn wait() -> ! {
    naked_asm!("2:", "mov eax, {code}", "syscall", "jmp 2b", code = const Code::Receive.plain())
}

/// Exits at once, with code 0. Three instructions.
#[unsafe(naked)]
pub extern "C" fn leave() -> ! {
    naked_asm!(
        "mov eax, {code}",
        "xor edi, edi",
        "syscall",
        "ud2",
        code = const Code::Exit.plain()
    )
}
