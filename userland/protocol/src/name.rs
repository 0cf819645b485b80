//! Names of programs: 32 bytes, as the kernel's crash reports have them.

use core::fmt;

use postern_syscall::{Malformed, Message, Reader};

/// A name of up to 32 bytes, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name([u8; 32]);

impl Name {
    /// The name `text`, cut at the last character that fits.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; 32];
        let mut length = text.len().min(32);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self(bytes)
    }

    /// The name as text; empty if it is not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(32);
        core::str::from_utf8(&self.0[..end]).unwrap_or("")
    }

    /// Appends the name to a message, as bytes.
    ///
    /// # Errors
    /// The message is full.
    pub fn write(&self, message: &mut Message) -> Result<(), Malformed> {
        message.push_bytes(self.as_str().as_bytes())
    }

    /// Reads a name from a message.
    ///
    /// # Errors
    /// It is longer than 32 bytes or not UTF-8.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut bytes = [0; 32];
        let length = reader.bytes(&mut bytes)?;
        core::str::from_utf8(&bytes[..length]).map_err(|_| Malformed)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
