//! Random operations of several threads in several tasks.
//!
//! A failure shrinks to a short list of operations that can be read aloud.

pub(super) mod step;

use proptest::prelude::*;
use std::vec::Vec;

use core::cell::Cell;
use postern_abi::code::{Code, IpcFlags};
use postern_abi::image::init;
use postern_abi::op::entry::ContextState;
use postern_abi::rights::Kind;
use postern_abi::tag::Tag;
use postern_abi::timeout::Timeout;
use postern_abi::{PAGE, Rights, op, utcb};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::shadow::Shadow;
use super::world::World;
use crate::machine::{Form, GuestExit, GuestPaging, Next};
use step::{Step, step};

/// First of the slots that random operations use.
pub(super) const BASE: u32 = 100;
/// Number of those slots.
const SLOTS: u32 = 16;

/// Mapping rights from a small number: R and any of W and X.
fn bits(rights: u8) -> u64 {
    let mut bits = Rights::R;
    bits.set(Rights::W, rights & 1 != 0);
    bits.set(Rights::X, rights & 6 == 6);
    u64::from(bits.bits())
}

fn timeout(choice: u8) -> Timeout {
    match choice {
        0 => Timeout::ZERO,
        1 => Timeout::from_ns(2000),
        _ => Timeout::NEVER,
    }
}

/// The guest that runs does something, which is no system call.
fn guest_exit(world: &mut World, step: &Step) {
    let (code, level) = match step {
        Step::Hypercall | Step::Send { .. } | Step::Yield => (0x81, 0),
        Step::Sleep { .. } => (0x81, 3),
        Step::Receive { .. } => {
            world.at_instruction(postern_abi::hypercall::VMCALL);
            (0x46, 0)
        }
        _ => (0x78, 0),
    };
    world.kernel.guest_exit(GuestExit {
        code,
        info: [0; 2],
        next: 0,
        level,
        interruptible: false,
        pending: false,
        paging: GuestPaging::Off,
    });
}

