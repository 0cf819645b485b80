//! Random operations that are mostly messages, and deletions at every moment,
//! against the model of all messages under way.

use std::cell::Cell;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use postern_abi::image::init;

use super::random::step::Step;
use super::random::{BASE, furnished, play};

/// Operations that the property test carries out.
const OPERATIONS: usize = 200_000;
/// Operations of one case.
const LENGTH: core::ops::Range<usize> = 100..200;

/// A gate that `furnished` has made.
fn gate() -> impl Strategy<Value = u32> {
    BASE + 4..BASE + 7
}

/// A thread that it has made, or the first one.
fn thread() -> impl Strategy<Value = u32> {
    prop_oneof![Just(BASE), Just(BASE + 1), Just(BASE + 3), Just(init::THREAD)]
}

/// A slot that is empty at first, for saved rights and received capabilities.
fn spare() -> impl Strategy<Value = u32> {
    BASE + 9..BASE + 12
}

fn step() -> impl Strategy<Value = Step> {
    let send = (gate(), any::<bool>(), 0usize..8, spare(), any::<bool>(), 0u8..3, 0u8..3);
    let source = prop_oneof![gate(), thread(), Just(BASE + 7)];
    prop_oneof![
        30 => send.prop_map(|(slot, call, items, item, moved, send, receive)| {
            // Few have items, and those mostly cannot be sent.
            let (items, item) = if items == 7 { (1, item) } else { (0, 0) };
            // Who waits for ever soon keeps everybody waiting.
            Step::Send { slot, call, items, item, moved, send, receive: receive.min(1) }
        }),
        30 => (spare(), 1u8..3, 0u8..4, source).prop_map(|(window, timeout, closed, source)| {
            Step::Receive { window, timeout, closed: closed == 0, source }
        }),
        12 => (any::<bool>(), 0u8..4, spare()).prop_map(|(wait, saved, handle)| {
            Step::Reply { wait, saved: saved == 0, handle, item: handle, items: 0 }
        }),
        3 => spare().prop_map(|slot| Step::Save { slot }),
        4 => (gate(), thread(), 0u64..64)
            .prop_map(|(gate, thread, label)| Step::BindGate { gate, thread, label: label << 2 }),
        2 => gate().prop_map(|gate| Step::Unbind { gate }),
        4 => (thread(), 1usize..3, prop::array::uniform4(0u64..256))
            .prop_map(|(thread, rules, words)| Step::ModifySenders { thread, rules, words }),
        2 => thread().prop_map(|thread| Step::Cancel { thread }),
        1 => thread().prop_map(|thread| Step::Stop { thread }),
        2 => thread().prop_map(|thread| Step::Resume { thread }),
        3 => (thread(), 100u64..210).prop_map(|(thread, priority)| Step::Priority { thread, priority }),
        1 => (1u64..4).prop_map(|bits| Step::Signal { notification: BASE + 7, bits }),
        12 => Just(Step::Yield),
        6 => (0u64..4000).prop_map(|ns| Step::Time { ns }),
        // Deletions: a capability, an object, whole tasks, oneself.
        2 => (BASE..BASE + 12, any::<bool>()).prop_map(|(slot, whole)| Step::Delete { slot, whole }),
        1 => Just(Step::Exit),
        1 => Just(Step::Fault),
        1 => (spare(), gate()).prop_map(|(to, from)| Step::Derive { from, to, rights: 0xff }),
    ]
}

#[test]
fn messages_are_neither_lost_nor_doubled() {
    let config = ProptestConfig {
        cases: 50,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (done, delivered, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
    while done.get() < OPERATIONS {
        let strategy = prop::collection::vec(step(), LENGTH);
        let result = TestRunner::new(config.clone()).run(&strategy, |steps: Vec<Step>| {
            let (count, shadow) = play(furnished(), &steps);
            done.set(done.get() + count);
            delivered.set(delivered.get() + shadow.delivered);
            refused.set(refused.get() + shadow.refused);
            Ok(())
        });
        if let Err(failure) = result {
            // The shrunk list of operations, to be read aloud.
            panic!("{failure}");
        }
    }
    // The generator is worth something only if much arrives.
    let (delivered, refused) = (delivered.get(), refused.get());
    let enough = delivered > OPERATIONS / 40 && refused > OPERATIONS / 40;
    assert!(enough, "{delivered} delivered, {refused} refused");
}
