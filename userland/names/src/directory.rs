//! Who is called what.
//!
//! After a restart of the name server nobody is, until the servers have
//! registered again. Whoever looks one up in that moment waits for it.

use alloc::vec::Vec;
use core::time::Duration;

use postern_runtime::interface::{Answer, Caller, Kept, Owned, USE};
use postern_runtime::protocol::names::{Error, Names};
use postern_runtime::protocol::session::SessionClient;
use postern_runtime::syscall::{Capability, ErrorNumber, Tag, Timeout, ipc};
use postern_runtime::{Name, time};

/// Most names of all programs.
const NAMES: usize = 128;
/// Most names of one program.
const OF_ONE: usize = 16;
/// Most servers that wait for the end of this one.
const WATCHERS: usize = 64;
/// Most clients that wait for a name.
const WAITING: usize = 32;
/// How long servers have to register again.
const GRACE: Duration = Duration::from_millis(500);

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
    watchers: Vec<Kept<(), Error>>,
    /// Who waits for a server to register again.
    waiting: Vec<(Name, Kept<Owned<SessionClient>, Error>)>,
    /// Until when one may, since boot.
    deadline: Option<Duration>,
}

impl Directory {
    /// The directory of a name server that was restarted.
    #[must_use]
    pub fn after_restart() -> Self {
        Self { deadline: Some(time::now() + GRACE), ..Self::default() }
    }

    /// How long a lookup may wait still; `None` if none does.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let deadline = self.deadline.filter(|_| !self.waiting.is_empty())?;
        Some(deadline.saturating_sub(time::now()))
    }

    /// Says to those who wait that nobody came, if the time is over.
    pub(crate) fn expire(&mut self) {
        if self.deadline.is_some_and(|deadline| deadline <= time::now()) {
            self.deadline = None;
            for (_, kept) in self.waiting.drain(..) {
                kept.send(Err(Error::Unknown));
            }
        }
    }

    /// A copy of the door of the server called `name`.
    fn door(&self, name: &str) -> Result<Owned<SessionClient>, Error> {
        let index = self.find(name).ok_or(Error::Unknown)?;
        Owned::copy(*self.entries[index].door, USE).map_err(|_| Error::Full)
    }

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
        while let Some(index) = self.waiting.iter().position(|(wanted, _)| *wanted == name) {
            let (_, kept) = self.waiting.remove(index);
            kept.send(self.door(&name));
        }
        Ok(())
    }

    fn lookup(&mut self, name: &str, answer: Answer<Owned<SessionClient>, Error>) {
        self.expire();
        let found = self.door(name);
        let may_come = self.deadline.is_some() && self.waiting.len() < WAITING;
        if may_come && matches!(found, Err(Error::Unknown)) {
            match answer.keep() {
                Ok(kept) => self.waiting.push((Name::new(name), kept)),
                Err(answer) => {
                    answer.send(found);
                }
            }
            return;
        }
        answer.send(found);
    }

    fn watch(&mut self, answer: Answer<(), Error>) {
        if self.watchers.len() >= WATCHERS {
            // Most of them have died; those that live ask again.
            for watcher in self.watchers.drain(..) {
                watcher.send(Ok(()));
            }
        }
        match answer.keep() {
            Ok(kept) => self.watchers.push(kept),
            Err(answer) => {
                answer.send(Err(Error::Full));
            }
        }
    }
}
