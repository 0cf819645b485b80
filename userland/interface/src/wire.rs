//! How values become message words and back.
//!
//! A message is a row of 64-bit words and a row of capabilities. A value takes
//! a fixed part of each, in the order of the arguments: integers and `bool` one
//! word, structures their fields in order (`#[derive(Wire)]`), an enumeration
//! its number and then the fields of the variant, `Option` a word 0 or 1 and
//! then the value, bytes and text their length and then the bytes, eight to a
//! word, little-endian; what is behind them in the last word is ignored. A list
//! is its length and then the values, [`Plain`](crate::Plain) its bytes.
//!
//! Nothing that arrives is believed: whatever no sender could have written is
//! [`Malformed`], also words that are left over.

use alloc::vec::Vec;
use core::fmt;

use postern_syscall::{ReceivedItem, Slot};
use zerocopy::IntoBytes;

use crate::transport;

/// Most words of a message; the first one is the operation or the status.
pub const MAX_WORDS: usize = postern_syscall::abi::tag::MAX_WORDS;
/// Most capabilities of a message.
pub const MAX_ITEMS: usize = postern_syscall::abi::tag::MAX_ITEMS;
/// [`Wire::WORDS`] of a value that is as long as it likes: a message's end is
/// its bound.
pub const UNBOUNDED: usize = 1 << 16;

/// A message that nobody who follows the interface could have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A message that has no room for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is malformed")
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is full")
    }
}

/// A value that can travel in a message. `'w` is how long the message that it
/// was read from stays: slices point into it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel in a message",
    label = "no message can carry this",
    note = "integers, `bool`, `char`, `Duration`, `&str`, `&[u8]`, `String`, `Vec`, `Text<N>`, \
            `Bytes<N>`, arrays, tuples, `Option`, `Owned<capability>`, `Plain<structure of \
            zerocopy>` can, and types with `#[derive(Wire)]`"
)]
pub trait Wire<'w>: Sized {
    /// Most words that a value takes; [`UNBOUNDED`] if there is no bound.
    const WORDS: usize;
    /// Most capabilities in a value.
    const ITEMS: usize = 0;

    /// Appends the value to a message.
    ///
    /// # Errors
    /// It does not fit.
    fn put(self, to: &mut Writer<'_>) -> Result<(), Full>;

    /// Reads the value from a message.
    ///
    /// # Errors
    /// The message does not hold one.
    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed>;

    /// Appends a list of such values: how many, and each of them. Bytes do it
    /// otherwise.
    ///
    /// # Errors
    /// They do not fit.
    #[doc(hidden)]
    fn put_list(list: Vec<Self>, to: &mut Writer<'_>) -> Result<(), Full> {
        to.word(list.len() as u64)?;
        list.into_iter().try_for_each(|value| value.put(to))
    }

    /// Reads a list of such values.
    ///
    /// # Errors
    /// The message does not hold one.
    #[doc(hidden)]
    fn take_list(from: &mut Reader<'w>) -> Result<Vec<Self>, Malformed> {
        let count = usize::take(from)?;
        // Each takes a word at least: nothing is allocated for what is not there.
        if count > from.words().len() {
            return Err(Malformed);
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(Self::take(from)?);
        }
        Ok(list)
    }
}

/// A value that needs no message to point into: what a result can be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a call",
    label = "no answer can carry this",
    note = "results are owned: `String`, `Vec<u8>`, `Text<N>` or `Bytes<N>` instead of a slice"
)]
pub trait Owning: for<'w> Wire<'w> {}

impl<T: for<'w> Wire<'w>> Owning for T {}

/// Appends to a message.
#[derive(Debug)]
pub struct Writer<'a> {
    words: &'a mut [u64],
    count: &'a mut usize,
    items: &'a mut [Slot],
    item_count: &'a mut usize,
}

