//! What a Linux kernel finds when it starts, as its boot protocol says.

use std::collections::BTreeMap;

use postern_vm_model::boot::linux::{HEAD, Image, is_one, load};
use postern_vm_model::boot::{Error, Memory};

const MEMORY: u64 = 64 << 20;

#[derive(Default)]
struct Bytes(BTreeMap<u64, u8>);

impl Memory for Bytes {
    type Error = std::convert::Infallible;

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        assert!(at >= 0x1000 && at + bytes.len() as u64 <= 0x9_fc00, "{at:#x}");
        self.0.extend((at..).zip(bytes.iter().copied()));
        Ok(())
    }
}

impl Bytes {
    fn number(&self, at: u64, length: u64) -> u64 {
        let byte = |index| u64::from(self.0.get(&(at + index)).copied().unwrap_or(0));
        (0..length).rev().fold(0, |number, index| number << 8 | byte(index))
    }
}

/// The head of a kernel with two sectors before its body.
fn head() -> Vec<u8> {
    let mut head = vec![0; HEAD];
    let mut put = |at: usize, value: u64, length: usize| {
        head[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
    };
    put(0x1f1, 2, 1);
    put(0x1fe, 0xaa55, 2);
    put(0x201, 0x66, 1);
    put(0x202, u64::from(u32::from_le_bytes(*b"HdrS")), 4);
    put(0x206, 0x20f, 2);
    put(0x236, 1, 2);
    put(0x238, 2047, 4);
    put(0x258, 16 << 20, 8);
    put(0x260, 20 << 20, 4);
    head
}

fn image(head: &[u8]) -> Image<'_> {
    let bytes = 5 << 20;
    Image { head, bytes, ramdisk: 0x12_3456, command_line: b"quiet", memory: MEMORY }
}

#[test]
fn it_starts_as_the_protocol_says() {
    let head = head();
    assert!(is_one(&head) && !is_one(b"\x7fELF"));
    let mut memory = Bytes::default();
    let plan = load(&image(&head), &mut memory).expect("it loads");
    assert_eq!((plan.part, plan.to), (0x600..5 << 20, 16 << 20));
    let start = plan.start;
    assert_eq!(start.entry, (16 << 20) + 0x200);
    let [_, info] = start.arguments;
    // The command line, the ramdisk as high as it fits, a loader without a
    // number, the kernel's own fields.
    let line = memory.number(info + 0x228, 4);
    assert_eq!(memory.number(line, 6), u64::from_le_bytes(*b"quiet\0\0\0"));
    assert_eq!(memory.number(info + 0x218, 4), start.ramdisk);
    assert_eq!(memory.number(info + 0x21c, 4), 0x12_3456);
    assert_eq!(start.ramdisk, (MEMORY - 0x12_3456) & !0xfff);
    assert_eq!((memory.number(info + 0x210, 1), memory.number(info + 0x206, 2)), (0xff, 0x20f));
    let regions: Vec<_> = (0..memory.number(info + 0x1e8, 1))
        .map(|index| info + 0x2d0 + 20 * index)
        .map(|at| (memory.number(at, 8), memory.number(at + 8, 8), memory.number(at + 16, 4)))
        .collect();
    assert_eq!((regions.len(), regions[2]), (3, (1 << 20, MEMORY - (1 << 20), 1)));
    assert_eq!((regions[0].2, regions[1].2), (1, 2));
    // Selectors 0x10 and 0x18 are code and data, in the table and in the CPU.
    let table = start.system.segments[6].base;
    assert_eq!(memory.number(table + 0x10, 8) >> 40 & 0xff, 0x9b);
    assert_eq!(memory.number(table + 0x18, 8) >> 40 & 0xff, 0x93);
    assert_eq!(
        (start.system.segments[1].selector, start.system.segments[2].selector),
        (0x10, 0x18)
    );
    // Memory one to one.
    let mut at = start.system.cr[2];
    for _ in 0..2 {
        at = memory.number(at, 8) & !0xfff;
    }
    assert_eq!(memory.number(at + 8 * 8, 8) & !0xfff, 16 << 20);
}

#[test]
fn what_cannot_be_loaded_is_refused() {
    let refused = |image: Image<'_>| load(&image, &mut Bytes::default()).expect_err("refused");
    let with = |at: usize, value: &[u8]| {
        let mut head = head();
        head[at..at + value.len()].copy_from_slice(value);
        refused(image(&head))
    };
    assert!(matches!(with(0x206, &[0xb, 2]), Error::NoConfig(_)), "an old protocol");
    assert!(matches!(with(0x236, &[0]), Error::NoConfig(_)), "no 64-bit entry");
    assert!(matches!(with(0x202, b"x"), Error::NoConfig(_)));
    assert!(matches!(with(0x238, &[1, 0, 0, 0]), Error::NoConfig(_)), "the command line");
    assert!(matches!(with(0x258, &[0xff; 8]), Error::TooLarge { .. }));
    assert!(matches!(with(0x258, &[0; 8]), Error::TooLarge { .. }), "over what lies below");
    let head = head();
    let good = image(&head);
    assert!(matches!(refused(Image { bytes: 0x500, ..good }), Error::NoConfig(_)));
    assert!(matches!(refused(Image { ramdisk: MEMORY, ..good }), Error::TooLarge { .. }));
    assert!(matches!(refused(Image { ramdisk: u64::MAX, ..good }), Error::TooLarge { .. }));
    assert!(matches!(refused(Image { memory: 32 << 20, ..good }), Error::TooLarge { .. }));
    assert!(matches!(refused(Image { memory: 1, ..good }), Error::Size(1)));
    assert!(matches!(refused(Image { head: &head[..0x210], ..good }), Error::NoConfig(_)));
}
