//! Random operations again, mostly about relay segments: threads in three tasks,
//! two of them with entries, lend segments to each other, save and take up rights to answer,
//! swap, mask, time out, die, and delete everything at every moment.

use postern_abi::image::init;
use postern_abi::rights::Kind;
use postern_abi::{Rights, op};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::vec;
use std::vec::Vec;

use super::random::step::{Step, slot};
use super::random::{BASE, apply, furnished, hold, somebody_runs};
use super::world::World;

/// The furnished world, and a third task with an entry and its gate.
fn world() -> World {
    let mut world = furnished();
    let all = Rights::all();
    world.create(Kind::Task, THIRD, &[128], &[]);
    world.create(Kind::Entry, THIRD + 1, &[0x41_0000, 10, 3000], &[(THIRD, all)]);
    for _ in 0..2 {
        world.must(THIRD + 1, &[op::entry::ADD_CONTEXT, 0x51_0000], &[]);
    }
    world.create(Kind::Gate, THIRD + 2, &[0x80], &[(THIRD + 1, all)]);
    for task in [BASE + 2, THIRD] {
        for slot in (1..8).chain(BASE..BASE + 15).chain(THIRD..THIRD + 3) {
            let from = if slot == init::TASK { task } else { slot };
            world.operate(task, &[op::task::DELEGATE, u64::from(slot)], &[(from, all)]);
        }
    }
    world
}

/// Slot of the third task; its entry and gate are behind it.
const THIRD: u32 = BASE + 20;

/// Gates of the world: to threads and to entries.
fn gate() -> impl Strategy<Value = u32> {
    prop_oneof![BASE + 4..BASE + 7, Just(BASE + 10), Just(BASE + 12), Just(THIRD + 2)]
}

/// Its segments, and places where others come to lie.
fn relay() -> impl Strategy<Value = u32> {
    prop_oneof![8 => BASE + 13..BASE + 15, 1 => slot()]
}

fn step() -> impl Strategy<Value = Step> {
    let free = BASE + 16..BASE + 19;
    prop_oneof![
        10 => relay().prop_map(|relay| Step::Activate { relay }),
        16 => (gate(), 0u8..5)
            .prop_map(|(slot, receive)| Step::Lend { slot, receive: receive.max(1) }),
        2 => (gate(), 0u8..3).prop_map(|(slot, receive)| Step::Send {
            slot, call: true, items: 0, item: 0, moved: false, send: 1, receive
        }),
        16 => (0u8..4).prop_map(|timeout| Step::Receive {
            window: 0, timeout: timeout.max(1), closed: false, source: 1
        }),
        8 => any::<bool>().prop_map(|wait| Step::Reply {
            wait, saved: false, handle: 0, item: 0, items: 0
        }),
        8 => Just(Step::Return { item: 0, items: 0 }),
        3 => free.clone().prop_map(|handle| Step::Reply {
            wait: false, saved: true, handle, item: 0, items: 0
        }),
        3 => free.clone().prop_map(|slot| Step::Save { slot }),
        3 => free.clone().prop_map(|slot| Step::Take { slot }),
        1 => free.prop_map(|slot| Step::Delete { slot, whole: false }),
        8 => (0u8..5, 0u64..2).prop_map(|(code, place)| Step::Segment { code, place }),
        4 => (0u64..3, 1u64..3, 0u8..2)
            .prop_map(|(offset, pages, rights)| Step::Narrow { offset, pages, rights }),
        6 => Just(Step::Yield),
        1 => (0u64..4000).prop_map(|ns| Step::Time { ns }),
        1 => (BASE..BASE + 2).prop_map(|thread| Step::Cancel { thread }),
        1 => (BASE..BASE + 4, any::<bool>())
            .prop_map(|(slot, whole)| Step::Delete { slot, whole }),
        1 => (relay(), any::<bool>()).prop_map(|(slot, whole)| Step::Delete { slot, whole }),
        1 => relay().prop_map(|slot| Step::Revoke { slot }),
        1 => (relay(), 1u64..6).prop_map(|(slot, argument)| Step::Create {
            kind: 13, slot, argument, item: 0
        }),
        1 => prop_oneof![Just(BASE + 9), Just(BASE + 11), Just(THIRD), Just(THIRD + 1)]
            .prop_map(|slot| Step::Delete { slot, whole: true }),
        1 => Just(Step::Exit),
        1 => Just(Step::Fault),
    ]
}

#[test]
fn invariants_hold_while_segments_are_lent() {
    hold(300_000, world, step());
}

#[test]
fn segments_are_lent_in_chains() {
    // The generator is worth something only if its programs get somewhere.
    let mut runner = TestRunner::deterministic();
    let [mut loans, mut chains, mut masked, mut outstanding, mut saved, mut crossed] = [0; 6];
    for _ in 0..200 {
        let steps = prop::collection::vec(step(), 100..120).new_tree(&mut runner);
        let mut world = world();
        for step in &steps.expect("a value").current() {
            if !somebody_runs(&mut world) {
                break;
            }
            apply(&mut world, step);
            let kernel = &world.kernel;
            let held = kernel.threads.refs().filter_map(|it| kernel.threads.get(it));
            let held: Vec<_> = held.map(|thread| &thread.segments).collect();
            let borrowed: Vec<_> = held.iter().filter_map(|held| held.loan).collect();
            loans += u32::from(!borrowed.is_empty());
            chains += u32::from(borrowed.iter().any(|loan| loan.previous.is_some()));
            masked += u32::from(borrowed.iter().any(|loan| {
                kernel.views.get(loan.share.view).is_some_and(|view| view.factory.is_some())
            }));
            crossed += u32::from(kernel.threads.refs().any(|it| {
                let thread = kernel.threads.get(it);
                thread.is_some_and(|it| it.is_context() && it.segments.loan.is_some())
            }));
            saved += u32::from(held.iter().any(|it| it.lent.is_some_and(|it| it.to.is_none())));
            outstanding += u32::from(kernel.relays.refs().any(|relay| {
                let owner = kernel.relays.get(relay).map(|relay| relay.owner);
                matches!(owner, Some(crate::relay::Owner::Lent(None)))
            }));
        }
    }
    assert!(loans > 1000 && chains > 50 && masked > 50, "{loans} {chains} {masked}");
    assert!(outstanding > 50 && saved > 50 && crossed > 500, "{outstanding} {saved} {crossed}");
}
