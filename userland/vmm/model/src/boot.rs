//! Puts a kernel into a guest's memory, as the `bootloader` crate (0.11) would:
//! kernels made for that one run here without a boot loader.
//!
//! Linux kernels are another matter: [`linux`].
//!
//! The kernel says in its file what it wants mapped where. Physical memory from
//! the second MiB on: kernel, boot information, stack, ramdisk, page tables; all
//! of that is `Bootloader` in the memory map, the rest is `Usable`. There is no
//! frame buffer, and no ACPI.

mod info;
pub mod linux;
mod tables;

use core::fmt;

use bootloader_api::BootloaderConfig;
use bootloader_api::config::Mapping;
use elf::ElfBytes;
use elf::endian::LittleEndian;
use postern_abi::{PAGE, Rights};
use postern_loader::Program;
use postern_syscall::vcpu::{Segment, System, segment};

use info::Info;
use tables::{Flags, Tables};

/// Where the first thing lies: below it nothing is put.
const FIRST: u64 = 1 << 20;
/// Memory is given in pages of this size.
const LARGE: u64 = 2 << 20;
/// The least memory of a guest.
pub const LEAST_MEMORY: u64 = 8 << 20;
/// The section in which a kernel says what it wants.
const CONFIG: &str = ".bootloader-config";

/// Addresses for what the kernel lets the loader choose: a slot of 512 GiB in
/// the lower half for each.
mod chosen {
    pub const KERNEL: u64 = 0x6000_0000_0000;
    pub const STACK: u64 = 0x6080_0000_0000;
    pub const INFO: u64 = 0x6100_0000_0000;
    pub const RAMDISK: u64 = 0x6180_0000_0000;
    pub const PHYSICAL: u64 = 0x6200_0000_0000;
}

/// A guest's memory while it is filled; zero before.
pub trait Memory {
    /// Why it cannot be written.
    type Error;
    /// Writes bytes.
    ///
    /// # Errors
    /// There is no memory for them.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// What is to be loaded.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The kernel, an ELF file.
    pub kernel: &'a [u8],
    /// Bytes of the ramdisk; 0: none. Its contents are put there by the caller.
    pub ramdisk: u64,
    /// What the ramdisk's place is aligned to, and its room a multiple of; a
    /// power of two, at least a page.
    pub align: u64,
    /// Bytes of the guest's memory, a multiple of 2 MiB.
    pub memory: u64,
}

/// How the guest starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// First instruction.
    pub entry: u64,
    /// Stack pointer.
    pub stack: u64,
    /// First and second argument; one is the address of the boot information.
    pub arguments: [u64; 2],
    /// System registers.
    pub system: System,
    /// Where in the guest's memory the ramdisk has to be.
    pub ramdisk: u64,
}

/// Why a kernel cannot be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<E> {
    /// Its file is not a program.
    File(postern_loader::Error),
    /// It was not made to be loaded like this.
    NoConfig(&'static str),
    /// It wants a mapping that is not offered, or two at one place.
    Mapping(&'static str),
    /// The guest's memory is not of a size that can be.
    Size(u64),
    /// It does not fit into the guest's memory.
    TooLarge {
        /// Bytes that are needed, with 1 MiB for the guest to work in.
        needed: u64,
    },
    /// The memory could not be written.
    Memory(E),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "the kernel is no program: {error}"),
            Self::NoConfig(why) => write!(f, "the kernel is not one that can be loaded: {why}"),
            Self::Mapping(what) => write!(f, "the kernel wants what cannot be: {what}"),
            Self::Size(bytes) => {
                write!(
                    f,
                    "a guest has at least 8 MiB of memory, in units of 2 MiB; not {bytes} bytes"
                )
            }
            Self::TooLarge { needed } => {
                write!(f, "the guest needs {} MiB", needed.div_ceil(1 << 20))
            }
            Self::Memory(error) => error.fmt(f),
        }
    }
}

/// Where a mapping goes: where the kernel says, or else `chosen`.
const fn address(mapping: Mapping, chosen: u64) -> u64 {
    match mapping {
        Mapping::FixedAddress(address) => address,
        Mapping::Dynamic => chosen,
    }
}

/// What the kernel says it wants.
fn config(kernel: &[u8]) -> Result<BootloaderConfig, &'static str> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(kernel).map_err(|_| "it is cut off")?;
    let section = file.section_header_by_name(CONFIG).ok().flatten();
    let section = section.ok_or("it has no section `.bootloader-config`")?;
    let (bytes, _) = file.section_data(&section).map_err(|_| "the section is cut off")?;
    BootloaderConfig::deserialize(bytes)
}

