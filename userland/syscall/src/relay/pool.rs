//! Segments that are used again instead of being made anew.

use super::{RelayBuf, Segment};
use crate::{ErrorCode, Factory, Result};

/// Up to `N` segments that nobody uses at the moment.
///
/// They keep what was in them: a program that hands one server's data to
/// another one clears it first.
#[derive(Debug)]
pub struct Pool<const N: usize> {
    factory: Factory,
    free: [Option<Segment>; N],
}

impl<const N: usize> Pool<N> {
    /// An empty pool whose segments come from `factory`.
    #[must_use]
    pub const fn new(factory: Factory) -> Self {
        Self { factory, free: [const { None }; N] }
    }

    /// A buffer of at least `bytes`: the smallest free one that is large
    /// enough, else a new one.
    ///
    /// # Errors
    /// As [`RelayBuf::new`].
    pub fn take(&mut self, bytes: usize) -> Result<RelayBuf> {
        let size = |segment: &Option<Segment>| segment.as_ref().map(Segment::size);
        let fitting = self.free.iter_mut().filter(|one| size(one).is_some_and(|it| it >= bytes));
        let found = fitting.min_by_key(|one| size(one)).and_then(Option::take);
        let segment = match found {
            Some(segment) => segment,
            None => Segment::create(self.factory, bytes)?,
        };
        segment.activate().map_err(|(error, segment)| self.keep(error, segment))
    }

    fn keep(&mut self, error: ErrorCode, segment: Segment) -> ErrorCode {
        self.put(segment);
        error
    }

    /// Puts a buffer back. One too many is destroyed.
    ///
    /// # Errors
    /// As [`RelayBuf::release`].
    pub fn give(&mut self, buffer: RelayBuf) -> core::result::Result<(), (ErrorCode, RelayBuf)> {
        self.put(buffer.release()?);
        Ok(())
    }

    fn put(&mut self, segment: Segment) {
        if let Some(place) = self.free.iter_mut().find(|place| place.is_none()) {
            *place = Some(segment);
        }
    }

    /// How many are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.iter().flatten().count()
    }
}
