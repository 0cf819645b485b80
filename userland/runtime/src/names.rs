//! Servers by name: [`serve`] on one side, [`connect`] on the other.
//!
//! A program finds the gates that its starter gave to it by name in its
//! environment ([`Env`]); those of servers that came later by asking the name
//! server, whose gate is called `names` there. What it gets is a session: a
//! gate with a label of its own. A session ends with its server; a
//! [`Connection`] is one that is opened again when the server was restarted.
//!
//! A server keeps its name while it lives: a thread of its own waits for the end
//! of the name server, and registers again with the new one.

use core::fmt;
use core::time::Duration;

use postern_interface::{CallError, Owned, Reply, Request, USE};
use postern_protocol::names::{self, NamesClient};
use postern_protocol::session::{self, Session, SessionClient, SessionServer};
use postern_syscall::{Capability, ErrorCode, Gate, Timeout};

use crate::server::{self, Server};
use crate::{Env, Name, log, own, thread, time};

/// The label of a door; sessions have larger ones.
const DOOR: u64 = 0;

/// Why a server could not be offered or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The program lacks something.
    Runtime(crate::Error),
    /// The name server says no, or does not answer.
    Names(Name, CallError<names::Error>),
    /// The server of this name does not open a session.
    Session(Name, CallError<session::Error>),
    /// Receiving became impossible.
    Ended(ErrorCode),
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Runtime(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => error.fmt(f),
            Self::Names(name, error @ CallError::Server(_)) => write!(f, "`{name}`: {error}"),
            Self::Names(name, error) => write!(f, "asking the name server for `{name}`: {error}"),
            Self::Session(name, error) => write!(f, "no session with `{name}`: {error}"),
            Self::Ended(code) => write!(f, "cannot receive any more: {code}"),
        }
    }
}

impl core::error::Error for Error {}

/// A session with the server called `name`. The gate belongs to the program
/// until the end.
///
/// # Errors
/// There is no such name, its server is dead or opens no session, or the
/// program has no gate called `names`.
pub fn connect<C: Capability>(env: &Env, name: &str) -> Result<C, Error> {
    connect_through(env.capability("names")?, name)
}

/// As [`connect`], at the name server behind `names`.
///
/// # Errors
/// As [`connect`].
pub fn connect_through<C: Capability>(names: NamesClient, name: &str) -> Result<C, Error> {
    open::<C>(names, name).map(|(session, _)| session.keep())
}

/// A session, and the generation of its server.
fn open<C: Capability>(names: NamesClient, name: &str) -> Result<(Owned<C>, u64), Error> {
    let short = Name::new(name);
    let door = again(|| names.lookup(name)).map_err(|error| Error::Names(short, error))?;
    let (session, generation) = door.open().map_err(|error| Error::Session(short, error))?;
    Ok((session.cast(), generation))
}

/// Asks the name server, and once more if it has just been restarted: it keeps
/// nothing for those who look something up.
fn again<T, E>(ask: impl Fn() -> Result<T, CallError<E>>) -> Result<T, CallError<E>> {
    match ask() {
        Err(CallError::Restarted { .. }) => ask(),
        answer => answer,
    }
}

/// How often, and after which pauses, a restarted server is looked for: two
/// seconds, as it has to be loaded and to register itself first.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// A session that is opened again when its server was restarted.
///
/// What the server knew of the old session is lost. So the call during which
/// that was noticed fails with [`CallError::Restarted`], once; the client
/// repeats what has to be repeated, and goes on.
#[derive(Debug)]
pub struct Connection<C: Capability> {
    names: NamesClient,
    name: Name,
    session: Owned<C>,
    generation: u64,
}

impl<C: Capability> Connection<C> {
    /// Opens a session with the server called `name`.
    ///
    /// # Errors
    /// As [`connect`].
    pub fn open(env: &Env, name: &str) -> Result<Self, Error> {
        Self::open_through(env.capability("names")?, name)
    }

    /// As [`Connection::open`], at the name server behind `names`.
    ///
    /// # Errors
    /// As [`connect`].
    pub fn open_through(names: NamesClient, name: &str) -> Result<Self, Error> {
        let (session, generation) = open(names, name)?;
        Ok(Self { names, name: Name::new(name), session, generation })
    }