pub(super) fn apply(world: &mut World, step: &Step) {
    if world.kernel.user_state().form == Form::Guest
        && !matches!(step, Step::Time { .. } | Step::Interrupt)
    {
        return guest_exit(world, step);
    }
    let task = init::TASK;
    let all = Rights::all();
    match *step {
        Step::Create { kind, slot, argument, item } => {
            let third = match kind {
                1 => argument * 0x8000,
                2 => 128,
                5 | 13 => argument * PAGE,
                _ => argument * 40,
            };
            let items: &[_] = if argument % 2 == 1 { &[(item, all)] } else { &[] };
            // Of relay segments it is a flag; every other task is a guest's.
            let fourth = if [2, 13].contains(&kind) { argument & 1 } else { 2 };
            let name = u64::from(kind);
            let words = [op::factory::CREATE, name, u64::from(slot), third, fourth, argument * 900];
            world.operate(init::FACTORY, &words, items);
        }
        Step::Bind { thread, task } => {
            world.operate(thread, &[op::thread::BIND], &[(task, all)]);
        }
        Step::Start { thread } => {
            world.operate(thread, &[op::thread::START, 0x40_0000, 0x50_0000, 0, 0], &[]);
        }
        // Stopping the thread that plays for everybody would only end the test.
        Step::Stop { thread } if thread != init::THREAD => {
            world.operate(thread, &[op::thread::STOP], &[]);
        }
        Step::Stop { .. } => {}
        Step::Resume { thread } => {
            world.operate(thread, &[op::thread::RESUME], &[]);
        }
        Step::Cancel { thread } => {
            world.operate(thread, &[op::thread::CANCEL], &[]);
        }
        Step::ExitGate { thread, gate } => {
            world.operate(thread, &[op::thread::SET_EXIT_GATE], &[(gate, all)]);
        }
        Step::FaultGate { thread, gate } => {
            world.operate(thread, &[op::thread::SET_FAULT_GATE], &[(gate, all)]);
        }
        Step::SetRegisters { thread } => {
            let mut words = [0x40_0000; 20];
            words[0] = op::thread::SET_REGISTERS;
            world.operate(thread, &words, &[]);
        }
        Step::ModifySenders { thread, rules, words } => {
            let mut all = [op::thread::MODIFY_SENDERS; 9];
            all[1..5].copy_from_slice(&words);
            all[5..].copy_from_slice(&words);
            world.operate(thread, &all[..1 + 4 * rules], &[]);
        }
        Step::NotifyDeletion { thread, notification, bits } => {
            world.operate(thread, &[op::thread::NOTIFY_DELETION, bits], &[(notification, all)]);
        }
        Step::Priority { thread, priority } => {
            let words = [op::scheduler::SET_PRIORITY, priority];
            world.operate(init::SCHEDULER, &words, &[(thread, all)]);
        }
        Step::BindGate { gate, thread, label } => {
            world.operate(gate, &[op::gate::BIND, label], &[(thread, all)]);
        }
        Step::Unbind { gate } => {
            world.operate(gate, &[op::gate::UNBIND], &[]);
        }
        Step::BindNotification { notification, thread } => {
            world.operate(notification, &[op::notification::BIND], &[(thread, all)]);
        }
        Step::Signal { notification, bits } => {
            world.operate(notification, &[op::notification::SIGNAL, bits], &[]);
        }
        Step::BindIrq { notification } => {
            world.operate(init::IRQS, &[op::irq::BIND, 2], &[(notification, all)]);
        }
        Step::Interrupt => {
            if world.kernel.machine.masked & 1 == 0 {
                let taken = world.kernel.interrupted(0);
                world.note("interrupt", taken);
                world.leave();
            }
        }
        Step::Mask { operation: 2 } => {
            world.operate(init::IRQS, &[op::irq::ACK], &[]);
        }
        Step::Mask { operation } => {
            world.operate(init::IRQS, &[op::irq::MASK, operation], &[]);
        }
        Step::Derive { from, to, rights } => {
            let words = [op::task::DERIVE, u64::from(from), u64::from(to), u64::from(rights)];
            world.operate(task, &words, &[]);
        }
        Step::Delegate { task, item, to, rights } => {
            let rights = Rights::from_bits_truncate(rights);
            world.operate(task, &[op::task::DELEGATE, u64::from(to)], &[(item, rights)]);
        }
        Step::Delete { slot, whole } if slot >= BASE => {
            world.operate(task, &[op::task::DELETE, u64::from(slot), u64::from(whole)], &[]);
        }
        Step::Delete { .. } => {}
        Step::Map { memory, page, offset, pages, rights } => {
            let at = 0x1000_0000 + page * PAGE;
            let words = [op::task::MAP, at, offset * PAGE, pages * PAGE, bits(rights)];
            world.operate(task, &words, &[(memory, all)]);
        }
        Step::Unmap { page, pages } => {
            world.operate(task, &[op::task::UNMAP, 0x1000_0000 + page * PAGE, pages * PAGE], &[]);
        }
        // The slots that everything else goes through stay where they are.
        Step::Move { from, to } if from >= BASE => {
            world.operate(task, &[op::task::MOVE, u64::from(from), u64::from(to)], &[]);
        }
        Step::Move { .. } => {}
        Step::Protect { page, pages, rights } => {
            let words = [op::task::PROTECT, 0x1000_0000 + page * PAGE, pages * PAGE, bits(rights)];
            world.operate(task, &words, &[]);
        }
        Step::Split { memory, pages, to } => {
            let words = [op::memory::SPLIT, pages * PAGE, u64::from(to)];
            world.operate(memory, &words, &[]);
        }
        Step::Revoke { slot } => {
            world.operate(task, &[op::task::REVOKE, u64::from(slot)], &[]);
        }
        // Emptying the root factory would end `init` and with it the test.
        Step::Empty { factory } if factory >= BASE => {
            world.operate(factory, &[op::factory::EMPTY], &[]);
        }
        Step::Empty { .. } => {}
        Step::Send { slot, call, items, item, moved, send, receive } => {
            for index in 0..items {
                world.poke(utcb::ITEMS + 2 * index, u64::from(item) + index as u64);
                let moved = if moved { utcb::ITEM_MOVE } else { 0 };
                world.poke(utcb::ITEMS + 2 * index + 1, 0xff | moved);
            }
            let code = if call { Code::Call } else { Code::Send };
            let rax = code.encode(IpcFlags::empty(), timeout(send), timeout(receive));
            // Some fit into the registers.
            let tag = Tag::new(1, if item % 2 == 0 { 4 } else { 6 }).with_items(items);
            world.call(rax, [u64::from(slot), tag.bits(), world.payload, 2, 3, 4]);
        }
        Step::Receive { window, timeout: choice, closed, source } => {
            world.poke(utcb::WINDOWS, u64::from(window));
            world.poke(utcb::WINDOWS + 1, u64::from(window) + 1);
            world.poke(utcb::RECEIVE_SOURCE, u64::from(source));
            let flags = if closed { IpcFlags::CLOSED } else { IpcFlags::empty() };
            world.call(Code::Receive.encode(flags, Timeout::NEVER, timeout(choice)), [0; 6]);
        }
        Step::Reply { wait, saved, handle, item, items } => {
            world.poke(utcb::REPLY_HANDLE, u64::from(handle));
            world.poke(utcb::ITEMS, u64::from(item));
            world.poke(utcb::ITEMS + 1, 0xff);
            let flags = if saved { IpcFlags::SAVED } else { IpcFlags::empty() };
            let code = if wait { Code::ReplyReceive } else { Code::Reply };
            let tag = Tag::new(1, if item % 2 == 0 { 3 } else { 5 }).with_items(items);
            let receive = if handle % 2 == 0 { Timeout::NEVER } else { Timeout::from_ns(2000) };
            let rax = code.encode(flags, Timeout::NEVER, receive);
            world.call(rax, [9, tag.bits(), 1, 2, 3, 4]);
        }
        Step::Quick { gate } => {
            world.call(Code::Call.plain(), [u64::from(gate), Tag::new(1, 4).bits(), 1, 2, 3, 4]);
        }
        Step::QuickReturn => {
            world.call(Code::Return.plain(), [5, Tag::new(2, 3).bits(), 5, 6, 7, 8]);
        }
        Step::GiveBack => {
            let tag = Tag::new(2, 3).with_relay();
            world.call(Code::Return.plain(), [5, tag.bits(), 5, 6, 7, 8]);
        }
        Step::Serve { first } => {
            let code = if first { Code::Receive } else { Code::ReplyReceive };
            world.call(code.plain(), [5, Tag::new(2, 3).bits(), 5, 6, 7, 8]);
        }
        Step::Lend { slot, receive } => {
            let rax = Code::Call.encode(IpcFlags::empty(), Timeout::NEVER, timeout(receive));
            let tag = Tag::new(1, 2).with_relay();
            world.call(rax, [u64::from(slot), tag.bits(), 1, 2, 3, 4]);
        }
        Step::Activate { relay } => {
            if world.operate(relay, &[op::relay::ACTIVATE], &[]).is_some() {
                world.operate(relay, &[op::relay::INFO], &[]);
            }
        }
        Step::Segment { code, place } => {
            let codes = [Code::Swap, Code::Park, Code::Unmask, Code::Window, Code::Release];
            world.call(codes[usize::from(code)].plain(), [place * 9, 0, 0, 0, 0, 0]);
        }
        Step::Narrow { offset, pages, rights } => {
            world.call(Code::Mask.plain(), [offset * PAGE, pages * PAGE, bits(rights), 0, 0, 0]);
        }
        Step::Take { slot } => {
            world.call(Code::TakeReply.plain(), [u64::from(slot), 0, 0, 0, 0, 0]);
        }
        Step::Save { slot } => {
            world.call(Code::SaveReply.plain(), [u64::from(slot), 0, 0, 0, 0, 0]);
        }
        Step::AddContext { entry } => {
            world.operate(entry, &[op::entry::ADD_CONTEXT, 0x51_0000], &[]);
        }
        Step::RemoveContext { entry, context, reset } => {
            let operation =
                if reset { op::entry::RESET_CONTEXT } else { op::entry::REMOVE_CONTEXT };
            world.operate(entry, &[operation, context], &[]);
        }
        Step::BindEntry { gate, entry, limit } => {
            world.operate(gate, &[op::gate::BIND, 0x80, limit], &[(entry, all)]);
        }
        Step::EntryFaultGate { entry, gate } => {
            world.operate(entry, &[op::entry::SET_FAULT_GATE], &[(gate, all)]);
        }
        Step::EntryNotification { entry, notification } => {
            world.operate(entry, &[op::entry::BIND_NOTIFICATION, 1], &[(notification, all)]);
        }
        Step::SetEntry { entry, floor, grace } => {
            let words = [op::entry::SET, 0x41_0000, floor, grace, 0, 0];
            world.operate(entry, &words, &[]);
        }
        Step::Cross { gate, call, receive } => {
            let code = if call { Code::Call } else { Code::Send };
            let rax = code.encode(IpcFlags::empty(), Timeout::NEVER, timeout(receive));
            world.call(rax, [u64::from(gate), Tag::new(1, 6).bits(), 1, 2, 3, 4]);
        }
        Step::Return { item, items } => {
            world.poke(utcb::ITEMS, u64::from(item));
            world.poke(utcb::ITEMS + 1, 0xff);
            let tag = Tag::new(1, 5).with_items(items);
            world.call(Code::Return.plain(), [9, tag.bits(), 1, 2, 3, 4]);
        }
        Step::Sleep { ns } => {
            let until = world.kernel.machine.now + ns;
            world.call(Code::Sleep.plain(), [until, 0, 0, 0, 0, 0]);
        }
        // `init` itself goes on, so that there is always somebody to act.
        Step::Exit if world.current() == 0 => {}
        Step::Fault if world.current() == 0 => {}
        Step::Exit => {
            let odd = world.kernel.machine.now % 2 == 1;
            let code = if odd { Code::Panic } else { Code::Exit };
            world.call(code.plain(), [0; 6]);
        }
        Step::Fault => {
            let fault = crate::machine::Fault { vector: 14, error: 4, address: 8 };
            let taken = world.kernel.faulted(fault);
            world.note("fault", taken);
            world.leave();
        }
        Step::UseFpu => {
            world.use_fpu();
        }
        Step::Hypercall => {
            world.at_instruction(postern_abi::hypercall::VMCALL);
            world.kernel.fault(crate::machine::Fault { vector: 6, error: 0, address: 0 });
        }
        Step::HypercallGate { task, gate } => {
            let items: &[_] = if gate % 4 == 0 { &[] } else { &[(gate, all)] };
            let at = if task % 4 == 0 { task } else { init::TASK };
            world.operate(at, &[op::task::SET_HYPERCALL_GATE], items);
        }
        Step::Trace { memory } => {
            let items: &[_] = if memory % 4 == 0 { &[] } else { &[(memory, all)] };
            world.operate(init::SCHEDULER, &[op::scheduler::TRACE], items);
        }
        Step::Yield => {
            world.call(Code::Yield.plain(), [0; 6]);
        }
        Step::Time { ns } => {
            world.kernel.machine.now += ns;
            world.kernel.machine.armed = None;
            world.kernel.timer();
        }
        Step::Garbage { rax, args } => {
            let ends = [Code::Exit as u64, Code::Panic as u64].contains(&(rax & 0xff));
            if !ends || world.current() != 0 {
                world.call(rax, args);
            }
        }
    }
}

