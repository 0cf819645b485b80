//! Capabilities and their tables (rows G1 and L12).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod delegate;
mod delete;
mod derive;
mod list;
mod moving;
mod revoke;

use postern_tests::syscall::{ListedCapability, Rights, Slot, Task};
use postern_tests::{Ctx, Failure, fail};

postern_tests::subject!(derive, delegate, delete, list, moving, revoke);

/// An empty line of a list.
const NOTHING: ListedCapability = ListedCapability {
    slot: Slot::NULL,
    kind: None,
    rights: Rights::empty(),
    object: 0,
    details: [0; 2],
};

/// The capability in `slot` of `task`.
fn look(task: Task, slot: Slot) -> Result<ListedCapability, Failure> {
    let mut list = [NOTHING];
    match task.list(slot, &mut list)? {
        1 if list[0].slot == slot => Ok(list[0]),
        _ => fail!("{slot} is empty"),
    }
}

/// The rights of the capability in `slot` of the test's task.
fn rights(ctx: &Ctx, slot: Slot) -> Result<Rights, Failure> {
    Ok(look(ctx.task, slot)?.rights)
}
