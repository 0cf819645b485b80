//! The message tag (docs/abi.md section 3), laid out as L4Re's `l4_msgtag_t`:
//! bits 0-5 words, bits 6-11 capability items, bits 12-15 flags, bits 16-63
//! the protocol, signed.

/// Most message words, the four in registers included.
pub const MAX_WORDS: usize = 63;
/// Most capability items of one message.
pub const MAX_ITEMS: usize = 8;

/// Protocols that the kernel itself speaks. User protocols are positive, but
/// the kernel passes any number on but [`protocol::KOBJECT`]'s: that it sent a
/// message itself is told by the label of a gate that nobody else has.
pub mod protocol {
    /// Operations on kernel objects (L4Re: `L4_PROTO_KOBJECT`).
    pub const KOBJECT: i64 = -10;
    /// The kernel reports a fault of a thread to its fault gate.
    pub const FAULT: i64 = -5;
    /// The kernel reports the end of a thread to its exit gate.
    pub const EXIT: i64 = -9;
    /// A thread made a hypercall, which the kernel brings to the hypercall gate
    /// of its task.
    pub const HYPERCALL: i64 = -22;
    /// A guest has exited: the kernel tells the fault gate of the thread that
    /// is its virtual CPU (L4Re's protocol for virtual machines has the number).
    pub const VM_EXIT: i64 = -16;
}

/// Describes a message: protocol, number of words, number of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tag(u64);

impl Tag {
    /// The one flag that is defined.
    const RELAY: u64 = 1 << 12;

    /// A tag for `words` words and no items.
    ///
    /// # Panics
    /// If `words` is over [`MAX_WORDS`] (at compile time in constants).
    #[must_use]
    pub const fn new(protocol: i64, words: usize) -> Self {
        assert!(words <= MAX_WORDS);
        Self((protocol as u64) << 16 | words as u64)
    }

    /// The same tag with `items` capability items.
    ///
    /// # Panics
    /// If `items` is over [`MAX_ITEMS`].
    #[must_use]
    pub const fn with_items(self, items: usize) -> Self {
        assert!(items <= MAX_ITEMS);
        Self(self.0 & !(0x3f << 6) | (items as u64) << 6)
    }

    /// The tag in a register; whether it is well-formed is for the receiver of
    /// the register to check ([`Tag::is_valid`]).
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits as they travel in `rsi`.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The same tag, with the sender's active relay segment going along with
    /// the call ([`Tag::has_relay`]).
    #[must_use]
    pub const fn with_relay(self) -> Self {
        Self(self.0 | Self::RELAY)
    }

    /// The same tag without a relay segment.
    #[must_use]
    pub const fn without_relay(self) -> Self {
        Self(self.0 & !Self::RELAY)
    }

    /// Whether a relay segment goes along: of a call the sender's active view,
    /// narrowed by its mask; of an answer the one that was lent.
    #[must_use]
    pub const fn has_relay(self) -> bool {
        self.0 & Self::RELAY != 0
    }

    /// Number of message words, 0 to 63.
    #[must_use]
    pub const fn words(self) -> usize {
        (self.0 & 0x3f) as usize
    }

    /// Number of capability items as written (a valid tag has at most
    /// [`MAX_ITEMS`]).
    #[must_use]
    pub const fn items(self) -> usize {
        (self.0 >> 6 & 0x3f) as usize
    }

    /// The protocol, 48 bits, signed.
    #[must_use]
    pub const fn protocol(self) -> i64 {
        (self.0 as i64) >> 16
    }

    /// Whether the kernel accepts it: at most [`MAX_ITEMS`] items, no flag
    /// that is not defined.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.items() <= MAX_ITEMS && self.0 & 0xf000 & !Self::RELAY == 0
    }
}
