//! Hypercalls whose answerer the test knows: the kernel, or the server that the
//! test itself has bound.

use postern_hypercall::{FIRST_LEAF, Features, Hypercalls, Interface, Opcode};

/// Both instructions.
pub const OPCODES: [Opcode; 2] = [Opcode::Vmcall, Opcode::Vmmcall];

/// Hypercalls with this instruction, with all features of the convention.
#[must_use]
pub fn calls(opcode: Opcode) -> Hypercalls {
    let interface = Interface { base: FIRST_LEAF, features: Features(0xf) };
    // SAFETY: the kernel answers the instruction in ring 3 as the convention
    // says, and passes on nothing else.
    unsafe { Hypercalls::assume(interface, opcode) }
}
