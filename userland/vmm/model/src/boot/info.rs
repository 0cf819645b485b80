//! The boot information, as bytes: what a kernel finds at the address in its
//! first argument.
//!
//! The places of the fields are the compiler's ([`offset_of!`]), and those
//! inside of them the ones that the C representation gives; a test reads the
//! bytes with the boot loader's own types.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::offset_of;

use bootloader_api::BootInfo;
use bootloader_api::info::{MemoryRegion, Optional};
use postern_abi::PAGE;

/// Where the list of memory regions lies, behind the information.
const REGIONS: usize = size_of::<BootInfo>().next_multiple_of(align_of::<MemoryRegion>());
/// Kinds of memory.
const USABLE: u32 = 0;
const BOOTLOADER: u32 = 1;
/// The version of the boot loader's interface: 0.11.15.
const VERSION: [u16; 3] = [0, 11, 15];

/// What it says.
pub struct Info {
    /// Its own address.
    pub address: u64,
    /// The memory that is used already: first byte, first byte past it.
    pub used: (u64, u64),
    /// Bytes of memory.
    pub memory: u64,
    /// Where all memory is mapped.
    pub physical: Option<u64>,
    /// Address and length of the ramdisk.
    pub ramdisk: Option<(u64, u64)>,
    /// Where the kernel lies: in memory, how long, at which address.
    pub kernel: (u64, u64, u64),
    /// The stack: lowest address, bytes.
    pub stack: (u64, u64),
}

impl Info {
    /// The bytes, at most a page.
    pub fn bytes(&self) -> Vec<u8> {
        const ENTRY: usize = size_of::<MemoryRegion>();
        let (start, end) = self.used;
        let regions = [(0, start, USABLE), (start, end, BOOTLOADER), (end, self.memory, USABLE)];
        let mut bytes = vec![0; REGIONS + regions.len() * ENTRY];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        for (index, part) in VERSION.into_iter().enumerate() {
            put(offset_of!(BootInfo, api_version) + 2 * index, &part.to_le_bytes());
        }
        let list = offset_of!(BootInfo, memory_regions);
        put(list, &(self.address + REGIONS as u64).to_le_bytes());
        put(list + 8, &regions.len().to_le_bytes());
        for (index, (start, end, kind)) in regions.into_iter().enumerate() {
            let at = REGIONS + index * ENTRY;
            put(at + offset_of!(MemoryRegion, start), &start.to_le_bytes());
            put(at + offset_of!(MemoryRegion, end), &end.to_le_bytes());
            put(at + offset_of!(MemoryRegion, kind), &kind.to_le_bytes());
        }
        let mut optional = |at: usize, value: Option<u64>| {
            // A variant, then the value where its alignment allows it.
            put(at, &u32::from(value.is_none()).to_le_bytes());
            if let Some(value) = value {
                put(at + align_of::<Optional<u64>>(), &value.to_le_bytes());
            }
        };
        optional(offset_of!(BootInfo, framebuffer), None);
        optional(offset_of!(BootInfo, physical_memory_offset), self.physical);
        optional(offset_of!(BootInfo, recursive_index), None);
        optional(offset_of!(BootInfo, rsdp_addr), None);
        optional(offset_of!(BootInfo, tls_template), None);
        optional(offset_of!(BootInfo, ramdisk_addr), self.ramdisk.map(|it| it.0));
        let (kernel_at, kernel_bytes, kernel_base) = self.kernel;
        for (at, value) in [
            (offset_of!(BootInfo, ramdisk_len), self.ramdisk.map_or(0, |it| it.1)),
            (offset_of!(BootInfo, kernel_addr), kernel_at),
            (offset_of!(BootInfo, kernel_len), kernel_bytes),
            (offset_of!(BootInfo, kernel_image_offset), kernel_base),
            (offset_of!(BootInfo, kernel_stack_bottom), self.stack.0),
            (offset_of!(BootInfo, kernel_stack_len), self.stack.1),
        ] {
            put(at, &value.to_le_bytes());
        }
        bytes
    }
}

const _: () = assert!(REGIONS + 3 * size_of::<MemoryRegion>() <= PAGE as usize);
