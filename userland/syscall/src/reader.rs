//! Reads a message word by word. Nothing in a message is believed: a length
//! that lies is [`Malformed`].

use core::fmt;

/// A message that cannot be read as what was expected, or written because it
/// is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is malformed")
    }
}

/// Reads the words of a message in the order in which they were pushed.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    words: &'a [u64],
}

impl<'a> Reader<'a> {
    /// Reads from these words.
    #[must_use]
    pub const fn new(words: &'a [u64]) -> Self {
        Self { words }
    }

    /// The next word.
    ///
    /// # Errors
    /// There is none.
    pub fn word(&mut self) -> core::result::Result<u64, Malformed> {
        let (first, rest) = self.words.split_first().ok_or(Malformed)?;
        self.words = rest;
        Ok(*first)
    }

    /// The next bytes, still packed.
    ///
    /// # Errors
    /// The message ends before the bytes do.
    pub fn packed(&mut self) -> core::result::Result<Packed<'a>, Malformed> {
        let length = usize::try_from(self.word()?).map_err(|_| Malformed)?;
        let (words, rest) = self.words.split_at_checked(length.div_ceil(8)).ok_or(Malformed)?;
        self.words = rest;
        Ok(Packed { words, length })
    }

    /// The next bytes, into `buffer`; how many there were.
    ///
    /// # Errors
    /// The message ends before the bytes do, or they do not fit the buffer.
    pub fn bytes(&mut self, buffer: &mut [u8]) -> core::result::Result<usize, Malformed> {
        let packed = self.packed()?;
        let target = buffer.get_mut(..packed.len()).ok_or(Malformed)?;
        for (byte, value) in target.iter_mut().zip(packed.iter()) {
            *byte = value;
        }
        Ok(packed.len())
    }

    /// Number of words left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.words.len()
    }
}

/// Bytes in a message, packed little-endian into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed<'a> {
    words: &'a [u64],
    length: usize,
}

impl Packed<'_> {
    /// Number of bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).take(self.length)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::Message;

    #[test]
    fn what_is_pushed_is_read() {
        let mut message = Message::new(7);
        message.push(1).expect("room");
        message.push_bytes(b"nine byte").expect("room");
        message.push(2).expect("room");
        assert_eq!((message.words().len(), message.tag().protocol()), (5, 7));
        let mut reader = message.reader();
        let mut buffer = [0; 16];
        assert_eq!(reader.word(), Ok(1));
        assert_eq!(reader.bytes(&mut buffer), Ok(9));
        assert_eq!(&buffer[..9], b"nine byte");
        assert_eq!((reader.word(), reader.word()), (Ok(2), Err(Malformed)));
    }

    #[test]
    fn lengths_that_lie_are_malformed() {
        for length in [9, 64, u64::MAX - 6, u64::MAX] {
            assert_eq!(Reader::new(&[length, 0]).packed(), Err(Malformed));
        }
        assert_eq!(Reader::new(&[8, 0]).bytes(&mut [0; 4]), Err(Malformed));
    }

    #[test]
    fn a_full_message_refuses_more() {
        let mut message = Message::new(1);
        assert_eq!(message.room(), 62 * 8);
        assert_eq!(message.push_bytes(&[0; 62 * 8 + 1]), Err(Malformed));
        message.push_bytes(&[7; 62 * 8]).expect("room");
        assert_eq!(message.push(0), Err(Malformed));
    }
}
