//! Who runs next, who waits for what, and until when: the queues. What moves
//! threads between them is in `crate::run` and `crate::ipc`.

mod queue;
mod timeouts;

pub use queue::{QueueLinks, ReadyQueue, Threads, WaitQueue};
pub use timeouts::{TimeoutEntry, Timeouts};
