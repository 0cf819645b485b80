//! Relay segments: memory that is shown in one window at a time.

use postern_arena::Ref;

use super::{Header, Task, Thread};
use crate::machine::Machine;
use crate::mem::Frames;
use crate::relay::{Owner, View};

/// A segment. Frames, and the tables of the view of all of it, are charged to
/// its factory.
pub struct Relay<M: Machine> {
    /// Capabilities and charge.
    pub header: Header,
    /// Number of pages.
    pub pages: u64,
    /// Its frames; `None` if they are scattered: then the view's tables own
    /// them.
    pub frames: Option<Frames>,
    /// All of it.
    pub view: Ref<View<M>>,
    /// Bytes charged for the tables, and for scattered frames.
    pub tables: u64,
    /// Pages that are zeroed.
    pub zeroed: u64,
    /// Pages that the view shows; fewer than all while it is being made.
    pub shown: u64,
    /// Whose it is. One that is deleted while it is lent stays until the loan
    /// ends.
    pub owner: Owner<Ref<Thread<M>>, Ref<Task<M>>>,
}
