//! Typed arenas: objects named by index and generation.
//!
//! Pages without objects go back to the machine, wherever they lie
//! ([`Arena::release`]). In their place zeros can be read, and 0 is the
//! generation of no object, so nothing on the way to an object has to know. What
//! the generations on such a page were is kept beside it ([`Place`]), and when a
//! page appears there again, its slots go on from the highest of them: a
//! reference to an object of before never finds one of after.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::num::NonZeroU64;
use core::ops::Range;
use core::ptr::NonNull;

use crate::region::{PAGE, Page, Region, Vacant};
use crate::table::Table;

/// Names an object in an [`Arena`]. Copying it gives no access and keeps
/// nothing alive; after the object is removed it finds nothing.
///
/// The index in the lower half, the generation, which is odd, in the upper one:
/// one word to store and to compare, and never 0.
pub struct Ref<T> {
    name: NonZeroU64,
    kind: PhantomData<fn() -> T>,
}

impl<T> Ref<T> {
    /// A reference from its two numbers; a wrong pair finds nothing. Only odd
    /// generations name objects, so the lowest bit is set here once instead of
    /// being tested at every access.
    #[inline(always)]
    #[must_use]
    pub const fn new(index: u32, generation: u32) -> Self {
        match NonZeroU64::new(name(index, generation | 1)) {
            Some(name) => Self { name, kind: PhantomData },
            None => unreachable!(),
        }
    }

    /// A reference that finds nothing in any arena: where an `Option` would have
    /// to be tested before each look.
    pub const NOWHERE: Self = Self::new(u32::MAX, u32::MAX);

    /// Position in the arena.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.name.get() as u32
    }

    /// Generation of the object at that position.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.name.get() >> 32) as u32
    }

    /// The same two numbers as the name of another kind of object, where names
    /// of several kinds are kept in one place; a wrong one finds nothing, or
    /// something else.
    #[inline(always)]
    #[must_use]
    pub const fn cast<U>(self) -> Ref<U> {
        Ref { name: self.name, kind: PhantomData }
    }

    #[inline(always)]
    const fn place(self) -> usize {
        self.index() as usize
    }
}

/// What a slot with this index and generation is called.
const fn name(index: u32, generation: u32) -> u64 {
    (generation as u64) << 32 | index as u64
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
        self.name == other.name
    }
}
impl<T> Eq for Ref<T> {}
impl<T> Hash for Ref<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
impl<T> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index(), self.generation())
    }
}

/// End of a list.
const NONE: u32 = u32::MAX;
/// Generation of a slot that is never used again, so that no reference of any
/// age can match a later object.
const LAST: u32 = u32::MAX - 1;

/// A place for an object. The generation in its name is odd exactly while
/// `value` is initialised. The name comes first, so that it lies in the page in
/// which the slot begins; the links count while the slot is on the free list.
#[repr(C)]
struct Slot<T> {
    name: u64,
    next: u32,
    previous: u32,
    value: MaybeUninit<T>,
}

impl<T> Slot<T> {
    #[inline(always)]
    const fn generation(&self) -> u32 {
        (self.name >> 32) as u32
    }

    /// Whether there is an object: whether the generation is odd.
    #[inline(always)]
    const fn is_live(&self) -> bool {
        self.name & 1 << 32 != 0
    }

    /// The reference of its object, if there is one.
    #[inline(always)]
    fn reference(&self) -> Option<Ref<T>> {
        let name = NonZeroU64::new(self.name)?;
        self.is_live().then_some(Ref { name, kind: PhantomData })
    }

    #[inline(always)]
    const fn is(&self, reference: Ref<T>) -> bool {
        self.name == reference.name.get()
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if self.is_live() {
            // SAFETY: an odd generation means that the value is initialised.
            unsafe { self.value.assume_init_drop() };
        }
    }
}

/// What is kept about a page of slots, whether it is there or not.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// While the page is away: the highest generation of its slots.
    generation: u32,
    /// While it is there: objects that lie in it, even in part.
    live: u32,
    /// While it is away: the next page that is.
    next: u32,
    /// Whether it is away.
    away: bool,
}

/// Objects of one type, grown page by page, found by [`Ref`] in constant time.
///
/// A slot is on the free list while it has no object, all of its pages are
/// there, and its generation is not used up.
pub struct Arena<T> {
    slots: Table<Slot<T>>,
    /// One for each page that `slots` ever had.
    places: Table<Place>,
    /// First free slot.
    free: u32,
    /// First page that is away.
    away: u32,
    live: usize,
    /// The slot of a live object ([`Arena::choose`]).
    chosen: Option<NonNull<Slot<T>>>,
}

// SAFETY: the arena owns its objects; `chosen` points to one of them.
unsafe impl<T: Send> Send for Arena<T> {}

