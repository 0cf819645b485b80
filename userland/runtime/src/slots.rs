//! Empty slots of the program's capability table.
//!
//! A bitmap and no heap: it works before the heap does, and where allocation
//! failed. It knows only what was allocated here; capabilities that the starter
//! put elsewhere are outside of its range.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use postern_syscall::Slot;

use crate::error::{Error, Explain, Result};
use crate::own;

/// Most slots that are managed.
const SLOTS: usize = 8192;

static USED: [AtomicU64; SLOTS / 64] = [const { AtomicU64::new(0) }; SLOTS / 64];
static FIRST: AtomicU32 = AtomicU32::new(0);
static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) fn set_free(range: Range<u32>) {
    FIRST.store(range.start, Ordering::Relaxed);
    COUNT.store((range.len() as u32).min(SLOTS as u32), Ordering::Relaxed);
}

/// Takes an empty slot.
///
/// # Errors
/// There is none left.
pub fn allocate() -> Result<Slot> {
    let count = COUNT.load(Ordering::Relaxed);
    for (index, word) in USED.iter().enumerate() {
        loop {
            let bit = word.load(Ordering::Relaxed).trailing_ones();
            let number = index as u32 * 64 + bit;
            if number >= count {
                return Err(Error::NoSlots);
            }
            if bit == 64 {
                break;
            }
            if word.fetch_or(1 << bit, Ordering::Relaxed) & 1 << bit == 0 {
                return Ok(Slot::new(FIRST.load(Ordering::Relaxed) + number));
            }
        }
    }
    Err(Error::NoSlots)
}

/// Gives back a slot that is empty again. Slots that were not allocated here
/// are ignored.
pub fn release(slot: Slot) {
    let Some(number) = slot.number().checked_sub(FIRST.load(Ordering::Relaxed)) else { return };
    if let Some(word) = USED.get(number as usize / 64) {
        word.fetch_and(!(1 << (number % 64)), Ordering::Relaxed);
    }
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

/// Deletes the capability in `slot` and gives the slot back.
///
/// # Errors
/// The program does not have its own task, or the kernel refused.
pub fn delete(slot: Slot) -> Result<()> {
    own::task()?.delete(slot).explain("deleting a capability", "task")?;
    release(slot);
    Ok(())
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
