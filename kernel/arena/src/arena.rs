//! Typed arenas: objects named by index and generation.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use crate::region::{Page, Region};
use crate::table::Table;

/// Names an object in an [`Arena`]. Copying it gives no access and keeps
/// nothing alive; after the object is removed it finds nothing.
pub struct Ref<T> {
    index: u32,
    generation: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Ref<T> {
    /// A reference from its two numbers; a wrong pair finds nothing. Only odd
    /// generations name objects, so the lowest bit is set here once instead of
    /// being tested at every access.
    #[inline(always)]
    #[must_use]
    pub const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation: generation | 1, kind: PhantomData }
    }

    /// Position in the arena.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Generation of the object at that position.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl<T> Clone for Ref<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ref<T> {}
impl<T> PartialEq for Ref<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.generation == other.generation
    }
}
impl<T> Eq for Ref<T> {}
impl<T> Hash for Ref<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.index, self.generation).hash(state);
    }
}
impl<T> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

/// End of the free list, and the link of a slot that is never used again.
const NONE: u32 = u32::MAX;

/// A place for an object. `generation` is odd exactly while `value` is
/// initialised; it only grows, and a slot whose generation is used up is not
/// put back on the free list.
struct Slot<T> {
    generation: u32,
    next_free: u32,
    value: MaybeUninit<T>,
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if self.generation % 2 == 1 {
            // SAFETY: an odd generation means that the value is initialised.
            unsafe { self.value.assume_init_drop() };
        }
    }
}

/// Objects of one type, grown page by page, found by [`Ref`] in constant time.
pub struct Arena<T> {
    slots: Table<Slot<T>>,
    free: u32,
    live: usize,
}

impl<T> Arena<T> {
    /// Bytes that one object takes.
    pub const OBJECT_BYTES: usize = size_of::<Slot<T>>();

    /// An empty arena in `region`.
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self { slots: Table::new(region), free: NONE, live: 0 }
    }

    /// Number of live objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no live object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Whether [`Arena::insert`] would fail for want of a page.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// The index that the next insert will use; `None` when full.
    #[must_use]
    pub fn next_index(&self) -> Option<u32> {
        (self.free != NONE).then_some(self.free)
    }

    /// Address at which [`Arena::grow`] wants its next page; `None` when the
    /// region is used up.
    #[must_use]
    pub fn next_page(&self) -> Option<usize> {
        self.slots.next_page()
    }

    /// Takes in one more page.
    ///
    /// # Errors
    /// Gives the page back if it is not the one at [`Arena::next_page`].
    pub fn grow(&mut self, page: Page) -> Result<(), Page> {
        let first = self.slots.len();
        self.slots.grow(page, |index| Slot {
            generation: 0,
            next_free: index as u32 + 1,
            value: MaybeUninit::uninit(),
        })?;
        // Low indices are used first.
        if let Some(last) = self.slots[first..].last_mut() {
            last.next_free = core::mem::replace(&mut self.free, first as u32);
        }
        Ok(())
    }

    /// Puts an object into a free slot.
    ///
    /// # Errors
    /// Gives the object back when the arena is full.
    pub fn insert(&mut self, value: T) -> Result<Ref<T>, T> {
        let index = self.free;
        let Some(slot) = self.slots.get_mut(index as usize) else { return Err(value) };
        self.free = slot.next_free;
        slot.generation += 1;
        slot.value.write(value);
        self.live += 1;
        Ok(Ref::new(index, slot.generation))
    }

    /// Takes an object out; its references find nothing from now on.
    pub fn remove(&mut self, reference: Ref<T>) -> Option<T> {
        let slot = self.slots.get_mut(reference.index as usize)?;
        if slot.generation != reference.generation {
            return None;
        }
        // SAFETY: the generation equals an odd one (`Ref::new`), so the value is initialised; it is
        // made even below, so the value is not used or dropped again.
        let value = unsafe { slot.value.assume_init_read() };
        slot.generation += 1;
        self.live -= 1;
        // The last even generation stays for ever: the slot is retired, so
        // that no reference of any age can match a later object.
        if slot.generation < u32::MAX - 1 {
            slot.next_free = self.free;
            self.free = reference.index;
        }
        Some(value)
    }

    /// The object, unless it was removed.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, reference: Ref<T>) -> Option<&T> {
        let slot = self.slots.get(reference.index as usize)?;
        if slot.generation != reference.generation {
            return None;
        }
        // SAFETY: the generation equals an odd one (`Ref::new`), so the value is initialised.
        Some(unsafe { slot.value.assume_init_ref() })
    }

    /// The object, unless it was removed.
    #[inline(always)]
    #[must_use]
    pub fn get_mut(&mut self, reference: Ref<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(reference.index as usize)?;
        if slot.generation != reference.generation {
            return None;
        }
        // SAFETY: the generation equals an odd one (`Ref::new`), so the value is initialised.
        Some(unsafe { slot.value.assume_init_mut() })
    }

    /// Two different objects at once; `None` if they are the same or one is
    /// gone.
    #[inline(always)]
    #[must_use]
    pub fn pair(&mut self, a: Ref<T>, b: Ref<T>) -> Option<(&mut T, &mut T)> {
        let [first, second] =
            self.slots.get_disjoint_mut([a.index as usize, b.index as usize]).ok()?;
        if first.generation != a.generation || second.generation != b.generation {
            return None;
        }
        // SAFETY: both generations equal odd ones (`Ref::new`), so both values
        // are initialised, and the slots are different ones (`get_disjoint_mut`).
        Some(unsafe { (first.value.assume_init_mut(), second.value.assume_init_mut()) })
    }

    /// The reference of the live object at `index`, if there is one.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, index: u32) -> Option<Ref<T>> {
        let slot = self.slots.get(index as usize)?;
        (slot.generation % 2 == 1).then(|| Ref::new(index, slot.generation))
    }

    /// The live object at `index`, if there is one. For links between objects
    /// that are kept consistent, so that they need no generation.
    #[inline(always)]
    #[must_use]
    pub fn nth(&self, index: u32) -> Option<&T> {
        self.get(self.at(index)?)
    }

    /// The live object at `index`, if there is one; see [`Arena::nth`].
    #[inline(always)]
    #[must_use]
    pub fn nth_mut(&mut self, index: u32) -> Option<&mut T> {
        self.get_mut(self.at(index)?)
    }

    /// References of all live objects, by index.
    pub fn refs(&self) -> impl Iterator<Item = Ref<T>> {
        (0..self.slots.len() as u32).filter_map(|index| self.at(index))
    }
}
