//! Servers that do with a lent segment what their caller asks for.
//!
//! A server is a task with a copy of this program: with a thread that receives,
//! or with an entry. Both run [`act`]; word 0 of a message says what to do.

use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use postern_tests::bare::memory::{read, shared_word, write};
use postern_tests::runtime::crossing::{Answer, entry_point, prepare};
use postern_tests::runtime::memory::Mapping;
use postern_tests::runtime::{own, slots};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::window::{self, ADDRESS};
use postern_tests::syscall::{
    Capability, Delivery, Entry, Gate, Item, Memory, Relay, Rights, Slot, Tag, Timeout, Timeouts,
    control, ipc,
};
use postern_tests::{Body, Ctx, Failure, Partner, peer};

/// Four words.
pub const FOUR: Tag = Tag::new(7, 4);
/// Four words and the active segment.
pub const LENT: Tag = FOUR.with_relay();

/// Commands, word 0. What they do is in [`act`].
pub mod ask {
    pub const SHOWN: u64 = 0;
    pub const SUM: u64 = 1;
    pub const READ: u64 = 2;
    pub const WRITE: u64 = 3;
    pub const SWAP: u64 = 4;
    pub const RETURN_SWAPPED: u64 = 5;
    pub const MASK: u64 = 6;
    pub const FORWARD: u64 = 7;
    pub const READ_ALL_UNTIL: u64 = 8;
    pub const SAVE: u64 = 9;
    pub const FORWARD_PAGES: u64 = 10;
    pub const OWN: u64 = 11;
    pub const EXIT: u64 = 12;
    pub const FORWARD_AND_GIVE_UP: u64 = 13;
    pub const LAST: u64 = 14;
}

/// Board: the reader has begun; it may stop; how often it has read everything.
pub const BEGUN: usize = 10;
pub const STOP: usize = 11;
pub const ROUNDS: usize = 12;
/// Board: error codes of a server, in the order in which it got them.
pub const ERRORS: usize = 20;

/// The sum of the first words of the pages of a range.
pub fn sum(address: u64, bytes: u64) -> u64 {
    (0..bytes / PAGE)
        .fold(0_u64, |sum, page| sum.wrapping_mul(31).wrapping_add(read(address + page * PAGE)))
}

/// Writes the first word of each page of a range.
pub fn fill(address: u64, bytes: u64, seed: u64) {
    for page in 0..bytes / PAGE {
        write(address + page * PAGE, seed + page * page);
    }
}

fn code<T>(result: postern_tests::syscall::Result<T>) -> u64 {
    result.map_or_else(|error| error.encode(), |_| 0)
}

fn forward(words: [u64; 4], timeouts: Timeouts) -> [u64; 4] {
    match ipc::call(peer::given(0), LENT, words, timeouts) {
        Ok(answer) => answer.words,
        Err(error) => [error.encode(), u64::MAX, 0, 0],
    }
}

