//! Messages without a kernel, for tests on the developer's computer: a server
//! is bound to a slot, and calls through that slot reach it in the same thread.
//!
//! Capabilities are slot numbers with a kind here; there is one table for
//! client and server.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;
use std::thread_local;
use std::vec::Vec;

use postern_syscall::abi::rights::Kind;
use postern_syscall::{
    Capability, Delivery, DeliveryKind, ErrorCode, ErrorNumber, Gate, Result, Rights, Slot, Tag,
    Task, Timeouts, slots,
};

use crate::server::Server;
use crate::station::Station;
use crate::transport::registers;

type Shared = Rc<RefCell<dyn Server>>;

/// What a slot holds.
#[derive(Clone)]
enum Content {
    Gate { server: Shared, label: u64 },
    Saved,
}

/// Protocol, words and capabilities of an answer.
type Sent = (i64, Vec<u64>, Vec<Slot>);

#[derive(Default)]
struct World {
    slots: BTreeMap<Slot, Content>,
    /// Words and capabilities of the message that was delivered last.
    words: Vec<u64>,
    items: Vec<Slot>,
    /// The answers to calls under way, the innermost one last.
    answers: Vec<Option<Sent>>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn with<T>(change: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(change)
}

/// Makes a gate to `server` with `label`.
///
/// # Panics
/// There are 8000 gates already.
pub fn gate(server: impl Server + 'static, label: u64) -> Gate {
    slots::set_own(Task::new(Slot::NULL), 1..8000);
    let slot = slots::allocate().expect("a slot");
    let server = Rc::new(RefCell::new(server));
    with(|world| world.slots.insert(slot, Content::Gate { server, label }));
    Gate::new(slot)
}

/// Whether there is a capability in `slot`.
#[must_use]
pub fn is_used(slot: Slot) -> bool {
    with(|world| world.slots.contains_key(&slot))
}

/// Number of capabilities.
#[must_use]
pub fn used() -> usize {
    with(|world| world.slots.len())
}

/// Sends any message to a gate: the tag's protocol and the words of the answer.
///
/// # Errors
/// As a call.
pub fn send(gate: Gate, protocol: i64, words: &[u64], items: &[Slot]) -> Result<(i64, Vec<u64>)> {
    let answer = call(gate.slot(), protocol, words, items, &[], Timeouts::NEVER, false)?;
    Ok((answer.tag.protocol(), with(|world| world.words.clone())))
}

pub(crate) fn call(
    gate: Slot,
    protocol: i64,
    words: &[u64],
    items: &[Slot],
    _windows: &[Slot],
    _timeouts: Timeouts,
    _relay: bool,
) -> Result<Delivery> {
    let found = with(|world| world.slots.get(&gate).cloned());
    let Some(Content::Gate { server, label }) = found else {
        return Err(ErrorCode::send(ErrorNumber::NotExistent));
    };
    let items = transfer(items);
    let items = with(|world| {
        world.answers.push(None);
        world.deliver(words, items)
    });
    let tag = Tag::new(protocol, words.len()).with_items(items);
    let words = registers(words);
    let delivery = Delivery { kind: DeliveryKind::Call, label, tag, words };
    // As in the kernel, a server that calls itself waits for ever.
    let mut server = server.try_borrow_mut().expect("a server calls itself: deadlock");
    let mut station = Station::new(0);
    if station.handle(&mut *server, &delivery) {
        let (words, items) = station.answer();
        reply(protocol, words, items)?;
    }
    // What was sent is not the sender's any more.
    let (protocol, words, items) = with(|world| world.answers.pop().flatten())
        .ok_or(ErrorCode::receive(ErrorNumber::Aborted))?;
    let items = with(|world| world.deliver(&words, items));
    Ok(Delivery {
        kind: DeliveryKind::Reply,
        label: 0,
        tag: Tag::new(protocol, words.len()).with_items(items),
        words: registers(&words),
    })
}

impl World {
    /// Puts a message where the receiver looks for it; how many capabilities
    /// it has.
    fn deliver(&mut self, words: &[u64], items: Vec<Slot>) -> usize {
        self.words = words.to_vec();
        self.items = items;
        self.items.len()
    }
}

/// Moves capabilities to slots of the receiver.
fn transfer(items: &[Slot]) -> Vec<Slot> {
    let move_one = |from: &Slot| {
        let to = slots::allocate().expect("a slot");
        with(|world| {
            let content = world.slots.remove(from).expect("a capability that is there");
            world.slots.insert(to, content);
        });
        to
    };
    items.iter().map(move_one).collect()
}

pub(crate) fn reply(protocol: i64, words: &[u64], items: &[Slot]) -> Result<()> {
    let items = transfer(items);
    with(|world| match world.answers.last_mut() {
        Some(answer @ None) => {
            *answer = Some((protocol, words.to_vec(), items));
            Ok(())
        }
        _ => Err(ErrorCode::send(ErrorNumber::NotExistent)),
    })
}

/// A call that is kept cannot be waited for in one thread: it ends with
/// `Aborted`, and the late answer finds nobody.
pub(crate) fn reply_saved(_: Slot, _: i64, _: &[u64], _: &[Slot]) -> Result<()> {
    Err(ErrorCode::send(ErrorNumber::NotExistent))
}

pub(crate) fn save_reply(slot: Slot) -> Result<()> {
    with(|world| world.slots.insert(slot, Content::Saved));
    Ok(())
}

pub(crate) fn word(index: usize) -> u64 {
    with(|world| world.words[index])
}

pub(crate) fn received(index: usize) -> u64 {
    with(|world| {
        let slot = world.items[index];
        let kind = match world.slots[&slot] {
            Content::Gate { .. } => Kind::Gate,
            Content::Saved => Kind::Reply,
        };
        slot.word() | u64::from(Rights::R.bits()) << 32 | (kind as u64) << 40
    })
}

pub(crate) fn delete(slot: Slot) {
    discard(slot);
    slots::release(slot);
}

pub(crate) fn discard(slot: Slot) {
    // A server that holds capabilities may be dropped after the world is.
    let content = WORLD.try_with(|world| world.borrow_mut().slots.remove(&slot));
    drop(content);
}

pub(crate) fn derive(from: Slot, to: Slot, _: Rights) -> Result<()> {
    with(|world| {
        let content = world.slots.get(&from).cloned();
        let content = content.ok_or(ErrorCode::new(ErrorNumber::NotExistent, 1))?;
        world.slots.insert(to, content);
        Ok(())
    })
}

/// There are no contexts here.
pub(crate) fn ret(_protocol: i64, _words: &[u64], _items: &[Slot]) {}
