//! Floating-point and SIMD registers, which the compiler never uses here: all of
//! them at once, one of them, and instructions that need them.

use core::arch::asm;

use crate::Body;

/// Words of [`Float`], as FXSAVE writes it.
const WORDS: usize = 64;
/// First of the x87 registers, of two words each, and of the SIMD registers.
const STACK: usize = 4;
const SIMD: usize = 20;

/// All of these registers, in the format of FXSAVE.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Float([u64; WORDS]);

impl Float {
    /// What they hold after a reset.
    #[must_use]
    pub fn clean() -> Self {
        let mut words = [0; WORDS];
        words[0] = 0x37f;
        words[3] = 0x1f80;
        Self(words)
    }

    /// Another value in every register for every seed, control registers too.
    #[must_use]
    pub fn patterned(seed: u64) -> Self {
        let mut words = [0; WORDS];
        // Control word: rounding; status word: top of the stack; all in use.
        words[0] = 0x37f | (seed & 3) << 10 | (seed & 7) << 27 | 0xff << 32;
        // Rounding, and which exceptions have been.
        words[3] = 0x1f80 | (seed & 3) << 13 | seed & 0x3f;
        let value = |index: usize| {
            (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index as u32) ^ index as u64
        };
        for register in 0..8 {
            let at = STACK + 2 * register;
            // An integer bit and an exponent: an ordinary number.
            words[at] = value(register) | 1 << 63;
            words[at + 1] = 0x3fff + (seed & 0xff) + register as u64;
        }
        (SIMD..SIMD + 32).for_each(|at| words[at] = value(at));
        Self(words)
    }

    /// Loads them.
    pub fn load(&self) {
        // SAFETY: reads the image, which is aligned and complete; the compiler
        // uses none of these registers.
        unsafe { asm!("fxrstor64 [{}]", in(reg) self.0.as_ptr(), options(nostack, readonly)) };
    }

    /// What they hold.
    #[must_use]
    pub fn read() -> Self {
        let mut float = Self([0; WORDS]);
        // SAFETY: writes the image, which is aligned and large enough.
        unsafe { asm!("fxsave64 [{}]", in(reg) float.0.as_mut_ptr(), options(nostack)) };
        float
    }

    /// The first word in which the two differ, of those that programs can see in
    /// the registers; [`SAME`] if there is none.
    #[must_use]
    pub fn difference(&self, other: &Self) -> u64 {
        let seen = |word: usize, value: u64| match word {
            // The upper half is the mask of what MXCSR can hold.
            3 => value & 0xffff_ffff,
            _ => value,
        };
        let differs = |at: &usize| seen(*at, self.0[*at]) != seen(*at, other.0[*at]);
        (0..WORDS).find(differs).map_or(SAME, |at| at as u64)
    }
}

/// What [`Float::difference`] says of two that are the same.
pub const SAME: u64 = 0xffff;

/// What is in the registers, compared with this.
#[must_use]
pub fn compare(expected: &Float) -> u64 {
    Float::read().difference(expected)
}

/// Puts a value into one SIMD and one x87 register.
pub fn mark(value: u64) {
    // SAFETY: the compiler uses none of these registers; pushes nothing that
    // stays.
    unsafe {
        asm!("movq xmm9, {0}", "fninit", "push {0}", "fild qword ptr [rsp]", "pop {0}",
            inout(reg) value => _);
    }
}

/// The value of [`mark`]; `u64::MAX` if the two registers differ.
#[must_use]
pub fn marked() -> u64 {
    let (simd, stack): (u64, u64);
    // SAFETY: as above; the x87 register is full again after it.
    unsafe {
        asm!("movq {0}, xmm9", "push {0}", "fistp qword ptr [rsp]", "fild qword ptr [rsp]",
            "pop {1}", out(reg) simd, out(reg) stack);
    }
    if simd == stack { simd } else { u64::MAX }
}

/// Spends time in user code only, without using any of these registers.
pub fn spin(turns: u64) {
    // SAFETY: only counts.
    unsafe {
        asm!("2:", "dec {0}", "jnz 2b", inout(reg) turns.max(1) => _, options(nomem, nostack));
    }
}