/// Does what a message asks for.
pub fn act(message: Delivery) -> Answer {
    let [what, a, b, c] = message.words;
    let words = match what {
        ask::SHOWN => {
            let Ok(shown) = window::shown() else { control::exit(1) };
            let held = shown.held.map_or(u64::MAX, |held| held as u64);
            let flags = u64::from(message.tag.has_relay()) << 8;
            let rights = u64::from(shown.rights.bits()) << 16;
            [shown.address, shown.bytes, shown.physical, held | flags | rights]
        }
        ask::SUM => [sum(a, b), 0, 0, 0],
        ask::READ => [read(a), 0, 0, 0],
        ask::WRITE => {
            write(a, b);
            [read(a), 0, 0, 0]
        }
        ask::SWAP => [code(window::swap(a as usize)), code(window::swap(b as usize)), 0, 0],
        ask::RETURN_SWAPPED => {
            let swapped = code(window::swap(a as usize));
            // A right to answer is asked for by who has a thread here.
            let refused = if b == 1 {
                code(ipc::ret(0, FOUR, [1; 4]))
            } else {
                code(ipc::reply(0, FOUR, [1; 4]))
            };
            [swapped, refused, code(window::swap(a as usize)), 0]
        }
        ask::MASK => [code(window::mask(a, b, Rights::from_bits_truncate(c as u8))), 0, 0, 0],
        ask::FORWARD => {
            let before = sum(ADDRESS, a);
            let [there, physical, ..] = forward([b, a, ask::LAST, 0], Timeouts::NEVER);
            [before, there, physical, sum(ADDRESS, a)]
        }
        // The end of a chain.
        ask::LAST => [sum(ADDRESS, a), window::shown().map_or(0, |it| it.physical), 0, 0],
        ask::READ_ALL_UNTIL => {
            shared_word(BEGUN).store(1, SeqCst);
            // With a sum to compare: how often it was another one.
            let (mut last, mut differing) = (0, 0);
            while shared_word(STOP).load(SeqCst) == 0 {
                last = sum(a, b);
                differing += u64::from(c != 0 && last != c);
                shared_word(ROUNDS).fetch_add(1, SeqCst);
                let _ = control::sleep_until(control::clock() + 20_000);
            }
            [last, differing, 0, 0]
        }
        ask::FORWARD_PAGES => {
            let mut total = 0_u64;
            for page in 0..a / PAGE {
                let masked = code(window::mask_page(page, Rights::R));
                let words = [ask::SUM, ADDRESS + page * PAGE, PAGE, 0];
                let [sum, failed, ..] = forward(words, Timeouts::NEVER);
                if masked != 0 || failed != 0 {
                    return Answer { label: 0, tag: FOUR, words: [0, masked, failed, page] };
                }
                total = total.wrapping_mul(31).wrapping_add(sum);
            }
            [total, 0, 0, 0]
        }
        ask::OWN => {
            // Its own segment, given as number `a`, in the window and marked.
            let own: Relay = Relay::new(peer::given(a as u32));
            let active = code(own.activate());
            if active == 0 {
                write(ADDRESS, b);
            }
            [active, if c < 16 { code(window::park(c as usize)) } else { 0 }, 0, 0]
        }
        ask::EXIT => control::exit(3),
        ask::FORWARD_AND_GIVE_UP => {
            let words = [ask::READ_ALL_UNTIL, a, b, 0];
            let timeout = Timeout::from_ns(c);
            let [error, ..] = forward(words, Timeouts::receive(timeout));
            let held = window::shown().ok().and_then(|it| it.held).map_or(9, |held| held as u64);
            [error, held, code(ipc::reply(0, FOUR, [0; 4])), code(window::swap(0))]
        }
        _ => [u64::MAX; 4],
    };
    Answer { label: 0, tag: FOUR, words }
}

/// A body: a thread that serves for ever; parks saved rights on request.
fn serve(_: u64) -> u64 {
    let mut next = ipc::receive(Timeout::NEVER);
    loop {
        let Ok(message) = next else { return 1 };
        if message.words[0] == ask::SAVE {
            next = save(message.words[1]);
            continue;
        }
        let Answer { label, tag, words } = act(message);
        next = ipc::reply_receive(label, tag, words, Timeout::NEVER);
        if let Err(error) = next {
            postern_tests::board::push(ERRORS, error.encode());
            next = ipc::receive(Timeout::NEVER);
        }
    }
}

/// Saves the right to answer, serves another call, takes the right up again (or
/// answers through it) and reads what came with it.
fn save(how: u64) -> postern_tests::syscall::Result<Delivery> {
    let never = Timeout::NEVER;
    let slot = peer::free(0);
    control::save_reply(slot)?;
    let empty = window::shown()?.bytes;
    let other = ipc::receive(never)?;
    ipc::reply(0, FOUR, act(other).words)?;
    if how == 1 {
        let words = [empty, 0, 0, 0];
        ipc::reply_saved(slot, 0, FOUR, words)?;
        return ipc::receive(never);
    }
    let taken = code(window::take_reply(slot));
    let shown = window::shown()?.bytes;
    let word = if shown == 0 { 0 } else { read(ADDRESS) };
    ipc::reply_receive(0, FOUR, [empty, taken, shown, word], never)
}

