//! Messages of any length that are copied, for programs that know nothing of
//! segments: bytes there, bytes back.
//!
//! Two carriers do the same. [`Client::in_pieces`] sends what fits into a message
//! at a time; [`Client::by_relay`] copies into a relay segment, lends it, and
//! copies out of it. The server is the same [`Server`] for both, and does not
//! learn which it was.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use postern_interface::{Bytes, CallError, Caller, Lent, Reply, Request, interface};
use postern_interface::{Server as Serve, ServerError};
use postern_syscall::relay::{Outcome, Outstanding, RelayBuf, Segment};
use postern_syscall::{ErrorCode, ErrorNumber, Gate, Timeouts};

use crate::own;

/// Most bytes of a piece.
pub const PIECE: usize = 480;
/// Clients whose messages are under way at once.
const CLIENTS: usize = 32;

/// What a server of long messages refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// the message is too long
    TooLong = 1,
    /// the pieces are not those that were announced
    Pieces = 2,
    /// too many clients send long messages at once
    Busy = 3,
    /// the buffer cannot be written
    ReadOnly = 4,
}

/// How long messages travel. Each client has one under way, found by its label.
#[interface(protocol = 0x30)]
pub trait Copying {
    /// Begins a message of so many bytes; forgets what was there.
    fn begin(&mut self, caller: &Caller, bytes: u64) -> Result<(), Error>;

    /// The next piece.
    fn put(&mut self, caller: &Caller, piece: &[u8]) -> Result<(), Error>;

    /// That was all; the length of the answer.
    fn finish(&mut self, caller: &Caller) -> Result<u64, Error>;

    /// A piece of the answer.
    fn get(&mut self, caller: &Caller, offset: u64) -> Result<Bytes<PIECE>, Error>;