/// Brings the world to a point at which somebody runs: time passes while all
/// wait. `false` when nobody ever will.
pub(super) fn somebody_runs(world: &mut World) -> bool {
    for _ in 0..100 {
        match world.kernel.settle() {
            Next::User => return true,
            _ => match world.kernel.machine.armed {
                Some(deadline) => {
                    world.kernel.machine.now = world.kernel.machine.now.max(deadline);
                    world.kernel.machine.armed = None;
                    world.kernel.timer();
                }
                None => return false,
            },
        }
    }
    panic!("time passes and nobody runs");
}

/// A world with something in every slot: two threads in `init`, one in another
/// task, each behind a gate, a notification, memory.
pub(super) fn furnished() -> World {
    let mut world = World::new();
    let all = Rights::all();
    world.spawn(BASE, 200);
    world.spawn(BASE + 1, 199);
    world.create(Kind::Task, BASE + 2, &[128], &[]);
    world.create(Kind::Thread, BASE + 3, &[200], &[]);
    world.must(BASE + 3, &[op::thread::BIND], &[(BASE + 2, all)]);
    for (gate, thread) in [(BASE + 4, BASE), (BASE + 5, BASE + 1), (BASE + 6, BASE + 3)] {
        world.create(Kind::Gate, gate, &[0x40], &[(thread, all)]);
    }
    world.create(Kind::Notification, BASE + 7, &[], &[]);
    world.must(BASE + 7, &[op::notification::BIND], &[(BASE, all)]);
    world.create(Kind::Memory, BASE + 8, &[4 * PAGE], &[]);
    // An entry in each task, and a gate to it.
    for (entry, gate, task) in [(9, 10, BASE + 2), (11, 12, init::TASK)] {
        world.create(Kind::Entry, BASE + entry, &[0x41_0000, 2, 3000], &[(task, all)]);
        for _ in 0..2 {
            world.must(BASE + entry, &[op::entry::ADD_CONTEXT, 0x51_0000], &[]);
        }
        world.create(
            Kind::Gate,
            BASE + gate,
            &[0x80, u64::from(gate == 10) * 2],
            &[(BASE + entry, all)],
        );
    }
    world.create(Kind::Relay, BASE + 13, &[4 * PAGE], &[]);
    world.create(Kind::Relay, BASE + 14, &[3 * PAGE, op::relay::SCATTERED], &[]);
    // The other task can do what `init` can, under the same numbers.
    for slot in (1..8).chain(BASE..BASE + 15) {
        let task = if slot == init::TASK { BASE + 2 } else { slot };
        world.must(BASE + 2, &[op::task::DELEGATE, u64::from(slot)], &[(task, all)]);
    }
    world.must(BASE + 3, &[op::thread::START, 0x40_0000, 0x50_0000, 0, 0], &[]);
    world
}