impl<'a> Writer<'a> {
    /// Appends to the `count` words and `item_count` items that are there.
    #[inline(always)]
    pub(crate) fn new(
        words: &'a mut [u64],
        count: &'a mut usize,
        items: &'a mut [Slot],
        item_count: &'a mut usize,
    ) -> Self {
        Self { words, count, items, item_count }
    }

    /// Appends a word.
    ///
    /// # Errors
    /// There is no room.
    #[inline(always)]
    pub fn word(&mut self, word: u64) -> Result<(), Full> {
        *self.words.get_mut(*self.count).ok_or(Full)? = word;
        *self.count += 1;
        Ok(())
    }

    /// Appends bytes, without their length.
    ///
    /// # Errors
    /// There is no room; nothing was appended.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.count.checked_add(bytes.len().div_ceil(8)).ok_or(Full)?;
        let words = self.words.get_mut(*self.count..end).ok_or(Full)?;
        if let Some(last) = words.last_mut() {
            *last = 0;
        }
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        *self.count = end;
        Ok(())
    }

    /// Appends the capability in `slot`, which goes with the message; the slot
    /// is given back when the message was sent, or could not be.
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn item(&mut self, slot: Slot) -> Result<(), Full> {
        *self.items.get_mut(*self.item_count).ok_or(Full)? = slot;
        *self.item_count += 1;
        Ok(())
    }
}

/// Reads a message. Capabilities that nobody takes are deleted with it.
#[derive(Debug)]
pub struct Reader<'a> {
    words: &'a [u64],
    /// What the kernel wrote about each capability.
    items: &'a [u64],
}

impl<'a> Reader<'a> {
    #[inline(always)]
    pub(crate) const fn new(words: &'a [u64], items: &'a [u64]) -> Self {
        Self { words, items }
    }

    /// What was not read yet.
    #[must_use]
    pub const fn words(&self) -> &'a [u64] {
        self.words
    }

    /// The next word.
    ///
    /// # Errors
    /// There is none.
    #[inline(always)]
    pub fn word(&mut self) -> Result<u64, Malformed> {
        let (first, rest) = self.words.split_first().ok_or(Malformed)?;
        self.words = rest;
        Ok(*first)
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// The message ends before they do.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (words, rest) = self.words.split_at_checked(length.div_ceil(8)).ok_or(Malformed)?;
        self.words = rest;
        Ok(&words.as_bytes()[..length])
    }

    /// The next capability, which belongs to the caller from now on.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn item(&mut self) -> Result<ReceivedItem, Malformed> {
        let (first, rest) = self.items.split_first().ok_or(Malformed)?;
        self.items = rest;
        Ok(ReceivedItem::decode(*first))
    }

    /// Nothing may be left over.
    ///
    /// # Errors
    /// Something is.
    #[inline(always)]
    pub fn finish(self) -> Result<(), Malformed> {
        if self.words.is_empty() && self.items.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

impl Drop for Reader<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.items.is_empty() {
            delete(self.items);
        }
    }
}

/// Deletes what arrived. Takes the words and not the reader, so that a reader
/// can live in registers.
#[cold]
fn delete(items: &[u64]) {
    for word in items {
        transport::delete(ReceivedItem::decode(*word).slot);
    }
}

/// Words of a message with these values behind its first word: what a buffer
/// for it needs.
///
/// # Panics
/// The values have a bound that is larger than a message: the compiler says so.
#[must_use]
pub const fn words(values: &[usize]) -> usize {
    let mut sum = 1;
    let mut index = 0;
    while index < values.len() {
        sum += values[index];
        index += 1;
    }
    assert!(sum <= MAX_WORDS || sum >= UNBOUNDED, "these values do not fit into a message");
    // Words 0 to 3 travel in registers, used or not.
    if sum < 4 {
        4
    } else if sum > MAX_WORDS {
        MAX_WORDS
    } else {
        sum
    }
}