/// Puts the kernel of `image` and all it needs but the ramdisk into `memory`.
///
/// # Errors
/// See [`Error`]; then the memory holds anything.
pub fn load<M: Memory>(image: &Image<'_>, memory: &mut M) -> Result<Start, Error<M::Error>> {
    if image.memory < LEAST_MEMORY || !image.memory.is_multiple_of(LARGE) {
        return Err(Error::Size(image.memory));
    }
    let program = Program::parse(image.kernel).map_err(Error::File)?;
    let config = config(image.kernel).map_err(Error::NoConfig)?;
    let wants = config.mappings;
    if wants.page_table_recursive.is_some() {
        return Err(Error::Mapping("a recursive page table"));
    }
    let base = address(wants.kernel_base, chosen::KERNEL);
    let stack_bytes = config.kernel_stack_size.min(image.memory).next_multiple_of(PAGE);

    // Where everything lies.
    let kernel_at = FIRST;
    let info_at = kernel_at + program.span();
    let stack_at = info_at + PAGE;
    let ramdisk_at = (stack_at + stack_bytes).next_multiple_of(image.align);
    let room = image.ramdisk.checked_next_multiple_of(image.align);
    let tables_at = room.and_then(|room| ramdisk_at.checked_add(room));
    // The tables' size is known when they are made; a page for each 2 MiB and a
    // few for each mapping are enough.
    let tables_room = (tables_at.unwrap_or(0) / LARGE + 64) * PAGE;
    let tables_at = tables_at
        .filter(|at| at.checked_add(tables_room + FIRST).is_some_and(|end| end <= image.memory));
    let needed = ramdisk_at.saturating_add(image.ramdisk).saturating_add(tables_room + FIRST);
    let tables_at = tables_at.ok_or(Error::TooLarge { needed })?;

    let mut tables = Tables::new(tables_at);
    let mut map =
        |at, physical, bytes, flags| tables.map(at, physical, bytes, flags).map_err(Error::Mapping);
    for part in program.segments() {
        let at = kernel_at + part.address;
        memory.write(at + part.offset, part.contents).map_err(Error::Memory)?;
        let mut flags = Flags::PRESENT;
        flags.set(Flags::WRITE, part.rights.contains(Rights::W));
        flags.set(Flags::NO_EXECUTE, !part.rights.contains(Rights::X));
        map(base.wrapping_add(part.address), at, part.memory, flags)?;
    }
    for relocation in program.relocations() {
        let value = base.wrapping_add(relocation.addend).to_le_bytes();
        memory.write(kernel_at + relocation.address, &value).map_err(Error::Memory)?;
    }
    let data = Flags::PRESENT | Flags::WRITE | Flags::NO_EXECUTE;
    let info = address(wants.boot_info, chosen::INFO);
    map(info, info_at, PAGE, data)?;
    // One page below the stack stays unmapped.
    let stack = address(wants.kernel_stack, chosen::STACK).wrapping_add(PAGE);
    map(stack, stack_at, stack_bytes, data)?;
    let ramdisk = address(wants.ramdisk_memory, chosen::RAMDISK);
    map(ramdisk, ramdisk_at, image.ramdisk.next_multiple_of(PAGE), data)?;
    let physical = wants.physical_memory.map(|mapping| address(mapping, chosen::PHYSICAL));
    if let Some(physical) = physical {
        map(physical, 0, image.memory, data | Flags::LARGE)?;
    }
    let end = tables.write(memory).map_err(Error::Memory)?;

    let boot = Info {
        address: info,
        used: (FIRST, end),
        memory: image.memory,
        physical,
        ramdisk: (image.ramdisk != 0).then_some((ramdisk, image.ramdisk)),
        kernel: (kernel_at, program.span(), base),
        stack: (stack, stack_bytes),
    };
    memory.write(info_at, &boot.bytes()).map_err(Error::Memory)?;
    Ok(Start {
        entry: base.wrapping_add(program.entry()),
        // As after a call: the return address is 0.
        stack: stack + stack_bytes - 8,
        arguments: [info, 0],
        system: system(tables_at),
        ramdisk: ramdisk_at,
    })
}

/// 64-bit mode with paging; what is protected is what the tables say.
fn system(root: u64) -> System {
    const CR0: u64 = 0x8001_0033;
    const CR4: u64 = 0x20;
    const EFER: u64 = 0xd00;
    const PAT: u64 = 0x0007_0406_0007_0406;
    let flat = |attributes| Segment { selector: 0, attributes, limit: u32::MAX, base: 0 };
    let mut system = System { cr: [CR0, 0, root, CR4], efer: EFER, pat: PAT, ..System::default() };
    system.segments = [flat(0xc93); 10];
    system.segments[segment::CS] = flat(0xa9b);
    for table in [segment::GDTR, segment::IDTR] {
        system.segments[table] = Segment::default();
    }
    system.segments[LDTR] = Segment { attributes: 0x82, ..Segment::default() };
    system.segments[segment::TR] =
        Segment { attributes: 0x8b, limit: 0xffff, ..Segment::default() };
    system
}

/// Place of the local segment table in [`System::segments`].
const LDTR: usize = 7;
