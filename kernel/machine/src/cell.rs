//! The one cell with the kernel's state.
//!
//! The core keeps no statics, so its state has to be found by whoever enters
//! the kernel: here. With one CPU, run to completion and interrupts off, one
//! entry at a time uses it; the day there are more CPUs, the lock goes here.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use postern_core::Kernel;

use crate::x86::X86;

struct Cell(UnsafeCell<MaybeUninit<Kernel<X86>>>);

// SAFETY: `kernel` is the only access, and its contract says that there is one
// user at a time.
unsafe impl Sync for Cell {}

static KERNEL: Cell = Cell(UnsafeCell::new(MaybeUninit::uninit()));

/// Fills the cell.
///
/// # Safety
/// Called once, before anything can call [`kernel`].
pub unsafe fn install(kernel: Kernel<X86>) {
    // SAFETY: nobody else uses the cell yet (contract).
    unsafe { (*KERNEL.0.get()).write(kernel) };
}

/// The kernel's state.
///
/// # Safety
/// The cell is filled, and the reference is used by one entry at a time, with
/// interrupts off: it ends before interrupts are let in, user code is resumed,
/// or this is called again. Exceptions of the kernel itself must not call this.
#[inline(always)]
pub unsafe fn kernel() -> &'static mut Kernel<X86> {
    // SAFETY: initialised, and exclusive while it is used (contract).
    unsafe { (*KERNEL.0.get()).assume_init_mut() }
}
