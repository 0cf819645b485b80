//! Crossings: short stories with a known end.

use postern_abi::code::{Code, Delivery, IpcFlags};
use postern_abi::image::init;
use postern_abi::op::entry::ContextState;
use postern_abi::rights::Kind;
use postern_abi::tag::Tag;
use postern_abi::timeout::Timeout;
use postern_abi::{ErrorCode, ErrorNumber, Phase, Rights, op};

use super::world::World;
use crate::machine::Next;

const NEVER: Timeout = Timeout::NEVER;
const HANDLER: u64 = 0x41_0000;
const STACK: u64 = 0x51_0000;
const LABEL: u64 = 0x1230;
const GRACE: u64 = 10_000;

/// Slots of the story: the server's task, its entry, the gate.
const TASK: u32 = 100;
const ENTRY: u32 = 101;
const GATE: u32 = 102;

impl World {
    /// A task in `slot`, an entry behind it with `contexts` contexts, and
    /// behind that a gate with a limit.
    fn server(&mut self, slot: u32, contexts: u32, limit: u64) {
        let all = Rights::all();
        self.create(Kind::Task, slot, &[128], &[]);
        self.create(Kind::Entry, slot + 1, &[HANDLER, 10, GRACE], &[(slot, all)]);
        for _ in 0..contexts {
            self.must(slot + 1, &[op::entry::ADD_CONTEXT, STACK], &[]);
        }
        self.create(Kind::Gate, slot + 2, &[LABEL, limit], &[(slot + 1, all)]);
        self.kernel.check();
    }

    fn ret(&mut self, words: &[u64]) -> Option<Result<super::world::Reply, ErrorCode>> {
        let mut args = [55, Tag::new(1, words.len()).bits(), 0, 0, 0, 0];
        args[2..2 + words.len()].copy_from_slice(words);
        self.call(Code::Return.plain(), args)
    }

    fn enter(&mut self, gate: u32, receive: Timeout) {
        assert!(self.message(Code::Call, gate.into(), &[7, 8], NEVER, receive).is_none());
        self.kernel.check();
    }

    /// Number of contexts in this state, from INFO; for `init` only.
    fn count(&mut self, entry: u32, state: ContextState) -> u32 {
        let (target, _) = self
            .kernel
            .tasks
            .refs()
            .find_map(|task| self.kernel.lookup(task, entry.into(), 0).ok())
            .expect("the entry");
        self.kernel.context_counts(target.reference())[state as usize]
    }
}

#[test]
fn a_call_crosses_and_comes_back() {
    let mut world = World::new();
    let client = world.current();
    world.server(TASK, 1, 0);
    world.enter(GATE, NEVER);
    assert_ne!(world.current(), client);
    let got = world.result().expect("a message");
    assert_eq!((got.kind, got.label, got.words), (Delivery::Call as u64, LABEL | 3, [7, 8, 0, 0]));
    let user = world.kernel.user_state();
    assert_eq!((user.registers.rip, user.registers.rsp), (HANDLER, STACK));
    assert!(world.ret(&[9]).is_none());
    assert_eq!(world.current(), client);
    let got = world.result().expect("an answer");
    assert_eq!((got.kind, got.label, got.words[0]), (Delivery::Reply as u64, 55, 9));
    assert_eq!(world.count(ENTRY, ContextState::Free), 1);
    world.kernel.check();
}

#[test]
fn what_is_not_for_a_crossing_is_refused() {
    let mut world = World::new();
    world.server(TASK, 1, 0);
    let error = world.ret(&[]).expect("at once").expect_err("at home");
    assert_eq!((error.number, error.phase), (ErrorNumber::InvalidLinkage, Phase::Send));
    world.enter(GATE, NEVER);
    let mut refused = |code: u64, args: [u64; 6]| {
        let error = world.call(code, args).expect("at once").expect_err("abroad");
        world.kernel.check();
        error.number
    };
    assert_eq!(refused(Code::Receive.plain(), [0; 6]), ErrorNumber::Abroad);
    assert_eq!(refused(Code::Reply.plain(), [0; 6]), ErrorNumber::Abroad);
    assert_eq!(refused(Code::ReplyReceive.plain(), [0; 6]), ErrorNumber::Abroad);
    let saved = Code::ReplyReceive.encode(IpcFlags::all(), NEVER, NEVER);
    assert_eq!(refused(saved, [0; 6]), ErrorNumber::Abroad);
    assert_eq!(refused(Code::SaveReply.plain(), [9, 0, 0, 0, 0, 0]), ErrorNumber::Unsupported);
    let bad = [0, 9 << 6, 0, 0, 0, 0];
    assert_eq!(refused(Code::Return.plain(), bad), ErrorNumber::Inval);
    assert!(world.ret(&[]).is_none());
}

#[test]
fn a_deadline_leaves_an_orphan_that_finishes() {
    let mut world = World::new();
    let client = world.current();
    world.server(TASK, 1, 0);
    world.enter(GATE, Timeout::from_ns(2000));
    world.kernel.machine.now += 2000;
    world.kernel.timer();
    assert_eq!(world.kernel.settle(), Next::User);
    world.kernel.check();
    assert_eq!(world.current(), client);
    let error = world.result().expect_err("late");
    assert_eq!((error.number, error.phase), (ErrorNumber::Timeout, Phase::Receive));
    assert_eq!(world.count(ENTRY, ContextState::Orphaned), 1);
    // The orphan runs at the floor, when the client waits for a context.
    assert!(world.message(Code::Call, GATE.into(), &[], NEVER, NEVER).is_none());
    world.kernel.check();
    assert_ne!(world.current(), client);
    assert!(world.ret(&[]).is_none_or(|again| again.is_ok()));
    world.kernel.check();
    assert_eq!(world.count(ENTRY, ContextState::Active), 1, "the client is in it now");
}

