//! Tests of the arena; run them under Miri, too (`cargo +nightly miri test`).

use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::host::Space;
use super::*;

/// Memory for one arena.
struct Both {
    slots: Space,
    places: Space,
    /// Pages that the arena has at the moment.
    held: usize,
}

impl Both {
    fn new(pages: usize) -> Self {
        Self { slots: Space::new(pages), places: Space::new(1), held: 0 }
    }

    fn arena<T>(&mut self) -> Arena<T> {
        Arena::new(self.slots.region(), self.places.region())
    }

    /// Grows until there is room; `false` if the region is used up.
    fn grow<T>(&mut self, arena: &mut Arena<T>) -> bool {
        while arena.is_full() {
            let Some(at) = arena.next_page() else { return false };
            let inside =
                (self.slots.address()..self.slots.address() + self.slots.bytes()).contains(&at);
            let space = if inside { &self.slots } else { &self.places };
            self.held += usize::from(inside);
            arena.grow(space.page(at)).expect("right page");
        }
        true
    }

    fn insert<T: core::fmt::Debug>(&mut self, arena: &mut Arena<T>, value: T) -> Ref<T> {
        assert!(self.grow(arena));
        arena.insert(value).expect("room")
    }

    /// Takes an object out and lets the pages go that are empty by that.
    fn remove<T>(&mut self, arena: &mut Arena<T>, reference: Ref<T>) -> Option<T> {
        let value = arena.remove(reference);
        while let Some(page) = arena.release(reference.index()) {
            self.slots.vacate(page);
            self.held -= 1;
        }
        value
    }
}

#[test]
fn a_removed_object_is_not_found_again() {
    let mut both = Both::new(4);
    let mut arena = both.arena();
    assert!(arena.is_full());
    assert_eq!(arena.insert(1u64), Err(1));
    assert!(both.grow(&mut arena));
    let first = arena.insert(7).expect("room");
    assert_eq!(arena.get(first), Some(&7));
    assert_eq!(arena.remove(first), Some(7));
    assert_eq!(arena.remove(first), None);
    let second = arena.insert(8).expect("room");
    assert_eq!(second.index(), first.index(), "the slot is used again");
    assert_eq!(arena.get(first), None);
    assert_eq!(arena.get_mut(second), Some(&mut 8));
    assert_eq!(arena.at(second.index()), Some(second));
}

#[test]
fn references_made_up_find_nothing() {
    let mut both = Both::new(1);
    let mut arena = both.arena();
    assert!(both.grow(&mut arena));
    let real = arena.insert(5u32).expect("room");
    for index in 0..4 {
        for generation in 0..4 {
            let made_up = Ref::new(index, generation);
            assert_eq!(arena.get(made_up).is_some(), made_up == real);
        }
    }
}

#[test]
fn a_pair_is_two_different_objects() {
    let mut both = Both::new(1);
    let mut arena = both.arena();
    assert!(both.grow(&mut arena));
    let a = arena.insert(1u32).expect("room");
    let b = arena.insert(2u32).expect("room");
    let (x, y) = arena.pair(a, b).expect("both");
    core::mem::swap(x, y);
    assert_eq!((arena.get(a), arena.get(b)), (Some(&2), Some(&1)));
    assert!(arena.pair(a, a).is_none());
    arena.remove(b);
    assert!(arena.pair(a, b).is_none());
}

#[test]
fn the_chosen_object_is_found_and_the_others_beside_it() {
    let mut both = Both::new(2);
    let mut arena = both.arena();
    assert!(arena.chosen().is_none());
    let first = both.insert(&mut arena, String::from("first"));
    let second = both.insert(&mut arena, String::from("second"));
    arena.choose(first);
    let (object, others) = arena.chosen().expect("chosen");
    assert_eq!(others.chosen(), first);
    assert!(others.find(first).is_none(), "the same object twice");
    object.push('!');
    let (object, others) = arena.chosen().expect("chosen");
    let other = others.find(second).expect("there");
    assert_eq!(other.object(), "second");
    let other = other.choose();
    object.push('?');
    other.push('.');
    assert_eq!(arena.chosen().expect("chosen").0, "second.");
    assert_eq!(arena.get(first).map(String::as_str), Some("first!?"));
    assert!(arena.chosen().expect("chosen").1.find(Ref::NOWHERE).is_none());
    // One that is gone is not chosen any more, nor found.
    both.remove(&mut arena, second);
    assert!(arena.chosen().is_none());
    arena.choose(second);
    assert!(arena.chosen().is_none());
    arena.choose(first);
    assert!(arena.chosen().expect("chosen").1.find(second).is_none());
    both.remove(&mut arena, first);
}

