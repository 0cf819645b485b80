//! A server: one thread, one wait for everything.
//!
//! All gates that are bound to the thread, its bound notification and its
//! timeout meet in one receive. Each request is answered at once, or *kept*
//! and answered later, while others are served. A client that goes away, or
//! sends nonsense, costs its own answer and nothing else.

use postern_syscall::{
    Delivery, DeliveryKind, ErrorCode, ErrorNumber, Message, Phase, Slot, Timeout, control, ipc,
};

use crate::error::{Explain, Result};
use crate::slots;

/// A message that arrived through a gate.
#[derive(Debug, Clone)]
pub struct Request {
    /// The gate's label, with the W and S rights of the client's capability in
    /// the two low bits: who asks.
    pub label: u64,
    /// What it says.
    pub message: Message,
}

impl Request {
    /// The label without the rights in its two low bits.
    #[must_use]
    pub const fn client(&self) -> u64 {
        self.label & !3
    }

    /// Keeps the right to answer this request for later; to be followed by
    /// [`Answer::Later`]. Only inside of [`Server::call`], before anything else
    /// is received.
    ///
    /// # Errors
    /// No slot is left, or there is nothing to answer.
    pub fn keep(&self) -> Result<KeptRequest> {
        let slot = slots::fill("keeping the right to answer", "reply", |slot| {
            control::save_reply(slot).map(|()| slot)
        })?;
        Ok(KeptRequest { slot })
    }
}

/// The right to answer a request, kept for later. Dropped: the client's call
/// fails with `Aborted`.
#[derive(Debug)]
pub struct KeptRequest {
    slot: Slot,
}

impl KeptRequest {
    /// Answers the request.
    ///
    /// # Errors
    /// The client is gone, or has stopped waiting.
    pub fn answer(self, message: &Message) -> core::result::Result<(), ErrorCode> {
        message.reply_saved(self.slot, 0)
    }
}

impl Drop for KeptRequest {
    fn drop(&mut self) {
        // After an answer the slot is empty already; then this only gives it
        // back.
        if slots::delete(self.slot).is_err() {
            slots::release(self.slot);
        }
    }
}

/// What to do with the client that called.
#[derive(Debug)]
// Messages move from the handler to the registers without a heap.
#[expect(clippy::large_enum_variant, reason = "answers are passed on the stack by design")]
pub enum Answer {
    /// Answer now.
    Now(Message),
    /// The right to answer was kept ([`Request::keep`]); if it was not, the
    /// client's call fails with `Aborted`.
    Later,
}

impl From<Message> for Answer {
    fn from(message: Message) -> Self {
        Self::Now(message)
    }
}

/// What a server does; only `call` must be written.
pub trait Server {
    /// A client called and waits for the answer.
    fn call(&mut self, request: &Request) -> Answer;

    /// Somebody sent a message and expects no answer; also how the kernel
    /// reports the end of a thread.
    fn message(&mut self, request: &Request) {
        let _ = request;
    }

    /// Bits of the thread's bound notification were signalled.
    fn signals(&mut self, bits: u64) {
        let _ = bits;
    }

    /// How long to wait for the next message at most.
    fn patience(&self) -> Timeout {
        Timeout::NEVER
    }

    /// Nothing came for as long as [`Server::patience`] said.
    fn timed_out(&mut self) {}
}

/// A closure that answers every call at once is a server.
impl<F: FnMut(&Request) -> Message> Server for F {
    fn call(&mut self, request: &Request) -> Answer {
        Answer::Now(self(request))
    }
}

/// Serves until receiving itself becomes impossible, which for a healthy
/// thread is never.
pub fn serve(server: &mut (impl Server + ?Sized)) -> ErrorCode {
    let mut answer = None;
    loop {
        let patience = server.patience();
        let delivery = match answer.take() {
            Some(Answer::Now(message)) => message.reply_receive(0, patience),
            Some(Answer::Later) | None => ipc::receive(patience),
        };
        match delivery {
            Ok(delivery) => answer = dispatch(server, &delivery),
            // The answer could not be delivered: the client's loss.
            Err(error) if error.phase != Phase::Receive && error.number != ErrorNumber::NoSys => {}
            Err(error) => match error.number {
                ErrorNumber::Timeout => server.timed_out(),
                ErrorNumber::Cancelled => {}
                _ => return error,
            },
        }
    }
}

fn dispatch(server: &mut (impl Server + ?Sized), delivery: &Delivery) -> Option<Answer> {
    let request = || Request { label: delivery.label, message: Message::from_delivery(delivery) };
    match delivery.kind {
        DeliveryKind::Call => return Some(server.call(&request())),
        DeliveryKind::Message => server.message(&request()),
        DeliveryKind::Notification => server.signals(delivery.words[0]),
        DeliveryKind::None | DeliveryKind::Reply => {}
    }
    None
}

/// Waits for one message through any gate bound to the calling thread: for
/// programs that are no servers but expect something, such as the end of a
/// child.
///
/// # Errors
/// The wait timed out or was cancelled.
pub fn receive_one(timeout: Timeout) -> Result<Request> {
    let delivery = ipc::receive(timeout).explain("waiting for a message", "thread")?;
    Ok(Request { label: delivery.label, message: Message::from_delivery(&delivery) })
}
