//! Short stories with a known end.

use postern_abi::code::{Code, Delivery};
use postern_abi::image::init;
use postern_abi::rights::Kind;
use postern_abi::timeout::Timeout;
use postern_abi::{ErrorNumber, PAGE, Phase, Rights, op};

use super::world::World;
use crate::machine::Next;

const NEVER: Timeout = Timeout::NEVER;

#[test]
fn init_starts_with_everything() {
    let mut world = World::new();
    world.kernel.check();
    assert_eq!(world.kernel.tasks.len(), 1);
    let r = &world.kernel.user_state().registers;
    assert_eq!((r.rip, r.rdi, r.rsi), (0x40_0000, init::ARCHIVE_ADDRESS, 8000));
}

#[test]
fn a_call_goes_there_and_back() {
    let mut world = World::new();
    let client = world.current();
    let server = world.spawn(100, 200);
    world.create(Kind::Gate, 101, &[0x1230], &[(100, Rights::all())]);
    world.run_until(server);
    assert!(world.message(Code::Receive, 0, &[], NEVER, NEVER).is_none());
    assert_eq!(world.current(), client);
    assert!(world.message(Code::Call, 101, &[7, 8], NEVER, NEVER).is_none());
    assert_eq!(world.current(), server, "the call hands over at once");
    let got = world.result().expect("a message");
    let rights = 3;
    assert_eq!((got.kind, got.label), (Delivery::Call as u64, 0x1230 | rights));
    assert_eq!(got.words, [7, 8, 0, 0]);
    world.kernel.check();
    assert!(world.message(Code::ReplyReceive, 55, &[9], NEVER, NEVER).is_none());
    assert_eq!(world.current(), client);
    let got = world.result().expect("an answer");
    assert_eq!((got.kind, got.label, got.words[0]), (Delivery::Reply as u64, 55, 9));
    world.kernel.check();
}

#[test]
fn a_caller_whose_server_dies_gets_aborted() {
    let mut world = World::new();
    let client = world.current();
    let server = world.spawn(100, 200);
    world.create(Kind::Gate, 101, &[0], &[(100, Rights::all())]);
    world.run_until(server);
    world.message(Code::Receive, 0, &[], NEVER, NEVER);
    world.message(Code::Call, 101, &[], NEVER, NEVER);
    assert_eq!(world.current(), server);
    world.call(Code::Exit.plain(), [3, 0, 0, 0, 0, 0]);
    assert_eq!(world.current(), client);
    let error = world.result().expect_err("no answer");
    assert_eq!((error.number, error.phase), (ErrorNumber::Aborted, Phase::Receive));
    let again = world.message(Code::Call, 101, &[], NEVER, NEVER).expect("at once");
    assert_eq!(again.expect_err("dead").number, ErrorNumber::NotExistent);
    world.kernel.check();
}

#[test]
fn a_timeout_ends_the_waiting() {
    let mut world = World::new();
    world.create(Kind::Gate, 101, &[], &[]);
    let zero = world.message(Code::Call, 101, &[], Timeout::ZERO, NEVER).expect("at once");
    assert_eq!(zero.expect_err("nobody").number, ErrorNumber::Timeout);
    assert!(world.message(Code::Call, 101, &[], Timeout::from_ns(5000), NEVER).is_none());
    assert_eq!(world.kernel.settle(), Next::Idle);
    assert_eq!(world.kernel.machine.armed, Some(5000));
    world.kernel.machine.now = 5000;
    world.kernel.timer();
    assert_eq!(world.kernel.settle(), Next::User);
    let error = world.result().expect_err("nobody came");
    assert_eq!((error.number, error.phase), (ErrorNumber::Timeout, Phase::Send));
    world.kernel.check();
}

