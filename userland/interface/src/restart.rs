//! Whether a server that died was started again.
//!
//! A supervisor that starts a dead server again leads the gates of its old
//! clients to itself first. The next call of each is answered with
//! [`Refusal::Restarted`], and only then does the gate lead to the new
//! instance: so a client learns once that what it had with the old one is gone.
//!
//! A client whose call was under way when the server died gets an error from
//! the kernel. It asks here at once, through the same gate, so that this error
//! says it, too. Whoever else is behind the gate refuses a protocol that it does
//! not know, and the first error stands.

use postern_syscall::{Capability, ErrorCode, Gate, Timeout, Timeouts};

use crate::error::{CallError, Refusal, Status};
use crate::server::{Reply, Request};
use crate::transport;

/// The protocol in which a client asks. It has no methods: whatever comes
/// through the gate is answered in the same way.
pub const PROTOCOL: i64 = 0x0f;

/// How often a client asks whose question was aborted, too: a server into which
/// its clients cross dies a moment later than its handler.
const QUESTIONS: usize = 4;

/// How long a client that would wait for ever waits for the answer to its
/// question: where nobody starts the server again, its gate may lead to an entry
/// whose contexts are all lost.
const PATIENCE: Timeout = Timeout::from_ns(500_000_000);

/// The error of a call that failed with `code`.
#[cold]
pub(crate) fn explain<E>(gate: Gate, timeouts: Timeouts, code: ErrorCode) -> CallError<E> {
    let error = CallError::from(code);
    if !error.is_dead() {
        return error;
    }
    let was_begun = matches!(error, CallError::Aborted);
    match ask(gate, timeouts) {
        Some(generation) => CallError::Restarted { generation, was_begun },
        None => error,
    }
}

/// The generation of the server that the gate leads to from now on, if it has
/// just been restarted.
fn ask(gate: Gate, timeouts: Timeouts) -> Option<u64> {
    let bounded = |timeout| if timeout == Timeout::NEVER { PATIENCE } else { timeout };
    let timeouts = Timeouts { send: bounded(timeouts.send), receive: bounded(timeouts.receive) };
    for _ in 0..QUESTIONS {
        let answer = transport::call(gate.slot(), PROTOCOL, &[0], &[], &[], timeouts, false);
        match answer {
            Ok(answer) => {
                let [status, generation, ..] = answer.words;
                let is_restarted = answer.tag.protocol() == PROTOCOL
                    && Status::decode(status) == Ok(Status::Refused(Refusal::Restarted));
                return is_restarted.then_some(generation);
            }
            Err(code) if matches!(CallError::<()>::from(code), CallError::Aborted) => {}
            Err(_) => return None,
        }
    }
    None
}

impl Request<'_> {
    /// Answers in the place of a server that has died: instance `generation` has
    /// taken its place, and the gate leads there from now on.
    pub fn restarted(self, generation: u64) -> Reply {
        self.answer_raw(&[Status::Refused(Refusal::Restarted).word(), generation])
    }
}
