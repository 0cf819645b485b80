//! Sessions: a gate of one's own to a server.
//!
//! A server that wants to tell its clients apart shows the world one gate, its
//! *door*, and opens a session for each client that comes: a gate with a label
//! of its own, which the server chose and which nobody else can use. Who asks is
//! not said: who may come is decided by who has the door
//! (docs/decisions, "Sessions are opened by the server").

use postern_interface::{Owned, ServerError, interface};
use postern_syscall::Gate;

/// Why there is no session.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// the server has no room for another session
    Full = 1,
    /// the server does not open sessions now
    Closed = 2,
}

/// What a door does.
#[interface(protocol = 0x12)]
pub trait Session {
    /// Opens a session: its gate, and the generation of the server, which is
    /// another one after a restart. It ends with the last capability to its
    /// gate.
    fn open(&mut self) -> Result<(Owned<Gate>, u64), Error>;
}