    /// The message is the first `bytes` of the buffer; so is the answer, if it
    /// is not longer than the buffer. The length of the answer.
    fn lend(&mut self, caller: &Caller, data: Lent<'_>, bytes: u64) -> Result<u64, Error>;

    /// As much of an answer that was too long as the buffer holds; how much.
    fn fetch(&mut self, caller: &Caller, data: Lent<'_>, offset: u64) -> Result<u64, Error>;
}

/// What a server does with a message.
pub trait Handler {
    /// The answer to `message`.
    fn message(&mut self, caller: &Caller, message: &[u8]) -> Vec<u8>;
}

impl<F: FnMut(&Caller, &[u8]) -> Vec<u8>> Handler for F {
    fn message(&mut self, caller: &Caller, message: &[u8]) -> Vec<u8> {
        self(caller, message)
    }
}

/// A message of a client under way.
#[derive(Debug, Default)]
struct Session {
    expected: usize,
    message: Vec<u8>,
    answer: Vec<u8>,
}

/// Serves long messages.
#[derive(Debug)]
pub struct Server<H> {
    handler: H,
    limit: usize,
    sessions: BTreeMap<u64, Session>,
}

impl<H: Handler> Server<H> {
    /// A server whose clients send up to `limit` bytes. In pieces these are on
    /// its heap, for up to 32 clients at once.
    pub const fn new(limit: usize, handler: H) -> Self {
        Self { handler, limit, sessions: BTreeMap::new() }
    }

    fn length(&self, bytes: u64) -> Result<usize, Error> {
        usize::try_from(bytes).ok().filter(|bytes| *bytes <= self.limit).ok_or(Error::TooLong)
    }

    fn session(&mut self, caller: &Caller) -> Result<&mut Session, Error> {
        self.sessions.get_mut(&caller.label()).ok_or(Error::Pieces)
    }

    /// Keeps an answer for the client to fetch.
    fn keep(&mut self, caller: &Caller, session: Session) -> Result<(), Error> {
        let label = caller.label();
        if self.sessions.len() == CLIENTS && !self.sessions.contains_key(&label) {
            return Err(Error::Busy);
        }
        self.sessions.insert(label, session);
        Ok(())
    }

    /// Takes note of what was fetched; with the last byte the session ends.
    fn fetched(&mut self, caller: &Caller, end: usize) {
        if self.session(caller).is_ok_and(|session| end >= session.answer.len()) {
            self.sessions.remove(&caller.label());
        }
    }
}

/// Bytes of `answer` from `offset` on, at most `room`.
fn rest(answer: &[u8], offset: u64, room: usize) -> Result<&[u8], Error> {
    let offset = usize::try_from(offset).map_err(|_| Error::Pieces)?;
    let rest = answer.get(offset..).ok_or(Error::Pieces)?;
    Ok(&rest[..rest.len().min(room)])
}

impl<H: Handler> Copying for Server<H> {
    fn begin(&mut self, caller: &Caller, bytes: u64) -> Result<(), Error> {
        let expected = self.length(bytes)?;
        let mut message = Vec::new();
        message.try_reserve_exact(expected).map_err(|_| Error::Busy)?;
        self.keep(caller, Session { expected, message, ..Session::default() })
    }

    fn put(&mut self, caller: &Caller, piece: &[u8]) -> Result<(), Error> {
        let session = self.session(caller)?;
        if piece.len() > session.expected - session.message.len() {
            return Err(Error::Pieces);
        }
        session.message.extend_from_slice(piece);
        Ok(())
    }

    fn finish(&mut self, caller: &Caller) -> Result<u64, Error> {
        let session = self.session(caller)?;
        if session.message.len() != session.expected {
            return Err(Error::Pieces);
        }
        let message = core::mem::take(&mut session.message);
        session.expected = 0;
        let answer = self.handler.message(caller, &message);
        let length = answer.len();
        self.session(caller)?.answer = answer;
        self.fetched(caller, 0);
        Ok(length as u64)
    }

    fn get(&mut self, caller: &Caller, offset: u64) -> Result<Bytes<PIECE>, Error> {
        let piece = rest(&self.session(caller)?.answer, offset, PIECE)?;
        let piece = Bytes::new(piece).ok_or(Error::TooLong)?;
        self.fetched(caller, offset as usize + piece.len());
        Ok(piece)
    }

    fn lend(&mut self, caller: &Caller, mut data: Lent<'_>, bytes: u64) -> Result<u64, Error> {
        let length = self.length(bytes)?;
        let message = data.get(..length).ok_or(Error::Pieces)?;
        let answer = self.handler.message(caller, message);
        let length = answer.len();
        match data.writable().ok_or(Error::ReadOnly)?.get_mut(..length) {
            Some(place) => place.copy_from_slice(&answer),
            None => self.keep(caller, Session { answer, ..Session::default() })?,
        }
        Ok(length as u64)
    }

    fn fetch(&mut self, caller: &Caller, mut data: Lent<'_>, offset: u64) -> Result<u64, Error> {
        let room = data.len();
        let piece = rest(&self.session(caller)?.answer, offset, room)?;
        let length = piece.len();
        data.writable().ok_or(Error::ReadOnly)?[..length].copy_from_slice(piece);
        self.fetched(caller, offset as usize + length);
        Ok(length as u64)
    }
}

impl<H: Handler> Serve for Server<H> {
    fn call(&mut self, request: Request<'_>) -> Reply {
        CopyingServer::dispatch(self, request)
    }

    fn windows(&self) -> usize {
        CopyingServer::<Self>::WINDOWS
    }
}

/// How a client's messages travel.
#[derive(Debug)]
enum Carrier {
    Pieces,
    /// The segment that was used last; none yet, or it is outstanding.
    Relay(Option<Segment>, Option<Outstanding>),
}

/// Sends long messages.
#[derive(Debug)]
pub struct Client {
    server: CopyingClient,
    carrier: Carrier,
}

type Outgoing<T> = Result<T, CallError<Error>>;

impl Client {
    /// Sends what fits into a message at a time.
    #[must_use]
    pub const fn in_pieces(gate: Gate) -> Self {
        Self { server: CopyingClient::new(gate), carrier: Carrier::Pieces }
    }

    /// Sends in a relay segment, out of the program's factory.
    #[must_use]
    pub const fn by_relay(gate: Gate) -> Self {
        Self { server: CopyingClient::new(gate), carrier: Carrier::Relay(None, None) }
    }

    /// The same client, each of whose transfers waits so long at most.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { server: self.server.with_timeouts(timeouts), ..self }
    }

    /// Sends `message`; the answer.
    ///
    /// # Errors
    /// The server's, or what went wrong on the way; `TooLong` for an answer for
    /// which there is no memory. By relay also `Exists`
    /// while the thread has a buffer of its own in its window.
    pub fn call(&mut self, message: &[u8]) -> Outgoing<Vec<u8>> {
        match &mut self.carrier {
            Carrier::Pieces => in_pieces(&self.server, message),
            Carrier::Relay(segment, late) => {
                if let Some(outstanding) = late.take() {
                    match outstanding.reclaim() {
                        Ok(buffer) => put_away(segment, buffer),
                        Err((_, outstanding)) if outstanding.is_lent() => *late = Some(outstanding),
                        // Gone.
                        Err(_) => {}
                    }
                }
                let buffer = take(segment, message.len())?;
                match by_relay(&self.server, buffer, message) {
                    Ok((answer, buffer)) => {
                        put_away(segment, buffer);
                        Ok(answer)
                    }
                    Err((error, outcome)) => {
                        match outcome {
                            Outcome::Back(buffer) => put_away(segment, buffer),
                            Outcome::Outstanding(it) => *late = Some(it),
                        }
                        Err(error)
                    }
                }
            }
        }
    }
}

/// A buffer for `bytes`: the last one, if it is large enough.
fn take(last: &mut Option<Segment>, bytes: usize) -> Outgoing<RelayBuf> {
    let large_enough = last.take().filter(|segment| segment.size() >= bytes);
    let segment = match large_enough {
        Some(segment) => segment,
        None => {
            // Without a factory the quota is nothing.
            let none = ErrorCode::new(ErrorNumber::NoMem, 0);
            Segment::create(own::factory().map_err(|_| none)?, bytes)?
        }
    };
    segment.activate().map_err(|(error, segment)| {
        *last = Some(segment);
        error.into()
    })
}

fn put_away(last: &mut Option<Segment>, buffer: RelayBuf) {
    // One that cannot be released is destroyed.
    *last = buffer.release().ok();
}

/// Room for an answer of so many bytes; the server may say anything.
fn room<E>(length: u64) -> Result<Vec<u8>, CallError<E>> {
    let mut room = Vec::new();
    let length = usize::try_from(length).map_err(|_| CallError::TooLong)?;
    room.try_reserve_exact(length).map_err(|_| CallError::TooLong)?;
    Ok(room)
}

fn in_pieces(server: &CopyingClient, message: &[u8]) -> Outgoing<Vec<u8>> {
    server.begin(message.len() as u64)?;
    message.chunks(PIECE).try_for_each(|piece| server.put(piece))?;
    let length = server.finish()?;
    let mut answer = room::<Error>(length)?;
    while (answer.len() as u64) < length {
        let piece = server.get(answer.len() as u64)?;
        if piece.is_empty() {
            return Err(CallError::BadAnswer);
        }
        answer.extend_from_slice(&piece);
    }
    Ok(answer)
}

fn by_relay(
    server: &CopyingClient,
    mut buffer: RelayBuf,
    message: &[u8],
) -> Result<(Vec<u8>, RelayBuf), (CallError<Error>, Outcome)> {
    buffer[..message.len()].copy_from_slice(message);
    let (length, mut buffer) = server.lend(buffer, message.len() as u64)?;
    let mut answer = match room(length) {
        Ok(answer) => answer,
        Err(error) => return Err((error, Outcome::Back(buffer))),
    };
    if let Some(bytes) = usize::try_from(length).ok().and_then(|length| buffer.get(..length)) {
        answer.extend_from_slice(bytes);
        return Ok((answer, buffer));
    }
    while (answer.len() as u64) < length {
        let (count, back) = server.fetch(buffer, answer.len() as u64)?;
        buffer = back;
        match usize::try_from(count).ok().and_then(|count| buffer.get(..count)) {
            Some(piece) if !piece.is_empty() => answer.extend_from_slice(piece),
            _ => return Err((CallError::BadAnswer, Outcome::Back(buffer))),
        }
    }
    Ok((answer, buffer))
}
