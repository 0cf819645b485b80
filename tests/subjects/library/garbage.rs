//! Random messages for a server that `#[interface]` made (issue 9, point 1): no
//! matter what comes, its methods get what they ask for or are not called, it
//! goes on, and nothing is left behind. One method for each kind of argument.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use postern_tests::random::Random;
use postern_tests::runtime::interface::{
    Answer, Bytes, Caller, Lent, Owned, Plain, Refusal, ServerError, Status, Text, Wire, interface,
};
use postern_tests::runtime::relay::{self, Outcome, Outstanding, RelayBuf};
use postern_tests::runtime::time;
use postern_tests::syscall::{
    Capability, Delivery, ErrorCode, ErrorNumber, Gate, Item, Memory, Notification, Relay, Rights,
    Slot, Tag, Timeouts, ipc, slots, utcb,
};
use postern_tests::{Ctx, Verdict, check, check_eq, tests};
use zerocopy::{Immutable, IntoBytes, TryFromBytes};

use crate::servers::{WAYS, Way, run};

tests! {
    interface_garbage_to_a_thread = 60,
    interface_garbage_to_an_entry = 60,
    interface_a_segment_is_given_away,
}

/// How many messages.
const ROUNDS: u64 = 6000;
/// The seed of all of them.
const SEED: u64 = 0x9057_e4a1;

/// A structure, field by field.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    x: i32,
    is_set: bool,
    name: Text<12>,
}

/// An enumeration with all kinds of variants.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// No fields.
    Nothing,
    /// Some.
    Circle(Point, u8),
    /// Named ones.
    Line {
        /// One end.
        from: (u8, bool),
        /// The other.
        to: [u16; 2],
    },
}

/// A structure of zerocopy, of which most bytes are no value.
#[derive(TryFromBytes, IntoBytes, Immutable, Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    length: u32,
    kind: Kind,
    is_last: bool,
    flags: [u8; 6],
}

/// What a header is of.
#[derive(TryFromBytes, IntoBytes, Immutable, Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(dead_code, reason = "they come out of messages")]
pub enum Kind {
    /// Data.
    Data = 1,
    /// The end.
    End = 2,
}

/// What the sink refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkError {
    /// it is an odd number
    Odd = 1,
}