impl<T> Arena<T> {
    /// Bytes that one object takes.
    pub const OBJECT_BYTES: usize = size_of::<Slot<T>>();

    /// So a page that comes has a whole slot in it, and is of use by itself.
    const CHECK: () = assert!(size_of::<Slot<T>>() <= PAGE / 2);

    /// An empty arena in `region`; what it knows about its pages is in `places`,
    /// which must have room for 16 bytes for each.
    #[must_use]
    pub fn new(region: Region, places: Region) -> Self {
        let () = Self::CHECK;
        Self {
            slots: Table::new(region),
            places: Table::new(places),
            free: NONE,
            away: NONE,
            live: 0,
            chosen: None,
        }
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
        if self.away != NONE {
            Some(self.slots.page(self.away as usize).as_ptr() as usize)
        } else if self.places.len() == self.slots.pages() {
            self.places.next_page()
        } else {
            self.slots.next_page()
        }
    }

    /// Takes in one more page. It may take several until there is room for an
    /// object.
    ///
    /// # Errors
    /// Gives the page back if it is not the one at [`Arena::next_page`].
    pub fn grow(&mut self, page: Page) -> Result<(), Page> {
        if self.next_page() != Some(page.address().as_ptr() as usize) {
            return Err(page);
        }
        let number = if self.away != NONE {
            let _held = page.into_address();
            let number = self.away as usize;
            let place = &mut self.places[number];
            (self.away, place.away) = (place.next, false);
            let generation = place.generation;
            for index in Self::slots_in(number, self.slots.len()) {
                if Self::pages_of(index).0 == number {
                    self.slots[index].name = name(index as u32, generation);
                }
            }
            number
        } else if self.places.len() == self.slots.pages() {
            return self.places.grow(page, |_| Place::default());
        } else {
            // No page is away, so the slot that begins in the page before can
            // be written.
            self.slots.grow(page, |index| Slot {
                name: name(index as u32, 0),
                next: NONE,
                previous: NONE,
                value: MaybeUninit::uninit(),
            })?;
            self.slots.pages() - 1
        };
        // Low indices are used first.
        for index in Self::slots_in(number, self.slots.len()).rev() {
            if self.is_usable(index) {
                self.push(index as u32);
            }
        }
        Ok(())
    }

    /// Lets one page go that slot `index` lies in, if there is no object in it:
    /// to be called after [`Arena::remove`] until it returns `None`. A page
    /// whose generations are used up stays.
    pub fn release(&mut self, index: u32) -> Option<Vacant> {
        let (first, last) = Self::pages_of(index as usize);
        let number = (first..=last).find(|number| {
            self.places.get(*number).is_some_and(|place| !place.away && place.live == 0)
                && Self::slots_in(*number, self.slots.len())
                    .all(|index| self.slots[index].generation() < LAST)
        })?;
        let mut highest = 0;
        for index in Self::slots_in(number, self.slots.len()) {
            if self.is_usable(index) {
                self.unlink(index as u32);
            }
            if Self::pages_of(index).0 == number {
                highest = highest.max(self.slots[index].generation());
            }
        }
        self.places[number] = Place { generation: highest, live: 0, next: self.away, away: true };
        self.away = number as u32;
        Some(Vacant::new(self.slots.page(number)))
    }

    /// The first and the last page that slot `index` lies in.
    const fn pages_of(index: usize) -> (usize, usize) {
        let start = index * Self::OBJECT_BYTES;
        (start / PAGE, (start + Self::OBJECT_BYTES - 1) / PAGE)
    }

    /// The slots among the first `len` that lie in page `number`, even in part.
    fn slots_in(number: usize, len: usize) -> Range<usize> {
        let start = number * PAGE / Self::OBJECT_BYTES;
        start..((number + 1) * PAGE).div_ceil(Self::OBJECT_BYTES).min(len)
    }

    /// Whether slot `index`, which has no object, is on the free list, or
    /// belongs there.
    fn is_usable(&self, index: usize) -> bool {
        let (first, last) = Self::pages_of(index);
        let away = |number: usize| self.places[number].away;
        !away(first) && !away(last) && self.slots[index].generation() < LAST
    }

    /// Puts a slot on the free list.
    fn push(&mut self, index: u32) {
        let next = core::mem::replace(&mut self.free, index);
        let slot = &mut self.slots[index as usize];
        (slot.next, slot.previous) = (next, NONE);
        if next != NONE {
            self.slots[next as usize].previous = index;
        }
    }

    /// Takes a slot off the free list.
    fn unlink(&mut self, index: u32) {
        let slot = &self.slots[index as usize];
        let (next, previous) = (slot.next, slot.previous);
        match previous {
            NONE => self.free = next,
            previous => self.slots[previous as usize].next = next,
        }
        if next != NONE {
            self.slots[next as usize].previous = previous;
        }
    }

