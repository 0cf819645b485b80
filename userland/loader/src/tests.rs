//! Programs built by hand: a good one, every way to be a bad one, and random
//! damage that must never do more than give an error.

extern crate std;

use std::vec;
use std::vec::Vec;

use elf::abi::*;
use postern_abi::Rights;

use super::{Error, Program, Relocation};

const HEADERS: usize = 5;
const TEXT: usize = 0x1000;
const DATA: usize = 0x2000;
const RELA: usize = 0x2100;
const DYNAMIC: usize = 0x2200;
const NOTE: usize = 0x2300;

fn put(bytes: &mut [u8], at: usize, value: u64, size: usize) {
    bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
}

/// A program header.
#[derive(Clone, Copy)]
struct Header {
    kind: u32,
    flags: u32,
    offset: usize,
    address: u64,
    file: u64,
    memory: u64,
}

fn set_header(bytes: &mut [u8], index: usize, header: Header) {
    let at = 64 + 56 * index;
    put(bytes, at, header.kind.into(), 4);
    put(bytes, at + 4, header.flags.into(), 4);
    put(bytes, at + 8, header.offset as u64, 8);
    put(bytes, at + 16, header.address, 8);
    put(bytes, at + 32, header.file, 8);
    put(bytes, at + 40, header.memory, 8);
    put(bytes, at + 48, 4, 8);
}

fn load(flags: u32, offset: usize, file: u64, memory: u64) -> Header {
    Header { kind: PT_LOAD, flags, offset, address: offset as u64, file, memory }
}

fn good() -> Vec<u8> {
    let mut bytes = vec![0; 0x2400];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    put(&mut bytes, 16, ET_DYN.into(), 2);
    put(&mut bytes, 18, EM_X86_64.into(), 2);
    put(&mut bytes, 20, 1, 4);
    put(&mut bytes, 24, TEXT as u64 + 0x10, 8);
    put(&mut bytes, 32, 64, 8);
    put(&mut bytes, 52, 64, 2);
    put(&mut bytes, 54, 56, 2);
    put(&mut bytes, 56, HEADERS as u64, 2);
    set_header(&mut bytes, 0, load(PF_R | PF_X, TEXT, 0x20, 0x20));
    set_header(&mut bytes, 1, load(PF_R | PF_W, DATA + 8, 0x3f8, 0x1800));
    let dynamic = Header { kind: PT_DYNAMIC, ..load(PF_R, DYNAMIC, 64, 64) };
    set_header(&mut bytes, 2, dynamic);
    set_header(&mut bytes, 3, Header { kind: PT_NOTE, ..load(PF_R, NOTE, 32, 32) });
    set_header(&mut bytes, 4, Header { kind: PT_GNU_STACK, ..load(PF_R, 0, 0, 0) });
    let table = [(DT_RELA, RELA as u64), (DT_RELASZ, 24), (DT_RELAENT, 24), (DT_NULL, 0)];
    for (index, (tag, value)) in table.into_iter().enumerate() {
        put(&mut bytes, DYNAMIC + 16 * index, tag as u64, 8);
        put(&mut bytes, DYNAMIC + 16 * index + 8, value, 8);
    }
    put(&mut bytes, RELA, DATA as u64 + 0x10, 8);
    put(&mut bytes, RELA + 8, R_X86_64_RELATIVE.into(), 8);
    put(&mut bytes, RELA + 16, TEXT as u64, 8);
    put(&mut bytes, NOTE, 4, 4);
    put(&mut bytes, NOTE + 4, 16, 4);
    put(&mut bytes, NOTE + 8, 3, 4);
    bytes[NOTE + 12..NOTE + 16].copy_from_slice(b"GNU\0");
    bytes[NOTE + 16..NOTE + 32].copy_from_slice(b"0123456789abcdef");
    bytes
}

fn error(bytes: &[u8]) -> Error {
    Program::parse(bytes).expect_err("is not a program")
}

fn broken(change: impl FnOnce(&mut Vec<u8>)) -> Error {
    let mut bytes = good();
    change(&mut bytes);
    error(&bytes)
}

#[test]
fn a_good_program_is_read() {
    let bytes = good();
    let program = Program::parse(&bytes).expect("good");
    assert_eq!(program.entry(), 0x1010);
    assert_eq!(program.build_id(), u64::from_le_bytes(*b"01234567"));
    let segments: Vec<_> = program.segments().collect();
    assert_eq!(segments.len(), 2);
    assert_eq!((segments[0].address, segments[0].memory), (0x1000, 0x1000));
    assert_eq!(segments[0].rights, Rights::R | Rights::X);
    assert_eq!((segments[1].address, segments[1].memory), (0x2000, 0x2000));
    assert_eq!((segments[1].offset, segments[1].contents.len()), (8, 0x3f8));
    assert_eq!(segments[1].rights, Rights::R | Rights::W);
    assert_eq!(program.span(), 0x4000);
    let relocations: Vec<_> = program.relocations().collect();
    assert_eq!(relocations, [Relocation { address: 0x2010, addend: 0x1000 }]);
}

