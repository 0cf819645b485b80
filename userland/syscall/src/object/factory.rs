//! Factory: the right to create objects on a quota.

use abi::op::factory::{CREATE, EMPTY, INFO};
use abi::rights::Kind;
use postern_abi as abi;

use crate::slot::handle;
use crate::{
    Entry, Gate, IoPort, Item, Memory, Notification, Relay, Result, Scheduler, Slot, Task, Thread,
    operate,
};

handle! {
    /// Creates objects, and charges what they use to its quota.
    ///
    /// All `create_*` methods need S and put the new capability, with all
    /// rights, into `slot`, an empty slot of the calling task. Their errors:
    /// `Perm` without S, `NoMem` if the quota (argument 0) or the machine's
    /// memory is used up, `Exists` (argument 2) if the slot is in use, `Inval`
    /// if the table has no such slot.
    Factory
}

/// What a factory has used, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactoryInfo {
    /// The most that can be charged.
    pub quota: u64,
    /// What is charged now.
    pub charged: u64,
    /// Free memory of the machine.
    pub machine_free: u64,
    /// Memory of the machine.
    pub machine_total: u64,
}

impl Factory {
    /// Creates an object of any kind; `arguments` are words 3 and up.
    ///
    /// # Errors
    /// See [`Factory`]; `NoDevice` for a kind that cannot be created.
    pub fn create(self, kind: u64, slot: Slot, arguments: &[u64], items: &[Item]) -> Result<()> {
        let mut words = [0; 8];
        words[..3].copy_from_slice(&[CREATE, kind, slot.word()]);
        let count = arguments.len().min(5);
        words[3..3 + count].copy_from_slice(&arguments[..count]);
        operate(self.0, &words[..3 + count], items).map(drop)
    }

    /// Creates a smaller factory with `quota` bytes, charged to this one.
    ///
    /// # Errors
    /// See [`Factory`].
    pub fn create_factory(self, slot: Slot, quota: u64) -> Result<Self> {
        self.create(Kind::Factory as u64, slot, &[quota], &[])?;
        Ok(Self(slot))
    }

    /// Creates a task: an empty address space and a table of `slots`
    /// capabilities, rounded up to a multiple of 128.
    ///
    /// # Errors
    /// See [`Factory`].
    pub fn create_task(self, slot: Slot, slots: u64) -> Result<Task> {
        self.create(Kind::Task as u64, slot, &[slots], &[])?;
        Ok(Task(slot))
    }

    /// Creates a task that is the memory of a guest: what is mapped into it are
    /// the guest's physical addresses, and threads that are bound to it are its
    /// virtual CPUs ([`crate::vcpu::Vcpu`]).
    ///
    /// # Errors
    /// See [`Factory`]; `Unsupported` where the CPU runs no guests.
    pub fn create_guest_memory(self, slot: Slot) -> Result<Task> {
        self.create(Kind::Task as u64, slot, &[1, 1], &[])?;
        Ok(Task(slot))
    }

    /// Creates a thread, stopped and without a task.
    ///
    /// # Errors
    /// See [`Factory`]; `Perm` (argument 3) if `priority` is above the
    /// creator's own.
    pub fn create_thread(self, slot: Slot, priority: u8) -> Result<Thread> {
        self.create(Kind::Thread as u64, slot, &[priority.into()], &[])?;
        Ok(Thread(slot))
    }

    /// Creates a gate that is not bound: senders wait.
    ///
    /// # Errors
    /// See [`Factory`].
    pub fn create_gate(self, slot: Slot) -> Result<Gate> {
        self.create(Kind::Gate as u64, slot, &[], &[])?;
        Ok(Gate(slot))
    }

    /// Creates a gate that is bound to `thread` (S needed there) with `label`,
    /// whose two low bits must be 0.
    ///
    /// # Errors
    /// See [`Factory`]; as [`Gate::bind`] about the thread and the label.
    pub fn create_bound_gate(self, slot: Slot, thread: Thread, label: u64) -> Result<Gate> {
        self.create(Kind::Gate as u64, slot, &[label], &[Item::all(thread.0)])?;
        Ok(Gate(slot))
    }

