//! What a kernel finds when it starts, read with the boot loader's own types
//! and the CPU's way through page tables.

use std::collections::BTreeMap;

use bootloader_api::config::Mapping;
use bootloader_api::info::MemoryRegionKind;
use bootloader_api::{BootInfo, BootloaderConfig};
use postern_vm_model::boot::{Error, Image, Memory, Start, load};

const MEMORY: u64 = 16 << 20;
const BASE: u64 = 0xffff_ffff_8000_0000;
const PHYSICAL: u64 = 0xffff_8000_0000_0000;

/// A guest's memory, zero where nothing was written.
#[derive(Default)]
struct Bytes(BTreeMap<u64, u8>);

impl Memory for Bytes {
    type Error = std::convert::Infallible;

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        assert!(at >= 1 << 20 && at + bytes.len() as u64 <= MEMORY, "{at:#x}");
        self.0.extend((at..).zip(bytes.iter().copied()));
        Ok(())
    }
}

impl Bytes {
    fn byte(&self, at: u64) -> u8 {
        self.0.get(&at).copied().unwrap_or(0)
    }

    fn word(&self, at: u64) -> u64 {
        u64::from_le_bytes(core::array::from_fn(|index| self.byte(at + index as u64)))
    }

    /// Where an address lies, and the flags of its page.
    fn translate(&self, root: u64, at: u64) -> Option<(u64, u64)> {
        let mut table = root;
        for level in (0..4).rev() {
            let covered = 4096_u64 << (9 * level);
            let entry = self.word(table + at / covered % 512 * 8);
            if entry & 1 == 0 {
                return None;
            }
            let address = entry & 0x000f_ffff_ffff_f000;
            if level == 0 || level < 3 && entry & 0x80 != 0 {
                return Some((address + at % covered, entry & (1 << 63 | 3)));
            }
            table = address;
        }
        None
    }
}

/// A kernel of one page of code and one of data, whose first word is its own
/// address, and that wants `config`.
fn kernel(config: &BootloaderConfig) -> Vec<u8> {
    let mut file = vec![0; 0x4000];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    for (at, value) in
        [(16, 3_u16), (18, 62), (52, 64), (54, 56), (56, 3), (58, 64), (60, 4), (62, 2)]
    {
        put(at, &value.to_le_bytes());
    }
    put(20, &1_u32.to_le_bytes());
    for (at, value) in [(24, 0x1010_u64), (32, 64), (40, 0x3000)] {
        put(at, &value.to_le_bytes());
    }
    // Code, data, dynamic section.
    for (index, (kind, flags, offset, file, memory)) in [
        (1_u32, 5_u32, 0x1000_u64, 0x100_u64, 0x100_u64),
        (1, 6, 0x2000, 0x800, 0x1800),
        (2, 4, 0x2200, 64, 64),
    ]
    .into_iter()
    .enumerate()
    {
        let at = 64 + 56 * index;
        put(at, &kind.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        for (place, value) in [(8, offset), (16, offset), (32, file), (40, memory)] {
            put(at + place, &value.to_le_bytes());
        }
    }
    put(0x1000, &[0xcc; 16]);
    // One relocation: the first word of the data is its own address.
    for (index, (tag, value)) in
        [(7_u64, 0x2100_u64), (8, 24), (9, 24), (0, 0)].into_iter().enumerate()
    {
        put(0x2200 + 16 * index, &tag.to_le_bytes());
        put(0x2208 + 16 * index, &value.to_le_bytes());
    }
    for (index, value) in [0x2000_u64, 8, 0x2000].into_iter().enumerate() {
        put(0x2100 + 8 * index, &value.to_le_bytes());
    }
    // Sections: none, the configuration, names, the dynamic section.
    let bytes = config.serialize();
    put(0x2400, &bytes);
    put(0x2600, b"\0.bootloader-config\0.names\0");
    for (index, (name, kind, offset, size)) in
        [(1_u32, 1_u32, 0x2400_u64, bytes.len() as u64), (20, 3, 0x2600, 27), (0, 6, 0x2200, 64)]
            .into_iter()
            .enumerate()
    {
        let at = 0x3040 + 64 * index;
        put(at, &name.to_le_bytes());
        put(at + 4, &kind.to_le_bytes());
        put(at + 24, &offset.to_le_bytes());
        put(at + 32, &size.to_le_bytes());
        put(at + 56, &16_u64.to_le_bytes());
    }
    file
}

fn config() -> BootloaderConfig {
    let mut config = BootloaderConfig::new_default();
    config.mappings.kernel_base = Mapping::FixedAddress(BASE);
    config.mappings.physical_memory = Some(Mapping::FixedAddress(PHYSICAL));
    config.kernel_stack_size = 0x5000;
    config
}

fn loaded(config: &BootloaderConfig) -> Result<(Start, Bytes), String> {
    let kernel = kernel(config);
    let image = Image { kernel: &kernel, ramdisk: 0x12345, align: 0x4_0000, memory: MEMORY };
    let mut memory = Bytes::default();
    let start = load(&image, &mut memory).map_err(|error| error.to_string())?;
    Ok((start, memory))
}

/// The boot information, as the kernel sees it.
fn info(start: &Start, memory: &Bytes) -> &'static mut BootInfo {
    let root = start.system.cr[2];
    let place = |at| memory.translate(root, at).expect("it is mapped").0;
    let page: Vec<u64> =
        (0..512).map(|word| memory.word(place(start.arguments[0]) + 8 * word)).collect();
    // The list of regions is at an address of the guest's: move it here.
    let list = core::mem::offset_of!(BootInfo, memory_regions) / 8;
    let here = page.leak();
    here[list] = here.as_ptr() as u64 + (here[list] - start.arguments[0]);
    // SAFETY: the bytes are aligned for it and never freed. That they are a
    // valid value is what is tested; the layout is that of C.
    unsafe { &mut *here.as_mut_ptr().cast() }
}

