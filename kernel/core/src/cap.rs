//! Capabilities: slots, their tables, and the derivation tree.
//!
//! A capability is a slot value: which object, with which rights. Everything
//! that is derived from it, mappings included, hangs below it in the tree. No
//! code here may add a right that the source does not have.

mod slot;
pub mod tree;

pub use slot::{Node, NodeId, Slot, SlotId, Target};
