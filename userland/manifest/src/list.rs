//! A list inside of the manifest: elements are read each time it is walked.

use core::marker::PhantomData;

use crate::cursor::Cursor;

/// What a [`List`] can hold.
pub(crate) trait Element<'a>: Sized {
    /// Reads one; `None` if it is malformed.
    fn read(cursor: &mut Cursor<'a>) -> Option<Self>;
}

impl<'a> Element<'a> for &'a str {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        cursor.text()
    }
}

/// Elements that lie one behind the other in the manifest.
#[derive(Debug)]
pub struct List<'a, T> {
    count: u16,
    bytes: &'a [u8],
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> List<'_, T> {
    /// Nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self { count: 0, bytes: &[], of: PhantomData }
    }
}

// The bound is private on purpose: only this crate makes lists.
#[expect(private_bounds, reason = "what a list holds is decided in this crate")]
impl<'a, T: Element<'a>> List<'a, T> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let count = cursor.u16()?;
        let mut part = cursor.part()?;
        let list = Self { count, bytes: part.rest(), of: PhantomData };
        for _ in 0..count {
            T::read(&mut part)?;
        }
        part.rest().is_empty().then_some(list)
    }

    /// The elements, in order.
    pub fn iter(self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut cursor = Cursor::new(self.bytes);
        (0..self.count).map_while(move |_| T::read(&mut cursor))
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.count.into()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.count == 0
    }
}
