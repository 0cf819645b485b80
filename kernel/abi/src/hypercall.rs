//! Hypercalls of user programs (docs/abi.md section 16), as far as the kernel
//! takes part in them. What the codes mean is between caller and server.

/// Words of a HYPERCALL message and of its answer: `rax rdi rsi rdx rcx r8 r9`.
pub const WORDS: usize = 7;

/// Bytes of the instruction.
pub const LENGTH: u64 = 3;
/// Intel's instruction, little-endian.
pub const VMCALL: u32 = 0xc1_010f;
/// AMD's instruction, little-endian.
pub const VMMCALL: u32 = 0xd9_010f;

/// What a caller gets when no gate is bound: no such call.
pub const INVALID_CODE: u64 = 2;
/// What a caller gets when its call is lost.
pub const IO_FAILED: u64 = 4;
