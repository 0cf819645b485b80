//! Names: from the name of a server to its door.
//!
//! Programs come here with a gate that their starter gave them. One with the
//! right W may register servers; any may look them up.

use postern_interface::{Caller, Owned, ServerError, interface};

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

    /// The door of the server `name`.
    fn lookup(&mut self, name: &str) -> Result<Owned<SessionClient>, Error>;
}
