//! A server: one wait for everything, or none at all.
//!
//! The same server runs in two ways. *Bound to a thread*: the program's thread
//! waits for messages and handles them ([`postern_interface::Server`]). *Behind
//! an entry*: its clients' threads cross into the program and handle their
//! requests themselves, in one of a number of contexts, one at a time.
//!
//! Which it is, the manifest says (`crossing = 4`), or one line before the
//! program makes its first gate: [`cross`]. [`gate`] and [`serve`] follow.
//!
//! What is different behind an entry: an answer cannot be kept for later
//! ([`postern_interface::Answer::keep`] says so), a handler runs on its client's
//! time, and a client that stops waiting leaves a handler that goes on for the
//! entry's grace time only.

mod hall;

pub use postern_interface::{Answer, Caller, Kept, Reply, Request, Server};
use postern_syscall::{Capability, ErrorCode, Gate, Notification};

use crate::error::Explain;
use crate::program::GRACE;
use crate::{Result, crossing, own, slots};

/// Makes a gate to this program's server: to its entry if it has one, else to
/// the calling thread. Its messages arrive with `label`, whose two low bits
/// must be 0.
///
/// # Errors
/// The program lacks its factory or thread, or its quota is used up.
pub fn gate(label: u64) -> Result<Gate> {
    let factory = own::factory()?;
    let doing = "creating a gate";
    if let Some((entry, _)) = own::entry() {
        return slots::fill(doing, "factory", |slot| {
            factory.create_entry_gate(slot, entry, label, 0)
        });
    }
    let thread = own::thread()?;
    slots::fill(doing, "factory", |slot| factory.create_bound_gate(slot, thread, label))
}

/// A notification that is bound to the calling thread: its bits come to
/// [`Server::signals`], in the same wait as messages. Interrupts can be bound to
/// it, and others can be given a copy with the right W, to signal.
///
/// # Errors
/// The program lacks its factory or thread, or its quota is used up; the thread
/// has one already.
pub fn notification() -> Result<Notification> {
    let factory = own::factory()?;
    let thread = own::thread()?;
    let notification = slots::fill("creating a notification", "factory", |slot| {
        factory.create_notification(slot)
    })?;
    match notification.bind(thread).explain("binding the notification", "thread") {
        Ok(()) => Ok(notification),
        Err(error) => {
            // The first error is the one worth telling.
            let _ = slots::destroy(notification.slot());
            Err(error)
        }
    }
}

/// From now on this program serves behind a new entry with so many contexts (0:
/// bound to threads), whatever its starter said. Gates and servers that it has
/// already stay as they are.
///
/// # Errors
/// The program lacks its factory, task or thread, or its quota is used up.
pub fn cross(contexts: u32) -> Result<()> {
    if contexts == 0 {
        own::set_entry(None, 0);
        return Ok(());
    }
    let (factory, task) = (own::factory()?, own::task()?);
    let floor = own::thread()?.info().explain("asking for the priority", "thread")?.priority;
    let entry = slots::fill("creating an entry", "factory", |slot| {
        factory.create_entry(slot, task, crossing::entry_point(), floor, GRACE)
    })?;
    own::set_entry(Some(entry), contexts);
    Ok(())
}

/// Tells the clients of this program's entry how many bytes it adds to a
/// message itself, and how many the servers that it calls add at most
/// ([`postern_syscall::EntryInfo`], [`postern_syscall::relay::Extent`]).
///
/// # Errors
/// The program serves behind no entry, or the kernel refused.
pub fn announce_sizes(own: u64, callees: u64) -> Result<()> {
    let name = postern_syscall::abi::env::name::ENTRY;
    let (entry, _) = own::entry().ok_or(crate::Error::MissingCapability { name })?;
    let mut info = entry.info().explain("looking at the entry", name)?;
    (info.size_self, info.size_all) = (own, own.saturating_add(callees));
    entry.set(&info, None).explain("setting the entry's sizes", name)
}

/// Serves until that becomes impossible, which for a healthy program is never.
///
/// Behind an entry this returns only if the contexts cannot be made. When a
/// handler ended in the middle of the server's work (it faulted, panicked, or
/// ran out of its grace time), nobody knows what state it left: the program
/// ends, as it does when its thread faults, and its starter starts it again.
pub fn serve<S: Server + Send + ?Sized>(server: &mut S) -> ErrorCode {
    match own::entry() {
        Some((entry, contexts)) => hall::serve(server, entry, contexts),
        None => postern_interface::serve(server),
    }
}
