//! The client's side of a call: what the generated methods share.
//!
//! Everything is inlined into the method, where sizes are constants: a call
//! with at most three words of arguments and results is its register moves.

use postern_syscall::relay::{self, Lend};
use postern_syscall::{Capability, Delivery, ErrorCode, Gate, Slot, Timeouts, slots};

use crate::error::{CallError, Refusal, ServerError, Status};
use crate::wire::{Full, Owning, Reader, Writer};
use crate::{restart, transport};

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
        if self.item_count != 0 {
            delete(&self.items[..core::mem::take(&mut self.item_count)]);
        }
    }
}

impl<const WORDS: usize, const ITEMS: usize> Drop for Outgoing<WORDS, ITEMS> {
    #[inline(always)]
    fn drop(&mut self) {
        self.clear();
    }
}

#[cold]
fn delete(slots: &[Slot]) {
    slots.iter().for_each(|slot| transport::delete(*slot));
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
    let send = |words: &[u64], items: &[Slot], windows: &[Slot]| {
        transport::call(gate.slot(), protocol, words, items, windows, timeouts, false)
    };
    let failed = |code| restart::explain(gate, timeouts, code);
    exchange::<WORDS, ITEMS, ANSWER, GIVEN, T, E>(protocol, method, put, send, failed)
}

/// As [`call`], of a method that a relay segment goes along with.
///
/// # Errors
/// The error, and what became of the segment.
#[doc(hidden)]
#[inline(always)]
#[expect(clippy::type_complexity, reason = "it is the signature of every such method")]
pub fn lend<
    const WORDS: usize,
    const ITEMS: usize,
    const ANSWER: usize,
    const GIVEN: usize,
    T,
    E,
    L,
>(
    gate: Gate,
    timeouts: Timeouts,
    protocol: i64,
    method: u64,
    mut loan: L,
    put: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<(T, L::Back), (CallError<E>, L::Outcome)>
where
    T: Owning,
    E: ServerError,
    L: Lend,
{
    let mut is_back = true;
    let send = |words: &[u64], items: &[Slot], windows: &[Slot]| {
        loan.begin()?;
        let sent = transport::call(gate.slot(), protocol, words, items, windows, timeouts, true);
        is_back = relay::is_back(&sent);
        sent
    };
    let failed = |code| restart::explain(gate, timeouts, code);
    let outcome =
        exchange::<WORDS, ITEMS, ANSWER, GIVEN, T, E>(protocol, method, put, send, failed);
    match outcome {
        Ok(value) if is_back => Ok((value, loan.back())),
        // Somebody destroyed the segment while it was lent.
        Ok(_) => Err((CallError::Aborted, loan.outcome(false))),
        Err(error) => Err((error, loan.outcome(is_back))),
    }
}

/// One request, sent by `send`, and its answer.
#[inline(always)]
fn exchange<const WORDS: usize, const ITEMS: usize, const ANSWER: usize, const GIVEN: usize, T, E>(
    protocol: i64,
    method: u64,
    put: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    send: impl FnOnce(&[u64], &[Slot], &[Slot]) -> postern_syscall::Result<Delivery>,
    failed: impl FnOnce(ErrorCode) -> CallError<E>,
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
    let answer = match send(request.words(), request.items(), &windows.0) {
        Ok(answer) => answer,
        Err(code) => return Err(failed(code)),
    };
    // Before anything else that could use the UTCB.
    let given = answer.tag.items();
    if GIVEN == 0 && given != 0 {
        return Err(unexpected(given));
    }
    windows.filled(given);
    let mut items = [0; GIVEN];
    for (index, item) in items.iter_mut().enumerate().take(given) {
        *item = transport::received(index);
    }
    let mut words = [0; ANSWER];
    let count = answer_words(&answer, &mut words);
    let mut reader = Reader::new(&words[..count], &items[..given.min(GIVEN)]);
    if answer.tag.protocol() != protocol || answer.tag.words() > ANSWER {
        return Err(CallError::BadAnswer);
    }
    match Status::decode(reader.word()?)? {
        Status::Success => {
            let value = T::take(&mut reader)?;
            reader.finish()?;
            Ok(value)
        }
        Status::Error(number) => {
            Err(E::decode(number).map_or(CallError::BadAnswer, CallError::Server))
        }
        Status::Refused(Refusal::Unanswered) => Err(CallError::Aborted),
        Status::Refused(Refusal::Gone) => Err(CallError::Gone),
        Status::Refused(Refusal::Restarted) => {
            Err(CallError::Restarted { generation: reader.word()?, was_begun: false })
        }
        Status::Refused(refusal) => Err(CallError::Refused(refusal)),
    }
}

/// Copies the words of an answer, as many as there is room for; their number.
#[inline(always)]
fn answer_words<const N: usize>(answer: &Delivery, words: &mut [u64; N]) -> usize {
    let count = answer.tag.words().min(N);
    words[..4].copy_from_slice(&answer.words);
    // A constant: answers that fit into the registers do without the loop.
    if N > 4 {
        for (index, word) in words.get_mut(4..count).into_iter().flatten().enumerate() {
            *word = transport::word(index + 4);
        }
    }
    count
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
