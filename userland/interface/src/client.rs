//! The client's side of a call: what the generated methods share.
//!
//! Everything is inlined into the method, where sizes are constants: a call
//! with at most three words of arguments and results is its register moves.

use postern_syscall::{Capability, Delivery, Gate, Slot, Timeouts, slots};

use crate::error::{CallError, ServerError, Status};
use crate::transport;
use crate::wire::{Full, Malformed, Owning, Reader, Received, Writer};

/// A message to be sent. Its capabilities go with it, or are deleted with it.
pub(crate) struct Outgoing<const WORDS: usize, const ITEMS: usize> {
    pub(crate) words: [u64; WORDS],
    pub(crate) count: usize,
    items: [Slot; ITEMS],
    item_count: usize,
}

impl<const WORDS: usize, const ITEMS: usize> Outgoing<WORDS, ITEMS> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { words: [0; WORDS], count: 0, items: [Slot::NULL; ITEMS], item_count: 0 }
    }

    #[inline(always)]
    pub(crate) fn writer(&mut self) -> Writer<'_> {
        Writer::new(&mut self.words, &mut self.count, &mut self.items, &mut self.item_count)
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..self.count]
    }

    #[inline(always)]
    pub(crate) fn items(&self) -> &[Slot] {
        &self.items[..self.item_count]
    }

    /// Empties the message. Capabilities that were not sent are deleted, and
    /// the slots of those that were are free.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.count = 0;
        for slot in &self.items[..core::mem::take(&mut self.item_count)] {
            transport::delete(*slot);
        }
    }
}

impl<const WORDS: usize, const ITEMS: usize> Drop for Outgoing<WORDS, ITEMS> {
    #[inline(always)]
    fn drop(&mut self) {
        self.clear();
    }
}

/// Empty slots for capabilities that arrive.
pub(crate) struct Windows<const N: usize>([Slot; N]);

impl<const N: usize> Windows<N> {
    #[inline(always)]
    fn allocate() -> Option<Self> {
        let mut windows = Self([Slot::NULL; N]);
        for slot in &mut windows.0 {
            *slot = slots::allocate()?;
        }
        Some(windows)
    }

    /// The first `count` slots were filled and belong to somebody else.
    #[inline(always)]
    fn filled(&mut self, count: usize) {
        self.0.iter_mut().take(count).for_each(|slot| *slot = Slot::NULL);
    }
}

impl<const N: usize> Drop for Windows<N> {
    #[inline(always)]
    fn drop(&mut self) {
        for slot in self.0 {
            // The null slot is not among those that are managed.
            slots::release(slot);
        }
    }
}

/// Calls a method: `put` writes the arguments behind `method`.
///
/// The four numbers are the sizes of request and answer ([`crate::wire::words`],
/// [`crate::wire::items`]).
///
/// # Errors
/// See [`CallError`].
#[doc(hidden)]
#[inline(always)]
pub fn call<const WORDS: usize, const ITEMS: usize, const ANSWER: usize, const GIVEN: usize, T, E>(
    gate: Gate,
    timeouts: Timeouts,
    protocol: i64,
    method: u64,
    put: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<T, CallError<E>>
where
    T: Owning,
    E: ServerError,
{
    let mut request = Outgoing::<WORDS, ITEMS>::new();
    let mut writer = request.writer();
    writer.word(method)?;
    put(&mut writer)?;
    let mut windows = Windows::<GIVEN>::allocate().ok_or(CallError::NoSlots)?;
    let answer = transport::call(
        gate.slot(),
        protocol,
        request.words(),
        request.items(),
        &windows.0,
        timeouts,
    )?;
    // Before anything else that could use the UTCB.
    let given = answer.tag.items();
    if GIVEN == 0 && given != 0 {
        return Err(unexpected(given));
    }
    windows.filled(given);
    let mut received = Received::new(if GIVEN == 0 { 0 } else { given });
    let words = answer_words::<ANSWER>(&answer)?;
    if answer.tag.protocol() != protocol {
        return Err(CallError::BadAnswer);
    }
    let mut reader = Reader::new(&words[..answer.tag.words()], &mut received);
    match Status::decode(reader.word()?)? {
        Status::Success => {
            let value = T::take(&mut reader)?;
            reader.finish()?;
            Ok(value)
        }
        Status::Error(number) => {
            Err(E::decode(number).map_or(CallError::BadAnswer, CallError::Server))
        }
        Status::Refused(crate::Refusal::Unanswered) => Err(CallError::Aborted),
        Status::Refused(refusal) => Err(CallError::Refused(refusal)),
    }
}

/// The words of an answer of at most `N`.
#[inline(always)]
fn answer_words<const N: usize>(answer: &Delivery) -> Result<[u64; N], Malformed> {
    let count = answer.tag.words();
    if count > N {
        return Err(Malformed);
    }
    let mut words = [0; N];
    words[..4].copy_from_slice(&answer.words);
    for (index, word) in words.iter_mut().enumerate().take(count).skip(4) {
        *word = transport::word(index);
    }
    Ok(words)
}

/// Capabilities came although none was asked for: into the windows of the
/// server loop that this thread runs, which keeps the slots.
#[cold]
fn unexpected<E>(count: usize) -> CallError<E> {
    for index in 0..count.min(crate::MAX_ITEMS) {
        let slot = Slot::new(transport::received(index) as u32);
        transport::discard(slot);
    }
    CallError::BadAnswer
}
