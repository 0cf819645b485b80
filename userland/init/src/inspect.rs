//! Describes the capabilities of a running program: what the kernel lists,
//! with what only init knows: the names that it gave, and who answers a gate.

use alloc::vec::Vec;

use postern_runtime::protocol::Name;
use postern_runtime::protocol::supervisor::{CapabilityInfo, Error, UNKNOWN};
use postern_runtime::syscall::abi::rights::Kind;
use postern_runtime::syscall::{ListedCapability, Rights, Slot, Task};

use crate::supervisor::Init;

/// Names of the capabilities that every program has, in the order of their
/// slots, which begin at 1. Those of the manifest follow.
const OWN: [(&str, Kind); 3] =
    [("task", Kind::Task), ("thread", Kind::Thread), ("factory", Kind::Factory)];

/// Most capabilities that are remembered of a program that has ended.
const REMEMBERED: usize = 32;

/// An empty line of a list.
const NOTHING: ListedCapability = ListedCapability {
    slot: Slot::NULL,
    kind: None,
    rights: Rights::empty(),
    object: 0,
    details: [0; 2],
};

/// The capability of program `id` in the lowest used slot from `from` on.
pub fn capability(init: &mut Init, id: u64, from: u32) -> Result<CapabilityInfo, Error> {
    let entry = init.table.get(id).ok_or(Error::NoSuchProgram)?;
    let Some(running) = entry.running.as_ref() else {
        let found = entry.held.iter().find(|held| held.slot >= from);
        return found.copied().ok_or(Error::NoMore);
    };
    let found = next(running.child.task(), from).ok_or(Error::NoMore)?;
    let given = running.given.iter().map(|given| (given.name, given.kind));
    let index = (found.slot.number() as usize).wrapping_sub(1);
    let name = OWN.into_iter().chain(given).nth(index);
    // The program may have put something else into the slot since.
    let name = name.filter(|(_, kind)| Some(*kind) == found.kind).map_or("", |(name, _)| name);
    let (mut details, mut partner) = (found.details, Name::new(""));
    if found.kind == Some(Kind::Gate) {
        details = gate(init, found.object);
        partner = answering(init, details[1]);
    }
    Ok(CapabilityInfo {
        slot: found.slot.number(),
        kind: found.kind,
        rights: found.rights,
        name: Name::new(name),
        partner,
        details,
    })
}

/// The capabilities of program `id`, to be remembered when it ends: as many as
/// are worth it.
pub fn all(init: &mut Init, id: u64) -> Vec<CapabilityInfo> {
    let mut held: Vec<CapabilityInfo> = Vec::new();
    let mut from = 0;
    while held.len() < REMEMBERED
        && let Ok(info) = capability(init, id, from)
    {
        held.push(info);
        let Some(next) = info.slot.checked_add(1) else { break };
        from = next;
    }
    held
}

/// The first capability of a task from a slot on.
fn next(task: Task, from: u32) -> Option<ListedCapability> {
    let mut listed = [NOTHING];
    let count = task.list(Slot::new(from), &mut listed).ok()?;
    (count != 0).then_some(listed[0])
}

/// Label and bound thread of a gate. The kernel tells them only to who could
/// change them, so the capability is looked for that can: init's own, or that
/// of the program which made the gate.
fn gate(init: &Init, object: u64) -> [u64; 2] {
    let children = init.table.running().map(|running| running.child.task());
    for task in core::iter::once(init.boot.task).chain(children) {
        let mut from = 0;
        let mut listed = [NOTHING; Task::LIST_MAX];
        while let Ok(count @ 1..) = task.list(Slot::new(from), &mut listed) {
            let found = listed[..count].iter().find(|one| {
                one.kind == Some(Kind::Gate)
                    && one.object == object
                    && one.rights.contains(Rights::SERVER)
            });
            if let Some(found) = found {
                return found.details;
            }
            from = listed[count - 1].slot.number().saturating_add(1);
        }
    }
    [0, UNKNOWN]
}

/// The program whose first thread has this number; empty if there is none.
fn answering(init: &Init, thread: u64) -> Name {
    if init.boot.thread.info().is_ok_and(|info| info.id == thread) {
        return Name::new(postern_manifest::INIT);
    }
    init.table.by_thread(thread).unwrap_or(Name::new(""))
}
