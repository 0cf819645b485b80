//! A server: one thread, one wait for everything.
//!
//! All gates that are bound to the thread, its bound notification and its
//! timeout meet in one receive. Each request is answered at once, or *kept*
//! and answered later, while others are served. A client that goes away, or
//! sends nonsense, costs its own answer and nothing else.

use core::convert::Infallible;
use core::fmt;
use core::marker::PhantomData;

use postern_syscall::relay::Lent;
use postern_syscall::{ErrorCode, ErrorNumber, Phase, Slot, Timeout, slots};

use crate::client::Outgoing;
use crate::error::{Refusal, ServerError, Status};
use crate::station::Station;
use crate::transport;
use crate::wire::{MAX_ITEMS, MAX_WORDS, Owning, Reader};

/// Who calls: the label of the gate, with the rights of the caller's capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub(crate) label: u64,
}

impl Caller {
    /// The label that whoever bound the gate gave it: cannot be forged.
    #[must_use]
    pub const fn label(self) -> u64 {
        self.label & !3
    }

    /// Whether the caller's capability has the right W. What that means is the
    /// server's to say.
    #[must_use]
    pub const fn can_write(self) -> bool {
        self.label & 1 != 0
    }

    /// Whether the caller's capability has the right S.
    #[must_use]
    pub const fn is_special(self) -> bool {
        self.label & 2 != 0
    }
}

/// The answer under way: as large as a message can be.
pub(crate) type Out = Outgoing<MAX_WORDS, MAX_ITEMS>;

/// A message that arrived through a gate.
pub struct Request<'a> {
    pub(crate) caller: Caller,
    pub(crate) protocol: i64,
    pub(crate) reader: Reader<'a>,
    pub(crate) out: &'a mut Out,
    /// Whether the caller's own thread runs the server.
    pub(crate) crossed: bool,
    /// The relay segment that came along.
    pub(crate) lent: Option<Lent<'a>>,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("caller", &self.caller)
            .field("protocol", &self.protocol)
            .field("words", &self.reader.words())
            .finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// Who sent it.
    #[must_use]
    pub const fn caller(&self) -> Caller {
        self.caller
    }

    /// The protocol of its tag.
    #[must_use]
    pub const fn protocol(&self) -> i64 {
        self.protocol
    }

    /// Word `index`, 0 if the message is shorter.
    #[must_use]
    pub fn word(&self, index: usize) -> u64 {
        self.reader.words().get(index).copied().unwrap_or(0)
    }

    /// What it says, and the place for the answer.
    #[doc(hidden)]
    #[inline(always)]
    pub fn open(self) -> (Caller, Reader<'a>, Option<Lent<'a>>, Responder<'a>) {
        let Self { caller, protocol, reader, out, crossed, lent } = self;
        (caller, reader, lent, Responder { protocol, out, crossed })
    }

    /// The relay segment that came along, if one did.
    pub fn lent(&mut self) -> Option<&mut Lent<'a>> {
        self.lent.as_mut()
    }

    /// Answers with these words as they are: for protocols that are no
    /// interfaces. Those past the 63rd are cut.
    pub fn answer_raw(self, words: &[u64]) -> Reply {
        self.out.clear();
        let mut writer = self.out.writer();
        // What does not fit is cut.
        let _ = words.iter().try_for_each(|word| writer.word(*word));
        Reply(State::Now)
    }

    /// Refuses it: the client gets [`crate::CallError::Refused`].
    pub fn refuse(self, refusal: Refusal) -> Reply {
        self.open().3.refuse(refusal)
    }
}

/// The place for the answer to one request.
#[doc(hidden)]
pub struct Responder<'a> {
    protocol: i64,
    out: &'a mut Out,
    crossed: bool,
}

