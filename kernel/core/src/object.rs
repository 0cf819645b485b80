//! The kernel's objects, one kind a file. These are plain structures: what
//! may be done with them is decided in `crate::invoke` and `crate::ipc`.

mod entry;
mod factory;
mod gate;
mod relay;
mod small;
mod task;
pub mod thread;

pub use entry::{Context, Entry, Role};
pub use factory::Factory;
pub use gate::{Binding, Gate};
pub use relay::Relay;
pub use small::{IoPort, Irq, Mapping, Memory, Notification};
pub use task::Task;
pub use thread::Thread;

use postern_abi::rights::Kind;
use postern_arena::Ref;

use crate::cap::{SlotId, Target};

/// An object on the list of work, or on that of its factory. It is taken off
/// before it goes, so it needs no generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its kind.
    pub kind: Kind,
    /// Index in the arena of that kind, or what [`Target::value`] has.
    pub index: u32,
}

impl From<Target> for Listed {
    fn from(target: Target) -> Self {
        Self { kind: target.kind, index: target.index }
    }
}

/// What every object made by a factory begins with.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Number of capabilities; the object goes when the last one goes.
    pub capabilities: u32,
    /// The factory that made it and is charged for it.
    pub factory: Ref<Factory>,
    /// Bytes charged there; they go back when the object goes.
    pub charge: u64,
    /// It is being taken apart: nobody finds it any more.
    pub dying: bool,
    /// It is charged to its factory, but no longer in its list.
    pub detached: bool,
    /// It stands in the list of objects that have work to be done for.
    pub listed: bool,
    /// The next and the previous object in that list.
    pub of_work: (Option<Listed>, Option<Listed>),
    /// Everything derived from this slot is being taken back: until that is
    /// done nothing new is derived from any capability of the object.
    pub revoking: Option<SlotId>,
    /// Next and previous object of the same factory.
    pub of_factory: (Option<Listed>, Option<Listed>),
}

impl Header {
    /// An object that is there from boot on and that no factory made.
    pub const BUILT_IN: Self = Self::new(Ref::new(u32::MAX, 0), 0);

    /// An object with no capability yet.
    #[must_use]
    pub const fn new(factory: Ref<Factory>, charge: u64) -> Self {
        Self {
            capabilities: 0,
            factory,
            charge,
            dying: false,
            detached: false,
            listed: false,
            of_work: (None, None),
            revoking: None,
            of_factory: (None, None),
        }
    }
}