    /// The server's generation: another one after it was restarted.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Calls the server: `method` gets the client of the session.
    ///
    /// # Errors
    /// What `method` says. If the server has died and there is a new one within
    /// two seconds: [`CallError::Restarted`], and the next call reaches that.
    pub fn call<T, E>(
        &mut self,
        method: impl FnOnce(&C) -> Result<T, CallError<E>>,
    ) -> Result<T, CallError<E>> {
        let error = match method(&self.session) {
            Err(error) if error.is_dead() => error,
            other => return other,
        };
        let was_begun = !matches!(error, CallError::Gone);
        for _ in 0..TRIES {
            match open(self.names, &self.name) {
                Ok((session, generation)) => {
                    // The same one dropped this request; it is not dead.
                    if generation == self.generation && was_begun {
                        return Err(error);
                    }
                    (self.session, self.generation) = (session, generation);
                    return Err(CallError::Restarted { generation, was_begun });
                }
                Err(_) => time::sleep(PAUSE),
            }
        }
        Err(error)
    }
}

/// Offers `server` under `name` and serves until that becomes impossible; each
/// client gets a session with a label of its own.
///
/// # Errors
/// The name is taken, or the program may not register it, or lacks something.
pub fn serve(env: &Env, name: &str, server: impl Server + Send) -> Result<(), Error> {
    serve_through(env.capability("names")?, name, server)
}

/// As [`serve`], at the name server behind `names`.
///
/// # Errors
/// As [`serve`].
pub fn serve_through(
    names: NamesClient,
    name: &str,
    server: impl Server + Send,
) -> Result<(), Error> {
    // The door has all rights and stays here; what goes out is a copy.
    let door = server::gate(DOOR)?;
    let short = Name::new(name);
    let register = move || {
        let copy = share(door).map_err(Error::Runtime)?;
        names.register(&short, copy).map_err(|error| Error::Names(short, error))
    };
    register_again(register)?;
    thread::Builder::new().stack(WATCHER_STACK).spawn(move || watch(names, short, register))?;
    Err(Error::Ended(server::serve(&mut Sessions::new(server))))
}

/// Bytes of the stack of the thread that keeps the name registered.
const WATCHER_STACK: u64 = 16 * 1024;

/// Registers, once more if the name server was restarted meanwhile.
fn register_again(register: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    match register() {
        Err(Error::Names(_, CallError::Restarted { .. })) => register(),
        result => result,
    }
}

/// Registers again whenever the name server was restarted.
fn watch(names: NamesClient, name: Name, register: impl Fn() -> Result<(), Error>) {
    loop {
        let error = match names.watch() {
            Ok(()) => continue,
            Err(CallError::Restarted { .. }) => match register_again(&register) {
                Ok(()) => continue,
                Err(error) => error,
            },
            Err(error) => Error::Names(name, error),
        };
        // It still serves those who have found it.
        log!("new clients do not find `{name}` any more: {error}");
        return;
    }
}

/// A copy of `gate` that can be used and handed on, and nothing else.
fn share<C: Capability>(gate: Gate) -> crate::Result<Owned<C>> {
    let explain = |code| crate::Error::refused("copying a gate", "task", code);
    Owned::copy(gate, USE).map_err(explain)
}

/// A server with a door: opens sessions, and hands what comes through them to
/// the server inside.
///
/// Labels of sessions are multiples of 4 from 4 on and never used again.
#[derive(Debug)]
pub struct Sessions<S> {
    server: S,
    opened: Opened,
}

#[derive(Debug)]
struct Opened(u64);

impl<S: Server> Sessions<S> {
    /// No session yet.
    pub const fn new(server: S) -> Self {
        Self { server, opened: Opened(DOOR) }
    }
}

impl Session for Opened {
    fn open(&mut self) -> Result<(Owned<Gate>, u64), session::Error> {
        let label = self.0.checked_add(4).ok_or(session::Error::Full)?;
        let gate = server::gate(label).map(Owned::new).map_err(|_| session::Error::Full)?;
        let session = share(*gate).map_err(|_| session::Error::Full)?;
        self.0 = label;
        // The gate lives on with the client's capability, and ends with it.
        Ok((session, own::generation()))
    }
}

impl<S: Server> Server for Sessions<S> {
    fn call(&mut self, request: Request<'_>) -> Reply {
        if request.protocol() == SessionClient::PROTOCOL || request.caller().label() == DOOR {
            return SessionServer::dispatch(&mut self.opened, request);
        }
        self.server.call(request)
    }

    fn message(&mut self, request: Request<'_>) {
        // The name server asks a door whether somebody is behind it.
        if request.caller().label() != DOOR {
            self.server.message(request);
        }
    }

    fn signals(&mut self, bits: u64) {
        self.server.signals(bits);
    }

    fn patience(&self) -> Timeout {
        self.server.patience()
    }

    fn timed_out(&mut self) {
        self.server.timed_out();
    }

    fn windows(&self) -> usize {
        self.server.windows()
    }
}