/// Takes anything. Each method says what it got, where that can be wrong.
#[interface(protocol = 0x7102)]
pub trait Sink {
    /// Nothing.
    fn nothing(&mut self);
    /// Integers without sign.
    fn unsigned(&mut self, a: u8, b: u16, c: u32, d: u64, e: usize) -> u64;
    /// Integers with sign.
    fn signed(&mut self, a: i8, b: i16, c: i32, d: i64, e: isize) -> i64;
    /// Integers of two words.
    fn wide(&mut self, a: u128, b: i128) -> u128;
    /// A truth value.
    fn truth(&mut self, value: bool) -> bool;
    /// A character.
    fn character(&mut self, value: char) -> char;
    /// A time.
    fn time(&mut self, value: Duration) -> Duration;
    /// Maybe something.
    fn maybe(&mut self, value: Option<Option<u16>>) -> bool;
    /// An array.
    fn array(&mut self, value: [u8; 3]) -> [u8; 3];
    /// A tuple.
    fn tuple(&mut self, value: (u8, bool, i16)) -> (u8, bool, i16);
    /// A structure.
    fn structure(&mut self, value: Point) -> Point;
    /// An enumeration.
    fn shape(&mut self, value: Shape) -> Shape;
    /// A structure of zerocopy.
    fn plain(&mut self, value: Plain<Header>) -> Plain<Header>;
    /// Borrowed bytes.
    fn bytes(&mut self, value: &[u8]) -> usize;
    /// Borrowed text.
    fn text(&mut self, value: &str) -> usize;
    /// Bytes of its own.
    fn own_bytes(&mut self, value: Vec<u8>) -> Vec<u8>;
    /// Text of its own.
    fn own_text(&mut self, value: String) -> String;
    /// Bytes in place.
    fn fixed_bytes(&mut self, value: Bytes<9>) -> Bytes<9>;
    /// Text in place.
    fn fixed_text(&mut self, value: Text<9>) -> Text<9>;
    /// A list of structures.
    fn list(&mut self, value: Vec<Point>) -> usize;
    /// Lists among other things.
    fn lists(&mut self, first: Vec<u8>, number: u16, second: Vec<(bool, u8)>) -> usize;
    /// Who calls.
    fn who(&mut self, caller: &Caller) -> u64;
    /// A gate.
    fn a_gate(&mut self, gate: Owned<Gate>) -> Owned<Gate>;
    /// A typed client.
    fn client(&mut self, client: Owned<SinkClient>);
    /// Two capabilities of different kinds.
    fn two(&mut self, memory: Owned<Memory>, number: u8, signals: Owned<Notification>);
    /// Maybe a capability.
    fn maybe_gate(&mut self, gate: Option<Owned<Gate>>) -> bool;
    /// A segment, lent.
    fn lent(&mut self, data: Lent<'_>) -> u64;
    /// A segment and other things.
    fn lent_too(&mut self, text: &str, data: Lent<'_>, at: usize) -> u8;
    /// Fails sometimes.
    fn fallible(&mut self, number: u64) -> Result<u64, SinkError>;
    /// Answers itself.
    fn answers(&mut self, number: u8, answer: Answer<'_, u8, SinkError>);
    /// A segment, for good.
    fn segment(&mut self, segment: Owned<Relay>) -> u64;
}

/// Methods of the sink.
const METHODS: usize = SinkClient::METHODS.len();

/// How often each method was called.
type Calls = Arc<[AtomicU64; METHODS + 1]>;

struct Drain(Calls);

impl Drain {
    fn called(&self, method: usize) {
        self.0[method].fetch_add(1, Ordering::Relaxed);
    }
}

impl Sink for Drain {
    fn nothing(&mut self) {
        self.called(1);
    }

    fn unsigned(&mut self, a: u8, b: u16, c: u32, d: u64, e: usize) -> u64 {
        self.called(2);
        [a.into(), b.into(), c.into(), e as u64].into_iter().fold(d, u64::wrapping_add)
    }

    fn signed(&mut self, a: i8, b: i16, c: i32, d: i64, e: isize) -> i64 {
        self.called(3);
        [a.into(), b.into(), c.into(), e as i64].into_iter().fold(d, i64::wrapping_add)
    }

    fn wide(&mut self, a: u128, b: i128) -> u128 {
        self.called(4);
        a ^ b as u128
    }

    fn truth(&mut self, value: bool) -> bool {
        self.called(5);
        value
    }

    fn character(&mut self, value: char) -> char {
        self.called(6);
        value
    }

    fn time(&mut self, value: Duration) -> Duration {
        self.called(7);
        assert!(value.subsec_nanos() < 1_000_000_000, "a time that is none");
        value
    }

    fn maybe(&mut self, value: Option<Option<u16>>) -> bool {
        self.called(8);
        value.flatten().is_some()
    }

    fn array(&mut self, value: [u8; 3]) -> [u8; 3] {
        self.called(9);
        value
    }

    fn tuple(&mut self, value: (u8, bool, i16)) -> (u8, bool, i16) {
        self.called(10);
        value
    }

    fn structure(&mut self, value: Point) -> Point {
        self.called(11);
        value
    }

    fn shape(&mut self, value: Shape) -> Shape {
        self.called(12);
        value
    }

    fn plain(&mut self, value: Plain<Header>) -> Plain<Header> {
        self.called(13);
        assert!(matches!(value.0.kind, Kind::Data | Kind::End), "a kind that is none");
        value
    }

    fn bytes(&mut self, value: &[u8]) -> usize {
        self.called(14);
        value.len()
    }

    fn text(&mut self, value: &str) -> usize {
        self.called(15);
        assert!(core::str::from_utf8(value.as_bytes()).is_ok(), "text that is none");
        value.chars().count()
    }

    fn own_bytes(&mut self, value: Vec<u8>) -> Vec<u8> {
        self.called(16);
        value
    }

    fn own_text(&mut self, value: String) -> String {
        self.called(17);
        value.chars().rev().collect()
    }

    fn fixed_bytes(&mut self, value: Bytes<9>) -> Bytes<9> {
        self.called(18);
        value
    }

    fn fixed_text(&mut self, value: Text<9>) -> Text<9> {
        self.called(19);
        value
    }

    fn list(&mut self, value: Vec<Point>) -> usize {
        self.called(20);
        value.len()
    }

    fn lists(&mut self, first: Vec<u8>, number: u16, second: Vec<(bool, u8)>) -> usize {
        self.called(21);
        first.len() + usize::from(number) + second.len()
    }

    fn who(&mut self, caller: &Caller) -> u64 {
        self.called(22);
        caller.label()
    }

    fn a_gate(&mut self, gate: Owned<Gate>) -> Owned<Gate> {
        self.called(23);
        gate
    }

    fn client(&mut self, client: Owned<SinkClient>) {
        self.called(24);
        drop(client);
    }

    fn two(&mut self, memory: Owned<Memory>, _: u8, signals: Owned<Notification>) {
        self.called(25);
        // They are what they say.
        assert!(memory.info().is_ok() && signals.signal(1).is_ok(), "other kinds");
    }

    fn maybe_gate(&mut self, gate: Option<Owned<Gate>>) -> bool {
        self.called(26);
        gate.is_some()
    }

    fn lent(&mut self, data: Lent<'_>) -> u64 {
        self.called(27);
        assert!(!data.is_empty(), "nothing was lent");
        data.iter().map(|byte| u64::from(*byte)).sum()
    }

    fn lent_too(&mut self, _: &str, mut data: Lent<'_>, at: usize) -> u8 {
        self.called(28);
        let Some(byte) = data.writable().and_then(|bytes| bytes.get_mut(at)) else { return 0 };
        *byte = byte.wrapping_add(1);
        *byte
    }

    fn fallible(&mut self, number: u64) -> Result<u64, SinkError> {
        self.called(29);
        if number.is_multiple_of(2) { Ok(number) } else { Err(SinkError::Odd) }
    }

    fn answers(&mut self, number: u8, answer: Answer<'_, u8, SinkError>) {
        self.called(30);
        match answer.keep() {
            Ok(kept) => kept.send(Ok(number)),
            // Behind an entry nothing is kept.
            Err(answer) => answer.send(Ok(number)),
        };
    }

    fn segment(&mut self, segment: Owned<Relay>) -> u64 {
        self.called(31);
        match relay::Segment::adopt(segment.keep()).map(relay::Segment::activate) {
            Ok(Ok(buffer)) => buffer.iter().map(|byte| u64::from(*byte)).sum(),
            _ => u64::MAX,
        }
    }
}

/// What may go along: a gate, memory, a notification.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Gate,
    Memory,
    Signals,
}

/// Arguments of each method that it takes, for messages that are nearly good.
const GOOD: [(&[u64], &[Thing]); METHODS] = [
    (&[], &[]),
    (&[255, 65535, 7, u64::MAX, 9], &[]),
    (&[-1_i64 as u64, 5, -70_000_i64 as u64, 1 << 40, -9_i64 as u64], &[]),
    (&[1, 2, 3, u64::MAX], &[]),
    (&[1], &[]),
    (&[0x1f980], &[]),
    (&[3, 999_999_999], &[]),
    (&[1, 1, 65535], &[]),
    (&[1, 2, 3], &[]),
    (&[1, 0, -7_i64 as u64], &[]),
    (&[-5_i64 as u64, 1, 9, 0x6e72_6574_736f_7061, 0x61], &[]),
    (&[2, 3, 1, 4, 5], &[]),
    (&[1 << 40 | 7, 0], &[]),
    (&[9, 5, 6], &[]),
    (&[2, 0xa9c3], &[]),
    (&[3, 0x00ff_ffff], &[]),
    (&[5, 0x006f_6c6c_6568], &[]),
    (&[9, 5, 6], &[]),
    (&[9, 0x6161_6161_6161_6161, 0x62], &[]),
    (&[2, 1, 0, 1, 0x61, 2, 1, 2, 0x6161], &[]),
    (&[3, 1, 77, 2, 1, 5, 0, 6], &[]),
    (&[], &[]),
    (&[], &[Thing::Gate]),
    (&[], &[Thing::Gate]),
    (&[8], &[Thing::Memory, Thing::Signals]),
    (&[1], &[Thing::Gate]),
    (&[], &[]),
    (&[1, 0x61, 4095], &[]),
    (&[8], &[]),
    (&[8], &[]),
    (&[], &[Thing::Memory]),
];

/// Words that could be the arguments of something.
fn word(random: &mut Random) -> u64 {
    match random.below(6) {
        0 => random.below(4),
        1 => random.one_of(&[0, 1, 8, 9, 16, 255, 256, 0x006f_6c6c_6568, 0xa9c3, u64::MAX]),
        2 => random.number() & 0x7f7f_7f7f_7f7f_7f7f,
        3 => u64::MAX - random.below(300),
        _ => random.number() >> random.below(64),
    }
}

/// Things to send along.
struct Things {
    gate: Gate,
    memory: Memory,
    signals: Notification,
}

impl Things {
    fn item(&self, thing: Thing) -> Item {
        let slot = match thing {
            Thing::Gate => self.gate.slot(),
            Thing::Memory => self.memory.slot(),
            Thing::Signals => self.signals.slot(),
        };
        Item::with(slot, Rights::R | Rights::W | Rights::GRANT)
    }
}

/// A message: words, and what goes along.
struct Throw {
    words: [u64; 63],
    count: usize,
    things: [Thing; 8],
    thing_count: usize,
}

impl Throw {
    /// Half of them at random, half of them good but for a word here and there.
    fn new(random: &mut Random) -> Self {
        let most = if random.below(8) == 0 { 64 } else { 8 };
        let mut throw = Self {
            words: core::array::from_fn(|_| word(random)),
            count: random.below(most) as usize,
            things: core::array::from_fn(|_| thing(random)),
            thing_count: if random.below(3) == 0 { random.below(9) as usize } else { 0 },
        };
        throw.words[0] = random.below(METHODS as u64 + 3);
        if random.below(2) == 0 {
            return throw;
        }
        let method = random.below(METHODS as u64) as usize;
        let (words, things) = GOOD[method];
        throw.words[0] = method as u64 + 1;
        throw.words[1..=words.len()].copy_from_slice(words);
        throw.things[..things.len()].copy_from_slice(things);
        (throw.count, throw.thing_count) = (words.len() + 1, things.len());
        match random.below(8) {
            0 => throw.count -= 1,
            1 => throw.count += 1,
            2 => throw.words[random.below(throw.count as u64) as usize] = word(random),
            3 => throw.words[random.below(throw.count as u64) as usize] ^= 1 << random.below(64),
            4 => throw.thing_count = random.below(9) as usize,
            5 => throw.things[random.below(2) as usize] = thing(random),
            _ => {}
        }
        throw
    }
}

fn thing(random: &mut Random) -> Thing {
    [Thing::Gate, Thing::Memory, Thing::Signals][random.below(3) as usize]
}

/// Sends one message of any kind; the answer, and the buffer that may have gone
/// along.
fn throw(
    sink: SinkClient,
    random: &mut Random,
    things: &Things,
    buffer: RelayBuf,
) -> (Result<Delivery, ErrorCode>, Option<RelayBuf>) {
    let Throw { words, count, things: kinds, thing_count } = Throw::new(random);
    utcb::set_words(&words[..count.max(4)]);
    utcb::set_items(&kinds.map(|kind| things.item(kind))[..thing_count]);
    let protocol = if random.below(20) == 0 { word(random) as i32 } else { 0x7102 };
    let tag = Tag::new(protocol.into(), count).with_items(thing_count);
    let first = [words[0], words[1], words[2], words[3]];
    if random.below(3) == 0 {
        return match buffer.call(sink.gate(), tag, first, Timeouts::NEVER) {
            Ok((answer, buffer)) => (Ok(answer), Some(buffer)),
            Err((error, Outcome::Back(buffer))) => (Err(error), Some(buffer)),
            // A handler in a context whose answer did not arrive goes on.
            Err((error, Outcome::Outstanding(late))) => (Err(error), reclaim(late)),
        };
    }
    (ipc::call(sink.gate().slot(), tag, first, Timeouts::NEVER), Some(buffer))
}

/// Waits for a buffer that a server has still.
fn reclaim(mut late: Outstanding) -> Option<RelayBuf> {
    while late.is_lent() {
        time::sleep(Duration::from_micros(50));
    }
    for _ in 0..100 {
        late = match late.reclaim() {
            Ok(buffer) => return Some(buffer),
            Err((_, late)) => late,
        };
    }
    None
}

fn garbage(ctx: &Ctx, way: Way) -> Verdict {
    let calls: Calls = Arc::new(core::array::from_fn(|_| AtomicU64::new(0)));
    let sink = SinkClient::new(run(way, 0x40, SinkServer(Drain(Arc::clone(&calls))))?);
    let things =
        Things { gate: ctx.gate(0x80)?, memory: ctx.memory(1)?, signals: ctx.notification()? };
    let mut buffer = relay::buffer(100)?;
    let mut random = Random::new(SEED);
    let (mut refused, mut answered, mut before) = (0, 0, None);
    for round in 0..ROUNDS {
        // Slots of the server's windows are taken with the first messages.
        if round == 500 {
            before = Some((free_slots(), ctx.charged()?));
        }
        let (answer, back) = throw(sink, &mut random, &things, buffer);
        let Some(back) = back else {
            postern_tests::fail!("round {round}: the buffer is lost: {answer:?}")
        };
        buffer = back;
        match answer {
            Ok(answer) => match Status::decode(answer.words[0]) {
                Ok(Status::Refused(Refusal::Unanswered)) | Err(_) => {
                    postern_tests::fail!("round {round}: {answer:?}")
                }
                Ok(Status::Refused(_)) => refused += 1,
                Ok(_) => answered += 1,
            },
            // More capabilities than it takes, or some come back that nobody
            // here takes.
            Err(error) => check_eq!(error.number, ErrorNumber::MsgCut, "round {round}: {error}"),
        }
        check_eq!(sink.who(), Ok(0x40), "round {round}");
    }
    check_eq!(Some((free_slots(), ctx.charged()?)), before);
    check!(refused > ROUNDS / 3, "{refused} were refused");
    check!(answered > ROUNDS / 6, "{answered} were answered");
    // Each kind has been reached, but for a segment: there was none to give.
    for (index, (name, number)) in SinkClient::METHODS.iter().enumerate() {
        check_eq!(*number, index as u64 + 1);
        let count = calls[index + 1].load(Ordering::Relaxed);
        check_eq!(count > 0, *name != "segment", "{name} was called {count} times");
    }
    Ok(())
}

fn free_slots() -> usize {
    let taken: Vec<Slot> = core::iter::from_fn(slots::allocate).collect();
    taken.iter().for_each(|slot| slots::release(*slot));
    taken.len()
}

fn interface_garbage_to_a_thread(ctx: &Ctx) -> Verdict {
    garbage(ctx, Way::Thread)
}

fn interface_garbage_to_an_entry(ctx: &Ctx) -> Verdict {
    garbage(ctx, Way::Entry)
}

fn interface_a_segment_is_given_away(ctx: &Ctx) -> Verdict {
    for way in WAYS {
        let calls: Calls = Arc::new(core::array::from_fn(|_| AtomicU64::new(0)));
        let sink = SinkClient::new(run(way, 0x40, SinkServer(Drain(calls)))?);
        let before = ctx.charged()?;
        let mut buffer = relay::buffer(100)?;
        buffer[..3].copy_from_slice(&[1, 2, 3]);
        let segment = buffer.release().map_err(|(error, _)| error)?;
        let relay = segment.into_relay();
        check_eq!(sink.segment(Owned::new(relay)), Ok(6));
        // The server destroyed it.
        check_eq!(ctx.charged()?, before);
    }
    Ok(())
}