    /// Puts an object into a free slot.
    ///
    /// # Errors
    /// Gives the object back when the arena is full.
    pub fn insert(&mut self, value: T) -> Result<Ref<T>, T> {
        let index = self.free;
        if index == NONE {
            return Err(value);
        }
        self.unlink(index);
        let slot = &mut self.slots[index as usize];
        slot.name = name(index, slot.generation() + 1);
        slot.value.write(value);
        let made = Ref::new(index, slot.generation());
        self.count(index, 1);
        Ok(made)
    }

    /// Takes an object out; its references find nothing from now on.
    pub fn remove(&mut self, reference: Ref<T>) -> Option<T> {
        let slot = self.slots.get_mut(reference.place())?;
        if !slot.is(reference) {
            return None;
        }
        // SAFETY: the generation equals an odd one (`Ref::new`), so the value is initialised; it is
        // made even below, so the value is not used or dropped again.
        let value = unsafe { slot.value.assume_init_read() };
        slot.name = name(reference.index(), reference.generation() + 1);
        if self.chosen == Some(NonNull::from(&mut *slot)) {
            self.chosen = None;
        }
        if reference.generation() + 1 < LAST {
            self.push(reference.index());
        }
        self.count(reference.index(), -1);
        Some(value)
    }

    /// An object more or less in slot `index`.
    fn count(&mut self, index: u32, change: i32) {
        let (first, last) = Self::pages_of(index as usize);
        for number in first..=last {
            let live = &mut self.places[number].live;
            *live = live.wrapping_add_signed(change);
        }
        self.live = self.live.wrapping_add_signed(change as isize);
    }

    /// The object, unless it was removed.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, reference: Ref<T>) -> Option<&T> {
        let slot = self.slots.get(reference.place())?;
        if !slot.is(reference) {
            return None;
        }
        // SAFETY: the generation equals an odd one (`Ref::new`), so the value is initialised.
        Some(unsafe { slot.value.assume_init_ref() })
    }

    /// The object, unless it was removed.
    #[inline(always)]
    #[must_use]
    pub fn get_mut(&mut self, reference: Ref<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(reference.place())?;
        if !slot.is(reference) {
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
        let [first, second] = self.slots.get_disjoint_mut([a.place(), b.place()]).ok()?;
        if !first.is(a) || !second.is(b) {
            return None;
        }
        // SAFETY: both generations equal odd ones (`Ref::new`), so both values
        // are initialised, and the slots are different ones (`get_disjoint_mut`).
        Some(unsafe { (first.value.assume_init_mut(), second.value.assume_init_mut()) })
    }

    /// Makes an object the one that [`Arena::chosen`] finds without looking, for
    /// as long as it exists.
    #[inline]
    pub fn choose(&mut self, reference: Ref<T>) {
        let live = self.slots.get(reference.place()).is_some_and(|slot| slot.is(reference));
        // SAFETY: an element of the table, as was just looked up.
        self.chosen = live.then(|| unsafe { self.slots.base().add(reference.place()) });
    }

    /// No object is the chosen one any more.
    #[inline]
    pub fn forget(&mut self) {
        self.chosen = None;
    }

    /// The chosen object, and a way to the others while it is borrowed.
    #[inline(always)]
    #[must_use]
    pub fn chosen(&mut self) -> Option<(&mut T, Others<'_, T>)> {
        let from = self.chosen?;
        let mut slot = from;
        // Before the object is borrowed: this looks at the table as a whole.
        let (slots, len) = (self.slots.base(), self.slots.len());
        // SAFETY: an element of the table, borrowed exclusively with the arena.
        let slot = unsafe { slot.as_mut() };
        // SAFETY: a live object (`remove` forgets it).
        let object = unsafe { slot.value.assume_init_mut() };
        Some((object, Others { slots, len, from, chosen: &mut self.chosen }))
    }

    /// The reference of the live object at `index`, if there is one.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, index: u32) -> Option<Ref<T>> {
        self.slots.get(index as usize).and_then(Slot::reference)
    }

    /// The live object at `index`, if there is one. For links between objects
    /// that are kept consistent, so that they need no generation.
    #[inline(always)]
    #[must_use]
    pub fn nth(&self, index: u32) -> Option<&T> {
        let slot = self.slots.get(index as usize).filter(|slot| slot.is_live())?;
        // SAFETY: its generation is odd, so the value is initialised.
        Some(unsafe { slot.value.assume_init_ref() })
    }

    /// The live object at `index`, if there is one; see [`Arena::nth`].
    #[inline(always)]
    #[must_use]
    pub fn nth_mut(&mut self, index: u32) -> Option<&mut T> {
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.is_live())?;
        // SAFETY: its generation is odd, so the value is initialised.
        Some(unsafe { slot.value.assume_init_mut() })
    }

    /// Pages that it has although no object lies in them; for tests.
    #[cfg(any(test, feature = "host"))]
    #[must_use]
    pub fn spare_pages(&self) -> usize {
        let places = self.places.iter().take(self.slots.pages());
        places.filter(|place| !place.away && place.live == 0).count()
    }

    /// Lets a live object come to a generation without making that many.
    #[cfg(test)]
    pub(crate) fn age(&mut self, index: u32, generation: u32) {
        assert!(self.at(index).is_some() && generation % 2 == 1);
        self.slots[index as usize].name = name(index, generation);
    }

    /// References of all live objects, by index.
    pub fn refs(&self) -> impl Iterator<Item = Ref<T>> {
        (0..self.slots.len() as u32).filter_map(|index| self.at(index))
    }
}

