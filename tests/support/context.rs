//! What a test has: its capabilities by name, and short ways to make objects.

use core::time::Duration;

use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::abi::op::thread::ThreadState;
use postern_runtime::syscall::{
    Capability, Factory, Gate, IoPort, Irq, Log, Memory, Notification, Rights, Scheduler, Slot,
    Task, Thread, Timeout,
};
use postern_runtime::{Env, slots, time};

use crate::protocol::PRIORITY;
use crate::{Body, Failure, Partner, Verdict, board};

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// The capabilities of a running test. All of them are its own: what they
/// name goes with the test.
pub struct Ctx {
    /// Its environment.
    pub env: Env,
    /// Its task: R, W and S.
    pub task: Task,
    /// Its first thread, which runs the test: R, W and S.
    pub thread: Thread,
    /// Its factory: R, W and S.
    pub factory: Factory,
    /// The kernel's log.
    pub log: Log,
    /// The scheduler, for all priorities.
    pub scheduler: Scheduler,
    /// The ports of the real-time clock, 0x70 and 0x71.
    pub ports: IoPort,
    /// The interrupt of the real-time clock.
    pub irq: Irq,
    /// The ports of the second serial port, 0x2f8 to 0x2ff.
    pub uart: IoPort,
    /// Its interrupt.
    pub uart_irq: Irq,
    /// The ports of power management, 0x600 to 0x60f.
    pub power: IoPort,
    /// Its interrupt.
    pub power_irq: Irq,
    /// The page of the board.
    pub board: Memory,
}

impl Ctx {
    pub(crate) fn new(env: Env) -> Result<Self, Failure> {
        let factory: Factory = env.capability("factory")?;
        let task: Task = env.capability("task")?;
        let board = factory.create_memory(slots::allocate()?, PAGE)?;
        task.map(board, board::ADDRESS, 0, PAGE, Rights::R | Rights::W)?;
        Ok(Self {
            env,
            task,
            thread: env.capability("thread")?,
            factory,
            log: env.capability("log")?,
            scheduler: env.capability("scheduler")?,
            ports: env.capability("ports")?,
            irq: env.capability("irq")?,
            uart: env.capability("uart")?,
            uart_irq: env.capability("uart-irq")?,
            power: env.capability("power")?,
            power_irq: env.capability("power-irq")?,
            board,
        })
    }

    /// An empty slot.
    ///
    /// # Errors
    /// There is none.
    pub fn slot(&self) -> Result<Slot, Failure> {
        Ok(slots::allocate()?)
    }

    /// A gate that is bound to this thread.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn gate(&self, label: u64) -> Result<Gate, Failure> {
        Ok(self.factory.create_bound_gate(self.slot()?, self.thread, label)?)
    }

    /// A gate that is bound to `thread`.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn gate_to(&self, thread: Thread, label: u64) -> Result<Gate, Failure> {
        Ok(self.factory.create_bound_gate(self.slot()?, thread, label)?)
    }

    /// A gate that is not bound.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn unbound(&self) -> Result<Gate, Failure> {
        Ok(self.factory.create_gate(self.slot()?)?)
    }

    /// A notification.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn notification(&self) -> Result<Notification, Failure> {
        Ok(self.factory.create_notification(self.slot()?)?)
    }

    /// Memory of `pages` small pages.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn memory(&self, pages: u64) -> Result<Memory, Failure> {
        Ok(self.factory.create_memory(self.slot()?, pages * PAGE)?)
    }

    /// A factory with `quota` bytes, charged to the test's.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn sub_factory(&self, quota: u64) -> Result<Factory, Failure> {
        Ok(self.factory.create_factory(self.slot()?, quota)?)
    }

    /// An empty task.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn empty_task(&self) -> Result<Task, Failure> {
        Ok(self.factory.create_task(self.slot()?, 128)?)
    }

    /// A thread that was never started and belongs to no task.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn new_thread(&self) -> Result<Thread, Failure> {
        Ok(self.factory.create_thread(self.slot()?, PRIORITY)?)
    }

    /// A capability derived from `from` with at most `rights`.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn derive<C: Capability>(&self, from: C, rights: Rights) -> Result<C, Failure> {
        Ok(self.task.copy(from, self.slot()?, rights)?)
    }

    /// Bytes charged to the test's factory.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn charged(&self) -> Result<u64, Failure> {
        Ok(self.factory.info()?.charged)
    }

    /// A thread of this task, not started yet.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn helper(&self, priority: u8) -> Result<Partner, Failure> {
        Partner::helper(self, priority)
    }

    /// A thread of this task that runs `body` at this thread's priority.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn spawn(&self, body: Body, argument: u64) -> Result<Partner, Failure> {
        self.spawn_at(PRIORITY, body, argument)
    }

    /// A thread of this task that runs `body` at another priority.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn spawn_at(&self, priority: u8, body: Body, argument: u64) -> Result<Partner, Failure> {
        let mut partner = self.helper(PRIORITY)?;
        if priority != PRIORITY {
            self.scheduler.set_priority(partner.thread(), priority)?;
        }
        partner.start(body, argument)?;
        Ok(partner)
    }

    /// A thread in a task of its own, not started yet.
    ///
    /// # Errors
    /// The kernel refused.
    #[track_caller]
    pub fn peer(&self) -> Result<Partner, Failure> {
        Partner::peer(self)
    }

    /// Waits until `thread` is in this state.
    ///
    /// # Errors
    /// It did not get there.
    #[track_caller]
    pub fn await_state(&self, thread: Thread, state: ThreadState) -> Verdict {
        let mut last = None;
        let reached = self.wait_until(|| {
            last = thread.info().ok().and_then(|info| info.state);
            last == Some(state)
        });
        crate::check!(reached, "the thread is {last:?}, and never became {state:?}");
        Ok(())
    }

    /// Sleeps in between until `reached` says so; whether it did.
    pub fn wait_until(&self, mut reached: impl FnMut() -> bool) -> bool {
        let end = time::now() + PATIENCE;
        let mut pause = Duration::from_micros(20);
        while !reached() {
            if time::now() > end {
                return false;
            }
            time::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        true
    }
}

/// How long a test waits for something that must happen, as a timeout.
#[must_use]
pub fn patience() -> Timeout {
    time::timeout(PATIENCE)
}
