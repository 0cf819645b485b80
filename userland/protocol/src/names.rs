//! Names: from the name of a server to its door.
//!
//! Programs come here with a gate that their starter gave them. One with the
//! right W may register servers; any may look them up.

use postern_interface::{Answer, Caller, Owned, ServerError, interface};

use crate::session::SessionClient;

/// What the name server refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// there is no server of this name
    Unknown = 1,
    /// another server has this name
    Taken = 2,
    /// this program may not register servers (its gate to the name server lacks the right W)
    NotAllowed = 3,
    /// the name is empty or longer than 32 bytes
    BadName = 4,
    /// the name server has no room for more
    Full = 5,
}

/// The name server.
#[interface(protocol = 0x13)]
pub trait Names {
    /// Says that `door` leads to the server `name`. The name of a server that
    /// has died is free, and a server may name its door anew.
    fn register(
        &mut self,
        caller: &Caller,
        name: &str,
        door: Owned<SessionClient>,
    ) -> Result<(), Error>;

    /// The door of the server `name`. For a moment after the name server was
    /// restarted, names that are not known yet are waited for.
    fn lookup(&mut self, name: &str, answer: Answer<Owned<SessionClient>, Error>);

    /// Is answered only when there are too many who wait here, or not at all:
    /// how servers learn that the name server has died with all it knew.
    fn watch(&mut self, answer: Answer<(), Error>);
}
