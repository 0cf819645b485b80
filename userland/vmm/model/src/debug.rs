//! Debug registers: they keep what the guest writes, and watch nothing.
//!
//! The CPU does not tell which general register is meant, so the bytes of the
//! instruction are looked at: `[rex] 0f 21|23 modrm`, and nothing else.

use postern_syscall::Result;
use postern_syscall::vcpu::Exit;
use postern_syscall::vcpu::register::RIP;

use crate::exit::REGISTERS;
use crate::machine::{Host, Machine};
use crate::walk;

/// Values after a reset: DR6 and DR7 have bits that are always set.
pub const RESET: [u64; 8] = [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400];

/// Places among an exit's registers of those that instructions number: rax rcx
/// rdx rbx rsp rbp rsi rdi r8-r15.
const PLACES: [usize; 16] = [1, 3, 4, 2, 8, 7, 5, 6, 10, 11, 12, 13, 14, 15, 16, 17];

/// The guest reads or writes a debug register; `None` if the instruction is not
/// understood.
pub fn access(
    machine: &mut Machine,
    host: &mut impl Host,
    exit: &Exit,
) -> Result<Option<[u64; REGISTERS]>> {
    let mut bytes = [0; 4];
    let count = walk::read(host, exit.registers[RIP], &mut bytes)?;
    let Some(move_) = decode(&bytes[..count]) else { return Ok(None) };
    let mut registers = exit.registers;
    registers[RIP] = registers[RIP].wrapping_add(move_.length);
    let (kept, place) = (&mut machine.debug[move_.debug], &mut registers[PLACES[move_.general]]);
    if move_.is_write {
        let fixed = RESET[move_.debug];
        *kept = *place & 0xffff_ffff | fixed;
    } else {
        *place = *kept;
    }
    Ok(Some(registers))
}

/// A move between a debug register and a general one.
struct Move {
    debug: usize,
    general: usize,
    is_write: bool,
    length: u64,
}

fn decode(bytes: &[u8]) -> Option<Move> {
    let (rex, rest, prefix) = match bytes {
        [rex @ 0x40..=0x4f, rest @ ..] => (*rex, rest, 1),
        rest => (0, rest, 0),
    };
    let [0x0f, code @ (0x21 | 0x23), modrm, ..] = rest else { return None };
    Some(Move {
        debug: usize::from(modrm >> 3 & 7),
        general: usize::from(modrm & 7) | usize::from(rex & 1) << 3,
        is_write: *code == 0x23,
        length: 3 + prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_moves_are_understood() {
        let parts =
            |bytes: &[u8]| decode(bytes).map(|it| (it.debug, it.general, it.is_write, it.length));
        // mov dr7, rax; mov rcx, dr6; mov dr0, r9.
        assert_eq!(parts(&[0x0f, 0x23, 0xf8]), Some((7, 0, true, 3)));
        assert_eq!(parts(&[0x0f, 0x21, 0xf1, 0x90]), Some((6, 1, false, 3)));
        assert_eq!(parts(&[0x41, 0x0f, 0x23, 0xc1]), Some((0, 9, true, 4)));
        for other in [&[0x0f, 0x22, 0xc0][..], &[0x0f, 0x23], &[], &[0x66, 0x0f, 0x21, 0xc0]] {
            assert_eq!(parts(other), None);
        }
    }
}
