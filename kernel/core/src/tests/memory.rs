//! Memory that the kernel takes comes back to the machine, whatever it was taken
//! for, and a refusal changes nothing.

use postern_abi::image::init;
use postern_abi::rights::Kind;
use postern_abi::{ErrorNumber, PAGE, Rights, op};

use super::world::World;

/// Objects of one kind that are made at one time.
const COUNT: u32 = 200;
/// First slot that they go to.
const FIRST: u32 = 64;

/// The kinds, with the argument that their creation needs.
const KINDS: [(Kind, &[u64]); 6] = [
    (Kind::Factory, &[64]),
    (Kind::Task, &[1]),
    (Kind::Thread, &[1]),
    (Kind::Gate, &[]),
    (Kind::Notification, &[]),
    (Kind::Memory, &[PAGE]),
];

/// Makes [`COUNT`] objects and destroys them in an order of its own; the fewest
/// frames that were free meanwhile.
fn come_and_go(world: &mut World, kind: Kind, arguments: &[u64], stride: u32) -> u64 {
    for number in 0..COUNT {
        world.create(kind, FIRST + number, arguments, &[]);
    }
    let fewest = world.kernel.frames.free_pages();
    world.kernel.check();
    for number in 0..COUNT {
        let slot = FIRST + number * stride % COUNT;
        world.must(init::TASK, &[op::task::DELETE, u64::from(slot), 1], &[]);
    }
    world.kernel.settle();
    world.kernel.check();
    fewest
}

#[test]
fn frames_of_one_kind_are_there_for_all_others() {
    let mut world = World::new();
    // The first round makes what the kernel keeps about its own memory.
    for (kind, arguments) in KINDS {
        come_and_go(&mut world, kind, arguments, 1);
    }
    let before = world.kernel.frames.free_pages();
    for (kind, arguments) in KINDS {
        for stride in [1, 7, 199, 63] {
            let fewest = come_and_go(&mut world, kind, arguments, stride);
            assert!(fewest < before, "{kind:?} take no frame");
            assert_eq!(world.kernel.frames.free_pages(), before, "{kind:?}");
        }
    }
}

#[test]
fn references_of_before_find_nothing_after_a_page_was_away() {
    let mut world = World::new();
    world.create(Kind::Task, 100, &[300], &[]);
    for round in 0..20 {
        // Capabilities in another task, of objects that go with their pages.
        for number in 0..60 {
            world.create(Kind::Gate, 200, &[], &[]);
            let slot = 1 + round % 4 * 60 + number;
            let held = world.operate(100, &[op::task::DELETE, slot], &[]).expect("at once");
            if round >= 4 {
                assert_eq!(held.expect_err("dead").number, ErrorNumber::NotExistent);
            }
            world.must(100, &[op::task::DELEGATE, slot], &[(200, Rights::all())]);
            world.must(init::TASK, &[op::task::DELETE, 200, 1], &[]);
        }
        world.kernel.check();
        let listed = world.must(100, &[op::task::LIST, 0], &[]);
        assert_eq!(listed[0], 0, "round {round}: a dead capability came to life");
    }
}

#[test]
fn a_refused_mapping_gives_its_tables_back() {
    let mut world = World::new();
    world.create(Kind::Memory, 100, &[1000 * PAGE], &[]);
    let rights = u64::from(Rights::R.bits());
    let mut refused = 0;
    for left in 0..12 {
        // A task whose factory has room for the record and some tables.
        world.create(Kind::Factory, 101, &[1 << 20], &[]);
        world.must(101, &[op::factory::CREATE, Kind::Task as u64, 102, 1], &[]);
        let [quota, charged, ..] = world.must(101, &[op::factory::INFO], &[]);
        let eaten = (quota - charged) / PAGE * PAGE - left * PAGE;
        world.must(101, &[op::factory::CREATE, Kind::Memory as u64, 103, eaten - PAGE], &[]);
        let before = world.must(101, &[op::factory::INFO], &[])[1];
        let free = world.kernel.frames.free_pages();
        // It begins in the middle of one table and ends in that of another.
        let map = [op::task::MAP, 0x1010_0000, 0, 1000 * PAGE, rights];
        let mapped = world.operate(102, &map, &[(100, Rights::all())]).expect("at once");
        world.kernel.check();
        if let Err(error) = mapped {
            assert_eq!((error.number, error.argument), (ErrorNumber::NoMem, 0));
            refused += 1;
        } else {
            world.must(102, &[op::task::UNMAP, 0x1010_0000, 1000 * PAGE], &[]);
        }
        assert_eq!(world.must(101, &[op::factory::INFO], &[])[1], before, "{left} pages left");
        assert_eq!(world.kernel.frames.free_pages(), free, "{left} pages left");
        world.must(101, &[op::factory::EMPTY], &[]);
        world.must(init::TASK, &[op::task::DELETE, 101, 1], &[]);
        world.kernel.check();
    }
    assert!((1..12).contains(&refused), "{refused} were refused");
}