#[test]
fn the_boot_information_reads_as_the_boot_loader_writes_it() {
    let (start, memory) = loaded(&config()).expect("it loads");
    let info = info(&start, &memory);
    let version = &info.api_version;
    assert_eq!(
        (version.version_major(), version.version_minor(), version.version_patch()),
        (0, 11, 15)
    );
    assert!(!version.pre_release());
    assert_eq!(info.physical_memory_offset.into_option(), Some(PHYSICAL));
    assert_eq!(info.rsdp_addr.into_option(), None);
    assert_eq!(info.recursive_index.into_option(), None);
    assert!(info.framebuffer.as_ref().is_none() && info.tls_template.as_ref().is_none());
    assert_eq!(info.ramdisk_len, 0x12345);
    assert_eq!(
        (info.kernel_addr, info.kernel_len, info.kernel_image_offset),
        (1 << 20, 0x4000, BASE)
    );
    assert_eq!(info.kernel_stack_len, 0x5000);
    assert_eq!(info.kernel_stack_bottom + 0x5000 - 8, start.stack);
    let root = start.system.cr[2];
    let ramdisk = info.ramdisk_addr.into_option().expect("a ramdisk");
    assert_eq!(memory.translate(root, ramdisk).map(|it| it.0), Some(start.ramdisk));
    assert!(start.ramdisk.is_multiple_of(0x4_0000));
    let regions: Vec<_> = info.memory_regions.iter().copied().collect();
    let kinds: Vec<_> = regions.iter().map(|region| region.kind).collect();
    use MemoryRegionKind::{Bootloader, Usable};
    assert_eq!(kinds, [Usable, Bootloader, Usable]);
    assert_eq!((regions[0].start, regions[2].end), (0, MEMORY));
    assert!(regions.windows(2).all(|pair| pair[0].end == pair[1].start));
    let used = regions[1].start..regions[1].end;
    assert!(memory.0.keys().all(|at| used.contains(at)), "nothing lies in usable memory");
    assert!(used.contains(&start.ramdisk) && used.contains(&(start.ramdisk + 0x12345)));
}