/// Which kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A thread that receives.
    Thread,
    /// An entry that is crossed into.
    Entry,
}

/// Both kinds.
pub const WAYS: [Way; 2] = [Way::Thread, Way::Entry];

/// A server.
pub struct Server {
    pub partner: Partner,
    pub gate: Gate,
    /// Its entry, if it has one.
    pub entry: Option<Entry>,
    stacks: Vec<Memory>,
    way: Way,
}

/// Pages of a context's stack.
const STACK_PAGES: u64 = 2;
/// Where they lie.
const STACKS: u64 = 0xc_0000_0000;

impl Server {
    /// A server that runs.
    #[track_caller]
    pub fn new(ctx: &Ctx, way: Way) -> Result<Self, Failure> {
        let mut server = Self::idle(ctx, way)?;
        server.start()?;
        Ok(server)
    }

    /// A server that can be given something before it [starts](Self::start).
    #[track_caller]
    pub fn idle(ctx: &Ctx, way: Way) -> Result<Self, Failure> {
        let partner = ctx.peer()?;
        let mut stacks = Vec::new();
        if way == Way::Thread {
            let gate = ctx.gate_to(partner.thread(), 0x40)?;
            return Ok(Self { partner, gate, entry: None, stacks, way });
        }
        let Some(task) = partner.task() else { postern_tests::fail!("a peer has a task") };
        let entry =
            ctx.factory.create_entry(ctx.slot()?, task, entry_point(), 10, 2_000_000_000)?;
        for index in 0..3 {
            let bytes = STACK_PAGES * PAGE;
            let at = STACKS + index * (bytes + PAGE);
            let memory = ctx.memory(STACK_PAGES)?;
            stacks.push(memory);
            let mut window = Mapping::new(memory, bytes, Rights::W)?;
            let top = prepare(&mut window, at + bytes, act);
            task.map(memory, at, 0, bytes, Rights::R | Rights::W)?;
            entry.add_context(top)?;
        }
        let gate = ctx.factory.create_entry_gate(ctx.slot()?, entry, 0x40, 0)?;
        Ok(Self { partner, gate, entry: Some(entry), stacks, way })
    }

    /// Lets its thread, if it has one that receives, run.
    #[track_caller]
    pub fn start(&mut self) -> postern_tests::Verdict {
        if self.way == Way::Thread {
            let body: Body = serve;
            self.partner.start(body, 0)?;
        }
        Ok(())
    }

    /// Gives it a capability: number 0 first.
    #[track_caller]
    pub fn give(&mut self, what: impl Capability) -> postern_tests::Verdict {
        self.partner.give(Item::all(what.slot())).map(drop)
    }

    /// Calls it with the active segment; the words of the answer.
    pub fn lend(&self, words: [u64; 4]) -> postern_tests::syscall::Result<[u64; 4]> {
        self.call(LENT, words, Timeouts::NEVER)
    }

    /// Calls it.
    pub fn call(
        &self,
        tag: Tag,
        words: [u64; 4],
        timeouts: Timeouts,
    ) -> postern_tests::syscall::Result<[u64; 4]> {
        ipc::call(self.gate.slot(), tag, words, timeouts).map(|answer| answer.words)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Ok(own) = own::task() else { return };
        let end = |slot: Slot| {
            // What the test has destroyed itself is gone already.
            let _ = own.destroy(slot);
            let _ = own.delete(slot);
            slots::release(slot);
        };
        if let Some(entry) = self.entry {
            end(entry.slot());
        }
        end(self.gate.slot());
        if let Some(task) = self.partner.task() {
            let _ = own.destroy(task.slot());
        }
        self.stacks.iter().for_each(|memory| end(memory.slot()));
    }
}

/// A segment of `bytes` in the window of this thread, filled from `seed` on.
#[track_caller]
pub fn segment(ctx: &Ctx, bytes: u64, seed: u64) -> Result<Relay, Failure> {
    let relay = ctx.factory.create_relay(ctx.slot()?, bytes, false)?;
    relay.activate()?;
    fill(ADDRESS, bytes, seed);
    Ok(relay)
}