impl Responder<'_> {
    /// Answers when the server loop gets back.
    #[inline(always)]
    pub fn answer<T: Owning, E: ServerError>(self, result: Result<T, E>) -> Reply {
        fill(self.out, result);
        Reply(State::Now)
    }

    /// Refuses the request.
    #[cold]
    pub fn refuse(self, refusal: Refusal) -> Reply {
        fill_status(self.out, Status::Refused(refusal));
        Reply(State::Now)
    }

    /// The server answers when it likes.
    #[inline(always)]
    pub fn later<T: Owning, E: ServerError>(&mut self) -> Answer<'_, T, E> {
        Answer {
            out: Some(self.out),
            protocol: self.protocol,
            crossed: self.crossed,
            types: PhantomData,
        }
    }

    /// The server had its [`Answer`].
    #[inline(always)]
    pub fn done(self) -> Reply {
        Reply(if self.crossed { State::Now } else { State::Later })
    }
}

/// That a request was handled; made by dispatchers and [`Request::refuse`].
#[must_use]
#[derive(Debug)]
pub struct Reply(pub(crate) State);

#[derive(Debug)]
pub(crate) enum State {
    /// The answer is written and to be sent.
    Now,
    /// It is sent already, or will be.
    Later,
}

#[inline(always)]
fn fill<const WORDS: usize, const ITEMS: usize, T: Owning, E: ServerError>(
    out: &mut Outgoing<WORDS, ITEMS>,
    result: Result<T, E>,
) {
    out.clear();
    let status = match result {
        Ok(value) => {
            let mut writer = out.writer();
            let written = writer.word(Status::Success.word()).and_then(|()| value.put(&mut writer));
            if written.is_ok() {
                return;
            }
            Status::Refused(Refusal::AnswerTooLong)
        }
        Err(error) => Status::Error(error.number()),
    };
    fill_status(out, status);
}

#[inline]
pub(crate) fn fill_status<const WORDS: usize, const ITEMS: usize>(
    out: &mut Outgoing<WORDS, ITEMS>,
    status: Status,
) {
    out.clear();
    // A message always has room for its first word.
    let _ = out.writer().word(status.word());
}

/// Sends an answer by `send`; if its capabilities cannot be handed over, says
/// that instead.
pub(crate) fn send<const WORDS: usize, const ITEMS: usize>(
    out: &mut Outgoing<WORDS, ITEMS>,
    send: impl Fn(&[u64], &[Slot]) -> Result<(), ErrorCode>,
) -> Result<(), ErrorCode> {
    let sent = send(out.words(), out.items());
    if sent.is_err() && !out.items().is_empty() {
        fill_status(out, Status::Refused(Refusal::AnswerUndelivered));
        // If the client is gone, that is what `sent` says.
        let _ = send(out.words(), &[]);
    }
    out.clear();
    sent
}

/// The answer to a request as an argument of the method: for servers that
/// answer before their method ends, or later.
///
/// A method that has one as its last argument gives its result here instead of
/// returning it. Dropped: the client's call fails with
/// [`crate::CallError::Aborted`].
///
/// Behind an entry the answer leaves when the method ends, and cannot be kept:
/// the client's thread is what runs the method.
#[must_use = "without an answer the client's call fails"]
pub struct Answer<'a, T: Owning, E: ServerError = Infallible> {
    out: Option<&'a mut Out>,
    protocol: i64,
    crossed: bool,
    types: PhantomData<fn(T, E)>,
}

impl<T: Owning, E: ServerError> Answer<'_, T, E> {
    /// Answers now. Whether the client got it: it may be gone, or have stopped
    /// waiting, and most servers need not care.
    pub fn send(mut self, result: Result<T, E>) -> bool {
        let Some(out) = self.out.take() else { return false };
        fill(out, result);
        self.crossed
            || send(out, |words, items| transport::reply(self.protocol, words, items)).is_ok()
    }

    /// Keeps the right to answer, while other requests are served.
    ///
    /// # Errors
    /// No slot is left, or the caller has crossed into the server; the answer
    /// comes back, to be used at once.
    pub fn keep(mut self) -> Result<Kept<T, E>, Self> {
        if self.crossed {
            return Err(self);
        }
        let Some(slot) = slots::allocate() else { return Err(self) };
        if transport::save_reply(slot).is_err() {
            slots::release(slot);
            return Err(self);
        }
        self.out = None;
        Ok(Kept { slot, protocol: self.protocol, types: PhantomData })
    }
}