#[test]
fn elements_larger_than_the_rest_of_a_page_wait_for_the_next() {
    let mut space = Space::new(3);
    let mut table: Table<[u64; 300]> = Table::new(space.region());
    for expected in [1, 3, 5] {
        table
            .grow(space.page(table.next_page().expect("room")), |i| [i as u64; 300])
            .expect("page");
        assert_eq!(table.len(), expected);
    }
    assert!(table.next_page().is_none());
    assert!(table.iter().enumerate().all(|(i, element)| element.iter().all(|w| *w == i as u64)));
}

#[test]
fn a_foreign_page_is_refused() {
    let (mut space, other) = (Space::new(2), Space::new(1));
    let mut table: Table<u64> = Table::new(space.region());
    assert!(table.grow(other.page(other.address()), |_| 0).is_err());
    let second = space.address() + PAGE;
    assert!(table.grow(space.page(second), |_| 0).is_err());
}

#[test]
fn everything_is_dropped_once() {
    let mut space = Space::new(2);
    let witness = Rc::new(());
    let mut table: Table<Rc<()>> = Table::new(space.region());
    let page = space.page(table.next_page().expect("room"));
    table.grow(page, |_| witness.clone()).expect("page");
    assert_eq!(Rc::strong_count(&witness), 1 + PAGE / size_of::<Rc<()>>());
    let pages: Vec<Page> = core::iter::from_fn(|| table.shrink()).collect();
    assert_eq!((pages.len(), Rc::strong_count(&witness)), (1, 1));
    assert!(table.into_region().is_ok());
}

/// Objects that take a third of a page and a bit, so that every other one lies
/// in two pages.
type Large = [u64; 180];

#[test]
fn empty_pages_go_back_wherever_they_lie() {
    let mut both = Both::new(8);
    let mut arena = both.arena();
    let mut all: Vec<Ref<Large>> = (0..17).map(|i| both.insert(&mut arena, [i; 180])).collect();
    assert_eq!(both.held, 7);
    // From the middle outwards, so that pages in the middle go first.
    for (distance, expected) in [(0, 7), (1, 7), (2, 7), (3, 5), (4, 5), (5, 5)] {
        let mut pair = Vec::from([8 - distance, 8 + distance]);
        pair.dedup();
        for index in pair {
            assert_eq!(both.remove(&mut arena, all[index]), Some([index as u64; 180]));
            assert!(arena.get(all[index]).is_none());
        }
        assert_eq!(both.held, expected, "{distance} away from the middle");
    }
    // The others are as they were.
    for (number, reference) in all.iter().enumerate() {
        let there = !(3..=13).contains(&number);
        assert_eq!(arena.get(*reference).copied(), there.then_some([number as u64; 180]));
    }
    // What comes after is not found by a reference of before.
    let old: Vec<_> = all.drain(3..=13).collect();
    let new: Vec<_> = (0..11).map(|i| both.insert(&mut arena, [100 + i; 180])).collect();
    assert_eq!(both.held, 7);
    assert!(old.iter().all(|reference| arena.get(*reference).is_none()));
    for reference in all.into_iter().chain(new) {
        assert!(both.remove(&mut arena, reference).is_some());
    }
    assert_eq!((both.held, arena.len()), (0, 0));
}

#[test]
fn generations_go_on_after_a_page_was_away() {
    let mut both = Both::new(1);
    let mut arena = both.arena();
    let mut seen: Vec<Ref<u64>> = Vec::new();
    for round in 0..if cfg!(miri) { 30 } else { 3000 } {
        let first = both.insert(&mut arena, round);
        let second = both.insert(&mut arena, round);
        for new in [first, second] {
            assert!(!seen.contains(&new), "round {round}: {new:?} again");
            seen.push(new);
        }
        // The first slot goes through more generations than its neighbour.
        assert_eq!(both.remove(&mut arena, first), Some(round));
        let first = both.insert(&mut arena, round);
        seen.push(first);
        for old in [first, second] {
            assert_eq!(both.remove(&mut arena, old), Some(round));
        }
        assert_eq!(both.held, 0);
        assert!(
            seen.iter().all(|old| arena.get(*old).is_none() && arena.at(old.index()).is_none())
        );
    }
}

