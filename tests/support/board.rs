//! Words that a test and all its partners see, peers included: one shared page
//! at one address in each of their tasks.
//!
//! Sequentially consistent throughout: tests want the order that they read.

use core::sync::atomic::Ordering::SeqCst;

use crate::bare::memory::shared_word;

/// Where the page is mapped.
pub const ADDRESS: u64 = 0xb_0000_0000;
/// Number of words.
pub const WORDS: usize = 512;

/// Word `index`.
#[must_use]
pub fn get(index: usize) -> u64 {
    shared_word(index).load(SeqCst)
}

/// Sets word `index`.
pub fn set(index: usize, value: u64) {
    shared_word(index).store(value, SeqCst);
}

/// Adds to word `index`; what it was.
pub fn add(index: usize, value: u64) -> u64 {
    shared_word(index).fetch_add(value, SeqCst)
}

/// The first word of a log that begins at `index`: how many entries there are.
/// Appends `value` to it.
pub fn push(index: usize, value: u64) {
    let at = add(index, 1) as usize;
    set(index + 1 + at, value);
}

/// The entries of the log that begins at `index`, as far as they fit.
#[must_use]
pub fn entries<const N: usize>(index: usize) -> [u64; N] {
    let count = (get(index) as usize).min(N);
    let mut all = [0; N];
    for (at, entry) in all[..count].iter_mut().enumerate() {
        *entry = get(index + 1 + at);
    }
    all
}