impl<T: Owning, E: ServerError> Drop for Answer<'_, T, E> {
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            fill_status(out, Status::Refused(Refusal::Unanswered));
            if self.crossed {
                return;
            }
            // A client that is gone needs no answer.
            let _ = send(out, |words, items| transport::reply(self.protocol, words, items));
        }
    }
}

impl<T: Owning, E: ServerError> fmt::Debug for Answer<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// The right to answer a request, kept for later. Dropped: the client's call
/// fails with [`crate::CallError::Aborted`].
#[must_use = "without an answer the client's call fails"]
pub struct Kept<T: Owning, E: ServerError = Infallible> {
    slot: Slot,
    protocol: i64,
    types: PhantomData<fn(T, E)>,
}

impl<T: Owning, E: ServerError> Kept<T, E> {
    /// Answers the request. Whether the client got it: it may be gone, or have
    /// stopped waiting.
    pub fn send(self, result: Result<T, E>) -> bool {
        let mut out = Out::new();
        fill(&mut out, result);
        let reply = |words: &[u64], items: &[Slot]| {
            transport::reply_saved(self.slot, self.protocol, words, items)
        };
        send(&mut out, reply).is_ok()
    }
}

impl<T: Owning, E: ServerError> Drop for Kept<T, E> {
    fn drop(&mut self) {
        // After an answer the slot is empty already; then this only gives it
        // back.
        transport::delete(self.slot);
    }
}

impl<T: Owning, E: ServerError> fmt::Debug for Kept<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.slot)
    }
}

/// What a server does; only `call` must be written, and `#[interface]` writes
/// one that serves nothing but its interface.
pub trait Server {
    /// A client called and waits for the answer.
    fn call(&mut self, request: Request<'_>) -> Reply;

    /// Somebody sent a message and expects no answer; also how the kernel
    /// reports the end of a thread.
    fn message(&mut self, request: Request<'_>) {
        let _ = request;
    }

    /// Bits of the thread's bound notification were signalled.
    fn signals(&mut self, bits: u64) {
        let _ = bits;
    }

    /// How long to wait for the next message at most. Zero: something is due, and
    /// [`Server::timed_out`] is called before the next message is looked at, so
    /// that busy clients do not keep others waiting.
    fn patience(&self) -> Timeout {
        Timeout::NEVER
    }

    /// Nothing came for as long as [`Server::patience`] said, or it said zero.
    fn timed_out(&mut self) {}

    /// Most capabilities of a request: the largest `WINDOWS` of the interfaces
    /// that are served. Asked once.
    fn windows(&self) -> usize {
        0
    }
}

impl<S: Server + ?Sized> Server for &mut S {
    fn call(&mut self, request: Request<'_>) -> Reply {
        (**self).call(request)
    }

    fn message(&mut self, request: Request<'_>) {
        (**self).message(request);
    }

    fn signals(&mut self, bits: u64) {
        (**self).signals(bits);
    }

    fn patience(&self) -> Timeout {
        (**self).patience()
    }

    fn timed_out(&mut self) {
        (**self).timed_out();
    }

    fn windows(&self) -> usize {
        (**self).windows()
    }
}

/// Serves until receiving itself becomes impossible, which for a healthy
/// thread is never.
pub fn serve(server: &mut (impl Server + ?Sized)) -> ErrorCode {
    let mut station = Station::new(server.windows());
    let mut answer = None;
    loop {
        let mut patience = server.patience();
        if patience == Timeout::ZERO {
            server.timed_out();
            patience = server.patience();
        }
        match station.next(answer.take(), patience) {
            Ok(delivery) => {
                if station.handle(server, &delivery) {
                    answer = Some(delivery.tag.protocol());
                }
            }
            // The answer could not be delivered: the client's loss.
            Err(error) if error.phase != Phase::Receive && error.number != ErrorNumber::NoSys => {}
            Err(error) => match error.number {
                ErrorNumber::Timeout => server.timed_out(),
                // Somebody cancelled the wait, or sent capabilities that this
                // server does not take: the sender's loss.
                ErrorNumber::Cancelled | ErrorNumber::MsgCut => {}
                _ => return error,
            },
        }
    }
}
