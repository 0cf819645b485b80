//! Page frames of RAM, reached through the physical map.
//!
//! The only place that turns a physical address into a pointer to RAM. It must
//! never hand out a Rust reference to memory that user code or a page-table
//! walk can see at the same time: contents go in and out by volatile words or
//! by string instructions.

use core::arch::asm;

use postern_core::mem::Frames;

use crate::layout::{PAGE, PHYSICAL};

/// Words of 8 bytes in a frame.
pub const WORDS: usize = 512;

/// One page frame of RAM that its holder may read and write as raw words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame(u64);

impl Frame {
    /// The frame at a physical address.
    ///
    /// # Safety
    /// `physical` is page-aligned and in the physical map of the current page
    /// tables. While it is used, no Rust reference to its bytes exists, and
    /// what is written to it is the holder's to write.
    #[must_use]
    pub const unsafe fn new(physical: u64) -> Self {
        Self(physical)
    }

    /// Frame `index` of a run.
    ///
    /// # Panics
    /// When the run is not that long.
    #[must_use]
    pub fn of(frames: &Frames, index: u64) -> Self {
        assert!(index < frames.pages());
        // SAFETY: whoever holds the token owns the frame, and memory that is
        // handed out as a token is RAM (devices' memory is never a table, a
        // UTCB or zeroed) to which nobody keeps a reference.
        unsafe { Self::new((frames.first_page() + index) * PAGE) }
    }

    /// Its physical address.
    #[must_use]
    pub const fn physical(self) -> u64 {
        self.0
    }

    /// Its address in the physical map.
    #[must_use]
    pub const fn address(self) -> u64 {
        PHYSICAL + self.0
    }

    fn words(self) -> *mut u64 {
        self.address() as *mut u64
    }

    /// Reads word `index`, modulo 512, once.
    #[inline(always)]
    #[must_use]
    pub fn word(self, index: usize) -> u64 {
        // SAFETY: inside the frame, which is mapped (contract of `new`).
        unsafe { self.words().add(index % WORDS).read_volatile() }
    }

    /// Writes word `index`, modulo 512.
    #[inline(always)]
    pub fn set_word(self, index: usize, value: u64) {
        // SAFETY: inside the frame, which is mapped and the holder's to write
        // (contract of `new`).
        unsafe { self.words().add(index % WORDS).write_volatile(value) };
    }

    /// Fills the frame with zeros.
    pub fn zero(self) {
        zero(self, 1);
    }

    /// Copies words `first..end` to the same place of another frame, reading
    /// each once.
    ///
    /// # Panics
    /// When the range is not inside a frame.
    #[inline(always)]
    pub fn copy_words(self, to: Self, first: usize, end: usize) {
        assert!(first <= end && end <= WORDS);
        // SAFETY: both ranges lie inside their frames, which are mapped and
        // the holder's (contract of `new`); the direction flag is clear.
        unsafe {
            asm!(
                "rep movsq",
                inout("rcx") end - first => _,
                inout("rsi") self.words().add(first) => _,
                inout("rdi") to.words().add(first) => _,
                options(nostack, preserves_flags),
            );
        }
    }
}

/// Fills `pages` frames from `first` on with zeros.
fn zero(first: Frame, pages: u64) {
    // SAFETY: callers pass frames that they hold, contiguous in the physical
    // map as they are in memory; the direction flag is clear.
    unsafe {
        asm!(
            "rep stosq",
            inout("rcx") pages * WORDS as u64 => _,
            inout("rdi") first.words() => _,
            in("rax") 0,
            options(nostack, preserves_flags),
        );
    }
}

/// Fills `pages` frames of a run with zeros, from frame `first` on.
///
/// # Panics
/// When the run is not that long.
pub fn zero_frames(frames: &Frames, first: u64, pages: u64) {
    let Some(last) = pages.checked_sub(1) else { return };
    assert!(first.checked_add(last).is_some_and(|end| end < frames.pages()));
    zero(Frame::of(frames, first), pages);
}

/// Copies `bytes` into a run, from byte `offset` of it on.
///
/// # Panics
/// When they do not fit.
pub fn fill_frames(frames: &Frames, offset: u64, bytes: &[u8]) {
    let end = offset.checked_add(bytes.len() as u64);
    assert!(end.is_some_and(|end| end <= frames.bytes()));
    let start = (PHYSICAL + frames.first_page() * PAGE + offset) as *mut u8;
    // SAFETY: the bytes lie inside the run, which is contiguous in the physical
    // map and owned by the holder of the token, so `bytes` is not a part of it.
    unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
}