#[test]
fn data_that_only_relocations_write_is_sealed() {
    let mut bytes = good();
    let relro = Header { kind: PT_GNU_RELRO, ..load(PF_R, DATA, 0x400, 0x2000) };
    set_header(&mut bytes, 4, relro);
    let program = Program::parse(&bytes).expect("good");
    assert_eq!(program.segments().nth(1).expect("data").rights, Rights::R);
}

#[test]
fn every_defect_has_its_error() {
    let last = |header: Header| broken(|bytes| set_header(bytes, 4, header));
    assert_eq!(error(b""), Error::Truncated);
    assert_eq!(error(&[0; 64]), Error::NotElf);
    assert_eq!(broken(|bytes| bytes[4] = 1), Error::WrongMachine);
    assert_eq!(broken(|bytes| bytes[5] = 2), Error::WrongMachine);
    assert_eq!(broken(|bytes| bytes[18] = 183), Error::WrongMachine);
    assert_eq!(broken(|bytes| bytes[16] = 2), Error::NotPie);
    assert_eq!(broken(|bytes| put(bytes, 32, 0, 8)), Error::NoSegments);
    assert_eq!(broken(|bytes| put(bytes, 56, 0, 2)), Error::NoSegments);
    assert_eq!(broken(|bytes| put(bytes, 24, DATA as u64, 8)), Error::BadEntry { address: 0x2000 });
    assert_eq!(last(Header { kind: PT_INTERP, ..load(PF_R, 0, 8, 8) }), Error::NeedsInterpreter);
    assert_eq!(last(Header { kind: PT_TLS, ..load(PF_R, 0, 8, 8) }), Error::ThreadLocalStorage);
    assert_eq!(
        last(Header { address: 0x8000, ..load(PF_W | PF_X, 0, 8, 8) }),
        Error::WritableAndExecutable { address: 0x8000 }
    );
    assert_eq!(
        last(Header { address: 0x3900, ..load(PF_R, 0, 8, 8) }),
        Error::Overlap { address: 0x3000 }
    );
    assert_eq!(last(Header { address: 0x8000, ..load(PF_R, 0, 8, 7) }), Error::Malformed);
    assert_eq!(last(Header { address: 0x8000, ..load(PF_R, 0x2400, 8, 8) }), Error::Truncated);
    assert_eq!(last(Header { address: 1 << 30, ..load(PF_R, 0, 8, 8) }), Error::TooLarge);
    assert_eq!(last(Header { address: u64::MAX, ..load(PF_R, 0, 8, 8) }), Error::TooLarge);
    assert_eq!(
        broken(|bytes| put(bytes, RELA + 8, R_X86_64_GLOB_DAT.into(), 8)),
        Error::UnsupportedRelocation { kind: R_X86_64_GLOB_DAT }
    );
    for outside in [0x3ff9, u64::MAX, TEXT as u64] {
        assert_eq!(
            broken(|bytes| put(bytes, RELA, outside, 8)),
            Error::RelocationOutside { address: outside }
        );
    }
    let dynamic = |at: usize, value: u64| broken(|bytes| put(bytes, DYNAMIC + at, value, 8));
    assert_eq!(dynamic(8, 0x9000), Error::Truncated);
    assert_eq!(dynamic(24, 25), Error::Malformed);
    assert_eq!(dynamic(40, 16), Error::Malformed);
    assert_eq!(dynamic(48, DT_NEEDED as u64), Error::NeedsLibraries);
}

#[test]
fn too_many_segments_are_refused() {
    let mut bytes = good();
    bytes.resize(0x4000, 0);
    put(&mut bytes, 32, 0x3000, 8);
    put(&mut bytes, 56, 17, 2);
    for index in 0..17 {
        // `set_header` counts from 64; the table moved to 0x3000.
        let address = 0x1000 * (index as u64 + 1);
        let header = Header { address, ..load(PF_R | PF_X, TEXT, 8, 8) };
        set_header(&mut bytes[0x3000 - 64..], index, header);
    }
    assert_eq!(error(&bytes), Error::TooManySegments);
}

#[test]
fn damage_never_panics() {
    let original = good();
    for length in 0..original.len() {
        let _ = Program::parse(&original[..length]);
    }
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let interesting: Vec<usize> = (0..64 + 56 * HEADERS).chain(RELA..NOTE + 32).collect();
    for _ in 0..200_000 {
        let mut bytes = original.clone();
        for _ in 0..1 + random() % 4 {
            let at = interesting[random() as usize % interesting.len()];
            bytes[at] = random() as u8;
        }
        if let Ok(program) = Program::parse(&bytes) {
            assert!(program.span() <= super::MAX_SPAN);
            for relocation in program.relocations() {
                assert!(relocation.address + 8 <= program.span());
            }
        }
    }
}
