//! A slice that grows by whole pages and never moves.

use core::mem::{align_of, size_of};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::region::{PAGE, Page, Region};

/// A growable array in a [`Region`]: element `i` has the same address for as
/// long as the table exists, and access is that of a slice.
#[derive(Debug)]
pub struct Table<T> {
    elements: NonNull<T>,
    len: usize,
    pages: usize,
    region: Region,
}

// SAFETY: the table owns its elements and its memory, like a `Vec`.
unsafe impl<T: Send> Send for Table<T> {}

impl<T> Table<T> {
    const CHECK: () = assert!(size_of::<T>() != 0 && align_of::<T>() <= PAGE);

    /// An empty table in `region`.
    #[must_use]
    pub fn new(region: Region) -> Self {
        let () = Self::CHECK;
        Self { elements: region.base().cast(), len: 0, pages: 0, region }
    }

    /// Address at which the next page must appear, `None` when the region is
    /// full.
    #[must_use]
    pub fn next_page(&self) -> Option<usize> {
        let used = self.pages * PAGE;
        (used < self.region.capacity()).then(|| self.region.base().as_ptr() as usize + used)
    }

    /// Number of pages that the table holds.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// The first element, or where it will be.
    #[inline(always)]
    pub(crate) fn base(&self) -> NonNull<T> {
        self.elements
    }

    /// Address of page `number`.
    ///
    /// # Panics
    /// When the table never had that many.
    pub(crate) fn page(&self, number: usize) -> NonNull<u8> {
        assert!(number < self.pages);
        // SAFETY: inside of the region, as the table has the page.
        unsafe { self.region.base().add(number * PAGE) }
    }

    /// Takes in the next page and fills the new elements with `fill`. An
    /// element that does not fit whole waits for the page after.
    ///
    /// # Errors
    /// Gives the page back if it is not the one at [`Table::next_page`].
    pub fn grow(&mut self, page: Page, mut fill: impl FnMut(usize) -> T) -> Result<(), Page> {
        if self.next_page() != Some(page.address().as_ptr() as usize) {
            return Err(page);
        }
        let _held = page.into_address();
        self.pages += 1;
        let fits = self.pages * PAGE / size_of::<T>();
        while self.len < fits {
            let value = fill(self.len);
            // SAFETY: element `len` lies whole in the first `pages` pages of
            // the region, which are contiguous, mapped and ours (contracts of
            // `Region::new` and `Page::new`, address checked above); it is not
            // initialised yet, so nothing is overwritten.
            unsafe { self.elements.as_ptr().add(self.len).write(value) };
            self.len += 1;
        }
        Ok(())
    }

    /// Takes the last page away, dropping the elements that lie in it even in
    /// part; `None` when the table is empty. The page must be zeroed before it
    /// becomes a [`Page`] again.
    pub fn shrink(&mut self) -> Option<Page> {
        let pages = self.pages.checked_sub(1)?;
        let keep = pages * PAGE / size_of::<T>();
        while self.len > keep {
            self.len -= 1;
            // SAFETY: element `len` was initialised by `grow` and is now
            // outside the slice, so it is dropped once and not used again.
            unsafe { self.elements.as_ptr().add(self.len).drop_in_place() };
        }
        let address = self.page(pages);
        self.pages = pages;
        // SAFETY: the page came in as a token through `grow` and no element
        // lies in it any more. Its contents are stale, which callers are told.
        Some(unsafe { Page::new(address) })
    }

    /// Ends an empty table and gives its region back.
    ///
    /// # Errors
    /// Gives the table back while it still holds pages.
    pub fn into_region(self) -> Result<Region, Self> {
        if self.pages != 0 {
            return Err(self);
        }
        // No `Drop` to run: an empty table owns nothing but its region.
        Ok(self.region)
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` elements are initialised, contiguous and
        // owned by this table; the borrow of `self` covers them.
        unsafe { core::slice::from_raw_parts(self.elements.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Table<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.elements.as_ptr(), self.len) }
    }
}