/// The integral square root of a number, by SIMD and by x87 instructions.
#[must_use]
pub fn roots(number: u64) -> (u64, u64) {
    let (simd, stack): (u64, u64);
    // SAFETY: computes in registers that the compiler does not use; what is
    // pushed is popped.
    unsafe {
        asm!(
            "cvtsi2sd xmm0, {number}", "sqrtsd xmm1, xmm0", "cvttsd2si {simd}, xmm1",
            "fninit", "push {number}", "fild qword ptr [rsp]", "fsqrt", "fistp qword ptr [rsp]",
            "pop {stack}",
            number = in(reg) number, simd = out(reg) simd, stack = out(reg) stack,
        );
    }
    (simd, stack)
}

/// Divides by zero with x87 registers that fault on it, at a `fwait`; 0 if nothing
/// comes of it.
#[must_use]
pub fn divide_by_zero(_: u64) -> u64 {
    // SAFETY: the fault is what it is for; all is in registers that the
    // compiler does not use, and a word of stack.
    unsafe {
        asm!(
            "fninit", "push 0x37b", "fldcw [rsp]", "pop rax", "fld1", "fldz", "fdivp",
            "fwait", "fnclex", out("rax") _,
        );
    }
    0
}

macro_rules! instructions {
    ($(#[$doc:meta])* $list:ident: $($name:literal: $($line:literal),+;)+) => {
        $(#[$doc])*
        pub const $list: [(&str, Body); 0 $(+ { let _ = $name; 1 })+] = [$(
            ($name, |_: u64| {
                // SAFETY: changes registers that the compiler does not use, and
                // some bytes of a stack frame that is kept free.
                unsafe {
                    asm!("sub rsp, 1088", "mov rcx, rsp", "and rcx, -64",
                        $($line),+, "add rsp, 1088", out("rax") _, out("rcx") _, out("rdx") _);
                }
                7
            })
        ),+];
    };
}

instructions! {
    /// Instructions that need these registers, by name. (QEMU lets EMMS pass,
    /// and what goes from MMX to SSE registers.)
    NEEDING:
    "fld1": "fld1", "fninit";
    "fwait": "fwait";
    "fninit": "fninit";
    "fnstcw": "fnstcw [rcx]";
    "fnsave": "fnsave [rcx]";
    "ffree": "ffree st(3)";
    "fcomi": "fcomi st(0), st(1)", "fninit";
    "movd mm0": "movd mm0, eax", "emms";
    "pmovmskb": "pmovmskb eax, xmm4";
    "movntdq": "movntdq [rcx], xmm15";
    "pextrq": "pextrq rax, xmm2, 1";
    "ptest": "ptest xmm0, xmm1";
    "pcmpistri": "pcmpistri xmm0, xmm1, 0", "xor ecx, ecx";
    "pclmulqdq": "pclmulqdq xmm0, xmm1, 0";
    "movaps": "movaps xmm1, xmm2";
    "movaps to memory": "movaps [rcx], xmm2";
    "movd from xmm0": "movd eax, xmm0";
    "cvtsi2sd": "cvtsi2sd xmm0, rax";
    "pcmpeqd": "pcmpeqd xmm8, xmm8";
    "aesenc": "aesenc xmm1, xmm2";
    "ldmxcsr": "mov dword ptr [rcx], 0x1f80", "ldmxcsr [rcx]";
    "stmxcsr": "stmxcsr [rcx]";
    "fxsave": "fxsave64 [rcx]";
    "fxrstor": "mov dword ptr [rcx + 24], 0x1f80", "fxrstor64 [rcx]";
}

instructions! {
    /// Instructions for wider registers, which are off.
    OFF:
    "vxorps": "vxorps ymm0, ymm1, ymm2";
    "vmovaps": "vmovaps ymm0, [rcx]";
    "xgetbv": "xor ecx, ecx", "xgetbv";
    "xsave": "mov eax, 7", "xor edx, edx", "xsave64 [rcx]";
    "xrstor": "mov eax, 7", "xor edx, edx", "xrstor64 [rcx]";
    "xsaveopt": "mov eax, 7", "xor edx, edx", "xsaveopt64 [rcx]";
}
