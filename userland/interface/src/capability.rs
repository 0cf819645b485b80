//! Capabilities in messages.
//!
//! A capability travels as a value does in Rust: it is *moved*. Whoever wants
//! to keep one sends a copy, and says with which rights; nobody hands out more
//! than that by accident.

use core::fmt;
use core::ops::Deref;

use postern_syscall::{Capability, ErrorCode, ErrorNumber, Rights, slots};

use crate::transport;
use crate::wire::{Full, Malformed, Reader, Wire, Writer};

/// A capability that belongs to its holder: dropped, it is deleted and its slot
/// is free again; sent, it goes to the receiver.
///
/// The plain handles (`Gate`, the clients of interfaces) are names of slots and
/// own nothing.
#[derive(PartialEq, Eq)]
pub struct Owned<C: Capability>(C);

/// What a gate's holder needs to call it and to hand it on.
pub const USE: Rights = Rights::R.union(Rights::GRANT);

impl<C: Capability> Owned<C> {
    /// Takes over a capability in a slot that was allocated
    /// ([`postern_syscall::slots`]) and that nobody else deletes.
    #[must_use]
    pub const fn new(capability: C) -> Self {
        Self(capability)
    }

    /// A copy of `capability` with at most `rights`. To be sent to another task
    /// it needs [`Rights::GRANT`]; [`USE`] is right for gates.
    ///
    /// # Errors
    /// `NoSlots` of the table as `NoWindow`; what the kernel says to `derive`.
    pub fn copy(capability: impl Capability, rights: Rights) -> Result<Self, ErrorCode> {
        let full = ErrorCode::new(ErrorNumber::NoWindow, 0);
        let slot = slots::allocate().ok_or(full)?;
        match transport::derive(capability.slot(), slot, rights) {
            Ok(()) => Ok(Self(C::from_slot(slot))),
            Err(error) => {
                slots::release(slot);
                Err(error)
            }
        }
    }

    /// The same capability as a handle of another type: a gate as the client of
    /// an interface, or back.
    #[must_use]
    pub fn cast<D: Capability>(self) -> Owned<D> {
        Owned(D::from_slot(self.keep().slot()))
    }

    /// The handle; the capability stays for as long as the program does, or
    /// until somebody deletes it.
    #[must_use]
    pub fn keep(self) -> C {
        let capability = self.0;
        core::mem::forget(self);
        capability
    }
}

impl<C: Capability> Deref for Owned<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C: Capability> Drop for Owned<C> {
    fn drop(&mut self) {
        transport::delete(self.0.slot());
    }
}

impl<C: Capability> fmt::Debug for Owned<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", C::KIND.name(), self.0.slot())
    }
}

impl<'w, C: Capability> Wire<'w> for Owned<C> {
    const WORDS: usize = 0;
    const ITEMS: usize = 1;

    fn put(self, to: &mut Writer<'_>) -> Result<(), Full> {
        to.item(self.0.slot())?;
        // The message gives the slot back.
        let _ = self.keep();
        Ok(())
    }

    fn take(from: &mut Reader<'w>) -> Result<Self, Malformed> {
        let item = from.item()?;
        let owned = Self(C::from_slot(item.slot));
        // Of another kind: dropped, and so deleted.
        if item.kind == Some(C::KIND) { Ok(owned) } else { Err(Malformed) }
    }
}
