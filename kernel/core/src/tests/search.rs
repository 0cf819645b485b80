//! A receive through one gate looks through the senders in steps, and others run
//! in between: they come, leave, and change places in the queue that is being
//! searched.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::vec::Vec;

use postern_abi::code::{Code, IpcFlags};
use postern_abi::image::init;
use postern_abi::rights::Kind;
use postern_abi::tag::{Tag, protocol};
use postern_abi::timeout::Timeout;
use postern_abi::{Rights, op, utcb};
use postern_arena::Ref;

use super::world::World;
use crate::machine::{Form, Next};
use crate::object::Thread;
use crate::object::thread::State;
use crate::sim::Sim;
use crate::work::Work;

/// Slot of the receiver; of the gates to it; of the first sender.
const RECEIVER: u32 = 100;
const GATES: [u32; 2] = [101, 102];
const SENDERS: u32 = 110;
/// Number of senders, the receiver's one more.
const COUNT: u32 = 12;

/// What a sender does, or the receiver, when it runs.
#[derive(Debug, Clone)]
struct Act {
    /// Through which gate; the receiver receives from that one.
    gate: usize,
    /// Microseconds that it sleeps before, or waits at most.
    pause: u64,
    /// It waits for the pause only; else for ever.
    hurried: bool,
    /// The item that it sends, which it does not have.
    bad: bool,
    /// Microseconds that pass before it acts.
    passes: u64,
    /// It only gives this sender that priority.
    raise: Option<(u32, u64)>,
}

fn act() -> impl Strategy<Value = Act> {
    let raise = prop::option::weighted(0.2, (0..COUNT, 20u64..30));
    (0usize..2, 1u64..20, any::<bool>(), prop::bool::weighted(0.2), 0u64..3, raise).prop_map(
        |(gate, pause, hurried, bad, passes, raise)| Act {
            gate,
            pause,
            hurried,
            bad,
            passes,
            raise,
        },
    )
}

struct Play {
    world: World,
    receiver: u32,
    /// Steps after the first of a search, and those before which the queue has
    /// changed.
    searches: [u32; 2],
    /// The queue after the last step of a search.
    seen: Vec<u32>,
}

impl Play {
    fn new() -> Self {
        let mut world = World::new();
        let receiver = world.spawn(RECEIVER, 10);
        for (gate, label) in GATES.into_iter().zip([0x40, 0x80]) {
            world.create(Kind::Gate, gate, &[label], &[(RECEIVER, Rights::all())]);
        }
        for sender in 0..COUNT {
            world.spawn(SENDERS + sender, 20 + u64::from(sender % 3));
        }
        // `init` would run always.
        world.call(Code::Sleep.plain(), [u64::MAX, 0, 0, 0, 0, 0]);
        Self { world, receiver, searches: [0; 2], seen: Vec::new() }
    }

    fn thread(&self, index: u32) -> Ref<Thread<Sim>> {
        self.world.kernel.threads.at(index).expect("it lives")
    }

    /// Those who wait for the receiver, in their order.
    fn queue(&mut self) -> Vec<u32> {
        let kernel = &mut self.world.kernel;
        let senders = kernel.threads.nth(self.receiver).expect("it lives").senders;
        let threads = &mut kernel.threads;
        core::iter::successors(senders.first(), |at| senders.after(threads, *at)).collect()
    }

    /// Who would be served by a receive through the gate of the receiver's
    /// search, if one is under way.
    fn first(&mut self) -> Option<u32> {
        let kernel = &self.world.kernel;
        let thread = kernel.threads.nth(self.receiver).expect("it lives");
        let crate::object::thread::Source::Gate(gate) = thread.source else { return None };
        self.queue().into_iter().find(|sender| {
            let sender = self.world.kernel.threads.nth(*sender).expect("it lives");
            // Those with a bad item are refused, one after the other.
            sender.message.is_some_and(|it| it.gate == gate && it.tag.items() == 0)
        })
    }

    fn is_searching(&self) -> bool {
        let thread = self.world.kernel.threads.nth(self.receiver).expect("it lives");
        matches!(thread.work, Some(Work::Receive { .. }))
    }

