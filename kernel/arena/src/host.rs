//! Memory for tables on the host: what the machine layer does with page
//! tables, done with the allocator. For tests only.

use core::ptr::NonNull;
use std::alloc::{Layout, alloc_zeroed, dealloc};

use crate::{PAGE, Page, Region, Vacant};

/// Address space for one table; freed with this value, so it must outlive the
/// table.
#[derive(Debug)]
pub struct Space {
    base: NonNull<u8>,
    layout: Layout,
    given: bool,
}

// SAFETY: it owns its allocation.
unsafe impl Send for Space {}

impl Space {
    /// Room for `pages` pages.
    ///
    /// # Panics
    /// If the host has no memory, or `pages` is 0.
    #[must_use]
    pub fn new(pages: usize) -> Self {
        assert!(pages > 0);
        let layout = Layout::from_size_align(pages * PAGE, PAGE).expect("a layout");
        // SAFETY: the layout has a size.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        Self { base, layout, given: false }
    }

    /// First address.
    #[must_use]
    pub fn address(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layout.size()
    }

    /// The region.
    ///
    /// # Panics
    /// At the second call: a region has one user.
    pub fn region(&mut self) -> Region {
        assert!(!core::mem::replace(&mut self.given, true), "the region is taken");
        // SAFETY: freshly allocated, aligned, given out once.
        unsafe { Region::new(self.base, self.layout.size()) }
    }

    /// The page at `address`, zeroed.
    ///
    /// # Panics
    /// If the address is not that of a page in here. Asking twice for a page
    /// that is in use is a mistake that Miri finds.
    #[must_use]
    pub fn page(&self, address: usize) -> Page {
        let offset = address.checked_sub(self.address()).expect("inside");
        assert!(offset < self.bytes() && offset.is_multiple_of(PAGE));
        // SAFETY: inside the allocation.
        let page = unsafe { self.base.add(offset) };
        // SAFETY: 4096 bytes of the allocation, not in use (contract).
        unsafe { page.write_bytes(0, PAGE) };
        // SAFETY: aligned, mapped, zero, and used by one table (contract).
        unsafe { Page::new(page) }
    }

    /// Leaves zeros in the place of a page that an arena has given up.
    ///
    /// # Panics
    /// If the page is not one in here.
    pub fn vacate(&self, page: Vacant) {
        let address = page.address();
        let offset = (address.as_ptr() as usize).checked_sub(self.address()).expect("inside");
        assert!(offset < self.bytes());
        // SAFETY: a page of the allocation, in which the arena has no object.
        unsafe { address.write_bytes(0, PAGE) };
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}
