//! The compiled system manifest: what `cargo xtask` makes of
//! `userland/system.toml`, and what `init` reads.
//!
//! The meaning of each field is in `docs/manifest.md`; the format here is the
//! shortest that says the same. It is little-endian and has no padding:
//!
//! - [`MAGIC`], number of programs (u32), then the programs, each with its
//!   length (u32) before it;
//! - a program: name, start (u8), priority (u8), quota, heap and stack (u64
//!   each), slots and restarts (u32 each), delay (u64), contexts (u32), then the lists
//!   of its arguments, services and capabilities;
//! - a text: length (u16), bytes; a list: count (u16), length (u32), elements;
//! - a capability: name, a number (u8) that tells what it is, and what that
//!   needs (see [`Object`]).
//!
//! Rules of this crate: [`Manifest::parse`] looks at every byte once, so that
//! what comes out of it needs no further check; no bytes make it panic; the
//! writer never writes what the reader refuses. It has no policy: whether a
//! manifest makes sense is checked by xtask, where a person can be told.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod capability;
mod cursor;
mod list;
mod program;
#[cfg(test)]
mod tests;
mod write;

pub use capability::{Capability, GateTo, Object};
pub use list::List;
pub use program::{ALWAYS, Program, Start};
pub use write::{Draft, write};

use cursor::Cursor;

/// First bytes of a compiled manifest.
pub const MAGIC: [u8; 8] = *b"PSTNMNF\x01";
/// The name of the compiled manifest in the boot archive.
pub const FILE: &str = "manifest";
/// Most bytes of the name of a program, capability or service: names travel in
/// 32 bytes, and the boot archive ends them with a zero.
pub const MAX_NAME: usize = 31;
/// What a gate calls the supervisor, which is no program of the manifest.
pub const INIT: &str = "init";

/// The bytes are no manifest of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the system manifest is malformed, or of another version")
    }
}

impl core::error::Error for Malformed {}

/// A manifest that was looked at from end to end.
#[derive(Debug, Clone, Copy)]
pub struct Manifest<'a> {
    count: u32,
    programs: &'a [u8],
}

impl<'a> Manifest<'a> {
    /// Reads a compiled manifest.
    ///
    /// # Errors
    /// Any part of it is malformed, or something follows it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        if cursor.take(MAGIC.len()).ok_or(Malformed)? != MAGIC {
            return Err(Malformed);
        }
        let manifest = Self { count: cursor.u32().ok_or(Malformed)?, programs: cursor.rest() };
        for _ in 0..manifest.count {
            Program::read(&mut cursor).ok_or(Malformed)?;
        }
        if cursor.rest().is_empty() { Ok(manifest) } else { Err(Malformed) }
    }

    /// The programs, in the order in which they are started.
    pub fn programs(self) -> impl Iterator<Item = Program<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.programs);
        (0..self.count).map_while(move |_| Program::read(&mut cursor))
    }

    /// The program called `name`.
    #[must_use]
    pub fn find(self, name: &str) -> Option<Program<'a>> {
        self.programs().find(|program| program.name == name)
    }
}
