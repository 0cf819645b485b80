//! The program's address space: where things lie, and memory mapped at run
//! time.
//!
//! [`Mapping`] copies in and out and never hands out references: the memory may
//! be shared with other programs, which can change it at any time.

use alloc::vec::Vec;

use postern_syscall::abi::PAGE;
use postern_syscall::{Capability, Memory, Rights};

use crate::error::{Error, Explain, Result};
use crate::{Mutex, own, slots};

/// Where programs are loaded.
pub const IMAGE_ADDRESS: u64 = 0x40_0000;
/// Where the first thread's stack ends.
pub const STACK_TOP: u64 = 0x8_0000_0000;
/// Where the environment block lies.
pub const ENV_ADDRESS: u64 = 0x9_0000_0000;
/// Where the heap begins.
pub const HEAP_ADDRESS: u64 = 0xa_0000_0000;
/// Where memory is mapped at run time: from here ...
const DYNAMIC_START: u64 = 0x20_0000_0000;
/// ... to here.
const DYNAMIC_END: u64 = 0x70_0000_0000;

/// Free address space: what was never used, and what was given back.
struct Space {
    next: u64,
    free: Vec<(u64, u64)>,
}

static SPACE: Mutex<Space> = Mutex::new(Space { next: DYNAMIC_START, free: Vec::new() });

/// Takes `bytes` of address space with an unmapped page before it.
fn reserve(bytes: u64) -> Result<u64> {
    let bytes = bytes.checked_add(PAGE).ok_or(Error::NoAddressSpace)?;
    let mut space = SPACE.lock();
    if let Some(index) = space.free.iter().position(|range| range.1 >= bytes) {
        let (start, size) = space.free[index];
        if size == bytes {
            space.free.swap_remove(index);
        } else {
            space.free[index] = (start + bytes, size - bytes);
        }
        return Ok(start + PAGE);
    }
    let start = space.next;
    let end = start.checked_add(bytes).filter(|end| *end <= DYNAMIC_END);
    space.next = end.ok_or(Error::NoAddressSpace)?;
    Ok(start + PAGE)
}

/// Gives back what [`reserve`] took, joined with what lies beside it.
fn give_back(address: u64, bytes: u64) {
    let (mut start, mut size) = (address - PAGE, bytes + PAGE);
    let mut space = SPACE.lock();
    while let Some(index) =
        space.free.iter().position(|range| range.0 + range.1 == start || start + size == range.0)
    {
        let beside = space.free.swap_remove(index);
        start = start.min(beside.0);
        size += beside.1;
    }
    if start + size == space.next {
        space.next = start;
    } else {
        space.free.push((start, size));
    }
}

/// Memory that is mapped in this program; unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    address: u64,
    bytes: u64,
    memory: Memory,
}

impl Mapping {
    /// Maps the first `bytes` (rounded up to a page) of `memory`, readable and
    /// with `rights`, after an unmapped page.
    ///
    /// # Errors
    /// No address space is left, or the kernel refused.
    pub fn new(memory: Memory, bytes: u64, rights: Rights) -> Result<Self> {
        let bytes = bytes.checked_next_multiple_of(PAGE).ok_or(Error::NoAddressSpace)?;
        let task = own::task()?;
        let address = reserve(bytes)?;
        task.map(memory, address, 0, bytes, rights | Rights::R)
            .explain("mapping memory", "task")
            .inspect_err(|_| give_back(address, bytes))?;
        Ok(Self { address, bytes, memory })
    }

    /// Creates memory of `bytes` (rounded up to a page), zeroed, and maps it
    /// writable.
    ///
    /// # Errors
    /// As [`Mapping::new`]; the factory's quota may be used up.
    pub fn create(bytes: u64) -> Result<Self> {
        let bytes = bytes.checked_next_multiple_of(PAGE).ok_or(Error::NoAddressSpace)?;
        let factory = own::factory()?;
        let memory =
            slots::fill("creating memory", "factory", |slot| factory.create_memory(slot, bytes))?;
        Self::new(memory, bytes, Rights::W).inspect_err(|_| {
            // The first error is the one worth telling.
            let _ = slots::destroy(memory.slot());
        })
    }

    /// Where it is mapped.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// How many bytes are mapped.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The memory.
    #[must_use]
    pub const fn memory(&self) -> Memory {
        self.memory
    }

    fn checked(&self, offset: u64, length: usize) -> *mut u8 {
        let end = offset.checked_add(length as u64);
        assert!(end.is_some_and(|end| end <= self.bytes), "access outside of a mapping");
        (self.address + offset) as *mut u8
    }

    /// Copies `bytes` to `offset`. Faults if it is not mapped writable.
    ///
    /// # Panics
    /// If that is not inside of the mapping.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        let target = self.checked(offset, bytes.len());
        // SAFETY: the range is mapped as long as `self` lives, checked to be
        // inside, and no Rust reference to it exists anywhere.
        unsafe { target.copy_from(bytes.as_ptr(), bytes.len()) };
    }

    /// Copies from `offset` to `bytes`.
    ///
    /// # Panics
    /// If that is not inside of the mapping.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) {
        let source = self.checked(offset, bytes.len());
        // SAFETY: as in `write`; every mapping is readable.
        unsafe { source.copy_to(bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Keeps the mapping for ever.
    pub fn leak(self) -> u64 {
        let address = self.address;
        core::mem::forget(self);
        address
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let unmapped = own::task().map(|task| task.unmap(self.address, self.bytes));
        // Address space that may still be mapped is not used again.
        if matches!(unmapped, Ok(Ok(_))) {
            give_back(self.address, self.bytes);
        }
    }
}

/// The bytes at `address`, for ever.
///
/// # Safety
/// They are mapped readable and never change or go away.
pub(crate) unsafe fn static_bytes(address: u64, length: u64) -> &'static [u8] {
    if address == 0 || length == 0 {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) }
}