/// The reference of the live object in a slot.
///
/// # Safety
/// The slot is one of an arena that is borrowed exclusively, with a live object.
/// Only the name is read, so the object may be borrowed.
#[inline(always)]
unsafe fn name_of<T>(slot: NonNull<Slot<T>>) -> Ref<T> {
    // SAFETY: as the caller promises; the generation of a live object is odd, so
    // the name is not 0.
    let name = unsafe { NonZeroU64::new_unchecked((&raw const (*slot.as_ptr()).name).read()) };
    Ref { name, kind: PhantomData }
}

/// The objects of an [`Arena`] but for the chosen one ([`Arena::chosen`]).
pub struct Others<'a, T> {
    slots: NonNull<Slot<T>>,
    len: usize,
    from: NonNull<Slot<T>>,
    chosen: &'a mut Option<NonNull<Slot<T>>>,
}

impl<'a, T> Others<'a, T> {
    /// The reference of the chosen object.
    #[inline(always)]
    #[must_use]
    pub fn chosen(&self) -> Ref<T> {
        // SAFETY: what `Arena::chosen` found, borrowed for as long as this.
        unsafe { name_of(self.from) }
    }

    /// The object, unless it was removed or is the chosen one.
    #[inline(always)]
    #[must_use]
    pub fn find(self, reference: Ref<T>) -> Option<Other<'a, T>> {
        if reference.place() >= self.len {
            return None;
        }
        // SAFETY: below `len`, so inside of the table.
        let slot = unsafe { self.slots.add(reference.place()) };
        if self.from == slot {
            return None;
        }
        // SAFETY: an element of the arena, which is borrowed exclusively, and
        // not the one that `Arena::chosen` gave out.
        if unsafe { !slot.as_ref().is(reference) } {
            return None;
        }
        Some(Other { slot, from: self.from, chosen: self.chosen })
    }

    /// The live object at `index` and its reference, unless it is the chosen
    /// one; see [`Arena::nth`].
    #[inline(always)]
    #[must_use]
    pub fn nth(self, index: u32) -> Option<(Ref<T>, Other<'a, T>)> {
        if index as usize >= self.len {
            return None;
        }
        // SAFETY: below `len`, so inside of the table.
        let slot = unsafe { self.slots.add(index as usize) };
        if self.from == slot {
            return None;
        }
        // SAFETY: an element of the arena, which is borrowed exclusively, and
        // not the one that `Arena::chosen` gave out.
        let name = unsafe { slot.as_ref().reference() }?;
        Some((name, Other { slot, from: self.from, chosen: self.chosen }))
    }
}

/// An object that is not the chosen one.
pub struct Other<'a, T> {
    slot: NonNull<Slot<T>>,
    /// The chosen one.
    from: NonNull<Slot<T>>,
    chosen: &'a mut Option<NonNull<Slot<T>>>,
}

impl<'a, T> Other<'a, T> {
    /// The object.
    #[inline(always)]
    #[must_use]
    pub fn object(&self) -> &T {
        // SAFETY: a live object, borrowed exclusively (`Others::find`).
        unsafe { self.slot.as_ref().value.assume_init_ref() }
    }

    /// The reference of the chosen object.
    #[inline(always)]
    #[must_use]
    pub fn chosen(&self) -> Ref<T> {
        // SAFETY: what `Arena::chosen` found, borrowed for as long as this.
        unsafe { name_of(self.from) }
    }

    /// The object, to change it.
    #[inline(always)]
    #[must_use]
    pub fn object_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.slot.as_mut().value.assume_init_mut() }
    }

    /// Makes it the chosen one.
    #[inline(always)]
    #[must_use]
    pub fn choose(mut self) -> &'a mut T {
        *self.chosen = Some(self.slot);
        // SAFETY: as above; it is given out once, as `self` is used up.
        unsafe { self.slot.as_mut().value.assume_init_mut() }
    }
}