/// Capabilities of a message with these values.
///
/// # Panics
/// There are more than a message can have: the compiler says so.
#[must_use]
pub const fn items(values: &[usize]) -> usize {
    let mut sum = 0;
    let mut index = 0;
    while index < values.len() {
        sum += values[index];
        index += 1;
    }
    assert!(sum <= MAX_ITEMS, "a message has at most 8 capabilities");
    sum
}

/// The largest of these numbers.
#[must_use]
pub const fn largest(values: &[usize]) -> usize {
    let mut most = 0;
    let mut index = 0;
    while index < values.len() {
        if values[index] > most {
            most = values[index];
        }
        index += 1;
    }
    most
}

macro_rules! integers {
    ($($type:ty $({ $($more:tt)* })?),*) => { $(
        impl<'w> Wire<'w> for $type {
            const WORDS: usize = 1;
            $($($more)*)?

            #[inline(always)]
            fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
                // Signed numbers are extended: they read back as they were.
                to.word(self as u64)
            }

            #[inline(always)]
            fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
                let word = from.word()?;
                let value = word as $type;
                if value as u64 == word { Ok(value) } else { Err(Malformed) }
            }
        }
    )* };
}
integers!(u8 {
    fn put_list(list: Vec<u8>, to: &mut Writer<'_>) -> Result<(), Full> {
        <&[u8]>::put(&list, to)
    }

    fn take_list(from: &mut Reader<'w>) -> Result<Vec<u8>, Malformed> {
        <&[u8]>::take(from).map(Vec::from)
    }
}, u16, u32, u64, usize, i8, i16, i32, i64, isize);

impl<'w> Wire<'w> for bool {
    const WORDS: usize = 1;

    #[inline(always)]
    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        to.word(self.into())
    }

    #[inline(always)]
    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        match from.word()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl<'w, T: Wire<'w>> Wire<'w> for Option<T> {
    const WORDS: usize = 1 + T::WORDS;
    const ITEMS: usize = T::ITEMS;

    #[inline]
    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        to.word(self.is_some().into())?;
        self.map_or(Ok(()), |value| value.put(to))
    }

    #[inline]
    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<'w, T: Wire<'w>, const N: usize> Wire<'w> for [T; N] {
    const WORDS: usize = N * T::WORDS;
    const ITEMS: usize = N * T::ITEMS;

    #[inline]
    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        self.into_iter().try_for_each(|value| value.put(to))
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        // There is no `array::try_from_fn` yet.
        let mut complete = true;
        let values = core::array::from_fn(|_| {
            let value = if complete { T::take(from).ok() } else { None };
            complete &= value.is_some();
            value
        });
        if !complete {
            return Err(Malformed);
        }
        Ok(values.map(|value: Option<T>| value.expect("all of them are there")))
    }
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => { $(
        impl<'w, $($name: Wire<'w>),*> Wire<'w> for ($($name,)*) {
            const WORDS: usize = 0 $(+ $name::WORDS)*;
            const ITEMS: usize = 0 $(+ $name::ITEMS)*;

            #[inline]
            fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
                #[expect(non_snake_case, reason = "named after their types")]
                let ($($name,)*) = self;
                let _ = &to;
                $($name.put(to)?;)*
                Ok(())
            }

            #[inline]
            fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
                let _ = &from;
                Ok(($($name::take(from)?,)*))
            }
        }
    )* };
}
tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }

impl<'w> Wire<'w> for () {
    const WORDS: usize = 0;

    #[inline(always)]
    fn put(self, _: &mut Writer<'_>) -> Result<(), Full> {
        Ok(())
    }

    #[inline(always)]
    fn take(_: &mut Reader<'w>) -> Result<Self, Malformed> {
        Ok(())
    }
}

/// A result that cannot be.
impl<'w> Wire<'w> for core::convert::Infallible {
    const WORDS: usize = 0;

    fn put(self, _: &mut Writer<'_>) -> Result<(), Full> {
        match self {}
    }

    fn take(_: &mut Reader<'w>) -> Result<Self, Malformed> {
        Err(Malformed)
    }
}
