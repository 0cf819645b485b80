//! Files and directories in memory, over files of an archive that are read
//! where they lie until somebody writes to them.
//!
//! Rules: whatever is refused has changed nothing; what is written never takes
//! more than the limit, and no allocation that a client asked for can end the
//! program; nothing panics, whatever the paths and numbers.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod content;
mod path;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use postern_protocol::files::{Entry, Error, Info, Kind, LISTED, MAX_NAME, Name, Usage};

use crate::content::Content;
pub use crate::content::{Archive, PAGE};

/// What may not be exceeded.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all that is written, in whole pages.
    pub bytes: u64,
    /// Files and directories.
    pub names: usize,
}

#[derive(Debug)]
enum Node {
    Directory,
    File(Content),
}

/// A tree of files and directories. The root is always there.
#[derive(Debug)]
pub struct Tree<A> {
    archive: A,
    /// By their whole paths, without the root.
    nodes: BTreeMap<String, Node>,
    /// Pages of all files.
    pages: usize,
    limits: Limits,
}

impl<A: Archive> Tree<A> {
    /// A tree with nothing in it.
    pub const fn new(archive: A, limits: Limits) -> Self {
        Self { archive, nodes: BTreeMap::new(), pages: 0, limits }
    }

    /// Adds a file whose `bytes` lie at `at` in the archive, and the directories
    /// that it is in.
    ///
    /// # Errors
    /// Its path is none or taken, or there are too many names.
    pub fn mount(&mut self, path: &str, at: u64, bytes: u64) -> Result<(), Error> {
        path::check(path)?;
        for (index, _) in path.match_indices('/').skip(1) {
            match self.make_directory(&path[..index]) {
                Ok(()) | Err(Error::Exists) => {}
                Err(error) => return Err(error),
            }
        }
        self.add(path, Node::File(Content::archived(at, bytes)))
    }

    fn find(&self, path: &str) -> Result<&Node, Error> {
        path::check(path)?;
        if let Some(node) = self.nodes.get(path) {
            return Ok(node);
        }
        // Which part is missing?
        for (index, _) in path.match_indices('/').skip(1) {
            if let Some(Node::File(_)) = self.nodes.get(&path[..index]) {
                return Err(Error::NotDirectory);
            }
        }
        Err(Error::NotFound)
    }

    fn file(&self, path: &str) -> Result<&Content, Error> {
        if path == "/" {
            return Err(Error::IsDirectory);
        }
        match self.find(path)? {
            Node::File(content) => Ok(content),
            Node::Directory => Err(Error::IsDirectory),
        }
    }

    /// Whether new names can be put into the directory that `path` is in.
    fn check_parent(&self, path: &str) -> Result<(), Error> {
        match path.rfind('/') {
            Some(0) => Ok(()),
            Some(index) => match self.find(&path[..index])? {
                Node::Directory => Ok(()),
                Node::File(_) => Err(Error::NotDirectory),
            },
            None => Err(Error::BadPath),
        }
    }

    fn add(&mut self, path: &str, node: Node) -> Result<(), Error> {
        if path == "/" {
            return Err(Error::Exists);
        }
        path::check(path)?;
        self.check_parent(path)?;
        if self.nodes.contains_key(path) {
            return Err(Error::Exists);
        }
        if self.nodes.len() >= self.limits.names {
            return Err(Error::TooMany);
        }
        self.nodes.insert(path.into(), node);
        Ok(())
    }

    /// What `path` leads to.
    ///
    /// # Errors
    /// It leads nowhere.
    pub fn info(&self, path: &str) -> Result<Info, Error> {
        if path == "/" {
            return Ok(Info { kind: Kind::Directory, bytes: 0 });
        }
        Ok(info(self.find(path)?))
    }

