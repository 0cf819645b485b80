//! Who is called what.

use alloc::vec::Vec;

use postern_runtime::Name;
use postern_runtime::interface::{Caller, Owned, USE};
use postern_runtime::protocol::names::{Error, Names};
use postern_runtime::protocol::session::SessionClient;
use postern_runtime::syscall::{Capability, ErrorNumber, Tag, Timeout, ipc};

/// Most names of all programs.
const NAMES: usize = 128;
/// Most names of one program.
const OF_ONE: usize = 16;

/// A server.
struct Entry {
    name: Name,
    door: Owned<SessionClient>,
    /// The label of the program that registered it.
    owner: u64,
}

impl Entry {
    /// Whether nobody will ever answer at the door. A message that expects no
    /// answer and does not wait finds out; a living server ignores it.
    fn is_dead(&self) -> bool {
        let knock = Tag::new(SessionClient::PROTOCOL, 0);
        ipc::send(self.door.slot(), knock, [0; 4], Timeout::ZERO)
            .is_err_and(|error| error.number == ErrorNumber::NotExistent)
    }
}

/// All servers.
#[derive(Default)]
pub struct Directory {
    entries: Vec<Entry>,
}

impl Directory {
    fn find(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| &*entry.name == name)
    }
}

impl Names for Directory {
    fn register(
        &mut self,
        caller: &Caller,
        name: &str,
        door: Owned<SessionClient>,
    ) -> Result<(), Error> {
        if !caller.can_write() {
            return Err(Error::NotAllowed);
        }
        let name = Name::whole(name).filter(|name| !name.is_empty()).ok_or(Error::BadName)?;
        let owner = caller.label();
        if let Some(index) = self.find(&name) {
            let entry = &self.entries[index];
            if entry.owner != owner && !entry.is_dead() {
                return Err(Error::Taken);
            }
            self.entries.swap_remove(index);
        }
        let of_owner = self.entries.iter().filter(|entry| entry.owner == owner).count();
        if of_owner >= OF_ONE {
            return Err(Error::Full);
        }
        if self.entries.len() >= NAMES {
            self.entries.retain(|entry| !entry.is_dead());
        }
        if self.entries.len() >= NAMES {
            return Err(Error::Full);
        }
        self.entries.push(Entry { name, door, owner });
        Ok(())
    }

    fn lookup(&mut self, name: &str) -> Result<Owned<SessionClient>, Error> {
        let index = self.find(name).ok_or(Error::Unknown)?;
        Owned::copy(*self.entries[index].door, USE).map_err(|_| Error::Full)
    }
}
