//! The frame that all interfaces share: requests with an operation, answers
//! with a status.

use postern_syscall::{Message, Reader, Slot, Timeouts};

use crate::{CallError, ServerError};

/// A request of `protocol` with `operation` in word 0.
pub(crate) fn request(protocol: i64, operation: u64) -> Message {
    Message::with_words(protocol, &[operation])
}

/// The answer to a request that succeeded, with `words` as results; more can
/// be pushed.
#[must_use]
pub fn success(protocol: i64, words: &[u64]) -> Message {
    let mut message = Message::with_words(protocol, &[0]);
    for word in words {
        // Results of this crate's interfaces fit; a cut one is `Malformed` to
        // the client.
        if message.push(*word).is_err() {
            break;
        }
    }
    message
}

/// The answer to a request that the server refuses.
#[must_use]
pub fn failure(protocol: i64, error: impl ServerError) -> Message {
    Message::with_words(protocol, &[error.number()])
}

/// Sends `request` to the gate in `slot`, waits, and hands the results to
/// `read`.
pub(crate) fn transact<T, E: ServerError>(
    slot: Slot,
    request: &Message,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, postern_syscall::Malformed>,
) -> Result<T, CallError<E>> {
    let answer = request.call(slot, Timeouts::NEVER)?;
    if answer.protocol() != request.protocol() {
        return Err(CallError::Malformed);
    }
    let mut reader = answer.reader();
    match reader.word()? {
        0 => Ok(read(&mut reader)?),
        number => Err(E::decode(number).map_or(CallError::Malformed, CallError::Server)),
    }
}