#[test]
fn nothing_is_derived_from_a_part_while_the_whole_is_revoked() {
    let mut world = World::new();
    world.create(Kind::Memory, 100, &[64 * PAGE], &[]);
    // A chain of parts longer than what is kept of it, each cut off the one
    // before, and one off the first.
    for slot in 100..145 {
        world.must(slot, &[op::memory::SPLIT, PAGE, u64::from(slot) + 1], &[]);
    }
    world.create(Kind::Memory, 200, &[2 * PAGE], &[]);
    world.must(200, &[op::memory::SPLIT, PAGE, 201], &[]);
    world.kernel.check();
    let task = world.kernel.tasks.at(0).expect("the first task");
    let derive = |from: u32| [op::task::DERIVE, u64::from(from), 300, 0xff];
    let number = |world: &mut World, from: u32| {
        let derived = world.operate(init::TASK, &derive(from), &[]).expect("at once");
        let _ = world.operate(init::TASK, &[op::task::DELETE, 300], &[]);
        derived.err().map(|error| error.number)
    };
    // One in the middle: what is below it is busy, what is above is not, also
    // when some in between are gone.
    for gone in [None, Some(112), Some(111), Some(125)] {
        if let Some(gone) = gone {
            world.must(init::TASK, &[op::task::DELETE, gone, 1], &[]);
            world.kernel.check();
        }
        let at = crate::cap::SlotId::new(task.index(), 110);
        let target = world.kernel.slot(at).and_then(|slot| slot.target()).expect("a capability");
        world.kernel.begin_revoke(at, target);
        for busy in [110, 113, 124, 130] {
            assert_eq!(number(&mut world, busy), Some(ErrorNumber::Busy), "{busy}, {gone:?}");
        }
        for free in [100, 109, 200, 201] {
            assert_eq!(number(&mut world, free), None, "{free}, {gone:?}");
        }
        let header = world.kernel.header_mut(target).expect("it is there");
        header.revoking = None;
        assert_eq!(number(&mut world, 113), None);
        world.kernel.check();
    }
    world.must(init::TASK, &[op::task::REVOKE, 100], &[]);
    world.kernel.check();
    assert_eq!(world.must(100, &[op::memory::INFO], &[])[0], PAGE);
    let part = world.operate(144, &[op::memory::INFO], &[]).expect("at once");
    assert_eq!(part.expect_err("revoked").number, ErrorNumber::NotExistent);
}

#[test]
fn a_machine_without_frames_is_not_a_quota() {
    let mut world = World::new();
    world.create(Kind::Memory, 100, &[PAGE], &[]);
    world.create(Kind::Task, 101, &[1], &[]);
    // Room for the record is there before the frames run out.
    let rights = u64::from(Rights::R.bits());
    let map = |at| [op::task::MAP, at, 0, PAGE, rights];
    world.must(101, &map(0x1000_0000), &[(100, Rights::all())]);
    let mut taken = std::vec::Vec::new();
    while let Some(frame) = world.kernel.frames.take_one() {
        taken.push(frame);
    }
    let refused = world.operate(101, &map(0x5000_0000), &[(100, Rights::all())]);
    let error = refused.expect("at once").expect_err("no frame");
    assert_eq!((error.number, error.argument), (ErrorNumber::NoMem, 3));
    for frame in taken {
        world.kernel.frames.give(frame);
    }
    world.kernel.check();
    world.must(101, &map(0x5000_0000), &[(100, Rights::all())]);
    world.kernel.check();
}
