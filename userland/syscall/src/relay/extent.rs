//! Where a message lies in a buffer with room for headers before it.
//!
//! Whoever fills the buffer asks how many bytes all servers on the way add at
//! most ([`crate::EntryInfo::size_all`]) and leaves so many free; each server puts its
//! header before what is there, and nobody copies or allocates.

/// A part of a buffer: the message, headers and all. Travels as two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset of its first byte.
    pub start: u64,
    /// Its length.
    pub bytes: u64,
}

impl Extent {
    /// A message of `bytes` behind `headroom`.
    #[must_use]
    pub const fn behind(headroom: u64, bytes: u64) -> Self {
        Self { start: headroom, bytes }
    }

    /// What a message of `bytes` needs with this headroom; `None` for more
    /// than there can be.
    #[must_use]
    pub fn room(headroom: u64, bytes: u64) -> Option<usize> {
        headroom.checked_add(bytes).and_then(|all| all.try_into().ok())
    }

    /// The message in `buffer`; `None` if it does not lie inside. (An extent may
    /// come from anybody.)
    #[must_use]
    pub fn of(self, buffer: &[u8]) -> Option<&[u8]> {
        let start = usize::try_from(self.start).ok()?;
        buffer.get(start..)?.get(..usize::try_from(self.bytes).ok()?)
    }

    /// Writes `header` before the message; the longer message. `None` if there
    /// is no room.
    #[must_use]
    pub fn push(self, buffer: &mut [u8], header: &[u8]) -> Option<Self> {
        self.of(buffer)?;
        let start = self.start.checked_sub(header.len() as u64)?;
        buffer.get_mut(start as usize..self.start as usize)?.copy_from_slice(header);
        Some(Self { start, bytes: self.bytes.checked_add(header.len() as u64)? })
    }

    /// Takes `bytes` off the front; the header's extent and the rest. `None` if
    /// the message is shorter.
    #[must_use]
    pub fn pop(self, bytes: u64) -> Option<(Self, Self)> {
        let rest = self.bytes.checked_sub(bytes)?;
        let start = self.start.checked_add(bytes)?;
        Some((Self { start: self.start, bytes }, Self { start, bytes: rest }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_before_the_message() {
        let mut buffer = *b"........data";
        let message = Extent::behind(8, 4);
        let message = message.push(&mut buffer, b"tcp ").expect("room");
        let message = message.push(&mut buffer, b"ip: ").expect("room");
        assert_eq!(message.of(&buffer), Some(&b"ip: tcp data"[..]));
        assert_eq!(message.push(&mut buffer, b"!"), None);
        let (header, rest) = message.pop(4).expect("long enough");
        assert_eq!(header.of(&buffer), Some(&b"ip: "[..]));
        assert_eq!(rest, Extent { start: 4, bytes: 8 });
        assert_eq!(rest.pop(9), None);
    }

    #[test]
    fn extents_that_lie_are_found() {
        let mut buffer = [0; 8];
        for lie in [(9, 0), (8, 1), (0, 9), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            let lie = Extent { start: lie.0, bytes: lie.1 };
            assert_eq!(lie.of(&buffer), None, "{lie:?}");
            assert_eq!(lie.push(&mut buffer, b"h"), None, "{lie:?}");
        }
        assert_eq!(Extent::room(u64::MAX, 1), None);
    }
}
