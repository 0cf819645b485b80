//! Tests of the arena; run them under Miri, too (`cargo +nightly miri test`).

use std::rc::Rc;
use std::vec::Vec;

use super::host::Space;
use super::*;

#[test]
fn a_removed_object_is_not_found_again() {
    let mut space = Space::new(4);
    let mut arena = Arena::new(space.region());
    assert!(arena.is_full());
    assert_eq!(arena.insert(1u64), Err(1));
    arena.grow(space.page(arena.next_page().expect("room"))).expect("right page");
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
    let mut space = Space::new(1);
    let mut arena = Arena::new(space.region());
    arena.grow(space.page(arena.next_page().expect("room"))).expect("right page");
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
    let mut space = Space::new(1);
    let mut arena = Arena::new(space.region());
    arena.grow(space.page(arena.next_page().expect("room"))).expect("right page");
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

#[test]
fn an_arena_takes_random_work() {
    let mut space = Space::new(8);
    let mut arena = Arena::new(space.region());
    let mut live: Vec<(Ref<u64>, u64)> = Vec::new();
    let mut seed = 1u64;
    for round in 0..if cfg!(miri) { 300 } else { 20_000 } {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if seed >> 63 == 0 || live.is_empty() {
            if arena.is_full() {
                let Some(at) = arena.next_page() else { continue };
                arena.grow(space.page(at)).expect("right page");
            }
            live.push((arena.insert(round).expect("room"), round));
        } else {
            let (reference, value) = live.swap_remove((seed >> 33) as usize % live.len());
            assert_eq!(arena.remove(reference), Some(value));
            assert_eq!(arena.get(reference), None);
        }
        assert_eq!(arena.len(), live.len());
    }
    assert!(live.iter().all(|(reference, value)| arena.get(*reference) == Some(value)));
    assert_eq!(arena.refs().count(), live.len());
}