    /// Up to [`LISTED`] entries of a directory, sorted, those behind the name
    /// `after`.
    ///
    /// # Errors
    /// It is no directory.
    pub fn list(&self, path: &str, after: &str) -> Result<Vec<Entry>, Error> {
        let prefix = match path {
            "/" => String::from("/"),
            _ => match self.find(path)? {
                Node::Directory => alloc::format!("{path}/"),
                Node::File(_) => return Err(Error::NotDirectory),
            },
        };
        if after.len() > MAX_NAME {
            return Err(Error::BadPath);
        }
        let from = alloc::format!("{prefix}{after}");
        let behind = self.nodes.range::<String, _>((Bound::Excluded(&from), Bound::Unbounded));
        let inside = behind
            .map_while(|(path, node)| path.strip_prefix(&prefix).map(|name| (name, node)))
            .filter(|(name, _)| !name.contains('/'));
        Ok(inside
            .take(LISTED)
            .map(|(name, node)| Entry { name: Name::new(name), info: info(node) })
            .collect())
    }

    /// Makes an empty file.
    ///
    /// # Errors
    /// The path is none or taken, its directory is none, there are too many.
    pub fn create(&mut self, path: &str) -> Result<(), Error> {
        self.add(path, Node::File(Content::default()))
    }

    /// Makes an empty directory.
    ///
    /// # Errors
    /// As [`Tree::create`].
    pub fn make_directory(&mut self, path: &str) -> Result<(), Error> {
        self.add(path, Node::Directory)
    }

    /// Deletes a file, or an empty directory.
    ///
    /// # Errors
    /// There is none, or something is in it.
    pub fn remove(&mut self, path: &str) -> Result<(), Error> {
        if path == "/" {
            return Err(Error::NotEmpty);
        }
        if let Node::Directory = self.find(path)?
            && !self.list(path, "")?.is_empty()
        {
            return Err(Error::NotEmpty);
        }
        if let Some(Node::File(content)) = self.nodes.remove(path) {
            self.pages -= content.pages();
        }
        Ok(())
    }

    /// Makes a file so long.
    ///
    /// # Errors
    /// It is no file, or there is no room.
    pub fn resize(&mut self, path: &str, bytes: u64) -> Result<(), Error> {
        self.change(path, bytes, |content, archive, room| content.resize(archive, bytes, room))
    }

    /// Reads into `data` from `offset` on; how many bytes there were.
    ///
    /// # Errors
    /// It is no file.
    pub fn read(&self, path: &str, offset: u64, data: &mut [u8]) -> Result<usize, Error> {
        Ok(self.file(path)?.read(&self.archive, offset, data))
    }

    /// Writes `data` at `offset`, which may be the end.
    ///
    /// # Errors
    /// It is no file, it ends before `offset`, there is no room.
    pub fn write(&mut self, path: &str, offset: u64, data: &[u8]) -> Result<(), Error> {
        if offset > self.file(path)?.bytes() {
            return Err(Error::Behind);
        }
        let end = offset.checked_add(data.len() as u64).ok_or(Error::Full)?;
        self.change(path, end, |content, archive, room| content.write(archive, offset, data, room))
    }

    /// Changes a file that has `bytes` then, or more; tells how many pages are
    /// left for it.
    fn change(
        &mut self,
        path: &str,
        bytes: u64,
        change: impl FnOnce(&mut Content, &A, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.file(path)?;
        if bytes > self.limits.bytes {
            return Err(Error::Full);
        }
        let Some(Node::File(content)) = self.nodes.get_mut(path) else {
            return Err(Error::NotFound);
        };
        let before = content.pages();
        let all = usize::try_from(self.limits.bytes / PAGE as u64).unwrap_or(usize::MAX);
        let room = all.saturating_sub(self.pages - before);
        let result = change(content, &self.archive, room);
        self.pages = self.pages - before + content.pages();
        result
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        Usage {
            used: (self.pages * PAGE) as u64,
            limit: self.limits.bytes,
            names: self.nodes.len() as u64,
        }
    }
}

fn info(node: &Node) -> Info {
    match node {
        Node::Directory => Info { kind: Kind::Directory, bytes: 0 },
        Node::File(content) => Info { kind: Kind::File, bytes: content.bytes() },
    }
}
