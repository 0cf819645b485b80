//! The fast paths are no second semantics: two kernels, one with them and one
//! without, do the same and are compared after each step.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec::Vec;

use postern_abi::image::init;
use postern_abi::op::entry::ContextState;

use super::random::step::{Step, step};
use super::random::{BASE, apply, furnished, somebody_runs};
use super::world::World;
use crate::object::thread::{Queue, State, Wait};

/// All that programs could tell apart.
fn state(world: &World) -> Vec<String> {
    let kernel = &world.kernel;
    let mut all: Vec<_> = kernel
        .threads
        .refs()
        .map(|reference| {
            let it = kernel.threads.get(reference).expect("live");
            let caller = it.caller.map(|caller| (caller.thread, caller.number));
            // Whoever is not waiting for an answer has no use for these.
            let answerer = it.answerer.filter(|_| it.state == State::Calling);
            let role = it.context().map(|context| {
                let gate = it.through.filter(|_| it.context_state != ContextState::Free);
                (it.context_state, context.silent, gate)
            });
            // What has no meaning while nobody runs in it.
            let (effective, levels, payer) = match it.state {
                State::Idle => (it.priority, 0, None),
                _ => (it.effective, it.levels, Some(it.payer)),
            };
            let r = &it.user.registers;
            let mut outputs =
                [r.rax, r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9, r.rflags, r.rip, r.rsp];
            if it.wait == Wait::Yielded {
                outputs[..8].fill(0);
            }
            // What is left of the links of one that stands nowhere.
            let links = (!matches!(it.queue, Queue::None)).then_some(it.links);
            let deadline = it.timeout.is_some();
            let fpu = it.uses_fpu;
            // What has been lent by the fast path is still in the cache.
            let is_lent = matches!(it.wait, Wait::Lent | Wait::LentOn);
            let window = it.window.filter(|_| !is_lent);
            format!(
                "{reference:?} {:?} {effective} {caller:?} {} {answerer:?} {role:?} {outputs:x?} \
                 {deadline} {fpu} {:?} {:?} {} {:?} {:?}",
                it.state, it.call_number, it.slice_left, window, levels, payer, links,
            )
        })
        .collect();
    all.extend(kernel.entries.refs().map(|it| format!("{:?}", kernel.context_counts(it))));
    all.extend(kernel.gates.refs().map(|it| format!("{}", kernel.in_use(it))));
    all.push(format!("{:?} {:?}", kernel.current, kernel.handoff));
    all.push(format!("{:?}", kernel.clock.slice_end()));
    all.push(format!("{:?} {:x}", kernel.fpu_owner, kernel.machine.fpu));
    all
}

/// Something that the thread which runs may well do now: answer who waits for
/// it, or call somebody; `init` never waits for messages.
fn apt(world: &World, choice: u32) -> Step {
    let kernel = &world.kernel;
    let thread = kernel.current.and_then(|it| kernel.threads.get(it)).expect("somebody runs");
    let (kind, detail) = (choice % 16, choice / 16);
    let (item, items) = (BASE + 8 + detail % 2, (detail / 2 % 3 == 0) as usize);
    let window = BASE + 16 + detail % 11;
    match kind {
        0 => return Step::Interrupt,
        1 => return Step::Mask { operation: 2 },
        2 => return Step::Fault,
        3 => return Step::Yield,
        4 => return Step::Signal { notification: BASE + 7, bits: 1 },
        _ => {}
    }
    if thread.is_context() && kind == 5 {
        // What was lent to it?
        return Step::Segment { code: 3, place: 0 };
    }
    if thread.is_context() && kind < 14 {
        return match kind % 3 {
            0 => Step::QuickReturn,
            1 => Step::GiveBack,
            _ => Step::Return { item, items },
        };
    }
    if thread.caller.is_some() && kind < 14 {
        return match kind % 2 {
            0 => Step::Serve { first: false },
            _ => Step::Reply { wait: true, saved: false, handle: 0, item, items },
        };
    }
    if world.current() != 0 && kind < 10 {
        return Step::Receive { window, timeout: 2, closed: false, source: 0 };
    }
    let gate = BASE + [4, 5, 6, 10, 12][(detail / 8 % 5) as usize];
    if detail / 40 % 3 == 0 {
        // Within a crossing something is lent already.
        return match thread.window {
            None if !thread.is_context() => Step::Activate { relay: BASE + 13 + detail / 2 % 2 },
            _ => Step::Lend { slot: gate, receive: 2 },
        };
    }
    match kind % 2 {
        0 => Step::Quick { gate },
        _ => Step::Send { slot: gate, call: true, items, item, moved: false, send: 2, receive: 2 },
    }
}

