//! The frame allocator: a buddy system over page frames, whose bookkeeping
//! lies outside of the frames it manages.
//!
//! It hands out [`Frames`], which can be neither copied nor made up, so a
//! frame has one owner at any moment. It must never touch the frames.

use core::fmt;

/// No frame: end of a free list.
const NONE: u32 = u32::MAX;
/// Largest block: 2^20 pages (4 GiB).
const ORDERS: usize = 21;

/// Bookkeeping for one page frame. Only the first frame of a free block counts.
#[derive(Debug, Clone, Copy)]
pub struct FrameInfo {
    next: u32,
    previous: u32,
    /// Order of the free block that begins here, or [`FrameInfo::TAKEN`].
    order: u8,
}

impl FrameInfo {
    const TAKEN: u8 = u8::MAX;
    /// A frame that nobody may use yet.
    pub const UNUSABLE: Self = Self { next: NONE, previous: NONE, order: Self::TAKEN };
}

impl Default for FrameInfo {
    fn default() -> Self {
        Self::UNUSABLE
    }
}

/// A run of physically contiguous page frames, owned by the holder.
#[derive(PartialEq, Eq)]
#[must_use = "frames that are dropped are lost; give them back to the allocator"]
pub struct Frames {
    first: u64,
    pages: u64,
    device: bool,
}

impl Frames {
    /// For the machine layer and the boot code only, on whom it rests that no
    /// frame is named twice.
    ///
    /// Frames that the allocator does not own: a device's memory, or what the
    /// bootloader filled. They are never handed out again.
    pub const fn device(first_page: u64, pages: u64) -> Self {
        Self { first: first_page, pages, device: true }
    }

    /// For the machine layer only, on whom it rests that no frame is named
    /// twice.
    ///
    /// Frames whose token was given up when their number was written into a
    /// page table: for the machine layer, which reads it back there once.
    pub const fn recover(first_page: u64, pages: u64) -> Self {
        Self { first: first_page, pages, device: false }
    }

    /// Number of the first page frame (physical address / 4096).
    #[must_use]
    pub const fn first_page(&self) -> u64 {
        self.first
    }

    /// Number of page frames.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// Cuts the run in two: keeps the first `pages` pages and returns the rest.
    ///
    /// # Panics
    /// If one part would be empty.
    pub fn split(&mut self, pages: u64) -> Self {
        assert!(pages > 0 && pages < self.pages, "a cut inside of the run");
        let rest =
            Self { first: self.first + pages, pages: self.pages - pages, device: self.device };
        self.pages = pages;
        rest
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.pages * postern_abi::PAGE
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frames {:#x}+{}", self.first, self.pages)
    }
}

/// Owns every free page frame of the machine.
pub struct FrameAllocator {
    infos: &'static mut [FrameInfo],
    free: [u32; ORDERS],
    free_pages: u64,
    total_pages: u64,
}

impl FrameAllocator {
    /// An allocator without frames for the physical pages `0..infos.len()`.
    #[must_use]
    pub fn new(infos: &'static mut [FrameInfo]) -> Self {
        infos.fill(FrameInfo::UNUSABLE);
        Self { infos, free: [NONE; ORDERS], free_pages: 0, total_pages: 0 }
    }

    /// Hands usable RAM to the allocator. What lies past the bookkeeping is
    /// ignored. Ranges must not overlap.
    pub fn add(&mut self, first_page: u64, pages: u64) {
        let end = (first_page + pages).min(self.infos.len() as u64);
        if first_page < end {
            self.total_pages += end - first_page;
            self.release(first_page, end);
        }
    }

    /// Free page frames.
    #[must_use]
    pub fn free_pages(&self) -> u64 {
        self.free_pages
    }

    /// All page frames that were ever added.
    #[must_use]
    pub fn total_pages(&self) -> u64 {
        self.total_pages
    }

    /// Takes `pages` contiguous frames, aligned to the next power of two of
    /// `pages`; their contents are arbitrary.
    pub fn take(&mut self, pages: u64) -> Option<Frames> {
        if pages == 0 || pages > 1 << (ORDERS - 1) {
            return None;
        }
        let wanted = pages.next_power_of_two().trailing_zeros() as usize;
        let found = (wanted..ORDERS).find(|order| self.free[*order] != NONE)?;
        let first = self.free[found];
        self.unlink(first, found);
        self.free_pages -= 1 << found;
        let first = u64::from(first);
        // What is over goes straight back; only blocks above it can be merged.
        self.release(first + pages, first + (1 << found));
        Some(Frames { first, pages, device: false })
    }

