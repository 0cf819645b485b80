//! Typed handles of kernel objects, one kind a file, one method per operation
//! of [`abi::op`].
//!
//! Each method is one call with protocol `KOBJECT`; nothing is cached. Results
//! that do not fit in registers are read from the UTCB before the method
//! returns.

mod entry;
mod factory;
mod gate;
mod io_port;
mod irq;
mod log;
mod memory;
mod notification;
mod relay;
mod scheduler;
mod senders;
mod task;
mod thread;
pub mod vcpu;

pub use entry::{AddedContext, ContextInfo, Entry, EntryInfo};
pub use factory::{Factory, FactoryInfo};
pub use gate::{Gate, GateInfo};
pub use io_port::{IoPort, IoPortInfo, PortWidth};
pub use irq::{Irq, IrqInfo, Trigger};
pub use log::Log;
pub use memory::{Memory, MemoryInfo};
pub use notification::Notification;
pub use relay::{Relay, RelayInfo};
pub use scheduler::{Scheduler, SchedulerInfo};
pub use senders::ModifySenders;
pub use task::{ListedCapability, Task, TaskInfo};
pub use thread::{Registers, Thread, ThreadInfo};

use abi::Tag;
use abi::tag::protocol::KOBJECT;
use postern_abi as abi;

use crate::{Delivery, Item, Result, Slot, Timeouts, ipc, utcb};

/// Performs an operation: `words` is the operation and its arguments, `items`
/// its capability arguments. What every method of the handles does; public for
/// operations that have no method, and for tests that send nonsense.
///
/// # Errors
/// Those of the operation. The argument in the error counts words; 0 is the
/// capability itself, [`abi::ErrorCode::ITEM`] + i is item i.
///
/// # Panics
/// If there are more than 63 words or 8 items.
#[inline]
pub fn operate(slot: Slot, words: &[u64], items: &[Item]) -> Result<Delivery> {
    utcb::set_words(words);
    utcb::set_items(items);
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    let tag = Tag::new(KOBJECT, words.len()).with_items(items.len());
    ipc::call(slot, tag, [word(0), word(1), word(2), word(3)], Timeouts::NEVER)
}
