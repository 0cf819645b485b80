//! Signals against a model: each bit that is set arrives exactly once, with one
//! thread, and nobody waits for bits that are set.

use postern_abi::code::{Code, Delivery, IpcFlags};
use postern_abi::image::init;
use postern_abi::op::{irq, notification, scheduler, thread};
use postern_abi::rights::Kind;
use postern_abi::timeout::Timeout;
use postern_abi::{Rights, utcb};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::world::World;
use crate::machine::{CARRY, Next};
use crate::object::thread::State;

const NOTIFICATION: u32 = 100;
/// Slots of the threads: `init`, and three more.
const THREADS: [u32; 4] = [init::THREAD, 101, 102, 103];
/// What the interrupt sets.
const INTERRUPT: u64 = 1 << 63;

#[derive(Debug, Clone, Copy)]
enum Step {
    Signal,
    Interrupt,
    Poll,
    Wait { timeout: u8 },
    Receive { timeout: u8 },
    Bind { thread: usize },
    Unbind,
    Cancel { thread: usize },
    Stop { thread: usize },
    Resume { thread: usize },
    Priority { thread: usize, priority: u64 },
    Time,
    Yield,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let thread = 0..THREADS.len();
    prop_oneof![
        6 => Just(Signal),
        3 => Just(Interrupt),
        2 => Just(Poll),
        8 => (0u8..3).prop_map(|timeout| Wait { timeout }),
        6 => (0u8..3).prop_map(|timeout| Receive { timeout }),
        3 => thread.clone().prop_map(|thread| Bind { thread }),
        1 => Just(Unbind),
        2 => thread.clone().prop_map(|thread| Cancel { thread }),
        1 => (1..THREADS.len()).prop_map(|thread| Stop { thread }),
        1 => thread.clone().prop_map(|thread| Resume { thread }),
        1 => (thread, 190u64..210).prop_map(|(thread, priority)| Priority { thread, priority }),
        2 => Just(Time),
        6 => Just(Yield),
    ]
}

struct Model {
    world: World,
    /// Set and not delivered yet.
    outstanding: u64,
    /// Bits of signals, each used once.
    next: u32,
    /// Arena indices of [`THREADS`], and whether they wait.
    threads: [(u32, bool); 4],
}

impl Model {
    fn new() -> Self {
        let mut world = World::new();
        world.create(Kind::Notification, NOTIFICATION, &[], &[]);
        let all = Rights::all();
        world.must(init::IRQS, &[irq::BIND, INTERRUPT], &[(NOTIFICATION, all)]);
        let threads = THREADS.map(|slot| match slot {
            init::THREAD => (world.current(), false),
            slot => (world.spawn(slot, 200), false),
        });
        Self { world, outstanding: 0, next: 0, threads }
    }

    /// Takes note of what a waiting thread got.
    fn collect(&mut self) {
        for (index, waits) in &mut self.threads {
            let thread = self.world.kernel.threads.nth(*index).expect("lives");
            if !*waits || thread.state == State::Receiving {
                continue;
            }
            *waits = false;
            let registers = &thread.user.registers;
            if registers.rflags & CARRY == 0 && registers.rax == Delivery::Notification as u64 {
                let bits = registers.rdx;
                assert!(bits != 0 && bits & !self.outstanding == 0, "{bits:#x} came twice");
                self.outstanding &= !bits;
            }
        }
        let reference = self.world.kernel.notifications.refs().next().expect("lives");
        let bits = self.world.kernel.notifications.get(reference).expect("lives").bits;
        assert_eq!(bits, self.outstanding, "a signal was lost");
    }

    fn wait(&mut self, closed: bool, timeout: u8) {
        let current = self.world.current();
        let thread = self.threads.iter_mut().find(|thread| thread.0 == current);
        thread.expect("one of them").1 = true;
        self.world.poke(utcb::RECEIVE_SOURCE, NOTIFICATION.into());
        let flags = if closed { IpcFlags::CLOSED } else { IpcFlags::empty() };
        let timeout = match timeout {
            0 => Timeout::ZERO,
            1 => Timeout::from_ns(2000),
            _ => Timeout::NEVER,
        };
        self.world.call(Code::Receive.encode(flags, Timeout::NEVER, timeout), [0; 6]);
    }

    fn interrupt(&mut self) {
        if self.world.kernel.machine.masked & 1 == 0 {
            self.outstanding |= INTERRUPT;
            self.world.kernel.interrupt(0);
        }
    }

    fn apply(&mut self, step: Step) {
        let all = Rights::all();
        let world = &mut self.world;
        match step {
            Step::Signal => {
                let bit = 1 << (self.next % 60);
                self.next += 1;
                self.outstanding |= bit;
                world.operate(NOTIFICATION, &[notification::SIGNAL, bit], &[]);
            }
            Step::Interrupt => self.interrupt(),
            Step::Poll => {
                let bits = world.must(NOTIFICATION, &[notification::POLL], &[])[0];
                assert_eq!(bits, self.outstanding);
                self.outstanding = 0;
            }
            Step::Wait { timeout } => self.wait(true, timeout),
            Step::Receive { timeout } => self.wait(false, timeout),
            Step::Bind { thread } => {
                world.operate(NOTIFICATION, &[notification::BIND], &[(THREADS[thread], all)]);
            }
            Step::Unbind => {
                world.operate(NOTIFICATION, &[notification::BIND], &[]);
            }
            Step::Cancel { thread } => {
                world.operate(THREADS[thread], &[thread::CANCEL], &[]);
            }
            Step::Stop { thread } => {
                world.operate(THREADS[thread], &[thread::STOP], &[]);
            }
            Step::Resume { thread } => {
                world.operate(THREADS[thread], &[thread::RESUME], &[]);
            }
            Step::Priority { thread, priority } => {
                let words = [scheduler::SET_PRIORITY, priority];
                world.operate(init::SCHEDULER, &words, &[(THREADS[thread], all)]);
            }
            Step::Time => {
                world.kernel.machine.now += 1500;
                world.kernel.machine.armed = None;
                world.kernel.timer();
            }
            Step::Yield => {
                world.call(Code::Yield.plain(), [0; 6]);
            }
        }
    }
}

/// Carries out the operations; how many deliveries there were a chance for.
fn play(steps: &[Step]) {
    let mut model = Model::new();
    for step in steps {
        if model.world.kernel.settle() != Next::User {
            // All wait: an interrupt wakes who waits for signals, and what
            // waits for nothing that can come ends the story.
            model.interrupt();
            model.collect();
            if model.world.kernel.settle() != Next::User {
                return;
            }
        }
        model.apply(*step);
        model.collect();
        model.world.kernel.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn g07_every_signal_arrives_once(steps in prop::collection::vec(step(), 1..150)) {
        let steps: Vec<Step> = steps;
        play(&steps);
    }
}
