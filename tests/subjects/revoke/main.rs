//! Revocation and the derivation tree (rows G1 and G2): what is derived goes
//! wherever it is, nothing outruns it, and it stays short for others.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod built_in;
mod long;
mod parts;
mod random;
mod reach;
mod tree;

use postern_tests::syscall::{ListedCapability, Rights, Slot, Task};

postern_tests::subject!(tree, reach, long, built_in, parts, random);

/// An empty line of a list.
const NOTHING: ListedCapability = ListedCapability {
    slot: Slot::NULL,
    kind: None,
    rights: Rights::empty(),
    object: 0,
    details: [0; 2],
};

/// The capability in `slot` of `task`, if there is one.
fn look(task: Task, slot: Slot) -> Option<ListedCapability> {
    let mut list = [NOTHING];
    match task.list(slot, &mut list) {
        Ok(1) if list[0].slot == slot => Some(list[0]),
        _ => None,
    }
}

/// Whether `slot` of `task` holds a capability of an object that lives.
fn is_there(task: Task, slot: Slot) -> bool {
    look(task, slot).is_some()
}
