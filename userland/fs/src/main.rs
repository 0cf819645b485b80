//! The file server: files in memory, over those of the boot archive.
//!
//! Entries of the archive whose names begin with `/` are files; programs are
//! files in `/bin`. They are read where they lie until somebody writes to them.
//! Nothing that is written outlives this program.
//!
//! Capabilities: `archive` (memory), `log`. Clients that may write have W on
//! their gate.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod mount;

use postern_file_tree::{Limits, Tree};
use postern_runtime::interface::{Bytes, Caller, Lent};
use postern_runtime::protocol::files::{Entry, Error, Files, FilesServer, Info, SMALL, Usage};
use postern_runtime::syscall::Memory;
use postern_runtime::{Env, log, server};

use crate::mount::Disk;

postern_runtime::main!(main);

/// Of its heap a quarter is for names and for what the heap itself needs.
const fn limits(heap: u64) -> Limits {
    Limits { bytes: heap / 4 * 3, names: 512 }
}

fn main(env: Env) -> postern_runtime::Result<i32> {
    let disk = Disk::new(env.capability::<Memory>("archive")?)?;
    let files = disk.files();
    let heap = env.region("heap").map_or(0, |heap| heap.bytes);
    let mut tree = Tree::new(disk, limits(heap));
    for file in files {
        if let Err(error) = tree.mount(&file.path, file.at, file.bytes) {
            log!("`{}` of the boot archive is left out: {error}", file.path);
        }
    }
    let error = server::serve(&mut FilesServer(Shelf(tree)));
    log!("cannot receive any more: {error}");
    Ok(1)
}

/// The tree, for clients.
struct Shelf(Tree<Disk>);

/// Whether the caller may change anything.
fn writer(caller: &Caller) -> Result<(), Error> {
    if caller.can_write() { Ok(()) } else { Err(Error::ReadOnly) }
}

impl Files for Shelf {
    fn info(&mut self, path: &str) -> Result<Info, Error> {
        self.0.info(path)
    }

    fn list(&mut self, path: &str, after: &str) -> Result<alloc::vec::Vec<Entry>, Error> {
        self.0.list(path, after)
    }

    fn create(&mut self, caller: &Caller, path: &str) -> Result<(), Error> {
        writer(caller)?;
        self.0.create(path)
    }

    fn make_directory(&mut self, caller: &Caller, path: &str) -> Result<(), Error> {
        writer(caller)?;
        self.0.make_directory(path)
    }

    fn remove(&mut self, caller: &Caller, path: &str) -> Result<(), Error> {
        writer(caller)?;
        self.0.remove(path)
    }

    fn resize(&mut self, caller: &Caller, path: &str, bytes: u64) -> Result<(), Error> {
        writer(caller)?;
        self.0.resize(path, bytes)
    }

    fn peek(&mut self, path: &str, offset: u64, bytes: u64) -> Result<Bytes<SMALL>, Error> {
        let mut buffer = [0; SMALL];
        let wanted = usize::try_from(bytes).unwrap_or(SMALL).min(SMALL);
        let count = self.0.read(path, offset, &mut buffer[..wanted])?;
        Bytes::new(&buffer[..count]).ok_or(Error::TooLong)
    }

    fn poke(&mut self, caller: &Caller, path: &str, offset: u64, data: &[u8]) -> Result<(), Error> {
        writer(caller)?;
        self.0.write(path, offset, data)
    }

    fn read(&mut self, mut data: Lent<'_>, path: &str, offset: u64) -> Result<u64, Error> {
        let buffer = data.writable().ok_or(Error::BadBuffer)?;
        Ok(self.0.read(path, offset, buffer)? as u64)
    }

    fn write(
        &mut self,
        caller: &Caller,
        data: Lent<'_>,
        path: &str,
        offset: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        writer(caller)?;
        let length = usize::try_from(bytes).map_err(|_| Error::BadBuffer)?;
        self.0.write(path, offset, data.get(..length).ok_or(Error::BadBuffer)?)
    }

    fn usage(&mut self) -> Usage {
        self.0.usage()
    }
}