/// Carries out the operations and compares the kernel with a model of its
/// messages; returns how many operations, because it ends when nobody will ever
/// run again, and the model.
pub(super) fn play(mut world: World, steps: &[Step]) -> (usize, Shadow) {
    let mut shadow = Shadow::default();
    for (done, step) in steps.iter().enumerate() {
        let before = world.kernel.threads.len();
        if !somebody_runs(&mut world) {
            return (done, shadow);
        }
        shadow.compare(&mut world, None, true);
        let mut run = None;
        match *step {
            Step::Send { slot, .. } => world.payload = shadow.send(&world, slot),
            Step::ModifySenders { thread, rules, words } if rules > 0 => {
                run = shadow.modify(&world, thread, words);
            }
            _ => {}
        }
        apply(&mut world, step);
        let some_died = world.kernel.threads.len() < before;
        shadow.compare(&mut world, run, some_died);
        world.kernel.check();
    }
    (steps.len(), shadow)
}

/// Operations that the property test carries out, each followed by a check of
/// every invariant.
const OPERATIONS: usize = 1_000_000;
/// Operations of one case.
const LENGTH: core::ops::Range<usize> = 200..300;

#[test]
fn invariants_hold_for_a_million_operations() {
    hold(OPERATIONS, furnished, step());
}

