//! Files: names in directories, bytes in files.
//!
//! A path begins with `/` and names what is meant in full; there are no open
//! files, so nothing is lost with a server that is started again but what was
//! written. Long data goes by relay segment, copied once: between the segment
//! and the place where the server keeps it.

use alloc::vec::Vec;

use postern_interface::{Bytes, CallError, Caller, Lent, ServerError, Text, Wire, interface};

/// Most bytes of a path.
pub const MAX_PATH: usize = 120;
/// Most bytes of one name in a path.
pub const MAX_NAME: usize = 31;
/// Most bytes that travel in a message.
pub const SMALL: usize = 320;
/// Most entries of one answer to [`Files::list`].
pub const LISTED: usize = 8;

/// One name in a path.
pub type Name = Text<MAX_NAME>;

/// What a file server refuses. Whatever is refused has changed nothing.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// there is no such file or directory
    NotFound = 1,
    /// there is one of this name already
    Exists = 2,
    /// it is a directory
    IsDirectory = 3,
    /// it is a file, not a directory
    NotDirectory = 4,
    /// the directory is not empty
    NotEmpty = 5,
    /// a path begins with `/` and has names of 1 to 31 printable characters, 120 bytes in all
    BadPath = 6,
    /// the file system is full
    Full = 7,
    /// there are too many files and directories
    TooMany = 8,
    /// this program may only read (its gate to the file server lacks the right W)
    ReadOnly = 9,
    /// the file ends before that place
    Behind = 10,
    /// the buffer is shorter than that, or was lent to be read only
    BadBuffer = 11,
    /// more than fits into a message: lend a buffer
    TooLong = 12,
}

/// What a path leads to.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// Names.
    Directory,
}

/// What is known of a file or directory.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Which of both it is.
    pub kind: Kind,
    /// The length of a file; 0 of a directory.
    pub bytes: u64,
}

/// A name in a directory.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The name alone.
    pub name: Name,
    /// What it names.
    pub info: Info,
}

/// How full a file system is.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that what was written takes, in whole pages.
    pub used: u64,
    /// The most that it may take.
    pub limit: u64,
    /// Files and directories.
    pub names: u64,
}

/// A file system. Methods that change it need W on the gate.
#[interface(protocol = 0x14)]
pub trait Files {
    /// What `path` leads to.
    fn info(&mut self, path: &str) -> Result<Info, Error>;

    /// Up to [`LISTED`] entries of a directory, sorted, those behind the name
    /// `after`; none: these were all.
    fn list(&mut self, path: &str, after: &str) -> Result<Vec<Entry>, Error>;

    /// Makes an empty file.
    fn create(&mut self, caller: &Caller, path: &str) -> Result<(), Error>;

    /// Makes an empty directory.
    fn make_directory(&mut self, caller: &Caller, path: &str) -> Result<(), Error>;

    /// Deletes a file, or an empty directory.
    fn remove(&mut self, caller: &Caller, path: &str) -> Result<(), Error>;

    /// Makes a file so long: cuts it, or adds zeros.
    fn resize(&mut self, caller: &Caller, path: &str, bytes: u64) -> Result<(), Error>;

    /// Up to `bytes` bytes from `offset` on, at most [`SMALL`]; none at the end.
    fn peek(&mut self, path: &str, offset: u64, bytes: u64) -> Result<Bytes<SMALL>, Error>;

    /// Writes a few bytes at `offset`, which may be the end.
    fn poke(&mut self, caller: &Caller, path: &str, offset: u64, data: &[u8]) -> Result<(), Error>;

    /// Fills the buffer from `offset` on; how many bytes there were.
    fn read(&mut self, data: Lent<'_>, path: &str, offset: u64) -> Result<u64, Error>;

    /// Writes the first `bytes` of the buffer at `offset`, which may be the end.
    fn write(
        &mut self,
        caller: &Caller,
        data: Lent<'_>,
        path: &str,
        offset: u64,
        bytes: u64,
    ) -> Result<(), Error>;

    /// How full it is.
    fn usage(&mut self) -> Usage;
}

/// The result of a call to a file server.
pub type Result<T, E = CallError<Error>> = core::result::Result<T, E>;

impl FilesClient {
    /// All entries of a directory.
    ///
    /// The iterator ends at the first error, which it hands out.
    pub fn entries(self, path: &str) -> impl Iterator<Item = Result<Entry>> {
        let mut ready: Vec<Entry> = Vec::new();
        let mut after = Some(Name::new(""));
        core::iter::from_fn(move || {
            if ready.is_empty() {
                match self.list(path, &after.take()?) {
                    Ok(more) => ready = more,
                    Err(error) => return Some(Err(error)),
                }
                // Taken from the end.
                ready.reverse();
                after = Some(ready.first()?.name);
            }
            ready.pop().map(Ok)
        })
    }
}
