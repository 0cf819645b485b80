//! Bytes and text in messages: borrowed, on the heap, or in place.

use alloc::string::String;
use core::fmt;
use core::ops::Deref;

use crate::wire::{Full, Malformed, Reader, UNBOUNDED, Wire, Writer};

/// Most bytes of a message that carries bytes and nothing else.
pub const MAX_BYTES: usize = (crate::MAX_WORDS - 2) * 8;

fn put(bytes: &[u8], to: &mut Writer<'_>) -> Result<(), Full> {
    to.word(bytes.len() as u64)?;
    to.bytes(bytes)
}

impl<'w> Wire<'w> for &'w [u8] {
    const WORDS: usize = UNBOUNDED;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        put(self, to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        let length = usize::take(from)?;
        from.bytes(length)
    }
}

impl<'w> Wire<'w> for &'w str {
    const WORDS: usize = UNBOUNDED;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        put(self.as_bytes(), to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        core::str::from_utf8(<&[u8]>::take(from)?).map_err(|_| Malformed)
    }
}

impl<'w> Wire<'w> for String {
    const WORDS: usize = UNBOUNDED;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        put(self.as_bytes(), to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        <&str>::take(from).map(Self::from)
    }
}

/// Up to `N` bytes in place, for those who do without a heap.
#[derive(Clone, Copy)]
pub struct Bytes<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Bytes<N> {
    /// A copy of `bytes`; `None` if there are more than `N`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut copy = Self { bytes: [0; N], length: bytes.len() };
        copy.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(copy)
    }
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Deref for Bytes<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<const N: usize> PartialEq for Bytes<N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for Bytes<N> {}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<'w, const N: usize> Wire<'w> for Bytes<N> {
    const WORDS: usize = 1 + N.div_ceil(8);

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        put(&self, to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        Self::new(<&[u8]>::take(from)?).ok_or(Malformed)
    }
}

/// Up to `N` bytes of text in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize>(Bytes<N>);

impl<const N: usize> Text<N> {
    /// The beginning of `text`, cut at the last character that fits.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut length = text.len().min(N);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        Self(Bytes::new(&text.as_bytes()[..length]).unwrap_or_default())
    }

    /// All of `text`; `None` if it is longer than `N` bytes.
    #[must_use]
    pub fn whole(text: &str) -> Option<Self> {
        Bytes::new(text.as_bytes()).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only text gets in.
        core::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<'w, const N: usize> Wire<'w> for Text<N> {
    const WORDS: usize = Bytes::<N>::WORDS;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        self.0.put(to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        Self::whole(<&str>::take(from)?).ok_or(Malformed)
    }
}