#[test]
fn a_page_whose_generations_are_used_up_stays_and_is_not_used() {
    let mut both = Both::new(2);
    let mut arena = both.arena();
    let first = both.insert(&mut arena, 1u64);
    arena.age(first.index(), u32::MAX - 2);
    let last = Ref::new(first.index(), u32::MAX - 2);
    assert_eq!(arena.get(first), None);
    assert_eq!(both.remove(&mut arena, last), Some(1));
    assert_eq!(both.held, 1, "the page stays");
    for round in 0..300 {
        assert_ne!(both.insert(&mut arena, round).index(), first.index());
    }
    assert_eq!(arena.get(last), None);
}

/// Random work on objects of one size, against a list of what is there.
fn random_work<const WORDS: usize>(pages: usize, rounds: u64) {
    let mut both = Both::new(pages);
    let mut arena = both.arena();
    let mut live: Vec<(Ref<[u64; WORDS]>, u64)> = Vec::new();
    let mut gone: Vec<Ref<[u64; WORDS]>> = Vec::new();
    let mut seed = 1u64;
    for round in 0..rounds {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Phases of growth and of decline.
        let grows = seed >> 62 < if round / 64 % 2 == 0 { 3 } else { 1 };
        if grows || live.is_empty() {
            if both.grow(&mut arena) {
                live.push((arena.insert([round; WORDS]).expect("room"), round));
            }
        } else {
            let (reference, value) = live.swap_remove((seed >> 33) as usize % live.len());
            assert_eq!(both.remove(&mut arena, reference), Some([value; WORDS]));
            gone.push(reference);
        }
        assert_eq!(arena.len(), live.len());
        assert!(gone.iter().rev().take(50).all(|reference| arena.get(*reference).is_none()));
        // The pages that it has are those that objects lie in.
        let bytes = Arena::<[u64; WORDS]>::OBJECT_BYTES;
        let mut used: Vec<usize> = live
            .iter()
            .flat_map(|(it, _)| {
                let start = it.index() as usize * bytes;
                start / PAGE..=(start + bytes - 1) / PAGE
            })
            .collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(both.held, used.len());
    }
    assert!(live.iter().all(|(it, value)| arena.get(*it) == Some(&[*value; WORDS])));
    assert!(gone.iter().all(|reference| arena.get(*reference).is_none()));
    assert_eq!(arena.refs().count(), live.len());
}

#[test]
fn an_arena_takes_random_work() {
    let rounds = if cfg!(miri) { 60 } else { 20_000 };
    random_work::<1>(3, rounds);
    random_work::<31>(8, rounds);
    random_work::<100>(16, rounds);
    random_work::<180>(16, rounds);
    random_work::<254>(16, rounds);
}

#[test]
fn the_others_are_changed_while_the_chosen_one_is_borrowed() {
    let mut both = Both::new(2);
    let mut arena = both.arena();
    let first = both.insert(&mut arena, 1_u64);
    let second = both.insert(&mut arena, 2);
    arena.choose(first);
    let (object, others) = arena.chosen().expect("chosen");
    let (found, mut other) = others.nth(second.index()).expect("the other one");
    assert_eq!((found, other.chosen()), (second, first));
    *object += 10;
    *other.object_mut() += 20;
    *object += 10;
    *other.choose() += 20;
    *object += 10;
    assert_eq!((arena.get(first), arena.get(second)), (Some(&31), Some(&42)));
    let (_, others) = arena.chosen().expect("chosen");
    assert_eq!(others.chosen(), second);
    // Neither the chosen one itself, nor what is not there.
    assert!(others.nth(second.index()).is_none());
    assert!(arena.chosen().expect("chosen").1.nth(u32::MAX).is_none());
    arena.forget();
    assert!(arena.chosen().is_none());
}
