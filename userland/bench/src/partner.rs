//! A partner in a task of its own: the program `bench-peer` in one of its
//! roles.

use postern_runtime::program::{Child, Program};
use postern_runtime::syscall::abi::image::init::PRIORITY;
use postern_runtime::syscall::{Gate, Rights, Slot, Thread};

use crate::failure::Failure;
use crate::rows::Bench;
use crate::scope::Scope;

/// The label of the partner's gate.
pub const LABEL: u64 = 0x40;

/// Slots of the partner's table.
const SLOTS: u32 = 256;

/// A partner; destroyed when dropped.
pub struct Partner {
    child: Option<Child>,
}

/// What a partner is to do.
#[derive(Clone, Copy)]
pub struct Role<'a> {
    /// Its name, as `bench-peer` knows it.
    pub name: &'static str,
    /// The gate that it is given.
    pub gate: Option<Gate>,
    /// Its priority: that of the caller, so that what is measured is the
    /// hand-over and not the scheduler, or one more.
    pub is_urgent: bool,
    /// Called before it starts.
    pub before: &'a dyn Fn(Thread) -> postern_runtime::syscall::Result<()>,
}

impl Role<'_> {
    /// A role without a gate, of the caller's priority.
    pub const fn new(name: &'static str) -> Self {
        Self { name, gate: None, is_urgent: false, before: &|_| Ok(()) }
    }
}

impl Partner {
    /// Starts a partner. An urgent one has run until it waits.
    pub fn start(bench: &Bench<'_>, role: Role<'_>) -> Result<Self, Failure> {
        const NAME: &str = "bench-peer";
        let file = bench.boot.archive.find(NAME).ok_or(Failure::NoProgram(NAME))?;
        let mut program = Program::new(NAME, file).priority(PRIORITY).heap(0).slots(SLOTS);
        program = program.argument(role.name);
        if let Some(gate) = role.gate {
            program = program.give("gate", gate, Rights::W | Rights::S | Rights::R);
        }
        let partner = Self { child: Some(program.load()?) };
        if let Some(child) = &partner.child {
            (role.before)(child.thread())?;
            if role.is_urgent {
                bench.boot.scheduler.set_priority(child.thread(), PRIORITY + 1)?;
            }
            child.run()?;
        }
        Ok(partner)
    }

    /// A gate to it, with [`LABEL`].
    pub fn gate(&self, bench: &Bench<'_>, scope: &mut Scope) -> Result<Gate, Failure> {
        let child = self.child.as_ref().ok_or(Failure::NoEvent)?;
        let create = |slot| bench.boot.factory.create_bound_gate(slot, child.thread(), LABEL);
        Ok(scope.create(create)?)
    }

    /// Empties the slot that its receive window names, the last of its table.
    pub fn empty_window(&self) -> Result<(), Failure> {
        let child = self.child.as_ref().ok_or(Failure::NoEvent)?;
        Ok(child.task().delete(Slot::new(SLOTS - 1))?)
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.destroy();
        }
    }
}