#[test]
fn destroyed_memory_is_unmapped_and_its_quota_returns() {
    let mut world = World::new();
    let before = world.must(init::FACTORY, &[op::factory::INFO], &[])[1];
    world.create(Kind::Memory, 100, &[600 * PAGE], &[]);
    let rights = u64::from((Rights::R | Rights::W).bits());
    let map = [op::task::MAP, 0x1000_0000, 0, 600 * PAGE, rights];
    world.must(init::TASK, &map, &[(100, Rights::all())]);
    world.kernel.check();
    let again = world.operate(init::TASK, &map, &[(100, Rights::all())]).expect("at once");
    assert_eq!(again.expect_err("overlap").number, ErrorNumber::Exists);
    world.must(init::TASK, &[op::task::DELETE, 100, 1], &[]);
    world.kernel.check();
    let after = world.must(init::FACTORY, &[op::factory::INFO], &[])[1];
    assert_eq!(after, before);
}

#[test]
fn a_task_takes_everything_with_it() {
    let mut world = World::new();
    let before = world.must(init::FACTORY, &[op::factory::INFO], &[])[1];
    world.create(Kind::Task, 100, &[300], &[]);
    world.create(Kind::Thread, 101, &[10], &[]);
    world.must(101, &[op::thread::BIND], &[(100, Rights::all())]);
    world.create(Kind::Gate, 102, &[0], &[(101, Rights::all())]);
    for slot in 1..200 {
        world.must(100, &[op::task::DELEGATE, slot], &[(102, Rights::all())]);
    }
    world.kernel.check();
    world.must(init::TASK, &[op::task::DELETE, 100, 1], &[]);
    world.kernel.check();
    let gone = world.operate(101, &[op::thread::INFO], &[]).expect("at once");
    assert_eq!(gone.expect_err("destroyed").number, ErrorNumber::NotExistent);
    world.must(init::TASK, &[op::task::DELETE, 102], &[]);
    let after = world.must(init::FACTORY, &[op::factory::INFO], &[])[1];
    assert_eq!(after, before);
}

#[test]
fn rights_only_shrink() {
    let mut world = World::new();
    world.create(Kind::Gate, 100, &[], &[]);
    let few = u64::from((Rights::W | Rights::GRANT).bits());
    world.must(init::TASK, &[op::task::DERIVE, 100, 101, few], &[]);
    world.must(init::TASK, &[op::task::DERIVE, 101, 102, 0xff], &[]);
    let described = world.must(init::TASK, &[op::task::LIST, 102], &[]);
    assert_eq!(described[1] >> 40, few);
    world.kernel.check();
}

#[test]
fn revoking_takes_back_capabilities_and_mappings_everywhere() {
    let mut world = World::new();
    world.create(Kind::Memory, 100, &[4 * PAGE], &[]);
    world.create(Kind::Task, 101, &[128], &[]);
    world.must(init::TASK, &[op::task::DERIVE, 100, 102, 0xff], &[]);
    world.must(101, &[op::task::DELEGATE, 5], &[(102, Rights::all())]);
    let rights = u64::from(Rights::R.bits());
    world.must(101, &[op::task::MAP, 0x1000_0000, 0, PAGE, rights], &[(102, Rights::all())]);
    world.must(init::TASK, &[op::task::MAP, 0x1000_0000, 0, PAGE, rights], &[(100, Rights::all())]);
    assert_eq!(world.must(100, &[op::memory::INFO], &[])[1], 2);
    world.must(init::TASK, &[op::task::REVOKE, 100], &[]);
    world.kernel.check();
    assert_eq!(world.must(100, &[op::memory::INFO], &[])[1], 0, "no mapping is left");
    let derived = world.operate(102, &[op::memory::INFO], &[]).expect("at once");
    assert_eq!(derived.expect_err("revoked").number, ErrorNumber::NotExistent);
    let listed = world.must(101, &[op::task::LIST, 0], &[]);
    assert_eq!(listed[0], 0, "the other task has nothing any more");
    world.must(init::TASK, &[op::task::DERIVE, 100, 102, 0xff], &[]);
}

