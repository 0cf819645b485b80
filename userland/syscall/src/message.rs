//! Whole messages: words and capability items, in memory of one's own.
//!
//! The UTCB is overwritten by every call, so whoever needs a message for
//! longer than that copies it here. A [`Message`] is written with `push_*` and
//! read with a [`Reader`] in the same order; bytes travel as their number and
//! then packed little-endian into words.

use abi::rights::Kind;
use abi::tag::{MAX_ITEMS, MAX_WORDS};
use abi::utcb::FIRST_WORD;
use abi::{Tag, Timeout};
use core::fmt;
use postern_abi as abi;

use crate::reader::{Malformed, Reader};
use crate::{Delivery, Item, Result, Rights, Slot, Timeouts, ipc, utcb};

/// A capability that arrived with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedItem {
    /// The slot that it went to: the window declared for it.
    pub slot: Slot,
    /// Its rights.
    pub rights: Rights,
    /// What it is.
    pub kind: Option<Kind>,
}

impl ReceivedItem {
    /// The item in a word that the kernel wrote.
    #[must_use]
    pub fn decode(word: u64) -> Self {
        Self {
            slot: Slot::new(word as u32),
            rights: Rights::from_bits_truncate((word >> 32) as u8),
            kind: Kind::decode(word >> 40 & 0xff),
        }
    }
}

/// A message: up to 63 words and 8 capability items.
#[derive(Clone)]
pub struct Message {
    protocol: i64,
    count: usize,
    words: [u64; MAX_WORDS],
    item_count: usize,
    items: [Item; MAX_ITEMS],
    arrived: [u64; MAX_ITEMS],
}

impl Message {
    /// An empty message of `protocol`; user protocols are positive.
    #[must_use]
    pub const fn new(protocol: i64) -> Self {
        Self {
            protocol,
            count: 0,
            words: [0; MAX_WORDS],
            item_count: 0,
            items: [Item::all(Slot::NULL); MAX_ITEMS],
            arrived: [0; MAX_ITEMS],
        }
    }

    /// A message of `protocol` with these words; those past the 63rd are cut.
    #[must_use]
    pub fn with_words(protocol: i64, words: &[u64]) -> Self {
        let mut message = Self::new(protocol);
        message.count = words.len().min(MAX_WORDS);
        message.words[..message.count].copy_from_slice(&words[..message.count]);
        message
    }

    /// The message that `delivery` brought, copied out of registers and UTCB.
    /// To be called before the next system call, which may overwrite the UTCB.
    #[must_use]
    pub fn from_delivery(delivery: &Delivery) -> Self {
        let mut message = Self::new(delivery.tag.protocol());
        message.count = delivery.tag.words();
        message.words[..FIRST_WORD].copy_from_slice(&delivery.words);
        for index in FIRST_WORD..message.count {
            message.words[index] = utcb::word(index);
        }
        message.item_count = delivery.tag.items().min(MAX_ITEMS);
        for index in 0..message.item_count {
            message.arrived[index] = utcb::received(index);
            message.items[index] = Item::all(Slot::new(message.arrived[index] as u32));
        }
        message
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> i64 {
        self.protocol
    }

    /// The tag for protocol, words and items.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        Tag::new(self.protocol, self.count).with_items(self.item_count)
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words[..self.count]
    }

    /// Word `index`, 0 if the message is shorter.
    #[must_use]
    pub fn word(&self, index: usize) -> u64 {
        self.words().get(index).copied().unwrap_or(0)
    }

    /// Appends a word.
    ///
    /// # Errors
    /// The message is full.
    pub fn push(&mut self, word: u64) -> core::result::Result<(), Malformed> {
        *self.words.get_mut(self.count).ok_or(Malformed)? = word;
        self.count += 1;
        Ok(())
    }

    /// Appends the number of bytes and the bytes.
    ///
    /// # Errors
    /// They do not fit; nothing was appended.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> core::result::Result<(), Malformed> {
        if bytes.len() > self.room() {
            return Err(Malformed);
        }
        self.push(bytes.len() as u64)?;
        for chunk in bytes.chunks(8) {
            self.push(pack(chunk))?;
        }
        Ok(())
    }

    /// How many bytes [`Message::push_bytes`] can still append.
    #[must_use]
    pub const fn room(&self) -> usize {
        (MAX_WORDS - self.count).saturating_sub(1) * 8
    }

    /// Appends a capability.
    ///
    /// # Errors
    /// There are 8 already.
    pub fn push_item(&mut self, item: Item) -> core::result::Result<(), Malformed> {
        *self.items.get_mut(self.item_count).ok_or(Malformed)? = item;
        self.item_count += 1;
        Ok(())
    }

    /// The capabilities that arrived with this message.
    pub fn received(&self) -> impl Iterator<Item = ReceivedItem> + '_ {
        self.arrived[..self.item_count].iter().map(|word| ReceivedItem::decode(*word))
    }

    /// Reads the words from the first one on.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self.words())
    }

    /// Words 0 to 3, with the rest and the items put into the UTCB.
    fn stage(&self) -> [u64; 4] {
        utcb::set_words(self.words());
        utcb::set_items(&self.items[..self.item_count]);
        [self.words[0], self.words[1], self.words[2], self.words[3]]
    }

    /// Sends this message to the capability in `slot` and waits for the
    /// answer.
    ///
    /// # Errors
    /// As [`ipc::call`].
    pub fn call(&self, slot: Slot, timeouts: Timeouts) -> Result<Self> {
        let delivery = ipc::call(slot, self.tag(), self.stage(), timeouts)?;
        Ok(Self::from_delivery(&delivery))
    }

    /// Sends this message; no answer is expected.
    ///
    /// # Errors
    /// As [`ipc::send`].
    pub fn send(&self, slot: Slot, timeout: Timeout) -> Result<()> {
        ipc::send(slot, self.tag(), self.stage(), timeout)
    }

    /// Answers the last call received.
    ///
    /// # Errors
    /// As [`ipc::reply`].
    pub fn reply(&self, label: u64) -> Result<()> {
        ipc::reply(label, self.tag(), self.stage())
    }

    /// Answers through the saved right in `saved`.
    ///
    /// # Errors
    /// As [`ipc::reply_saved`].
    pub fn reply_saved(&self, saved: Slot, label: u64) -> Result<()> {
        ipc::reply_saved(saved, label, self.tag(), self.stage())
    }

    /// Answers the last call received, then waits for the next message.
    ///
    /// # Errors
    /// As [`ipc::reply_receive`].
    pub fn reply_receive(&self, label: u64, timeout: Timeout) -> Result<Delivery> {
        ipc::reply_receive(label, self.tag(), self.stage(), timeout)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("protocol", &self.protocol)
            .field("words", &self.words())
            .field("items", &&self.items[..self.item_count])
            .finish()
    }
}

/// Up to eight bytes as one word, little-endian.
#[inline]
pub(crate) fn pack(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
