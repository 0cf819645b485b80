//! What travels in registers: the code word, six arguments, seven outputs.

/// Bits of a code; the rest of the code word is the name space.
pub const CODE_MASK: u32 = 0xff_ffff;

/// The letter of this convention's name space, in bits 24-31 of the code word.
const LETTER: u64 = b'A' as u64;

/// The value of `rax` for call number `code`, of which bits 0-23 count.
#[must_use]
pub const fn code_word(code: u32) -> u64 {
    LETTER << 24 | (code & CODE_MASK) as u64
}

/// Whose call it is: several conventions share the instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// One of this convention, with its number (below 2^24).
    Xnu(u32),
    /// One of another convention, such as KVM's, whose codes are small numbers.
    Other(u64),
}

impl Namespace {
    /// Whose call the code word `rax` is.
    #[must_use]
    pub const fn of(rax: u64) -> Self {
        if rax >> 24 == LETTER { Self::Xnu(rax as u32 & CODE_MASK) } else { Self::Other(rax) }
    }
}

/// A call: its code word, and `rdi rsi rdx rcx r8 r9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The value of `rax`.
    pub code: u64,
    /// The arguments in the order of the convention.
    pub arguments: [u64; 6],
}

impl Request {
    /// Call number `code`. Arguments that are not given are zero.
    ///
    /// More than six do not compile:
    ///
    /// ```compile_fail
    /// postern_hypercall::Request::new(1, [0; 7]);
    /// ```
    #[must_use]
    pub const fn new<const N: usize>(code: u32, arguments: [u64; N]) -> Self {
        const { assert!(N <= 6, "a hypercall has at most six arguments") };
        let mut all = [0; 6];
        let mut index = 0;
        while index < N {
            all[index] = arguments[index];
            index += 1;
        }
        Self { code: code_word(code), arguments: all }
    }
}

/// The outputs 0 to 6 of a call that succeeded: `rax rdi rsi rdx rcx r8 r9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outputs(pub [u64; 7]);

impl Outputs {
    /// The bytes of all outputs, in order.
    #[must_use]
    pub const fn bytes(self) -> [u8; 56] {
        let mut bytes = [0; 56];
        let mut index = 0;
        while index < 56 {
            bytes[index] = (self.0[index / 8] >> (8 * (index % 8))) as u8;
            index += 1;
        }
        bytes
    }

    /// Outputs with these bytes, which is what a hypervisor needs.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 56]) -> Self {
        let mut words = [0; 7];
        let mut index = 0;
        while index < 56 {
            words[index / 8] |= (bytes[index] as u64) << (8 * (index % 8));
            index += 1;
        }
        Self(words)
    }
}