    /// Creates a gate that is bound to `entry` (S needed there) with `label` and
    /// `limit`, as [`Gate::bind_entry`].
    ///
    /// # Errors
    /// See [`Factory`]; as [`Gate::bind_entry`].
    pub fn create_entry_gate(
        self,
        slot: Slot,
        entry: Entry,
        label: u64,
        limit: u64,
    ) -> Result<Gate> {
        self.create(Kind::Gate as u64, slot, &[label, limit], &[Item::all(entry.0)])?;
        Ok(Gate(slot))
    }

    /// Creates an entry of `task` (W needed there), without contexts. `handler`
    /// is the address of its first instruction, `floor` the lowest priority
    /// that it runs at (at most the creator's own), `grace` how many nanoseconds
    /// a context may go on without its caller.
    ///
    /// # Errors
    /// See [`Factory`]; `Inval` (3) if `handler` is no user address, `Perm` (4)
    /// for the floor, and about the task (item 0).
    pub fn create_entry(
        self,
        slot: Slot,
        task: Task,
        handler: u64,
        floor: u8,
        grace: u64,
    ) -> Result<Entry> {
        let arguments = [handler, floor.into(), grace];
        self.create(Kind::Entry as u64, slot, &arguments, &[Item::all(task.0)])?;
        Ok(Entry(slot))
    }

    /// Creates zeroed, physically contiguous memory of `bytes`, a multiple of
    /// 4096.
    ///
    /// # Errors
    /// See [`Factory`]; `Inval` (argument 3) for zero or an odd size.
    pub fn create_memory(self, slot: Slot, bytes: u64) -> Result<Memory> {
        self.create(Kind::Memory as u64, slot, &[bytes], &[])?;
        Ok(Memory(slot))
    }

    /// Creates a zeroed relay segment of `bytes`, a multiple of 4096, whose
    /// frames are contiguous unless it is `scattered`.
    ///
    /// # Errors
    /// See [`Factory`]; `Inval` (argument 3) for zero, an odd size, or more than
    /// the window shows.
    pub fn create_relay(self, slot: Slot, bytes: u64, scattered: bool) -> Result<Relay> {
        let flags = if scattered { abi::op::relay::SCATTERED } else { 0 };
        self.create(Kind::Relay as u64, slot, &[bytes, flags], &[])?;
        Ok(Relay::new(slot))
    }

    /// Creates a notification with no bit set.
    ///
    /// # Errors
    /// See [`Factory`].
    pub fn create_notification(self, slot: Slot) -> Result<Notification> {
        self.create(Kind::Notification as u64, slot, &[], &[])?;
        Ok(Notification(slot))
    }

    /// Creates the right to the `count` ports from `first` on, out of `from`
    /// (W needed there), which must cover them.
    ///
    /// # Errors
    /// See [`Factory`]; `Inval` if the range is empty or not covered.
    pub fn create_io_port(
        self,
        slot: Slot,
        from: IoPort,
        first: u16,
        count: u32,
    ) -> Result<IoPort> {
        let arguments = [first.into(), count.into()];
        self.create(Kind::IoPort as u64, slot, &arguments, &[Item::all(from.0)])?;
        Ok(IoPort(slot))
    }

    /// Destroys everything that was made through this factory and its
    /// sub-factories; the factory is empty afterwards. Does not return if the
    /// caller itself was made through it. Needs D.
    ///
    /// # Errors
    /// `Perm` without D.
    pub fn empty(self) -> Result<()> {
        operate(self.0, &[EMPTY], &[]).map(drop)
    }

    /// Derives a scheduler with the maximum `maximum` from `from` (W needed
    /// there), whose maximum must not be lower.
    ///
    /// # Errors
    /// See [`Factory`]; `Perm` (argument 3) above the maximum of `from`.
    pub fn create_scheduler(self, slot: Slot, from: Scheduler, maximum: u8) -> Result<Scheduler> {
        let item = [Item::all(from.0)];
        self.create(Kind::Scheduler as u64, slot, &[maximum.into()], &item)?;
        Ok(Scheduler(slot))
    }

    /// Quota and use. Needs R.
    ///
    /// # Errors
    /// `Perm` without R.
    pub fn info(self) -> Result<FactoryInfo> {
        let [quota, charged, machine_free, machine_total] = operate(self.0, &[INFO], &[])?.words;
        Ok(FactoryInfo { quota, charged, machine_free, machine_total })
    }
}
