//! Memory before the core owns it: what the boot loader says there is, and a
//! bump allocator for what the kernel needs first.
//!
//! Nothing is ever given back here; what is left goes to the core as a whole.

use bootloader_api::info::{MemoryRegion, MemoryRegionKind};

use crate::frame::Frame;
use crate::layout::PAGE;

/// The first MiB is left to firmware, and to the start of other CPUs.
const LOW: u64 = 1 << 20;
/// Most ranges that are kept; adjacent ones are joined before.
const MOST: usize = 128;

/// A range of physical addresses, page-aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte past it.
    pub end: u64,
}

impl Range {
    const EMPTY: Self = Self { start: 0, end: 0 };

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.end - self.start
    }
}

/// Ranges of memory.
pub struct Ranges {
    all: [Range; MOST],
    used: usize,
}

impl Ranges {
    /// The whole pages of the regions that `wanted` picks.
    #[must_use]
    pub fn pick(regions: &[MemoryRegion], wanted: impl Fn(MemoryRegionKind) -> bool) -> Self {
        let mut ranges = Self { all: [Range::EMPTY; MOST], used: 0 };
        for region in regions.iter().filter(|region| wanted(region.kind)) {
            let start = region.start.next_multiple_of(PAGE);
            let end = region.end & !(PAGE - 1);
            if start < end {
                ranges.push(Range { start, end });
            }
        }
        ranges
    }

    fn push(&mut self, range: Range) {
        let last = self.used.checked_sub(1).map(|last| &mut self.all[last]);
        match last {
            Some(last) if last.end == range.start => last.end = range.end,
            // Past the last entry memory is lost, but nothing breaks.
            _ => {
                if let Some(free) = self.all.get_mut(self.used) {
                    *free = range;
                    self.used += 1;
                }
            }
        }
    }

    /// The ranges, in the order of the memory map.
    #[must_use]
    pub fn as_slice(&self) -> &[Range] {
        &self.all[..self.used]
    }
}

/// Memory that can be used freely.
#[must_use]
pub fn usable(regions: &[MemoryRegion]) -> Ranges {
    let mut ranges = Ranges::pick(regions, |kind| kind == MemoryRegionKind::Usable);
    for range in &mut ranges.all[..ranges.used] {
        range.start = range.start.max(LOW).min(range.end);
    }
    ranges
}

/// All RAM of which the boot loader knows what is in it.
#[must_use]
pub fn ram(regions: &[MemoryRegion]) -> Ranges {
    Ranges::pick(regions, |kind| {
        matches!(kind, MemoryRegionKind::Usable | MemoryRegionKind::Bootloader)
    })
}

/// Takes frames from the front of the largest range.
pub struct Early {
    ranges: Ranges,
    largest: usize,
}

impl Early {
    /// Takes charge of all usable memory.
    #[must_use]
    pub fn new(ranges: Ranges) -> Self {
        let all = ranges.as_slice().iter().enumerate();
        let largest = all.max_by_key(|(_, range)| range.bytes()).map_or(0, |(index, _)| index);
        Self { ranges, largest }
    }

    /// Takes `pages` contiguous frames, contents arbitrary.
    ///
    /// # Panics
    /// When there are none: a machine that small cannot run anything.
    pub fn take(&mut self, pages: u64) -> u64 {
        let range = &mut self.ranges.all[self.largest];
        assert!(range.bytes() >= pages * PAGE, "not enough memory to start the kernel");
        let start = range.start;
        range.start += pages * PAGE;
        start
    }

    /// Takes one frame.
    ///
    /// # Panics
    /// As [`Early::take`].
    pub fn frame(&mut self) -> Frame {
        // SAFETY: usable RAM below the end of the physical map, taken from the
        // allocator, so nobody else's.
        unsafe { Frame::new(self.take(1)) }
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &[Range] {
        self.ranges.as_slice()
    }
}
