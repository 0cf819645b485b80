//! The floating-point and SIMD registers of this CPU: x87 and SSE. Everything
//! wider stays off (docs/decisions/0025).
//!
//! They are *open* while user code may use them (`CR0.TS` is clear), and *closed*
//! otherwise. Closed ones hold what they hold after a reset, so that nothing is
//! left in them for anybody, by speculation neither. The kernel itself uses
//! none. Whose registers are loaded when is the core's to decide.

use core::arch::asm;

use postern_core::mem::Frames;
use x86_64::registers::control::{Cr0, Cr0Flags};

use crate::frame::Frame;

/// Bytes of an image of all of them, as FXSAVE writes it.
const BYTES: usize = 512;

/// An image of the registers.
#[repr(C, align(16))]
struct Image([u64; BYTES / 8]);

/// The registers after a reset: x87 control word (byte 0) and MXCSR (byte 24).
static RESET: Image = {
    let mut image = [0; BYTES / 8];
    image[0] = 0x37f;
    image[3] = 0x1f80;
    Image(image)
};

/// A frame that the registers are kept in.
#[derive(Debug)]
pub struct Place(Frame);

impl Place {
    /// A frame (contents arbitrary) of which this is the only use. It holds the
    /// registers after a reset.
    #[must_use]
    pub fn new(frame: Frame) -> Self {
        frame.zero();
        for (index, word) in RESET.0.iter().enumerate() {
            frame.set_word(index, *word);
        }
        Self(frame)
    }

    /// Saves the registers, which are open.
    pub fn save(&mut self) {
        // SAFETY: 512 bytes of a frame, aligned, with no other use (`new`).
        unsafe {
            asm!("fxsave64 [{}]", in(reg) self.0.address(), options(nostack, preserves_flags));
        }
    }

    /// Opens the registers and loads them.
    pub fn load(&self) {
        open();
        // SAFETY: a complete image: `new` or `save` wrote it.
        unsafe { restore(self.0.address()) };
    }
}

/// Where the registers of an activation are kept. Owns its frame.
#[derive(Debug)]
pub struct Fpu {
    frames: Frames,
    /// The frame.
    pub place: Place,
}

impl Fpu {
    /// In a frame with arbitrary contents.
    #[must_use]
    pub fn new(frames: Frames) -> Self {
        let place = Place::new(Frame::of(&frames, 0));
        Self { frames, place }
    }

    /// Gives the frame back.
    pub fn into_frames(self) -> Frames {
        self.frames
    }
}

/// Opens the registers for somebody who finds them as after a reset. They are so
/// already, if the CPU keeps to its manual; QEMU 7.2 lets instructions from MMX
/// to SSE registers pass that should be exceptions.
pub fn open_first() {
    open();
    reset();
}

/// Sets the registers, which are open, to what they are after a reset, and closes
/// them.
pub fn close() {
    reset();
    // SAFETY: using them is an exception from here on, and the kernel does not.
    unsafe { Cr0::update(|cr0| cr0.insert(Cr0Flags::TASK_SWITCHED)) };
}

/// Lets user code use the registers.
fn open() {
    // SAFETY: the kernel uses none of them.
    unsafe { asm!("clts", options(nomem, nostack, preserves_flags)) };
}

/// Sets the registers, which are open, to what they are after a reset.
fn reset() {
    // SAFETY: a complete image.
    unsafe { restore((&raw const RESET).addr() as u64) };
}

/// Loads an image.
///
/// # Safety
/// `at` is the address of a complete image that FXSAVE has written, or of
/// [`RESET`]. The registers are open.
unsafe fn restore(at: u64) {
    // FNINIT, as some CPUs keep the address of the last x87 instruction when
    // they load an image in which none has failed.
    // SAFETY: as the caller promises; no bit is set that the CPU refuses.
    unsafe {
        asm!("fninit", "fxrstor64 [{}]", in(reg) at, options(nostack, preserves_flags));
    }
}

/// The status word of the x87 registers, which are open: what has failed.
#[must_use]
pub fn x87_status() -> u64 {
    let status: u16;
    // SAFETY: only reads, and waits for nothing.
    unsafe { asm!("fnstsw ax", out("ax") status, options(nomem, nostack, preserves_flags)) };
    status.into()
}

/// MXCSR, the status of the SIMD registers, which are open: what has failed.
#[must_use]
pub fn simd_status() -> u64 {
    let mut status: u32 = 0;
    // SAFETY: writes four bytes, which are ours.
    unsafe {
        asm!("stmxcsr [{}]", in(reg) &raw mut status, options(nostack, preserves_flags));
    }
    status.into()
}
