//! The heap: a linked list of holes in one region, behind a mutex.
//!
//! The region comes from the starter (or is made at the start of init) and
//! does not grow: a program's memory is what its quota says. Running out of it
//! is a panic with a message, as everywhere in Rust.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use linked_list_allocator::Heap;
use postern_syscall::{Factory, Rights, Task};

use crate::error::{Explain, Result};
use crate::memory::HEAP_ADDRESS;
use crate::{Mutex, slots};

struct Allocator(Mutex<Heap>);

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(Mutex::new(Heap::empty()));

// SAFETY: every block comes from the heap under the mutex, which hands out
// disjoint, aligned blocks and takes them back with the same layout.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.0.lock().allocate_first_fit(layout);
        block.map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller got it from `alloc` with this layout.
            unsafe { self.0.lock().deallocate(pointer, layout) };
        }
    }
}

/// Uses the region as the heap; only the first call counts.
///
/// # Safety
/// The region is mapped writable, and nothing else uses it, for ever.
pub(crate) unsafe fn start(address: u64, bytes: u64) {
    let mut heap = ALLOCATOR.0.lock();
    if heap.size() == 0 && bytes != 0 {
        // SAFETY: promised by the caller; the heap was empty.
        unsafe { heap.init(address as *mut u8, bytes as usize) };
    }
}

/// Makes a heap of `bytes` out of `factory`, for a program that got none.
pub(crate) fn create(task: Task, factory: Factory, bytes: u64) -> Result<()> {
    let memory =
        slots::fill("creating the heap", "factory", |slot| factory.create_memory(slot, bytes))?;
    task.map(memory, HEAP_ADDRESS, 0, bytes, Rights::R | Rights::W)
        .explain("mapping the heap", "task")?;
    // SAFETY: just mapped, at an address that is kept for the heap.
    unsafe { start(HEAP_ADDRESS, bytes) };
    Ok(())
}

/// Free and used bytes of the heap.
#[must_use]
pub fn usage() -> (usize, usize) {
    let heap = ALLOCATOR.0.lock();
    (heap.free(), heap.used())
}
