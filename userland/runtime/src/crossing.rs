//! Handlers of entries: functions that other programs' threads run.
//!
//! A context begins at a stub that finds the function, and a word for it, in the
//! topmost words of the context's stack, calls it with the message, and returns
//! with its answer. The stack lies above an unmapped page, so that running out of it ends the
//! crossing and corrupts nothing.
//!
//! Servers of interfaces do not write handlers: [`crate::server::serve`] puts the
//! server loop's work behind them.
//!
//! A handler runs on its caller's time. It must not end the thread, and must
//! not wait for messages; both are refused or end the crossing.

use core::arch::naked_asm;

use postern_syscall::abi::Code;
use postern_syscall::{Delivery, DeliveryKind, Tag};

use crate::error::Result;
use crate::memory::Mapping;

/// What a handler answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Arrives as the label.
    pub label: u64,
    /// Protocol, number of words and items.
    pub tag: Tag,
    /// Words 0 to 3.
    pub words: [u64; 4],
}

/// A handler.
pub type Handler = fn(Delivery) -> Answer;

/// A handler that is told a word of its context.
pub(crate) type HandlerWith = fn(Delivery, u64) -> Answer;

/// Calls a handler that wants no word: that is it.
fn plain(delivery: Delivery, handler: u64) -> Answer {
    // SAFETY: only `prepare` makes a context with this function, and `handler`
    // is one of this very program then (contract of `prepare`).
    let handler: Handler = unsafe { core::mem::transmute(handler as *const ()) };
    handler(delivery)
}

/// Bytes above the stack pointer with which a context begins: the handler and
/// its word.
pub const RESERVED: u64 = 16;

/// The address that an entry is to be given as its handler.
#[must_use]
pub fn entry_point() -> u64 {
    arrive as *const () as u64
}

/// Makes `stack`, of which the last byte is mapped at `end - 1` in the task of
/// the entry, one on which contexts run `handler`; the stack pointer with which
/// they begin. In another task the handler must be at the same address.
///
/// # Panics
/// If the mapping is smaller than [`RESERVED`].
pub fn prepare(stack: &mut Mapping, end: u64, handler: Handler) -> u64 {
    prepare_with(stack, end, plain, handler as *const () as u64)
}

fn prepare_with(stack: &mut Mapping, end: u64, handler: HandlerWith, word: u64) -> u64 {
    let address = handler as *const () as u64;
    stack.write(stack.bytes() - RESERVED, &address.to_le_bytes());
    stack.write(stack.bytes() - RESERVED + 8, &word.to_le_bytes());
    end - RESERVED
}

/// The stack of a context in this program.
#[derive(Debug)]
pub struct Stack {
    mapping: Mapping,
    top: u64,
}

impl Stack {
    /// A stack of `bytes`, rounded up to a page, for contexts that run
    /// `handler`.
    ///
    /// # Errors
    /// As [`Mapping::create`].
    pub fn new(bytes: u64, handler: Handler) -> Result<Self> {
        Self::with(bytes, plain, handler as *const () as u64)
    }

    /// As [`Stack::new`], for a handler that is told `word`.
    pub(crate) fn with(bytes: u64, handler: HandlerWith, word: u64) -> Result<Self> {
        let mut mapping = Mapping::create(bytes)?;
        let end = mapping.address() + mapping.bytes();
        let top = prepare_with(&mut mapping, end, handler, word);
        Ok(Self { mapping, top })
    }

    /// The stack pointer with which a context begins.
    #[must_use]
    pub const fn top(&self) -> u64 {
        self.top
    }

    /// Keeps it mapped for ever.
    pub fn leak(self) {
        self.mapping.leak();
    }

    /// The memory; no context may run on it when it is unmapped.
    #[must_use]
    pub const fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

/// The registers of an arrival and of an answer, as the stub pushes them.
#[repr(C)]
struct Frame {
    kind: u64,
    label: u64,
    tag: u64,
    words: [u64; 4],
}

/// First instruction of a context.
#[unsafe(naked)]
unsafe extern "C" fn arrive() -> ! {
    naked_asm!(
        "push r9",
        "push r8",
        "push r10",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rax",
        "mov rdi, rsp",
        "mov rsi, [rsp + 56]",
        "mov rdx, [rsp + 64]",
        "sub rsp, 8",
        "xor ebp, ebp",
        "call {handle}",
        "add rsp, 16",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop r10",
        "pop r8",
        "pop r9",
        "mov eax, {ret}",
        "syscall",
        // The answer was refused: come back without one.
        "xor esi, esi",
        "mov eax, {ret}",
        "syscall",
        "ud2",
        handle = sym handle,
        ret = const Code::Return.plain(),
    )
}

extern "C" fn handle(frame: &mut Frame, handler: *const (), word: u64) {
    // SAFETY: only `arrive` calls this, with the words that `prepare_with`
    // wrote; the first is a `HandlerWith` of this very program.
    let handler: HandlerWith = unsafe { core::mem::transmute(handler) };
    let delivery = Delivery {
        kind: DeliveryKind::decode(frame.kind).unwrap_or(DeliveryKind::None),
        label: frame.label,
        tag: Tag::from_bits(frame.tag),
        words: frame.words,
    };
    let answer = handler(delivery, word);
    frame.label = answer.label;
    frame.tag = answer.tag.bits();
    frame.words = answer.words;
}
