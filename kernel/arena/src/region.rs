//! The two tokens by which memory reaches this crate.

use core::ptr::NonNull;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// One page of zeroed memory at a fixed address, owned by whoever holds this.
#[derive(Debug)]
pub struct Page(NonNull<u8>);

impl Page {
    /// Takes charge of the page at `address`.
    ///
    /// # Safety
    /// `address` is page-aligned; the 4096 bytes from there are mapped readable
    /// and writable, zero, used by nobody else, and stay so until the token
    /// has been given back with [`Page::into_address`].
    #[must_use]
    pub const unsafe fn new(address: NonNull<u8>) -> Self {
        Self(address)
    }

    /// Gives the page back to the machine layer; its contents are arbitrary.
    #[must_use]
    pub fn into_address(self) -> NonNull<u8> {
        self.0
    }

    pub(crate) fn address(&self) -> NonNull<u8> {
        self.0
    }
}

/// The place of a page that an arena has no use for at the moment. The machine
/// layer takes the memory away and leaves zeros that can be read there.
#[derive(Debug)]
#[must_use = "the page is lost when nobody takes its memory away"]
pub struct Vacant(NonNull<u8>);

impl Vacant {
    pub(crate) fn new(address: NonNull<u8>) -> Self {
        Self(address)
    }

    /// Address of the page; its contents are arbitrary.
    #[must_use]
    pub fn address(&self) -> NonNull<u8> {
        self.0
    }
}

/// A range of addresses that is set aside for one table, and in which pages
/// appear from the lowest address upwards.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    capacity: usize,
}

// SAFETY: a region is a range of addresses that nobody else uses (contract of
// `Region::new`); moving the token to another CPU moves the right to use it.
unsafe impl Send for Region {}
// SAFETY: a page is owned memory (contract of `Page::new`), like a `Box`.
unsafe impl Send for Page {}

impl Region {
    /// Sets aside `capacity` bytes of addresses from `base`.
    ///
    /// # Safety
    /// `base` is page-aligned and `capacity` a multiple of [`PAGE`]; no other
    /// region overlaps; a [`Page`] whose address lies in the range may be used
    /// by the holder of this region only. From the moment at which a [`Vacant`]
    /// of the range is acted upon until a [`Page`] appears there again, the
    /// 4096 bytes can be read and are zero.
    #[must_use]
    pub const unsafe fn new(base: NonNull<u8>, capacity: usize) -> Self {
        Self { base, capacity }
    }

    /// First address of the range.
    #[must_use]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes of the range.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}