#[test]
fn everything_is_mapped_as_it_must_be() {
    let (start, memory) = loaded(&config()).expect("it loads");
    let at = |address| memory.translate(start.system.cr[2], address);
    const WRITE: u64 = 2;
    const NO_EXECUTE: u64 = 1 << 63;
    // Code: not writable; data: not executable, and zero behind the file.
    let (code, flags) = at(start.entry).expect("the code");
    assert_eq!((start.entry, memory.byte(code - 0x10), flags), (BASE + 0x1010, 0xcc, 1));
    let (data, flags) = at(BASE + 0x2000).expect("the data");
    assert_eq!((memory.word(data), flags), (BASE + 0x2000, 1 | WRITE | NO_EXECUTE));
    assert_eq!(memory.word(at(BASE + 0x3000).expect("the rest").0), 0);
    assert_eq!(at(BASE + 0x4000), None);
    // All memory, and nothing more.
    for address in [0, 0x12_3456, MEMORY - 1] {
        assert_eq!(at(PHYSICAL + address).map(|it| it.0), Some(address));
    }
    assert_eq!(at(PHYSICAL + MEMORY), None);
    // The stack, with a page below it that is not there.
    let bottom = start.stack + 8 - 0x5000;
    assert!(at(start.stack).is_some() && at(bottom).is_some() && at(bottom - 1).is_none());
    assert_eq!(start.stack % 16, 8, "as after a call");
}

#[test]
fn what_may_be_chosen_is_chosen() {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    let (start, memory) = loaded(&config).expect("it loads");
    let physical = info(&start, &memory).physical_memory_offset.into_option().expect("mapped");
    let root = start.system.cr[2];
    assert_eq!(memory.translate(root, physical + 0x1234).map(|it| it.0), Some(0x1234));
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = None;
    let (start, memory) = loaded(&config).expect("it loads");
    assert_eq!(info(&start, &memory).physical_memory_offset.into_option(), None);
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let refused = |config: &BootloaderConfig| loaded(config).err().expect("it is refused");
    let mut wrong = config();
    wrong.mappings.page_table_recursive = Some(Mapping::Dynamic);
    assert!(refused(&wrong).contains("recursive"));
    let mut wrong = config();
    wrong.mappings.boot_info = Mapping::FixedAddress(BASE + 0x1000);
    assert!(refused(&wrong).contains("two mappings at one place"));
    let mut wrong = config();
    wrong.mappings.kernel_base = Mapping::FixedAddress(0x8000_0000_0000);
    assert!(refused(&wrong).contains("no address can be"));
    let mut wrong = config();
    wrong.mappings.kernel_base = Mapping::FixedAddress(0x123);
    assert!(refused(&wrong).contains("not aligned"));
    let mut wrong = config();
    wrong.kernel_stack_size = u64::MAX;
    assert!(refused(&wrong).contains("the guest needs"));

    let good = kernel(&config());
    let with = |kernel: &[u8], ramdisk, memory| {
        let image = Image { kernel, ramdisk, align: 4096, memory };
        load(&image, &mut Bytes::default()).expect_err("it is refused")
    };
    assert_eq!(with(&good, 0, MEMORY + 1), Error::Size(MEMORY + 1));
    assert!(matches!(with(&good, MEMORY, MEMORY), Error::TooLarge { .. }));
    assert!(matches!(with(&good, u64::MAX, MEMORY), Error::TooLarge { .. }));
    assert!(matches!(with(b"nothing", 0, MEMORY), Error::File(_)));
    let mut damaged = good.clone();
    damaged[0x2400] ^= 1;
    assert!(matches!(with(&damaged, 0, MEMORY), Error::NoConfig(_)));
    let mut plain = good;
    plain[0x2601] = b'x';
    assert!(matches!(with(&plain, 0, MEMORY), Error::NoConfig(_)));
}

#[test]
fn damage_is_never_more_than_an_error() {
    let good = kernel(&config());
    let mut state = 1_u64;
    for _ in 0..500 {
        let mut kernel = good.clone();
        for _ in 0..4 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let place = (state >> 33) as usize;
            // Mostly where something is.
            let at = if place & 1 == 0 { place % 0x140 } else { 0x2100 + place % 0x600 };
            kernel[at] = state as u8;
        }
        let image = Image { kernel: &kernel, ramdisk: 0x1000, align: 4096, memory: MEMORY };
        let _ = load(&image, &mut Bytes::default());
    }
}
