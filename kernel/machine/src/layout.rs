//! Where things are in the upper half of every address space.
//!
//! One top-level slot (512 GiB) or more for each; the slots are filled at boot
//! and never change, so that every task has the same ones. Numbers only: what
//! is mapped there is the business of the modules that own the areas.

/// All RAM, read and write, never executable; the kernel's own code and
/// constants are read-only here, too.
pub const PHYSICAL: u64 = 0xffff_8000_0000_0000;
/// First address past the physical map (16 TiB).
pub const PHYSICAL_END: u64 = OBJECTS;

/// Regions for arenas: [`OBJECTS_EACH`] bytes for each kind of object.
pub const OBJECTS: u64 = 0xffff_9000_0000_0000;
/// Bytes of addresses for one kind of object.
pub const OBJECTS_EACH: u64 = 4 << 30;
/// Kinds that fit into the top-level slot.
pub const OBJECTS_KINDS: usize = 128;

/// Capability tables: [`CAPABILITIES_EACH`] bytes for each task.
pub const CAPABILITIES: u64 = 0xffff_a000_0000_0000;
/// Bytes of addresses for one table: 65536 slots of 32 bytes.
pub const CAPABILITIES_EACH: u64 = 2 << 20;
/// Tasks that can have one.
pub const CAPABILITIES_TABLES: usize = 16384;

/// Stacks of the CPUs: [`STACKS_EACH`] bytes for each, with guard pages.
pub const STACKS: u64 = 0xffff_b000_0000_0000;
/// Bytes of addresses for the stacks of one CPU.
pub const STACKS_EACH: u64 = 1 << 20;
/// First address past the stacks.
pub const STACKS_END: u64 = STACKS + SLOT;

/// Registers of devices that the kernel itself drives, uncached.
pub const DEVICES: u64 = 0xffff_c000_0000_0000;

/// The kernel's image, as the linker laid it out.
pub const IMAGE: u64 = 0xffff_ffff_8000_0000;

/// Bytes that one top-level slot covers.
pub const SLOT: u64 = 1 << 39;
/// First address of the upper half.
pub const UPPER_HALF: u64 = 0xffff_8000_0000_0000;
/// Bytes of a small page.
pub const PAGE: u64 = 4096;
/// Bytes of a large page.
pub const LARGE: u64 = 2 << 20;
/// Bytes of a huge page.
pub const HUGE: u64 = 1 << 30;
