//! Tables for everything that executes nothing. The instruction itself is
//! tried in QEMU (`tests/subjects/hypercall`).

extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::detect::{FIRST_LEAF, LAST_LEAF};
use crate::*;

#[test]
fn a01_code_words() {
    for (code, word) in [
        (0, 0x4100_0000),
        (1, 0x4100_0001),
        (0xff_ffff, 0x41ff_ffff),
        (0x100_0002, 0x4100_0002),
        (u32::MAX, 0x41ff_ffff),
    ] {
        assert_eq!(code_word(code), word, "{code:#x}");
        assert_eq!(code_word(code) >> 32, 0);
    }
}

#[test]
fn a04_name_spaces() {
    for (rax, whose) in [
        (1, Namespace::Other(1)),
        (0x4100_0001, Namespace::Xnu(1)),
        (0x41ff_ffff, Namespace::Xnu(0xff_ffff)),
        (0x5000_0001, Namespace::Other(0x5000_0001)),
        // Not a code word of this convention: its high half is zero.
        (0x1_4100_0001, Namespace::Other(0x1_4100_0001)),
        (u64::MAX, Namespace::Other(u64::MAX)),
    ] {
        assert_eq!(Namespace::of(rax), whose, "{rax:#x}");
    }
}

/// A machine that answers CPUID from a table, the rest with `default`.
fn machine(leaves: &[(u32, Leaf)], default: Leaf) -> impl FnMut(u32) -> Leaf {
    move |asked| leaves.iter().find(|(leaf, _)| *leaf == asked).map_or(default, |found| found.1)
}

const GUEST: (u32, Leaf) = (1, Leaf { eax: 0, ebx: 0, ecx: 1 << 31, edx: 0 });

fn word(text: &str, at: usize) -> u32 {
    u32::from_le_bytes(text.as_bytes()[4 * at..4 * at + 4].try_into().expect("four bytes"))
}

/// The first leaf of a block with this last leaf.
fn block(base: u32, last: u32, vendor: &str) -> (u32, Leaf) {
    let leaf = Leaf { eax: last, ebx: word(vendor, 0), ecx: word(vendor, 1), edx: word(vendor, 2) };
    (base, leaf)
}

fn signature(base: u32, text: &str) -> (u32, Leaf) {
    (base + 1, Leaf { eax: word(text, 0), ..Leaf::default() })
}

fn features(base: u32, edx: u32, ecx: u32) -> (u32, Leaf) {
    (base + 2, Leaf { ecx, edx, ..Leaf::default() })
}

const NAME: &str = "apple-pv-xnu";
const BASE: u32 = 0x4000_0100;

/// A good interface at `base`.
fn good(base: u32, edx: u32) -> [(u32, Leaf); 3] {
    [block(base, base + 2, NAME), signature(base, "AH#1"), features(base, edx, 0)]
}

fn found(leaves: &[(u32, Leaf)]) -> Result<Interface, Absent> {
    interface(Switch::On, machine(leaves, Leaf::default()))
}

#[test]
fn a05_the_interface_is_found_in_every_block() {
    assert_eq!(SIGNATURE, 0x3123_4841);
    let mut blocks = 0;
    for base in (FIRST_LEAF..LAST_LEAF).step_by(0x100) {
        let mut leaves = Vec::from(good(base, 0xf));
        leaves.push(GUEST);
        assert_eq!(found(&leaves), Ok(Interface { base, features: Features(0xf) }));
        blocks += 1;
    }
    assert_eq!(blocks, 255);
    for outside in [0x4000_0000, 0x4000_0180, LAST_LEAF] {
        let mut leaves = Vec::from(good(outside, 0xf));
        leaves.push(GUEST);
        assert_eq!(found(&leaves), Err(Absent::NotPresent), "{outside:#x}");
    }
}

#[test]
fn a05_both_feature_words_are_read() {
    let leaves = [
        GUEST,
        block(BASE, BASE + 2, NAME),
        signature(BASE, "AH#1"),
        features(BASE, 0x8000_0005, 7),
    ];
    let features = found(&leaves).expect("it is there").features;
    assert_eq!(features, Features(0x7_8000_0005));
    assert!(features.contains(Features::COREDUMP) && features.contains(Features::MABS_OFFSET));
    assert!(!features.contains(Features::XNU_DEBUG));
    assert!(!features.contains(Features::BOOT_SESSION_UUID));
    assert_eq!(features.to_string(), "coredump, MABS offset, unknown 0x780000000");
    assert_eq!(Features(0).to_string(), "no calls");
}

