//! Objects that live as long as one row.

use alloc::vec::Vec;

use postern_runtime::syscall::{self, Slot};
use postern_runtime::{Error, slots};

/// Slots whose objects are destroyed when this is dropped, the last first.
#[derive(Default)]
pub struct Scope(Vec<Slot>);

impl Scope {
    /// Makes an object in an empty slot.
    ///
    /// # Errors
    /// No slot is left, or `create` failed.
    pub fn create<T>(
        &mut self,
        create: impl FnOnce(Slot) -> syscall::Result<T>,
    ) -> Result<T, Error> {
        let mut used = Slot::NULL;
        let object = slots::fill("creating an object to measure", "factory", |slot| {
            used = slot;
            create(slot)
        })?;
        self.0.push(used);
        Ok(object)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        for slot in self.0.drain(..).rev() {
            // Gone with another object, or it cannot be destroyed: then only
            // the capability goes. Failing at that keeps a slot in use.
            if slots::destroy(slot).is_err() {
                let _ = slots::delete(slot);
            }
        }
    }
}