#[test]
fn an_emptied_factory_has_its_whole_quota_again() {
    let mut world = World::new();
    let before = world.must(init::FACTORY, &[op::factory::INFO], &[])[1];
    world.create(Kind::Factory, 100, &[1 << 20], &[]);
    let charged = world.must(init::FACTORY, &[op::factory::INFO], &[])[1];
    for (kind, slot, argument) in [
        (Kind::Factory, 110, 100_000),
        (Kind::Task, 111, 128),
        (Kind::Thread, 112, 5),
        (Kind::Memory, 113, 3 * PAGE),
        (Kind::Gate, 114, 0),
        (Kind::Notification, 115, 0),
    ] {
        world.must(100, &[op::factory::CREATE, kind as u64, slot, argument], &[]);
    }
    world.must(110, &[op::factory::CREATE, Kind::Memory as u64, 116, PAGE], &[]);
    world.must(112, &[op::thread::BIND], &[(111, Rights::all())]);
    let rights = u64::from(Rights::R.bits());
    world.must(111, &[op::task::MAP, 0x1000_0000, 0, PAGE, rights], &[(116, Rights::all())]);
    world.kernel.check();
    world.must(100, &[op::factory::EMPTY], &[]);
    world.kernel.check();
    let info = world.must(100, &[op::factory::INFO], &[]);
    assert_eq!((info[0], info[1]), (1 << 20, 0));
    for slot in 110..117 {
        let gone = world.operate(init::TASK, &[op::task::DERIVE, slot, 120, 0xff], &[]);
        assert_eq!(gone.expect("at once").expect_err("gone").number, ErrorNumber::NotExistent);
    }
    let now = world.must(init::FACTORY, &[op::factory::INFO], &[])[1];
    assert_eq!(now, charged, "the sub-factory itself is still there");
    world.must(init::TASK, &[op::task::DELETE, 100, 1], &[]);
    assert_eq!(world.must(init::FACTORY, &[op::factory::INFO], &[])[1], before);
}

/// A server behind gate 101 that waits, and a client (index, slot 102) whose
/// fault gate it is and that has just faulted at address 8.
fn faulted_client(world: &mut World) -> (u32, u32) {
    let server = world.spawn(100, 200);
    world.create(Kind::Gate, 101, &[0x70], &[(100, Rights::all())]);
    let client = world.spawn(102, 200);
    world.must(102, &[op::thread::SET_FAULT_GATE], &[(101, Rights::all())]);
    world.run_until(server);
    world.message(Code::Receive, 0, &[], NEVER, NEVER);
    world.run_until(client);
    world.kernel.user_state().registers.r12 = 0x1212;
    world.kernel.fault(crate::machine::Fault { vector: 14, error: 4, address: 8 });
    assert_eq!(world.kernel.settle(), Next::User);
    assert_eq!(world.current(), server, "the handler runs at once");
    (server, client)
}

#[test]
fn a_fault_handler_repairs_and_the_thread_goes_on() {
    let mut world = World::new();
    let (_, client) = faulted_client(&mut world);
    let got = world.result().expect("the fault");
    assert_eq!((got.kind, got.label), (Delivery::Call as u64, 0x70));
    assert_eq!(got.words, [14, 8, 0x40_0000, 4]);
    let registers = world.must(102, &[op::thread::GET_REGISTERS], &[]);
    assert_eq!(registers[0], 0x40_0000);
    let mut words = [0x40_1000; 20];
    words[0] = op::thread::SET_REGISTERS;
    words[3] = u64::MAX;
    world.must(102, &words, &[]);
    world.kernel.check();
    world.message(Code::Reply, 0, &[op::fault::RESUME], NEVER, NEVER);
    world.run_until(client);
    let r = &world.kernel.user_state().registers;
    assert_eq!((r.rip, r.rflags), (0x40_1000, crate::machine::USER_FLAGS));
    world.kernel.check();
}

/// A server behind gate 101 that waits, and a client (index, slot 102) that has
/// just made a hypercall, whose gate it is.
fn hypercaller(world: &mut World) -> (u32, u32) {
    let server = world.spawn(100, 200);
    world.create(Kind::Gate, 101, &[0x70], &[(100, Rights::all())]);
    let client = world.spawn(102, 200);
    world.must(init::TASK, &[op::task::SET_HYPERCALL_GATE], &[(101, Rights::all())]);
    world.run_until(server);
    world.message(Code::Receive, 0, &[], NEVER, NEVER);
    world.run_until(client);
    hypercall(world);
    (server, client)
}

