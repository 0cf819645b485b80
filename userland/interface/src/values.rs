//! Values that are made of others, or lie in memory as they travel.

use alloc::vec::Vec;
use core::time::Duration;

use zerocopy::{Immutable, IntoBytes, TryFromBytes};

use crate::wire::{Full, Malformed, Reader, UNBOUNDED, Wire, Writer};

/// A structure of `zerocopy`, which travels as its bytes, eight to a word.
///
/// Cheaper than `#[derive(Wire)]` for many small fields, and the same layout as
/// in a relay segment. What the type does not allow (a `bool` of 2, an unknown
/// variant) is refused like everything that is malformed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Plain<T>(pub T);

impl<'w, T: TryFromBytes + IntoBytes + Immutable> Wire<'w> for Plain<T> {
    const WORDS: usize = size_of::<T>().div_ceil(8);

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        to.bytes(self.0.as_bytes())
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        let bytes = from.bytes(size_of::<T>())?;
        T::try_read_from_bytes(bytes).map(Self).map_err(|_| Malformed)
    }
}

/// A list: values without capabilities, as many as fit.
impl<'w, T: Wire<'w>> Wire<'w> for Vec<T> {
    const WORDS: usize = {
        assert!(T::ITEMS == 0, "a list carries no capabilities: use an array");
        assert!(T::WORDS != 0, "a list of what takes no room has no end");
        UNBOUNDED
    };

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        T::put_list(self, to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        T::take_list(from)
    }
}

macro_rules! wide {
    ($($type:ty),*) => { $(
        impl<'w> Wire<'w> for $type {
            const WORDS: usize = 2;

            fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
                to.word(self as u64)?;
                to.word((self >> 64) as u64)
            }

            fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
                let low = from.word()?;
                Ok((from.word()? as $type) << 64 | low as $type)
            }
        }
    )* };
}
wide!(u128, i128);

impl<'w> Wire<'w> for char {
    const WORDS: usize = 1;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        u32::from(self).put(to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        Self::from_u32(u32::take(from)?).ok_or(Malformed)
    }
}

/// Seconds, and nanoseconds below one.
impl<'w> Wire<'w> for Duration {
    const WORDS: usize = 2;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        (self.as_secs(), self.subsec_nanos()).put(to)
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        let (seconds, nanos) = <(u64, u32)>::take(from)?;
        if nanos < 1_000_000_000 { Ok(Self::new(seconds, nanos)) } else { Err(Malformed) }
    }
}
