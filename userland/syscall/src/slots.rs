//! Empty slots of the program's own capability table.
//!
//! A bitmap and no heap: it works before the heap does, and where allocation
//! failed. It knows only what was allocated here; capabilities that the starter
//! put elsewhere are outside of its range. Makes no system call but [`delete`].

use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::{Capability, ErrorNumber, Result, Slot, Task};

/// Most slots that are managed.
const SLOTS: usize = 8192;

static USED: [AtomicU64; SLOTS / 64] = [const { AtomicU64::new(0) }; SLOTS / 64];
static FIRST: AtomicU32 = AtomicU32::new(0);
static COUNT: AtomicU32 = AtomicU32::new(0);
static TASK: AtomicU32 = AtomicU32::new(0);

/// Says which slots are empty, and which capability is the program's own task
/// (the null slot if it has none). Once, before anything is allocated.
pub fn set_own(task: Task, empty: Range<u32>) {
    TASK.store(task.slot().number(), Ordering::Relaxed);
    FIRST.store(empty.start, Ordering::Relaxed);
    COUNT.store((empty.len() as u32).min(SLOTS as u32), Ordering::Relaxed);
}

/// The program's own task, as [`set_own`] was told. Without one the slot is
/// empty, and the kernel says so at every use.
#[must_use]
pub fn task() -> Task {
    Task::new(Slot::new(TASK.load(Ordering::Relaxed)))
}

/// Takes an empty slot; `None` if none is left.
#[must_use]
pub fn allocate() -> Option<Slot> {
    let count = COUNT.load(Ordering::Relaxed);
    for (index, word) in USED.iter().enumerate() {
        loop {
            let bit = word.load(Ordering::Relaxed).trailing_ones();
            let number = index as u32 * 64 + bit;
            if number >= count {
                return None;
            }
            if bit == 64 {
                break;
            }
            if word.fetch_or(1 << bit, Ordering::Relaxed) & 1 << bit == 0 {
                return Some(Slot::new(FIRST.load(Ordering::Relaxed) + number));
            }
        }
    }
    None
}

/// Gives back a slot that is empty again. Slots that were not allocated here
/// are ignored.
pub fn release(slot: Slot) {
    let Some(number) = slot.number().checked_sub(FIRST.load(Ordering::Relaxed)) else { return };
    if let Some(word) = USED.get(number as usize / 64) {
        word.fetch_and(!(1 << (number % 64)), Ordering::Relaxed);
    }
}

/// Deletes the capability in `slot`, if there is one, and gives the slot back.
///
/// # Errors
/// The program does not have its own task, or the kernel refused; the slot
/// stays taken.
pub fn delete(slot: Slot) -> Result<()> {
    match task().delete(slot) {
        // Argument 1 is the slot: it is empty. Argument 0 would be the task.
        Err(error) if error.number != ErrorNumber::NotExistent || error.argument != 1 => Err(error),
        _ => {
            release(slot);
            Ok(())
        }
    }
}
