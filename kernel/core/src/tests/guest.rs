//! Guests, step by step: exits, their answers, hypercalls.

use postern_abi::code::Code;
use postern_abi::image::init;
use postern_abi::rights::Kind;
use postern_abi::timeout::Timeout;
use postern_abi::{Rights, op};

use super::world::World;
use crate::machine::{Form, GuestExit, GuestPaging, Next};

const NEVER: Timeout = Timeout::NEVER;

/// A monitor behind gate 101 that waits, and a guest (index, slot 103) whose
/// exits go there, running.
fn guest(world: &mut World) -> (u32, u32) {
    let monitor = world.spawn(100, 200);
    world.create(Kind::Gate, 101, &[0x70], &[(100, Rights::all())]);
    world.create(Kind::Task, 102, &[1, 1], &[]);
    world.create(Kind::Thread, 103, &[200], &[]);
    world.must(103, &[op::thread::BIND], &[(102, Rights::all())]);
    world.must(103, &[op::thread::SET_FAULT_GATE], &[(101, Rights::all())]);
    let index = world.must(103, &[op::thread::INFO], &[])[3] as u32;
    // No user address, which is right for a guest.
    world.must(103, &[op::thread::START, u64::MAX, 7, 8, 9], &[]);
    world.run_until(monitor);
    world.message(Code::Receive, 0, &[], NEVER, NEVER);
    run_until_guest(world, index);
    (monitor, index)
}

/// Others let the guest run. (It cannot yield for them.)
fn run_until_guest(world: &mut World, index: u32) {
    world.run_until(index);
    assert_eq!(world.kernel.user_state().form, Form::Guest);
}

fn exit(world: &mut World, code: u64, level: u8) {
    world.kernel.guest_exit(GuestExit {
        code,
        info: [1, 2],
        next: 3,
        level,
        interruptible: true,
        pending: false,
        paging: GuestPaging::Off,
    });
    assert_eq!(world.kernel.settle(), Next::User);
}

#[test]
fn a10_an_exit_is_a_call_and_its_answer_sets_registers() {
    let mut world = World::new();
    let (monitor, guest) = guest(&mut world);
    world.kernel.user_state().registers.r15 = 15;
    exit(&mut world, 0x78, 0);
    assert_eq!(world.current(), monitor);
    let got = world.result().expect("the exit");
    assert_eq!((got.label, got.words), (0x70, [0x78, 1, 2, 3]));
    let current = world.kernel.current.expect("the monitor");
    let word = |index| world.kernel.utcb_word(current, index);
    // rip, rsi, rdi, rsp; r15; the state: interruptible.
    assert_eq!([4, 9, 10, 12].map(word), [u64::MAX, 9, 8, 7]);
    assert_eq!([21, 22].map(word), [15, 0x100]);
    world.kernel.check();
    let tag = postern_abi::Tag::new(1, 3).bits();
    world.call(Code::Reply.plain(), [0, tag, op::fault::RESUME, 77, 78, 79]);
    run_until_guest(&mut world, guest);
    let r = &world.kernel.user_state().registers;
    assert_eq!((r.rip, r.rax, r.rbx, r.r15), (77, 78, 0, 15));
    world.kernel.check();
}

#[test]
fn a10_a_guest_that_nobody_answers_ends() {
    for (dies, destroyed) in [(true, false), (false, false), (false, true)] {
        let mut world = World::new();
        guest(&mut world);
        exit(&mut world, 0x78, 0);
        if destroyed {
            world.run_until(0);
            world.must(init::TASK, &[op::task::DELETE, 102, 1], &[]);
        } else if dies {
            world.call(Code::Exit.plain(), [0; 6]);
        } else {
            world.message(Code::Reply, 0, &[op::fault::GIVE_UP], NEVER, NEVER);
        }
        // Its end is reported in steps, a line each.
        for _ in 0..20 {
            world.kernel.settle();
            world.run_until(0);
            world.call(Code::Yield.plain(), [0; 6]);
        }
        world.run_until(0);
        world.kernel.check();
        let info = world.operate(103, &[op::thread::INFO], &[]).expect("returns");
        assert_eq!(info.is_err(), destroyed);
        if let Ok(info) = info {
            assert_eq!(info.words[0], op::thread::ThreadState::Faulted as u64);
        }
    }
}

#[test]
fn a10_only_the_kernel_of_a_guest_makes_hypercalls() {
    let mut world = World::new();
    let (_, guest) = guest(&mut world);
    // No gate: the call fails at once. From level 3 it is an exception, and the
    // instruction is not skipped.
    for (level, rip) in [(0, 2), (3, 2)] {
        exit(&mut world, 0x81, level);
        assert_eq!(world.current(), guest);
        assert_eq!(world.kernel.user_state().registers.rip, rip, "level {level}");
    }
    assert_eq!(world.kernel.user_state().registers.rax, 2);
    world.kernel.check();
}