/// The current thread makes a hypercall, with each input register its number.
fn hypercall(world: &mut World) {
    let r = &mut world.kernel.user_state().registers;
    [r.rax, r.rdi, r.rsi, r.rdx, r.rcx, r.r8, r.r9] = [10, 11, 12, 13, 14, 15, 16];
    (r.rbx, r.rflags) = (17, 0x41);
    world.at_instruction(postern_abi::hypercall::VMMCALL);
    world.kernel.fault(crate::machine::Fault { vector: 6, error: 0, address: 0 });
    assert_eq!(world.kernel.settle(), Next::User);
}

/// What the current thread finds after a hypercall: outputs, rbx, flags, rip.
fn after_hypercall(world: &mut World) -> ([u64; 7], u64, u64, u64) {
    let r = &world.kernel.user_state().registers;
    ([r.rax, r.rdi, r.rsi, r.rdx, r.rcx, r.r8, r.r9], r.rbx, r.rflags, r.rip)
}

#[test]
fn a10_a_hypercall_is_a_call() {
    for failed in [0, 1] {
        let mut world = World::new();
        let (server, client) = hypercaller(&mut world);
        assert_eq!(world.current(), server, "it runs at once");
        let got = world.result().expect("the call");
        assert_eq!((got.kind, got.label), (Delivery::Call as u64, 0x70));
        assert_eq!(got.words, [10, 11, 12, 13]);
        let current = world.kernel.current.expect("the server");
        let rest = [4, 5, 6, 7].map(|index| world.kernel.utcb_word(current, index));
        assert_eq!(rest, [14, 15, 16, 0]);
        world.kernel.check();
        (4..7).for_each(|index| world.poke(index, 20 + index as u64));
        let tag = postern_abi::Tag::new(1, 7).bits();
        world.call(Code::Reply.plain(), [failed, tag, 20, 21, 22, 23]);
        world.run_until(client);
        let outputs = [20, 21, 22, 23, 24, 25, 26];
        assert_eq!(after_hypercall(&mut world), (outputs, 17, 0x40 | failed, 0x40_0003));
        world.kernel.check();
    }
}

#[test]
fn a10_a_hypercall_that_nobody_answers_fails() {
    let lost = ([4, 0, 0, 0, 0, 0, 0], 17, 0x41, 0x40_0003);
    // The server ends, with the call delivered.
    let mut world = World::new();
    let (_, client) = hypercaller(&mut world);
    world.call(Code::Exit.plain(), [0; 6]);
    world.run_until(client);
    assert_eq!(after_hypercall(&mut world), lost);
    world.kernel.check();
    // No server is left: at once.
    hypercall(&mut world);
    assert_eq!(world.current(), client);
    let refused = ([2, 0, 0, 0, 0, 0, 0], 17, 0x41, 0x40_0006);
    assert_eq!(after_hypercall(&mut world), refused);
    world.kernel.check();
}

#[test]
fn a_handler_that_gives_up_or_dies_ends_the_thread() {
    for dies in [false, true] {
        let mut world = World::new();
        faulted_client(&mut world);
        if dies {
            world.call(Code::Exit.plain(), [0; 6]);
        } else {
            world.message(Code::Reply, 0, &[op::fault::GIVE_UP], NEVER, NEVER);
        }
        world.kernel.settle();
        world.kernel.check();
        // The thread reports its fault when its turn comes.
        world.run_until(0);
        world.call(Code::Yield.plain(), [0; 6]);
        world.run_until(0);
        assert!(world.kernel.machine.log.contains("page fault reading 0x8"));
        let info = world.must(102, &[op::thread::INFO], &[]);
        assert_eq!(info[0], op::thread::ThreadState::Faulted as u64);
    }
}

#[test]
fn a_deadline_behind_another_is_not_lost() {
    let mut world = World::new();
    let sleepers = [world.spawn(100, 10), world.spawn(101, 10)];
    // `init` is the most urgent: it must sleep first for them to run.
    for sleeper in sleepers {
        let until = 1000 * (1 + u64::from(sleeper));
        world.run_until(0);
        let soon = world.kernel.machine.now + 10;
        world.call(Code::Sleep.plain(), [soon, 0, 0, 0, 0, 0]);
        world.run_until(sleeper);
        world.call(Code::Sleep.plain(), [until, 0, 0, 0, 0, 0]);
        world.kernel.machine.now += 10;
        world.kernel.timer();
    }
    world.run_until(0);
    for deadline in [2000, 3000] {
        assert_eq!(world.kernel.machine.armed, Some(deadline));
        world.kernel.machine.now = deadline;
        world.kernel.timer();
        assert_eq!(world.kernel.settle(), Next::User);
        assert_eq!(world.current(), 0, "woken, but not more urgent");
    }
}

