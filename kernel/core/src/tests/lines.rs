//! Interrupt lines against a model of a device and an interrupt controller:
//! nothing that a device wanted is lost, nothing is told twice, and a device
//! that wants something all the time interrupts once for each time it is let.

use postern_abi::image::init;
use postern_abi::op::{irq, notification};
use postern_abi::rights::Kind;
use postern_abi::{ErrorNumber, Rights};
use proptest::prelude::*;
use std::vec::Vec;

use super::world::World;

/// The notification that is bound.
const NOTIFICATION: u32 = 100;
/// The capability of line 0.
const LINE: u32 = init::IRQS;
const BITS: u64 = 6;

#[derive(Debug, Clone, Copy)]
enum Step {
    Raise,
    Lower,
    Acknowledge,
    Mask,
    Unmask,
    Bind,
    Unbind,
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop_oneof![
        4 => Just(Raise), 4 => Just(Lower), 4 => Just(Acknowledge), 2 => Just(Mask),
        3 => Just(Unmask), 2 => Just(Bind), 1 => Just(Unbind), 4 => Just(Poll),
    ]
}

/// What must be so, in the words of docs/abi.md 7.8.
#[derive(Default)]
struct Model {
    level: bool,
    asserted: bool,
    bound: bool,
    masked: bool,
    pending: bool,
    missed: bool,
    signalled: bool,
    count: u64,
}

impl Model {
    /// The line interrupts whoever is bound, if it may.
    fn signal(&mut self) {
        self.pending = true;
        self.signalled = true;
    }

    /// A device that still wants something interrupts as soon as it is let.
    fn settle(&mut self) {
        if self.level && self.asserted && self.bound && !self.masked && !self.pending {
            self.count += 1;
            self.signal();
        }
    }
}

/// The interrupt controller: reports what it has to, as the x86 one does.
fn deliver(world: &mut World, model: &Model, edge: bool) {
    let is_masked = |world: &World| world.kernel.machine.masked & 1 != 0;
    if !model.level {
        // An edge at a masked pin is forgotten.
        if edge && !is_masked(world) {
            world.kernel.interrupt(0);
        }
        return;
    }
    let mut rounds = 0;
    while model.asserted && !is_masked(world) {
        world.kernel.machine.masked |= 1;
        world.kernel.interrupt(0);
        rounds += 1;
        assert!(rounds < 3, "a storm");
    }
}

fn play(level: bool, steps: &[Step]) {
    let mut world = World::new();
    world.create(Kind::Notification, NOTIFICATION, &[], &[]);
    world.kernel.machine.masked = 1;
    world.must(LINE, &[irq::CONFIGURE, level.into(), 0], &[]);
    let mut model = Model { level, ..Model::default() };
    for step in steps {
        let mut edge = false;
        match step {
            Step::Raise => {
                edge = !core::mem::replace(&mut model.asserted, true);
                if !level && edge && model.bound {
                    if !model.masked {
                        model.count += 1;
                        model.signal();
                    } else if !model.missed {
                        model.count += 1;
                        model.missed = true;
                    }
                }
            }
            Step::Lower => model.asserted = false,
            Step::Acknowledge => {
                world.must(LINE, &[irq::ACK], &[]);
                model.pending = false;
            }
            Step::Mask => {
                world.must(LINE, &[irq::MASK, 1], &[]);
                model.masked = true;
            }
            Step::Unmask => {
                world.must(LINE, &[irq::MASK, 0], &[]);
                model.masked = false;
                if core::mem::take(&mut model.missed) {
                    model.signal();
                }
            }
            Step::Bind => {
                world.must(LINE, &[irq::BIND, BITS], &[(NOTIFICATION, Rights::all())]);
                (model.bound, model.masked) = (true, false);
                (model.pending, model.missed) = (false, false);
                let refused = world.operate(LINE, &[irq::CONFIGURE, 0, 0], &[]);
                let refused = refused.expect("at once").expect_err("bound");
                assert_eq!(refused.number, ErrorNumber::Busy);
            }
            Step::Unbind => {
                world.must(LINE, &[irq::BIND], &[]);
                (model.bound, model.masked) = (false, false);
                (model.pending, model.missed) = (false, false);
            }
            Step::Poll => {
                let bits = world.must(NOTIFICATION, &[notification::POLL], &[])[0];
                let expected = if core::mem::take(&mut model.signalled) { BITS } else { 0 };
                assert_eq!(bits, expected, "signals after {step:?}");
            }
        }
        deliver(&mut world, &model, edge);
        model.settle();
        let [flags, count, line, _] = world.must(LINE, &[irq::INFO], &[]);
        let expected = u64::from(level) * irq::LEVEL
            + u64::from(model.bound) * irq::BOUND
            + u64::from(model.masked) * irq::MASKED
            + u64::from(model.pending) * irq::PENDING;
        assert_eq!((flags, count, line), (expected, model.count, 0), "after {step:?}");
        world.kernel.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn g07_no_interrupt_is_lost_or_told_twice(
        level: bool,
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let steps: Vec<Step> = steps;
        play(level, &steps);
    }
}