#[test]
fn a05_last_leaves_that_are_no_good() {
    for (last, good) in [
        (0, false),
        (BASE - 1, false),
        (BASE, false),
        (BASE + 1, false),
        (BASE + 2, true),
        (BASE + 3, true),
        (BASE + 0xff, true),
        (BASE + 0x100, false),
        (0x4001_0000, false),
        (u32::MAX, false),
    ] {
        let leaves =
            [GUEST, block(BASE, last, NAME), signature(BASE, "AH#1"), features(BASE, 1, 0)];
        assert_eq!(found(&leaves).is_ok(), good, "{last:#x}");
    }
}

#[test]
fn a05_a_name_alone_is_not_enough() {
    for (name, sign) in [
        ("apple-pv-xnv", "AH#1"),
        ("Apple-pv-xnu", "AH#1"),
        ("KVMKVMKVM\0\0\0", "AH#1"),
        (NAME, "Hv#1"),
        (NAME, "AH#2"),
        (NAME, "\0\0\0\0"),
    ] {
        let leaves = [GUEST, block(BASE, BASE + 2, name), signature(BASE, sign)];
        assert_eq!(found(&leaves), Err(Absent::NotPresent), "{name} {sign}");
    }
}

#[test]
fn a05_of_two_interfaces_the_first_good_one_counts() {
    let second = BASE + 0x100;
    let pair = [good(BASE, 1), good(second, 2)].concat();
    let with = |broken: (u32, Leaf)| {
        // What stands first in the table counts.
        let leaves = [&[GUEST, broken][..], &pair].concat();
        found(&leaves).map(|interface| interface.base)
    };
    assert_eq!(with(GUEST), Ok(BASE));
    assert_eq!(with(block(BASE, BASE + 2, "Microsoft Hv")), Ok(second));
    assert_eq!(with(block(BASE, BASE + 1, NAME)), Ok(second));
    assert_eq!(with(signature(BASE, "Hv#1")), Ok(second));
}

#[test]
fn a05_no_hypervisor_and_the_off_switch_end_it_early() {
    let mut asked = Vec::new();
    let mut record = |leaf| {
        asked.push(leaf);
        Leaf::default()
    };
    assert_eq!(interface(Switch::On, &mut record), Err(Absent::NoHypervisor));
    assert_eq!(interface(Switch::Off, &mut record), Err(Absent::SwitchedOff));
    assert_eq!(asked, [1]);
    for (line, switch) in [
        ("", Switch::On),
        ("hcalls=0", Switch::Off),
        ("quiet hcalls=0 list", Switch::Off),
        ("hcalls=1", Switch::On),
        ("hcalls=0 hcalls=1", Switch::On),
        ("xhcalls=0", Switch::On),
        ("hcalls=00", Switch::On),
    ] {
        assert_eq!(Switch::from_command_line(line), switch, "{line}");
    }
}

#[test]
fn a05_garbage_is_no_interface() {
    // QEMU's plain emulation: its name at the first leaf of all, and whatever
    // the highest ordinary leaf says everywhere else.
    let tcg =
        Leaf { eax: 0x4000_0001, ebx: word("TCGTCGTCGTCG", 0), ecx: 0x5443_4754, edx: 0x4743_5447 };
    for garbage in [Leaf::default(), tcg, Leaf { eax: 0x16, ebx: 7, ecx: 2, edx: 9 }] {
        assert_eq!(
            interface(Switch::On, machine(&[GUEST, (0x4000_0000, tcg)], garbage)),
            Err(Absent::NotPresent)
        );
    }
    // The same leaf everywhere, even one with the right name: the second leaf
    // of the block is not the signature then.
    let (_, named) = block(BASE, BASE + 2, NAME);
    assert_eq!(interface(Switch::On, machine(&[GUEST], named)), Err(Absent::NotPresent));
    // Random leaves, from a fixed seed, never name an interface.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u32
    };
    for _ in 0..200 {
        let random = |leaf| match leaf {
            1 => GUEST.1,
            _ => Leaf { eax: next(), ebx: next(), ecx: next(), edx: next() },
        };
        assert_eq!(interface(Switch::On, random), Err(Absent::NotPresent));
    }
}

#[test]
fn a06_this_machine_gives_a_token_only_if_its_leaves_say_so() {
    // Executes CPUID, and nothing else.
    let read = |leaf| {
        let it = core::arch::x86_64::__cpuid(leaf);
        Leaf { eax: it.eax, ebx: it.ebx, ecx: it.ecx, edx: it.edx }
    };
    let calls = Hypercalls::detect(Switch::On);
    assert_eq!(calls.map(Hypercalls::interface), interface(Switch::On, read));
    assert_eq!(Hypercalls::detect(Switch::Off), Err(Absent::SwitchedOff));
}