    /// Takes one frame.
    pub fn take_one(&mut self) -> Option<Frames> {
        self.take(1)
    }

    /// Takes frames back. Device frames have nowhere to go and vanish.
    pub fn give(&mut self, frames: Frames) {
        if !frames.device {
            self.release(frames.first, frames.first + frames.pages);
        }
    }

    /// Frees the range in the largest aligned blocks, merging each with its
    /// buddies.
    fn release(&mut self, mut first: u64, end: u64) {
        while first < end {
            let aligned = first.trailing_zeros().min(ORDERS as u32 - 1);
            let fits = (end - first).ilog2();
            let order = aligned.min(fits) as usize;
            self.free_pages += 1 << order;
            self.merge(first, order);
            first += 1 << order;
        }
    }

    fn merge(&mut self, mut first: u64, mut order: usize) {
        while order < ORDERS - 1 {
            let buddy = first ^ (1 << order);
            match self.infos.get(buddy as usize) {
                Some(info) if info.order as usize == order => self.unlink(buddy as u32, order),
                _ => break,
            }
            first &= !(1 << order);
            order += 1;
        }
        self.link(first as u32, order);
    }

    fn link(&mut self, first: u32, order: usize) {
        let next = self.free[order];
        self.infos[first as usize] = FrameInfo { next, previous: NONE, order: order as u8 };
        if next != NONE {
            self.infos[next as usize].previous = first;
        }
        self.free[order] = first;
    }

    fn unlink(&mut self, first: u32, order: usize) {
        let FrameInfo { next, previous, .. } = self.infos[first as usize];
        if next != NONE {
            self.infos[next as usize].previous = previous;
        }
        if previous == NONE {
            self.free[order] = next;
        } else {
            self.infos[previous as usize].next = next;
        }
        self.infos[first as usize] = FrameInfo::UNUSABLE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec;
    use std::vec::Vec;

    fn allocator(pages: usize) -> FrameAllocator {
        FrameAllocator::new(Box::leak(vec![FrameInfo::UNUSABLE; pages].into_boxed_slice()))
    }

    #[test]
    fn everything_comes_back_as_one_block() {
        let mut frames = allocator(1024);
        frames.add(0, 1024);
        let taken: Vec<Frames> = core::iter::from_fn(|| frames.take(3)).collect();
        assert_eq!(taken.len(), 256, "three pages come in blocks of four");
        assert_eq!(frames.free_pages(), 256);
        assert!(frames.take(2).is_none());
        taken.into_iter().for_each(|run| frames.give(run));
        assert_eq!(frames.take(1024).map(|run| run.pages()), Some(1024));
    }

    #[test]
    fn requests_out_of_range_are_refused() {
        let mut frames = allocator(16);
        frames.add(1, 100);
        assert_eq!(frames.total_pages(), 15, "what has no bookkeeping is ignored");
        assert!(frames.take(0).is_none());
        assert!(frames.take(u64::MAX).is_none());
        assert!(frames.take(16).is_none());
    }

    proptest! {
        #[test]
        fn no_frame_has_two_owners(work in prop::collection::vec((0u64..40, any::<bool>()), 1..200)) {
            let mut frames = allocator(512);
            frames.add(3, 500);
            let mut held: Vec<Frames> = Vec::new();
            for (size, give) in work {
                if give && !held.is_empty() {
                    let run = held.swap_remove(size as usize % held.len());
                    frames.give(run);
                } else if let Some(run) = frames.take(size) {
                    prop_assert!(run.first_page() >= 3 && run.first_page() + run.pages() <= 503);
                    for other in &held {
                        prop_assert!(run.first_page() + run.pages() <= other.first_page()
                            || other.first_page() + other.pages() <= run.first_page());
                    }
                    held.push(run);
                }
                let taken: u64 = held.iter().map(Frames::pages).sum();
                prop_assert_eq!(frames.free_pages() + taken, 500);
            }
        }
    }
}
