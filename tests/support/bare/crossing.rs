//! A handler that tells every register with which it begins, and leaves with
//! all of them filled.

use core::arch::naked_asm;

use postern_runtime::syscall::Code;

use super::call::Registers;
use crate::board;

/// First of the words of the board that [`arrived`] reads.
const SEEN: usize = 400;
/// Registers in one record, the flags included.
const COUNT: usize = 16;
/// The address of the record.
const RECORD: u64 = board::ADDRESS + 8 * SEEN as u64;
/// What is in the registers that must not reach the caller.
const LEFT: u64 = 0x5ec2_e700;
/// Flags with which it returns: DF, AC and the arithmetic ones set.
const FLAGS: u64 = 0x4_0cd7;

/// The label with which the handler returns; its words are the numbers behind
/// it.
pub const LABEL: u64 = 0x77_0000;

/// The address of the handler.
#[must_use]
pub fn entry_point() -> u64 {
    tell_registers as *const () as u64
}

/// The registers with which the handler began.
#[must_use]
pub fn arrived() -> Registers {
    let word = |index: usize| board::get(SEEN + index);
    Registers {
        rax: word(0),
        rbx: word(1),
        rcx: word(2),
        rdx: word(3),
        rsi: word(4),
        rdi: word(5),
        rbp: word(6),
        r8: word(7),
        r9: word(8),
        r10: word(9),
        r11: word(10),
        r12: word(11),
        r13: word(12),
        r14: word(13),
        r15: word(14),
        flags: word(15),
        rsp: 0,
    }
}

#[unsafe(naked)]
unsafe extern "C" fn tell_registers() -> ! {
    naked_asm!(
        "pushfq",
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push r11",
        "push r10",
        "push r9",
        "push r8",
        "push rbp",
        "push rdi",
        "push rsi",
        "push rdx",
        "push rcx",
        "push rbx",
        "push rax",
        "cld",
        "mov rsi, rsp",
        "movabs rdi, {record}",
        "mov ecx, {count}",
        "rep movsq",
        "mov ebx, {left}",
        "mov ebp, {left}",
        "mov ecx, {left}",
        "mov r11d, {left}",
        "mov r12d, {left}",
        "mov r13d, {left}",
        "mov r14d, {left}",
        "mov r15d, {left}",
        "mov edi, {label}",
        "lea rdx, [rdi + 1]",
        "lea r10, [rdi + 2]",
        "lea r8, [rdi + 3]",
        "lea r9, [rdi + 4]",
        "mov esi, 4",
        "mov eax, {ret}",
        "push {flags}",
        "popfq",
        "syscall",
        "ud2",
        record = const RECORD,
        count = const COUNT,
        left = const LEFT,
        label = const LABEL,
        flags = const FLAGS,
        ret = const Code::Return.plain(),
    )
}
