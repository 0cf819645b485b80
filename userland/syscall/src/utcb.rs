//! The UTCB of the calling thread: the page that kernel and thread share
//! (docs/abi.md section 6), found through the FS base.
//!
//! Every access is volatile and checked against the page's size, so nothing in
//! here can touch anything else. Contents are only as fresh as the last system
//! call: whoever needs a message past the next call copies it out first
//! ([`crate::Message`]).

use core::arch::asm;

use abi::tag::{MAX_ITEMS, MAX_WORDS};
use abi::utcb::{
    FIRST_WORD, ITEMS, RECEIVE_DEADLINE, RECEIVE_SOURCE, RECEIVED, REPLY_HANDLE, RUNTIME,
    SEND_DEADLINE, SIZE, WINDOWS, WORDS,
};
use postern_abi as abi;

use crate::{Item, Slot};

/// The address of the calling thread's UTCB.
#[inline(always)]
#[must_use]
pub fn address() -> u64 {
    let address: u64;
    // SAFETY: the kernel sets the FS base to the UTCB and word 0 of the UTCB to
    // its address; nothing safe in this crate changes either.
    unsafe {
        asm!(
            "mov {}, fs:[0]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    address
}

/// Reads word `index`.
///
/// # Panics
/// If `index` is not in the page.
#[inline(always)]
#[must_use]
pub fn read(index: usize) -> u64 {
    assert!(index < SIZE, "the UTCB has {SIZE} words");
    // SAFETY: the page is mapped and writable as long as the thread lives, and
    // the index is inside.
    unsafe { (address() as *const u64).add(index).read_volatile() }
}

/// Writes word `index`; a message word, an item, a window, or a word of the
/// runtime.
///
/// # Panics
/// If `index` is not in the page, or is the word that holds the page's address.
#[inline(always)]
pub fn write(index: usize, value: u64) {
    assert!(index < SIZE && index != abi::utcb::SELF, "not a writable word of the UTCB");
    // SAFETY: as in `read`; the one word that `address` relies on is refused.
    unsafe { (address() as *mut u64).add(index).write_volatile(value) }
}

/// Writes the message words from word 4 on; `words` is the whole message.
///
/// # Panics
/// If there are more than 63 words.
#[inline]
pub fn set_words(words: &[u64]) {
    assert!(words.len() <= MAX_WORDS, "a message has at most {MAX_WORDS} words");
    for (index, word) in words.iter().enumerate().skip(FIRST_WORD) {
        write(index, *word);
    }
}

/// Message word `index` of the last delivery, 4 to 62.
///
/// # Panics
/// If `index` is not a word that travels in the UTCB.
#[inline]
#[must_use]
pub fn word(index: usize) -> u64 {
    assert!((FIRST_WORD..WORDS).contains(&index), "words 0 to 3 travel in registers");
    read(index)
}

/// Writes the capability items of the next message.
///
/// # Panics
/// If there are more than 8.
#[inline]
pub fn set_items(items: &[Item]) {
    assert!(items.len() <= MAX_ITEMS, "a message has at most {MAX_ITEMS} items");
    for (index, item) in items.iter().enumerate() {
        let [slot, rights] = item.encode();
        write(ITEMS + 2 * index, slot);
        write(ITEMS + 2 * index + 1, rights);
    }
}

/// Declares the empty slots that received capabilities go to, first item
/// first. They stay declared until this is called again.
///
/// # Panics
/// If there are more than 8.
#[inline]
pub fn set_windows(slots: &[Slot]) {
    assert!(slots.len() <= MAX_ITEMS, "a message has at most {MAX_ITEMS} items");
    for index in 0..MAX_ITEMS {
        write(WINDOWS + index, slots.get(index).map_or(0, |slot| slot.word()));
    }
}

/// What the kernel wrote about received item `index`: slot, rights and kind.
///
/// # Panics
/// If `index` is over 7.
#[inline]
#[must_use]
pub fn received(index: usize) -> u64 {
    assert!(index < MAX_ITEMS, "a message has at most {MAX_ITEMS} items");
    read(RECEIVED + index)
}

/// The saved right to answer that the next reply with `SAVED` uses.
#[inline]
pub fn set_reply_handle(slot: Slot) {
    write(REPLY_HANDLE, slot.word());
}

/// The only source that the next receive with `CLOSED` takes messages from.
#[inline]
pub fn set_receive_source(slot: Slot) {
    write(RECEIVE_SOURCE, slot.word());
}

/// The absolute deadlines (nanoseconds since boot) that `Timeout::ABSOLUTE`
/// means.
#[inline]
pub fn set_deadlines(send: u64, receive: u64) {
    write(SEND_DEADLINE, send);
    write(RECEIVE_DEADLINE, receive);
}

/// Word `index` of the part that belongs to the runtime, counted from 0.
///
/// # Panics
/// If the page has no such word.
#[inline]
#[must_use]
pub fn runtime_word(index: usize) -> u64 {
    read(RUNTIME.saturating_add(index))
}

/// Sets word `index` of the runtime's part.
///
/// # Panics
/// If the page has no such word.
#[inline]
pub fn set_runtime_word(index: usize, value: u64) {
    write(RUNTIME.saturating_add(index), value);
}
