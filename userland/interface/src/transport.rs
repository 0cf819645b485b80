//! Where messages leave the program: the kernel's calls, and nothing that knows
//! about interfaces. On the developer's computer a loopback takes their place,
//! so that clients, servers and the macro can be tested there.

#[cfg(not(target_os = "none"))]
pub(crate) use crate::loopback::{
    call, delete, derive, discard, received, reply, reply_saved, ret, save_reply, word,
};
#[cfg(target_os = "none")]
pub(crate) use kernel::{
    call, delete, derive, discard, received, reply, reply_saved, ret, save_reply, word,
};

/// Words 0 to 3 of a message.
#[inline(always)]
pub fn registers(words: &[u64]) -> [u64; 4] {
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    [word(0), word(1), word(2), word(3)]
}

#[cfg(target_os = "none")]
mod kernel {
    use postern_syscall::{
        Delivery, Item, Result, Rights, Slot, Tag, Timeouts, control, ipc, slots, utcb,
    };

    use super::registers;

    /// Puts into the UTCB what the registers do not carry.
    #[inline(always)]
    fn stage(protocol: i64, words: &[u64], items: &[Slot]) -> (Tag, [u64; 4]) {
        if words.len() > 4 {
            utcb::set_words(words);
        }
        let tag = Tag::new(protocol, words.len());
        if items.is_empty() { (tag, registers(words)) } else { with_items(tag, words, items) }
    }

    #[cold]
    fn with_items(tag: Tag, words: &[u64], items: &[Slot]) -> (Tag, [u64; 4]) {
        let mut list = [Item::moved(Slot::NULL); crate::MAX_ITEMS];
        for (item, slot) in list.iter_mut().zip(items) {
            *item = Item::moved(*slot);
        }
        utcb::set_items(&list[..items.len()]);
        (tag.with_items(items.len()), registers(words))
    }

    /// Sends a message and waits for the answer; `windows` are the slots for
    /// its capabilities; with `relay` the active segment goes along.
    #[inline(always)]
    pub fn call(
        gate: Slot,
        protocol: i64,
        words: &[u64],
        items: &[Slot],
        windows: &[Slot],
        timeouts: Timeouts,
        relay: bool,
    ) -> Result<Delivery> {
        let (mut tag, first) = stage(protocol, words, items);
        if relay {
            tag = tag.with_relay();
        }
        if windows.is_empty() {
            return ipc::call(gate, tag, first, timeouts);
        }
        utcb::set_windows(windows);
        let answer = ipc::call(gate, tag, first, timeouts);
        utcb::set_windows(&[]);
        answer
    }

    /// Answers the last call received.
    #[inline]
    pub fn reply(protocol: i64, words: &[u64], items: &[Slot]) -> Result<()> {
        let (tag, first) = stage(protocol, words, items);
        ipc::reply(0, tag, first)
    }

    /// Answers through a saved right.
    #[inline]
    pub fn reply_saved(saved: Slot, protocol: i64, words: &[u64], items: &[Slot]) -> Result<()> {
        let (tag, first) = stage(protocol, words, items);
        ipc::reply_saved(saved, 0, tag, first)
    }

    /// Ends a crossing with this answer; comes back only if it is refused.
    #[cold]
    pub fn ret(protocol: i64, words: &[u64], items: &[Slot]) {
        let (tag, first) = stage(protocol, words, items);
        // That it comes back says why.
        let _ = ipc::ret(0, tag, first);
    }

    /// Moves the right to answer into an empty slot.
    pub fn save_reply(slot: Slot) -> Result<()> {
        control::save_reply(slot)
    }

    /// Word 4 or a later one of the last delivery.
    #[inline(always)]
    pub fn word(index: usize) -> u64 {
        utcb::word(index)
    }

    /// What the kernel wrote about an item of the last delivery.
    pub fn received(index: usize) -> u64 {
        utcb::received(index)
    }

    /// Deletes the capability in a slot, if there is one, and frees the slot.
    pub fn delete(slot: Slot) {
        // If the kernel refuses, a slot is lost and nothing else.
        let _ = slots::delete(slot);
    }

    /// Deletes the capability in a slot that stays allocated.
    pub fn discard(slot: Slot) {
        // One that cannot be deleted is gone already.
        let _ = slots::task().delete(slot);
    }

    /// Copies a capability into an empty slot.
    pub fn derive(from: Slot, to: Slot, rights: Rights) -> Result<()> {
        slots::task().derive(from, to, rights)
    }
}
