//! Layout of the UTCB (docs/abi.md section 6): one page per thread that kernel
//! and user share. All offsets count 8-byte words.
//!
//! Words 0-3 of a message travel in registers, so the first four words of the
//! page are free for the thread: the kernel writes [`SELF`] once, at bind, and
//! never touches [`TLS`], [`USER`] and word 3.

/// The address of this UTCB in its task, written by the kernel at bind. The
/// initial FS base points here, so `mov rax, fs:[0]` finds the UTCB.
pub const SELF: usize = 0;
/// For the runtime: its thread-local storage.
pub const TLS: usize = 1;
/// For the runtime.
pub const USER: usize = 2;

/// Message word `n`, 4 <= n < 63, is UTCB word `n`.
pub const FIRST_WORD: usize = 4;
/// Number of message words (one past the last one).
pub const WORDS: usize = 63;

/// Capability items to send: item `i` is the two words at `ITEMS + 2 * i`,
/// first the slot, then the rights mask (bits 0-7) and [`ITEM_MOVE`].
pub const ITEMS: usize = 64;
/// In the second word of an item: the sender's capability is deleted when the
/// item is delivered.
pub const ITEM_MOVE: u64 = 1 << 8;
/// Receive windows: word `WINDOWS + i` is the empty slot that item `i` of a
/// received message goes to; 0: there is no window for it. Windows stay
/// declared until the thread changes them.
pub const WINDOWS: usize = 80;
/// What arrived: word `RECEIVED + i` is slot | rights << 32 | kind << 40 of
/// item `i`, written by the kernel with each delivered item.
pub const RECEIVED: usize = 88;

/// Slot of the saved right to answer, for `IpcFlags::SAVED`.
pub const REPLY_HANDLE: usize = 96;
/// Slot of the only source to receive from, for `IpcFlags::CLOSED`.
pub const RECEIVE_SOURCE: usize = 97;
/// Absolute send deadline in nanoseconds since boot.
pub const SEND_DEADLINE: usize = 98;
/// Absolute receive deadline in nanoseconds since boot.
pub const RECEIVE_DEADLINE: usize = 99;

/// The time stamp counter at boot, written by the kernel at bind; see
/// [`crate::clock::Clock`].
pub const CLOCK_START: usize = 100;
/// Nanoseconds of one tick of it, as a fixed-point number, written at bind.
pub const CLOCK_FACTOR: usize = 101;

/// Why the last system call was refused, if the thread asked for it
/// ([`crate::Code::Diagnose`]): the record of the words below. The kernel
/// writes it with each refusal; a thread that wants to know whether one is new
/// sets the first word to 0 before.
pub const DIAGNOSIS: usize = 104;
/// Word `DIAGNOSIS`: the error, as in `rax`.
pub const DIAGNOSIS_ERROR: usize = 104;
/// Word `DIAGNOSIS + 1`: the system call, as it was in `rax`.
pub const DIAGNOSIS_CALL: usize = 105;
/// Word `DIAGNOSIS + 2`: the slot at fault (that of the capability called, or
/// of the item) | kind of what is in it << 32 | its rights << 40 | rights that
/// are missing << 48.
pub const DIAGNOSIS_SLOT: usize = 106;
/// Word `DIAGNOSIS + 3`: id of the object (index | generation << 32).
pub const DIAGNOSIS_OBJECT: usize = 107;
/// Word `DIAGNOSIS + 4`: word 0 of the message: the operation, if it was one.
pub const DIAGNOSIS_OPERATION: usize = 108;

/// Word `DIAGNOSIS + 5`: after a Call or Send that waited and timed out, the
/// number of threads that waited for each other in a cycle, the caller first;
/// 0: there was no cycle of at most [`CYCLE_MAX`] threads.
pub const DIAGNOSIS_CYCLE: usize = 109;
/// Words `DIAGNOSIS + 6` on: their ids (index | generation << 32), each waiting
/// for the next one, the last one for the first.
pub const DIAGNOSIS_CYCLE_THREADS: usize = 110;
/// Threads of the longest cycle that is named.
pub const CYCLE_MAX: usize = 16;

/// First word that neither this ABI nor the kernel ever uses: from here to the
/// end of the page the UTCB belongs to the runtime.
pub const RUNTIME: usize = 128;
/// Number of words of the page.
pub const SIZE: usize = 512;
