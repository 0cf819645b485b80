//! Empty slots of the program's capability table, with errors in words; the
//! bookkeeping is [`postern_syscall::slots`].

use postern_syscall::Slot;
pub use postern_syscall::slots::release;

use crate::error::{Error, Explain, Result};
use crate::own;

/// Takes an empty slot.
///
/// # Errors
/// There is none left.
pub fn allocate() -> Result<Slot> {
    postern_syscall::slots::allocate().ok_or(Error::NoSlots)
}

/// Takes an empty slot for as long as `create` needs to fill it; the slot is
/// given back if it fails.
///
/// # Errors
/// No slot is left, or `create` failed: then with what was tried.
pub fn fill<T>(
    doing: &'static str,
    with: &'static str,
    create: impl FnOnce(Slot) -> postern_syscall::Result<T>,
) -> Result<T> {
    let slot = allocate()?;
    create(slot).explain(doing, with).inspect_err(|_| release(slot))
}

/// Deletes the capability in `slot`, if there is one, and gives the slot back.
///
/// # Errors
/// The program does not have its own task, or the kernel refused.
pub fn delete(slot: Slot) -> Result<()> {
    postern_syscall::slots::delete(slot).explain("deleting a capability", "task")
}

/// Destroys the object behind `slot`, for everybody, and gives the slot back.
///
/// # Errors
/// The program does not have its own task, or the kernel refused.
pub fn destroy(slot: Slot) -> Result<()> {
    own::task()?.destroy(slot).explain("destroying an object", "task")?;
    release(slot);
    Ok(())
}
