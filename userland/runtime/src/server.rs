//! A server: one thread, one wait for everything; see
//! [`postern_interface::Server`].

pub use postern_interface::{Answer, Caller, Kept, Reply, Request, Server, serve};
use postern_syscall::Gate;

use crate::{Result, own, slots};

/// Makes a gate to the calling thread. Its messages arrive with `label`, whose
/// two low bits must be 0.
///
/// # Errors
/// The program lacks its factory or thread, or its quota is used up.
pub fn gate(label: u64) -> Result<Gate> {
    let (factory, thread) = (own::factory()?, own::thread()?);
    slots::fill("creating a gate", "factory", |slot| factory.create_bound_gate(slot, thread, label))
}