#[test]
fn a06_opcode_by_vendor() {
    let leaf =
        |name: &str| Leaf { eax: 0, ebx: word(name, 0), edx: word(name, 1), ecx: word(name, 2) };
    for (vendor, opcode) in [
        ("AuthenticAMD", Opcode::Vmmcall),
        ("HygonGenuine", Opcode::Vmmcall),
        ("GenuineIntel", Opcode::Vmcall),
        ("CentaurHauls", Opcode::Vmcall),
    ] {
        assert_eq!(Opcode::of_vendor(leaf(vendor)), opcode, "{vendor}");
    }
}

#[test]
fn a07_requests() {
    let request = |code, arguments| Request { code, arguments };
    assert_eq!(Dump::REQUEST, request(0x4100_0001, [1, 0, 0, 0, 0, 0]));
    let data = Coredump { text: 1, map_start: 2, map_end: 3, cr3: 4, buffers: 5, buffers_size: 6 };
    assert_eq!(data.request(), request(0x4100_0002, [1, 2, 3, 4, 5, 6]));
    assert_eq!(Clock::request(7, 8), request(0x4100_0003, [7, 8, 0, 0, 0, 0]));
    assert_eq!(BOOT_SESSION, request(0x4100_0004, [0; 6]));
}

#[test]
fn a07_answers() {
    let mut bytes = [0; 56];
    for (byte, number) in bytes.iter_mut().zip(b'A'..) {
        *byte = number;
    }
    let outputs = Outputs::from_bytes(bytes);
    assert_eq!(outputs.0[0], u64::from_le_bytes(*b"ABCDEFGH"));
    assert_eq!(outputs.bytes(), bytes);
    let tag = DumpTag::new(outputs);
    assert_eq!(tag.name(), bytes);
    assert_eq!(tag.with_nul()[56], 0);
    bytes[5] = 0;
    let tag = DumpTag::new(Outputs::from_bytes(bytes));
    assert_eq!((tag.name(), tag.to_string()), (&b"ABCDE"[..], String::from("ABCDE")));
    // A hypervisor's bytes do not reach a terminal as they are.
    bytes[0] = 0x1b;
    assert_eq!(DumpTag::new(Outputs::from_bytes(bytes)).to_string(), "\\x1bBCDE");

    let uuid = b"01234567-89AB-CDEF-0123-456789ABCDEF";
    let mut bytes = [b'?'; 56];
    bytes[..36].copy_from_slice(uuid);
    let id = SessionId::new(Outputs::from_bytes(bytes));
    assert_eq!(id.text(), uuid);
    assert_eq!(id.to_string().as_bytes(), uuid);
    assert_eq!(Clock::offset_in(Outputs([1, 2, 3, 4, 5, 6, 7])), 2);
}

#[test]
fn a07_calls_exist_with_their_feature_only() {
    for bits in 0..16 {
        let interface = Interface { base: BASE, features: Features(bits) };
        // SAFETY: no call is made.
        let calls = unsafe { Hypercalls::assume(interface, Opcode::Vmcall) };
        let there = [
            calls.dump().is_some(),
            calls.debugger().is_some(),
            calls.clock().is_some(),
            calls.session().is_some(),
        ];
        assert_eq!(there, [0, 1, 2, 3].map(|bit| bits >> bit & 1 != 0));
    }
}

#[test]
fn a08_errors() {
    for (number, error, errno_of) in [
        (1, Error::AccessDenied, 1),
        (2, Error::InvalidCode, 22),
        (3, Error::InvalidParameter, 22),
        (4, Error::IoFailed, 5),
        (5, Error::FeatureDisabled, 45),
        (6, Error::Unsupported, 45),
        (7, Error::Unknown(7), 19),
        (u64::MAX, Error::Unknown(u64::MAX), 19),
    ] {
        assert_eq!(Error::try_from(number), Ok(error));
        assert_eq!((error.number(), error.errno()), (number, errno_of), "{number}");
        assert_eq!(errno(number), errno_of);
        assert!(!format!("{error}").is_empty());
    }
    assert!(Error::try_from(0).is_err());
    assert_eq!(errno(0), 0);
    assert_eq!(Error::from_number(0), Error::Unknown(0));
}

#[test]
fn a09_arguments_that_are_not_given_are_zero() {
    let all = [11, 12, 13, 14, 15, 16];
    assert_eq!(Request::new(9, []).arguments, [0; 6]);
    assert_eq!(Request::new(9, [11]).arguments, [11, 0, 0, 0, 0, 0]);
    assert_eq!(Request::new(9, [11, 12]).arguments, [11, 12, 0, 0, 0, 0]);
    assert_eq!(Request::new(9, [11, 12, 13]).arguments, [11, 12, 13, 0, 0, 0]);
    assert_eq!(Request::new(9, [11, 12, 13, 14]).arguments, [11, 12, 13, 14, 0, 0]);
    assert_eq!(Request::new(9, [11, 12, 13, 14, 15]).arguments, [11, 12, 13, 14, 15, 0]);
    assert_eq!(Request::new(9, all).arguments, all);
}