/// Plays random lists of steps, at least `operations` in all, each list in a
/// world of its own.
pub(super) fn hold(
    operations: usize,
    world: impl Fn() -> World,
    step: impl Strategy<Value = Step>,
) {
    let config = ProptestConfig {
        cases: 50,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strategy = prop::collection::vec(step, LENGTH);
    let mut done = 0;
    while done < operations {
        let mut runner = TestRunner::new(config.clone());
        let counted = Cell::new(0);
        let result = runner.run(&strategy, |steps| {
            counted.set(counted.get() + play(world(), &steps).0);
            Ok(())
        });
        if let Err(failure) = result {
            // The shrunk list of operations, to be read aloud.
            panic!("{failure}");
        }
        done += counted.get();
    }
}

#[test]
fn steps_reach_deep_states() {
    // The generator is worth something only if its programs get somewhere.
    let mut runner = TestRunner::deterministic();
    let mut calls = 0;
    let mut tasks = 0;
    let (mut crossed, mut nested, mut orphaned, mut waited, mut lost) = (0, 0, 0, 0, 0);
    for _ in 0..200 {
        let steps: Vec<Step> = prop::collection::vec(step(), 100..120)
            .new_tree(&mut runner)
            .expect("a value")
            .current();
        let mut world = furnished();
        for step in &steps {
            if !somebody_runs(&mut world) {
                break;
            }
            apply(&mut world, step);
            calls += world
                .kernel
                .threads
                .refs()
                .any(|thread| world.kernel.threads.get(thread).expect("live").caller.is_some())
                as u32;
            tasks += (world.kernel.tasks.len() > 1) as u32;
            let kernel = &world.kernel;
            let levels =
                kernel.threads.refs().filter_map(|it| Some(kernel.threads.get(it)?.levels));
            let deepest = levels.min().map(|levels| op::entry::DEPTH - usize::from(levels));
            crossed += (deepest > Some(0)) as u32;
            nested += (deepest > Some(1)) as u32;
            for entry in kernel.entries.refs() {
                let counts = kernel.context_counts(entry);
                orphaned += (counts[ContextState::Orphaned as usize] > 0) as u32;
                lost += (counts[ContextState::Quarantined as usize] > 0) as u32;
                let entry = kernel.entries.get(entry).expect("live");
                waited += (entry.waiters > 0) as u32;
            }
        }
    }
    let reached = [crossed, nested, orphaned, lost, waited];
    assert!(
        reached.iter().all(|steps| *steps > 100),
        "steps with a crossing, a nested one, an orphan, a quarantine, a wait: {reached:?}"
    );
    assert!(calls > 100 && tasks > 1000, "{calls} steps within a call, {tasks} with two tasks");
}