#[test]
fn protection_changes_whole_mappings_within_their_limit() {
    let mut world = World::new();
    world.create(Kind::Memory, 100, &[1000 * PAGE], &[]);
    let read = u64::from(Rights::R.bits());
    let write = u64::from((Rights::R | Rights::W).bits());
    let few = u64::from(Rights::R.bits());
    world.must(init::TASK, &[op::task::DERIVE, 100, 101, few], &[]);
    let all = Rights::all();
    let map = |world: &mut World, slot, at, pages, rights| {
        world.must(init::TASK, &[op::task::MAP, at, 0, pages * PAGE, rights], &[(slot, all)]);
    };
    map(&mut world, 100, 0x1000_0000, 1000, read);
    map(&mut world, 101, 0x1100_0000, 1, read);
    let protect = |world: &mut World, pages, rights| {
        let words = [op::task::PROTECT, 0x1000_0000, pages * PAGE, rights];
        world.operate(init::TASK, &words, &[]).expect("at once")
    };
    assert_eq!(protect(&mut world, 1000, write).expect("permitted").words[0], 1000 * PAGE);
    world.kernel.check();
    let cut = protect(&mut world, 999, read).expect_err("cuts the mapping");
    assert_eq!((cut.number, cut.argument), (ErrorNumber::Inval, 1));
    let limited = protect(&mut world, 0x2000, write).expect_err("read-only capability");
    assert_eq!((limited.number, limited.argument), (ErrorNumber::Perm, 3));
    protect(&mut world, 0x2000, read).expect("less is permitted");
    world.kernel.check();
}

#[test]
fn split_memory_is_two_memories() {
    let mut world = World::new();
    let before = world.must(init::FACTORY, &[op::factory::INFO], &[])[1];
    world.create(Kind::Memory, 100, &[5 * PAGE], &[]);
    world.must(100, &[op::memory::SPLIT, 2 * PAGE, 101], &[]);
    assert_eq!(world.must(100, &[op::memory::INFO], &[])[0], 2 * PAGE);
    assert_eq!(world.must(101, &[op::memory::INFO], &[])[0], 3 * PAGE);
    let first = world.must(100, &[op::memory::PHYS], &[])[0];
    assert_eq!(world.must(101, &[op::memory::PHYS], &[])[0], first + 2 * PAGE);
    world.kernel.check();
    for slot in [101, 100] {
        world.must(init::TASK, &[op::task::DELETE, slot, 1], &[]);
        world.kernel.check();
    }
    assert_eq!(world.must(init::FACTORY, &[op::factory::INFO], &[])[1], before);
}

#[test]
fn a_moved_capability_keeps_its_children() {
    let mut world = World::new();
    world.create(Kind::Gate, 100, &[], &[]);
    world.must(init::TASK, &[op::task::DERIVE, 100, 101, 0xff], &[]);
    world.must(init::TASK, &[op::task::MOVE, 100, 102], &[]);
    world.kernel.check();
    world.must(init::TASK, &[op::task::REVOKE, 102], &[]);
    let gone = world.operate(init::TASK, &[op::task::MOVE, 101, 103], &[]).expect("at once");
    assert_eq!(gone.expect_err("revoked").number, ErrorNumber::NotExistent);
}