#[test]
fn fast_paths_change_nothing_but_the_time() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let config = Config {
        cases: 4000,
        failure_persistence: None,
        max_shrink_iters: 5000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let counted = RefCell::new(BTreeMap::<String, u64>::new());
    // Mostly what has a fast path, and everything else that can happen between.
    let step = prop_oneof![
        1 => step().prop_map(Some),
        1 => Just(Some(Step::BindIrq { notification: BASE + 7 })),
        1 => (BASE..BASE + 4, BASE + 4..BASE + 7)
            .prop_map(|(thread, gate)| Some(Step::FaultGate { thread, gate })),
        1 => (BASE..BASE + 2, prop_oneof![Just(200u64), 150..200u64])
            .prop_map(|(thread, priority)| Some(Step::Priority { thread, priority })),
        16 => Just(None),
        1 => Just(Some(Step::UseFpu)),
    ];
    let step = (step, any::<u32>());
    let result = runner.run(&prop::collection::vec(step, 150..250), |steps| {
        let (mut fast, mut general) = (furnished(), furnished());
        general.kernel.set_fast_paths(false);
        // The one with a notification is the most urgent one, and handles the
        // faults of the others.
        let fault_gate = |thread| Step::FaultGate { thread, gate: BASE + 4 };
        for step in [
            Step::BindIrq { notification: BASE + 7 },
            fault_gate(BASE + 1),
            fault_gate(BASE + 3),
            Step::Priority { thread: init::THREAD, priority: 199 },
        ] {
            apply(&mut fast, &step);
            apply(&mut general, &step);
        }
        for (step, choice) in &steps {
            if !somebody_runs(&mut fast) {
                break;
            }
            assert!(somebody_runs(&mut general));
            let step = &step.clone().unwrap_or_else(|| apt(&fast, *choice));
            apply(&mut fast, step);
            apply(&mut general, step);
            let (with, without) = (state(&fast), state(&general));
            let differ = with.iter().zip(&without).find(|pair| pair.0 != pair.1);
            prop_assert!(with == without, "after {step:?}: with and without: {differ:#?}");
        }
        assert_eq!(general.fast, 0, "the fast paths are off");
        let mut taken = counted.borrow_mut();
        for (what, count) in fast.taken {
            *taken.entry(what).or_default() += count;
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let taken = counted.into_inner();
    std::eprintln!("{taken:?}");
    for what in [
        "Some(Call) short",
        "Some(Call) long",
        "Some(Call) items",
        "Some(Call) object",
        "Some(Call) relay",
        "Some(Return) relay",
        "Some(ReplyReceive) short",
        "Some(ReplyReceive) long",
        "Some(ReplyReceive) items",
        "Some(Return) short",
        "Some(Return) long",
        "Some(Return) items",
        "Some(Yield) short",
        "interrupt",
        "fault",
    ] {
        let count = taken.get(what).copied().unwrap_or(0);
        assert!(count > 20, "the fast path of {what} was taken {count} times only: {taken:?}");
    }
}

#[test]
fn a_call_and_its_answer_take_the_fast_paths() {
    use postern_abi::code::Code;
    use postern_abi::rights::Kind;
    use postern_abi::timeout::Timeout;
    let never = Timeout::NEVER;
    let mut world = World::new();
    let client = world.current();
    let server = world.spawn(100, 200);
    world.create(Kind::Gate, 101, &[0x1230], &[(100, postern_abi::Rights::all())]);
    world.run_until(server);
    world.message(Code::Receive, 0, &[], never, never);
    assert_eq!((world.current(), world.fast), (client, 0));
    world.message(Code::Call, 101, &[7, 8], never, never);
    assert_eq!((world.current(), world.fast), (server, 1));
    world.kernel.check();
    world.message(Code::ReplyReceive, 55, &[9], never, never);
    assert_eq!((world.current(), world.fast), (client, 2));
    world.kernel.check();
}