    fn pass(&mut self, microseconds: u64) {
        self.world.kernel.machine.now += microseconds * 1000;
        self.world.kernel.timer();
    }

    /// A system call of the current thread, and no step of what comes after.
    fn call(&mut self, rax: u64, args: [u64; 6]) {
        self.world.kernel.user_state().form = Form::Outputs;
        self.world.kernel.system_call(rax, args);
    }

    /// The current thread acts.
    fn act(&mut self, act: &Act) {
        let never = Timeout::NEVER;
        let within = Timeout::from_ns(act.pause * 1000);
        if let Some((sender, priority)) = act.raise {
            self.world.poke(utcb::ITEMS, u64::from(SENDERS + sender));
            self.world.poke(utcb::ITEMS + 1, 0xff);
            let tag = Tag::new(protocol::KOBJECT, 2).with_items(1).bits();
            let words = [op::scheduler::SET_PRIORITY, priority];
            let slot = u64::from(init::SCHEDULER);
            return self.call(Code::Call.plain(), [slot, tag, words[0], words[1], 0, 0]);
        }
        if self.world.current() == self.receiver {
            self.world.poke(utcb::RECEIVE_SOURCE, u64::from(GATES[act.gate]));
            let timeout = if act.hurried { Timeout::ZERO } else { within };
            let rax = Code::Receive.encode(IpcFlags::CLOSED, never, timeout);
            self.call(rax, [0; 6]);
            self.seen = self.queue();
            return;
        }
        let until = self.world.kernel.machine.now + act.pause * 1000;
        if act.passes == 0 {
            return self.call(Code::Sleep.plain(), [until, 0, 0, 0, 0, 0]);
        }
        self.world.poke(utcb::ITEMS, 90);
        self.world.poke(utcb::ITEMS + 1, 0xff);
        let send = if act.hurried { within } else { never };
        let rax = Code::Send.encode(IpcFlags::empty(), send, never);
        let tag = Tag::new(1, 1).with_items(usize::from(act.bad));
        let who = u64::from(self.world.current());
        self.call(rax, [u64::from(GATES[act.gate]), tag.bits(), who, 0, 0, 0]);
    }

    /// Plays until the acts are used up.
    fn play(&mut self, acts: &[Act]) {
        let mut acts = acts.iter();
        loop {
            match self.world.kernel.decide() {
                Next::User => {
                    let Some(next) = acts.next() else { return };
                    self.act(next);
                    self.pass(next.passes);
                }
                Next::Work if self.is_searching() && self.world.current() == self.receiver => {
                    let first = self.first();
                    self.searches[0] += 1;
                    self.searches[1] += u32::from(self.queue() != self.seen);
                    self.world.kernel.work();
                    self.seen = self.queue();
                    self.served(first);
                    // Somebody may be woken between two steps.
                    self.pass(1);
                }
                Next::Work => self.world.kernel.work(),
                Next::Idle => match self.world.kernel.machine.armed {
                    Some(deadline) => {
                        self.world.kernel.machine.now = deadline;
                        self.world.kernel.timer();
                    }
                    None => return,
                },
            }
            self.world.kernel.check();
        }
    }

    /// A step of the search is over: if somebody was served, it was he who
    /// stood first among those that came through the gate.
    fn served(&mut self, first: Option<u32>) {
        let receiver = self.world.kernel.threads.get(self.thread(self.receiver)).expect("lives");
        let r = &receiver.user.registers;
        if self.is_searching() || receiver.state != State::Ready || r.rflags != 0 {
            return;
        }
        assert_eq!(Some(r.rdx as u32), first, "whom the receive has served");
    }
}

#[test]
fn a_search_in_steps_serves_who_stands_first() {
    let config = Config { cases: 500, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let reached = core::cell::Cell::new([0u32; 2]);
    let result = runner.run(&prop::collection::vec(act(), 60..120), |acts| {
        let mut play = Play::new();
        play.play(&acts);
        let [searches, disturbed] = reached.get();
        reached.set([searches + play.searches[0], disturbed + play.searches[1]]);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let [searches, disturbed] = reached.get();
    assert!(searches > 1000 && disturbed > 500, "{searches} steps, {disturbed} disturbed");
}
