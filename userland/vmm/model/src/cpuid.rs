//! What CPUID tells the guest: the CPU's own features, as far as the machine
//! keeps their state apart, and the leaves of a hypervisor.
//!
//! Only what is listed here is passed on, so that a newer CPU shows nothing
//! that nobody thought of.

use postern_hypercall::{FIRST_LEAF, Features, SIGNATURE, VENDOR};

use crate::apic;

/// Last ordinary leaf.
const LAST: u32 = 0x0d;
/// First leaf of the hypervisor itself.
const OWN: u32 = 0x4000_0000;
/// The leaf with the rates of the clocks.
const RATES: u32 = 0x4000_0010;
/// Last extended leaf.
const LAST_EXTENDED: u32 = 0x8000_0008;
/// How the hypervisor itself is called.
const NAME: [u8; 12] = *b"PosternVMM\0\0";

/// Leaf 1, ECX: SSE3, PCLMULQDQ, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE,
/// POPCNT, AES, RDRAND. No XSAVE, so no AVX.
const BASIC_C: u32 =
    1 | 1 << 1 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 22 | 1 << 23 | 1 << 25 | 1 << 30;
/// There as well: x2APIC, deadlines of the timer, a hypervisor.
const ADDED_C: u32 = 1 << 21 | 1 << 24 | 1 << 31;
/// Leaf 1, EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP PGE CMOV PAT PSE36
/// CLFLUSH MMX FXSR SSE SSE2.
const BASIC_D: u32 = 0x3ff | 1 << 11 | 1 << 13 | 7 << 15 | 1 << 19 | 0xf << 23;
/// Leaf 7, EBX: FSGSBASE BMI1 SMEP BMI2 ERMS RDSEED ADX SMAP CLFLUSHOPT.
const MORE_B: u32 = 1 | 1 << 3 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 23;
/// Leaf 7, ECX: UMIP.
const MORE_C: u32 = 1 << 2;
/// Extended leaf 1, ECX: LAHF, ABM, SSE4A, misaligned SSE, prefetch.
const EXTENDED_C: u32 = 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8;
/// Extended leaf 1, EDX: those of leaf 1, SYSCALL, NX, huge pages, long mode.
const EXTENDED_D: u32 = BASIC_D & 0x0183_f3ff | 1 << 11 | 1 << 20 | 1 << 26 | 1 << 29;
/// Bits of a guest's physical addresses, and of others: four levels of tables.
const ADDRESS_BITS: u32 = 39;
const LINEAR_BITS: u32 = 48;

/// The answer to `leaf` and `sub`, from what `own` says of the CPU itself and
/// the ticks of the time stamp counter in a second: EAX, EBX, ECX, EDX.
pub fn answer(leaf: u32, sub: u32, tick_rate: u64, own: impl Fn(u32, u32) -> [u32; 4]) -> [u32; 4] {
    let named = |last: u32, name: [u8; 12]| {
        let part = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|index| name[at + index]));
        [last, part(0), part(4), part(8)]
    };
    match leaf {
        0 => {
            let [last, b, c, d] = own(0, 0);
            [last.min(LAST), b, c, d]
        }
        1 => {
            let [a, b, c, d] = own(1, 0);
            // One CPU, number 0; the size of cache lines is the real one.
            [a, b & 0xff00 | 1 << 16, c & BASIC_C | ADDED_C, d & BASIC_D]
        }
        7 if sub == 0 => {
            let [_, b, c, _] = own(7, 0);
            [0, b & MORE_B, c & MORE_C, 0]
        }
        // One CPU with one thread, in both lists.
        0x0b => match sub {
            0 => [0, 1, 0x100, 0],
            1 => [0, 1, 0x201, 0],
            _ => [0, 0, sub & 0xff, 0],
        },
        OWN => named(RATES, NAME),
        RATES => [(tick_rate / 1000) as u32, (apic::RATE / 1000) as u32, 0, 0],
        FIRST_LEAF => {
            let [last, b, c, d] = named(FIRST_LEAF + 2, VENDOR);
            [last, b, c, d]
        }
        0x4000_0101 => [SIGNATURE, 0, 0, 0],
        0x4000_0102 => {
            let all = Features::COREDUMP.0
                | Features::XNU_DEBUG.0
                | Features::MABS_OFFSET.0
                | Features::BOOT_SESSION_UUID.0;
            [0, 0, (all >> 32) as u32, all as u32]
        }
        0x8000_0000 => {
            let [last, b, c, d] = own(leaf, 0);
            [last.min(LAST_EXTENDED), b, c, d]
        }
        0x8000_0001 => {
            let [a, _, c, d] = own(leaf, 0);
            [a, 0, c & EXTENDED_C, d & EXTENDED_D]
        }
        0x8000_0002..=0x8000_0006 => own(leaf, 0),
        // The time stamp counter is the machine's own, with its merits.
        0x8000_0007 => [0, 0, 0, own(leaf, 0)[3] & 1 << 8],
        0x8000_0008 => [LINEAR_BITS << 8 | ADDRESS_BITS, 0, 0, 0],
        _ => [0; 4],
    }
}

#[cfg(test)]
mod tests {
    use postern_hypercall::{Leaf, Switch, interface};

    use super::*;

    fn all(leaf: u32, _sub: u32) -> [u32; 4] {
        match leaf {
            0 => [0x20, 1, 2, 3],
            0x8000_0000 => [0x8000_0021, 1, 2, 3],
            _ => [u32::MAX; 4],
        }
    }

    fn ask(leaf: u32) -> [u32; 4] {
        answer(leaf, 0, 2_500_000_000, all)
    }

    #[test]
    fn the_hypercalls_are_found() {
        let found = interface(Switch::On, |leaf| {
            let [eax, ebx, ecx, edx] = ask(leaf);
            Leaf { eax, ebx, ecx, edx }
        });
        let found = found.expect("the interface");
        assert_eq!((found.base, found.features), (FIRST_LEAF, Features(0xf)));
    }

    #[test]
    fn what_has_state_that_nobody_switches_is_hidden() {
        let [_, _, c, d] = ask(1);
        // MONITOR, FMA, PCID, XSAVE, OSXSAVE, AVX; MTRR, MCA.
        assert_eq!(c & (1 << 3 | 1 << 12 | 1 << 17 | 7 << 26), 0);
        assert_eq!(d & (1 << 12 | 1 << 14), 0);
        assert_ne!(c & 1 << 31, 0, "a hypervisor");
        // SVM, RDTSCP, fast FXSR; protection keys; AVX2.
        assert_eq!(ask(0x8000_0001)[2] & 1 << 2, 0);
        assert_eq!(ask(0x8000_0001)[3] & (1 << 27 | 1 << 25), 0);
        assert_eq!((ask(7)[2] & 1 << 3, ask(7)[1] & 1 << 5), (0, 0));
        assert_eq!((ask(0)[0], ask(0x8000_0000)[0]), (LAST, LAST_EXTENDED));
        assert_eq!((ask(0x0d), ask(0x19), ask(0x8000_000a)), ([0; 4], [0; 4], [0; 4]));
    }

    #[test]
    fn the_clocks_have_rates() {
        assert_eq!(ask(0x4000_0000)[0], RATES);
        assert_eq!(ask(RATES)[..2], [2_500_000, 1_000_000]);
    }

    #[test]
    fn nothing_is_invented() {
        let none = |_: u32, _: u32| [0; 4];
        assert_eq!(answer(1, 0, 1, none)[2], ADDED_C);
        assert_eq!(answer(1, 0, 1, none)[3], 0);
        assert_eq!(answer(7, 0, 1, none), [0; 4]);
    }
}