#[test]
fn an_orphan_that_does_not_finish_is_quarantined() {
    let mut world = World::new();
    let client = world.current();
    world.server(TASK, 1, 0);
    world.create(Kind::Notification, 110, &[], &[]);
    let bind = [op::entry::BIND_NOTIFICATION, 4];
    world.must(ENTRY, &bind, &[(110, Rights::all())]);
    let late = world.message(Code::Call, GATE.into(), &[], NEVER, Timeout::ZERO);
    assert_eq!(late.expect("at once").expect_err("late").number, ErrorNumber::Timeout);
    world.kernel.check();
    world.kernel.machine.now += GRACE;
    world.kernel.timer();
    world.kernel.check();
    assert_eq!(world.count(ENTRY, ContextState::Quarantined), 1);
    assert_eq!(world.must(110, &[op::notification::POLL], &[])[0], 4);
    let zero = world.message(Code::Call, GATE.into(), &[], Timeout::ZERO, NEVER).expect("at once");
    let error = zero.expect_err("no context");
    assert_eq!((error.number, error.argument), (ErrorNumber::Timeout, ErrorCode::NO_CONTEXT));
    let context = world.kernel.entries.refs().next().expect("one");
    let context = world.kernel.entries.get(context).expect("live").contexts.expect("one");
    world.must(ENTRY, &[op::entry::RESET_CONTEXT, context.into()], &[]);
    world.enter(GATE, NEVER);
    assert_ne!(world.current(), client);
}

#[test]
fn a_limit_holds_back_its_own_callers_only() {
    let mut world = World::new();
    world.server(TASK, 2, 1);
    world.create(Kind::Gate, 105, &[0x40], &[(ENTRY, Rights::all())]);
    let hog = world.spawn(106, 200);
    world.run_until(hog);
    world.enter(GATE, NEVER);
    // The hog's activation is abroad; whoever comes through the same gate is
    // refused, and another gate is not.
    world.call(Code::Sleep.plain(), [1_000_000, 0, 0, 0, 0, 0]);
    let full = world.message(Code::Call, GATE.into(), &[], Timeout::ZERO, NEVER).expect("at once");
    let error = full.expect_err("limit");
    assert_eq!((error.number, error.argument), (ErrorNumber::Timeout, ErrorCode::LIMIT));
    world.enter(105, NEVER);
    assert_eq!(world.count(ENTRY, ContextState::Active), 2);
}

#[test]
fn a_dead_middle_lets_the_nearest_caller_go() {
    let mut world = World::new();
    let client = world.current();
    let all = Rights::all();
    world.server(TASK, 1, 0);
    world.server(110, 1, 0);
    world.must(TASK, &[op::task::DELEGATE, 50], &[(112, all)]);
    world.must(TASK, &[op::task::DELEGATE, 51], &[(TASK, all)]);
    world.must(110, &[op::task::DELEGATE, 51], &[(110, all)]);
    world.must(110, &[op::task::DELEGATE, 52], &[(TASK, all)]);
    world.must(110, &[op::task::DELEGATE, 53], &[(init::TASK, all)]);
    world.enter(GATE, NEVER);
    world.enter(50, NEVER);
    // The innermost ends the task in the middle.
    let inner = world.current();
    let kill = [op::task::DELETE, 52, 1];
    world.operate(51, &kill, &[]);
    world.kernel.check();
    let runs = world.current();
    assert!(runs == inner || runs == client);
    world.run_until(client);
    let error = world.result().expect_err("its callee is dead");
    assert_eq!((error.number, error.argument), (ErrorNumber::Aborted, 0));
    assert_eq!(world.count(111, ContextState::Orphaned), 1);
    world.kernel.check();
}

#[test]
fn seventeen_are_one_too_many() {
    let mut world = World::new();
    let all = Rights::all();
    world.server(TASK, 17, 0);
    world.must(TASK, &[op::task::DELEGATE, u64::from(GATE)], &[(GATE, all)]);
    for _ in 0..op::entry::DEPTH {
        world.enter(GATE, NEVER);
    }
    let over = world.message(Code::Call, GATE.into(), &[], NEVER, NEVER).expect("at once");
    assert_eq!(over.expect_err("too deep"), ErrorCode::send(ErrorNumber::LinkOverflow));
    for _ in 0..op::entry::DEPTH {
        assert!(world.ret(&[]).is_none());
        world.kernel.check();
    }
    assert_eq!(world.current(), 0);
}

#[test]
fn a_handler_that_panics_aborts_its_caller() {
    let mut world = World::new();
    let client = world.current();
    world.server(TASK, 1, 0);
    world.enter(GATE, NEVER);
    assert_ne!(world.current(), client);
    // It ends after its report.
    assert!(world.call(Code::Panic.plain(), [101, 0, 0, 0, 0, 0]).is_none());
    world.kernel.check();
    assert_eq!(world.current(), client);
    let error = world.result().expect_err("nobody answers");
    assert_eq!((error.number, error.phase), (ErrorNumber::Aborted, Phase::Receive));
    assert_eq!(world.count(ENTRY, ContextState::Quarantined), 1);
}
