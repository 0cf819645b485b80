//! Describes the capabilities of a running program: what the kernel lists,
//! with the names that only init knows.

use postern_runtime::protocol::Name;
use postern_runtime::protocol::supervisor::{CapabilityInfo, Error};
use postern_runtime::syscall::abi::rights::Kind;
use postern_runtime::syscall::{ListedCapability, Rights, Slot};

use crate::table::Table;

/// Names of the capabilities that every program has, in the order of their
/// slots, which begin at 1. Those of the manifest follow.
const OWN: [(&str, Kind); 3] =
    [("task", Kind::Task), ("thread", Kind::Thread), ("factory", Kind::Factory)];

/// The capability of program `id` in the lowest used slot from `from` on.
/// `own_thread` is init's.
pub fn capability(
    table: &mut Table,
    id: u64,
    from: u32,
    own_thread: u64,
) -> Result<CapabilityInfo, Error> {
    let entry = table.get(id).ok_or(Error::NoSuchProgram)?;
    let running = entry.running.as_ref().ok_or(Error::NotRunning)?;
    let mut listed = [ListedCapability {
        slot: Slot::NULL,
        kind: None,
        rights: Rights::empty(),
        object: 0,
        details: [0; 2],
    }];
    let count =
        running.child.task().list(Slot::new(from), &mut listed).map_err(|_| Error::NotRunning)?;
    let [found] = listed;
    if count == 0 {
        return Err(Error::NoMore);
    }
    let given = running.given.iter().map(|given| (given.name, given.kind));
    let index = (found.slot.number() as usize).wrapping_sub(1);
    let name = OWN.into_iter().chain(given).nth(index);
    // The program may have put something else into the slot since.
    let name = name.filter(|(_, kind)| Some(*kind) == found.kind).map_or("", |(name, _)| name);
    let partner = match found.kind {
        Some(Kind::Gate) => answering(table, found.details[1], own_thread),
        _ => Name::new(""),
    };
    Ok(CapabilityInfo {
        slot: found.slot.number(),
        kind: found.kind,
        rights: found.rights,
        name: Name::new(name),
        partner,
        details: found.details,
    })
}

/// The program whose first thread has this number; empty if there is none.
fn answering(table: &Table, thread: u64, own_thread: u64) -> Name {
    if thread == own_thread {
        return Name::new(postern_manifest::INIT);
    }
    table.by_thread(thread).unwrap_or(Name::new(""))
}
