//! The fast paths are no second semantics: two kernels, one with them and one
//! without, do the same and are compared after each step.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::random::step::{Step, step};
use super::random::{BASE, apply, furnished, somebody_runs};
use super::world::World;
use crate::object::thread::State;

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
            let role = it.context().map(|context| (context.state, context.silent, context.gate));
            let r = &it.user.registers;
            let outputs = [r.rax, r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9, r.rflags, r.rip, r.rsp];
            let deadline = it.timeout.is_some();
            let effective = it.effective;
            let fpu = it.uses_fpu;
            format!(
                "{reference:?} {:?} {effective} {caller:?} {} {answerer:?} {role:?} {outputs:x?} \
                 {deadline} {fpu} {:?} {:?} {} {:?} {:?}",
                it.state, it.call_number, it.slice_left, it.window, it.depth, it.payer, it.links,
            )
        })
        .collect();
    all.push(format!("{:?} {:?}", kernel.current, kernel.handoff));
    all.push(format!("{:?}", kernel.clock.slice_end()));
    all.push(format!("{:?} {:x}", kernel.fpu_owner, kernel.machine.fpu));
    all
}

#[test]
fn fast_paths_change_nothing_but_the_time() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let config = Config { cases: 6000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let counted = core::cell::Cell::new(0);
    // Mostly what has a fast path, and everything else that can happen between.
    let gate = BASE + 4..BASE + 7;
    let step = prop_oneof![
        1 => step(),
        4 => gate.prop_map(|gate| Step::Quick { gate }),
        4 => any::<bool>().prop_map(|first| Step::Serve { first }),
        3 => prop_oneof![Just(BASE + 10), Just(BASE + 12)].prop_map(|gate| Step::Quick { gate }),
        3 => Just(Step::QuickReturn),
        2 => Just(Step::UseFpu),
    ];
    let result = runner.run(&prop::collection::vec(step, 150..250), |steps| {
        let (mut fast, mut general) = (furnished(), furnished());
        general.kernel.set_fast_paths(false);
        for step in &steps {
            if !somebody_runs(&mut fast) {
                break;
            }
            assert!(somebody_runs(&mut general));
            apply(&mut fast, step);
            apply(&mut general, step);
            assert_eq!(state(&fast), state(&general), "after {step:?}");
        }
        assert_eq!(general.fast, 0, "the fast paths are off");
        counted.set(counted.get() + fast.fast);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let taken = counted.get();
    assert!(taken > 1000, "only {taken} system calls took a fast path");
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
