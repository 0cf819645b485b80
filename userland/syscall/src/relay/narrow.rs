//! Lending less than one has.

use core::ops::Range;

use abi::Rights;
use postern_abi as abi;

use super::Lend;
use crate::{Result, window};

/// Something to be lent of which the callee gets a part, or which it cannot
/// write. The part keeps its addresses. The lender gets back what it had.
#[derive(Debug)]
pub struct Narrow<L> {
    inner: L,
    offset: u64,
    bytes: u64,
    rights: Rights,
    masked: bool,
}

impl<L> Narrow<L> {
    /// `range` is counted from `offset` of the segment.
    pub(super) fn new(inner: L, range: Range<usize>, offset: usize, writable: bool) -> Self {
        let rights = if writable { Rights::R | Rights::W } else { Rights::R };
        // What is no range the kernel refuses.
        let bytes = range.end.saturating_sub(range.start) as u64;
        let offset = offset.saturating_add(range.start) as u64;
        Self { inner, offset, bytes, rights, masked: false }
    }

    /// The callee cannot write it.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { rights: Rights::R, ..self }
    }
}

/// Fails with `InvalidMask` for a range that is not made of whole pages, or not
/// inside.
impl<L: Lend> Lend for Narrow<L> {
    type Back = L::Back;
    type Outcome = L::Outcome;

    fn begin(&mut self) -> Result<()> {
        self.inner.begin()?;
        window::mask(self.offset, self.bytes, self.rights)?;
        self.masked = true;
        Ok(())
    }

    fn back(self) -> L::Back {
        // The mask is on what came back; taking it off cannot fail.
        let _ = window::unmask();
        self.inner.back()
    }

    fn outcome(self, is_back: bool) -> L::Outcome {
        if is_back && self.masked {
            let _ = window::unmask();
        }
        self.inner.outcome(is_back)
    }
}