#[test]
fn a_refusal_is_explained_to_who_asks() {
    use postern_abi::utcb;
    let mut world = World::new();
    world.create(Kind::Gate, 100, &[], &[]);
    let few = Rights::SERVER | Rights::R;
    world.must(init::TASK, &[op::task::DERIVE, 100, 101, u64::from(few.bits())], &[]);
    let record = |world: &World, word| {
        world.kernel.utcb_word(world.kernel.current.expect("somebody runs"), word)
    };
    world.operate(101, &[op::gate::UNBIND], &[]);
    assert_eq!(record(&world, utcb::DIAGNOSIS_ERROR), 0, "nobody asked");
    world.call(Code::Diagnose.plain(), [1, 0, 0, 0, 0, 0]);
    let error = world.operate(101, &[op::gate::UNBIND], &[]).expect("at once").expect_err("S");
    assert_eq!(record(&world, utcb::DIAGNOSIS_ERROR), error.encode());
    let slot = record(&world, utcb::DIAGNOSIS_SLOT);
    assert_eq!(slot & 0xffff_ffff, 101);
    assert_eq!(slot >> 32 & 0xff, Kind::Gate as u64);
    assert_eq!(slot >> 40 & 0xff, u64::from(few.bits()));
    assert_eq!(slot >> 48, u64::from(Rights::S.bits()));
    assert_eq!(record(&world, utcb::DIAGNOSIS_OPERATION), op::gate::UNBIND);
    let words = [op::gate::BIND, 4];
    world.must(init::TASK, &[op::task::DERIVE, init::THREAD as u64, 102, 0], &[]);
    world.operate(100, &words, &[(102, Rights::all())]);
    let slot = record(&world, utcb::DIAGNOSIS_SLOT);
    assert_eq!((slot & 0xffff_ffff, slot >> 48), (102, u64::from(Rights::S.bits())));
}

#[test]
fn neighbouring_mappings_go_one_by_one_in_any_order() {
    let mut world = World::new();
    world.create(Kind::Memory, 100, &[PAGE], &[]);
    let read = u64::from(Rights::R.bits());
    for seed in 0..8u64 {
        let order: std::vec::Vec<u64> = (0..64).map(|i| (i * (2 * seed + 1) + seed) % 64).collect();
        for page in &order {
            let words = [op::task::MAP, 0x1000_0000 + page * PAGE, 0, PAGE, read];
            world.must(init::TASK, &words, &[(100, Rights::all())]);
        }
        for page in order.iter().rev() {
            let words = [op::task::UNMAP, 0x1000_0000 + (page ^ 5) * PAGE, PAGE];
            assert_eq!(world.must(init::TASK, &words, &[])[0], PAGE);
        }
        world.kernel.check();
    }
}

#[test]
fn interruptions_do_not_let_a_thread_starve_its_equals() {
    let mut world = World::new();
    let (first, second) = (world.spawn(100, 10), world.spawn(101, 10));
    // `init` wakes every millisecond for a moment, for ten slices.
    let mut ran = [0, 0];
    for _ in 0..100 {
        world.run_until(0);
        let soon = world.kernel.machine.now + 1_000_000;
        world.call(Code::Sleep.plain(), [soon, 0, 0, 0, 0, 0]);
        assert_eq!(world.kernel.settle(), Next::User);
        while world.kernel.machine.now < soon {
            ran[usize::from(world.current() == second)] += 1;
            assert!([first, second].contains(&world.current()));
            world.kernel.machine.now = world.kernel.machine.armed.expect("a rival").min(soon);
            world.kernel.timer();
            world.kernel.settle();
        }
    }
    assert!(ran.iter().all(|turns| *turns > 40), "{ran:?}");
}

#[test]
fn work_for_a_living_thread_leaves_its_senders_alone() {
    let mut world = World::new();
    let server = world.spawn(100, 10);
    world.create(Kind::Gate, 101, &[0], &[(100, Rights::all())]);
    let client = world.current();
    // The server is ready but has not received yet: the call waits.
    assert!(world.message(Code::Call, 101, &[1], NEVER, NEVER).is_none());
    let server_ref = world.kernel.threads.at(server).expect("lives");
    let target = crate::cap::Target::new(Kind::Thread, server_ref);
    world.kernel.list_work(target);
    world.run_until(server);
    world.kernel.check();
    assert!(world.kernel.work_list.is_none(), "there was nothing to do");
    let got = world.message(Code::Receive, 0, &[], NEVER, NEVER).expect("it waits").expect("call");
    assert_eq!((got.kind, got.words[0]), (Delivery::Call as u64, 1));
    world.message(Code::Reply, 0, &[], NEVER, NEVER);
    world.run_until(client);
    world.result().expect("an answer");
}
