//! Good and bad program files, made by hand.

use object::elf::{ET_EXEC, R_X86_64_64};

use super::*;

const ADDRESS: u64 = 0x2000;
const TABLE: u64 = ADDRESS + 0x100;

/// A small ELF file: its kind, program headers (kind, flags, offset in the
/// contents, bytes) and 512 bytes of contents at [`ADDRESS`].
fn file(kind: u16, headers: &[(u32, u32, u64, u64)], contents: &[u8; 0x200]) -> Vec<u8> {
    let start = 64 + 56 * headers.len() as u64;
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(kind.to_le_bytes());
    bytes.extend(62_u16.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([ADDRESS, 64, 0].into_iter().flat_map(u64::to_le_bytes));
    bytes.extend([0; 4]);
    bytes.extend([64, 56, headers.len() as u16, 64, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    for (kind, flags, offset, size) in headers {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        let words = [start + offset, ADDRESS + offset, ADDRESS + offset, *size, *size, 8];
        bytes.extend(words.into_iter().flat_map(u64::to_le_bytes));
    }
    bytes.extend(contents);
    bytes
}

/// Contents with a dynamic section (at 0) and one relocation of the word at
/// 0x180 (at 0x100).
fn contents(dynamic: &[(u64, u64)], relocation: u64) -> [u8; 0x200] {
    let mut bytes = [0; 0x200];
    let mut put = |at: usize, words: [u64; 3]| {
        bytes[at..at + 24].copy_from_slice(&words.map(u64::to_le_bytes).concat());
    };
    for (index, (tag, value)) in dynamic.iter().enumerate() {
        put(index * 16, [*tag, *value, 0]);
    }
    put(0x100, [ADDRESS + 0x180, relocation, 0x2042]);
    bytes
}

const RELOCATIONS: [(u64, u64); 2] = [(7, TABLE), (8, 24)];
const LOAD: (u32, u32, u64, u64) = (1, flags::R | flags::W, 0, 0x200);
const DYNAMIC: (u32, u32, u64, u64) = (2, flags::R, 0, 0x80);

fn refusal(bytes: &[u8]) -> String {
    Executable::parse(bytes).err().map(|error| format!("{error:#}")).unwrap_or_default()
}

#[test]
fn a_static_pie_is_read() {
    let good = contents(&RELOCATIONS, 8);
    let read = Executable::parse(&file(ET_DYN.0, &[LOAD, DYNAMIC], &good)).expect("good");
    assert_eq!(read.entry, ADDRESS);
    assert_eq!(read.relocations, [(ADDRESS + 0x180, 0x2042)]);
    let flags = flags::R | flags::W;
    let segment = Segment { address: ADDRESS, memory: 0x200, contents: good.to_vec(), flags };
    assert_eq!(read.segments, [segment]);
    assert_eq!(read.build, [0; 8], "it has no build id");
}

#[test]
fn what_no_loader_could_start_is_refused_with_the_reason() {
    let good = contents(&RELOCATIONS, 8);
    let kind = ET_DYN.0;
    let with = |headers: &[_]| refusal(&file(kind, headers, &good));
    let dynamic = |words: &[_], relocation| {
        refusal(&file(kind, &[LOAD, DYNAMIC], &contents(words, relocation)))
    };
    let wide: u64 = R_X86_64_64.0.into();
    let cases = [
        (refusal(b"#!/bin/sh"), "not an ELF file"),
        (refusal(&file(ET_EXEC.0, &[LOAD, DYNAMIC], &good)), "not a static PIE"),
        (with(&[LOAD, (3, flags::R, 0, 8)]), "dynamic linker"),
        (with(&[LOAD, (7, flags::R, 0, 8)]), "thread_local"),
        (with(&[DYNAMIC]), "no segment to load"),
        (with(&[(1, 7, 0, 0x200)]), "writable and executable"),
        (with(&[(1, flags::R, 0, 0x201)]), "cut off"),
        (dynamic(&RELOCATIONS, wide), "only know R_X86_64_RELATIVE"),
        (dynamic(&[(1, 1)], 8), "shared library"),
        (dynamic(&[(23, 1)], 8), "procedure linkage table"),
        (dynamic(&[(36, 1)], 8), "packed relocations"),
        (dynamic(&[(7, TABLE), (8, 25)], 8), "relocations are cut off"),
        (dynamic(&[(7, TABLE), (8, 0x200)], 8), "lie outside"),
    ];
    for (found, expected) in cases {
        assert!(found.contains(expected), "`{expected}` is not in `{found}`");
    }
}
