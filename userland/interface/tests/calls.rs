//! Clients against servers, over the loopback.

use postern_interface::{
    Answer, Bytes, CallError, Caller, Kept, MAX_BYTES, Owned, Plain, Refusal, Reply, Request,
    Server, ServerError, Text, USE, Wire, interface, loopback,
};
use postern_syscall::{Capability, Gate, Slot};
use std::time::Duration;
use zerocopy::{Immutable, IntoBytes, TryFromBytes};

#[derive(TryFromBytes, IntoBytes, Immutable, Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, packed)]
struct Header {
    length: u32,
    is_last: bool,
    flags: [u16; 3],
}

#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    x: i32,
    y: i64,
    name: Text<12>,
}

#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Shape {
    Nothing,
    Circle(Point, u8),
    Line { from: (u8, bool), to: [u16; 2] } = 7,
}

/// What the zoo refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum ZooError {
    /// The zoo is full.
    Full = 1,
    /// there is
    /// no such animal
    ///
    /// More about it.
    Unknown = 40,
}

/// All kinds of methods.
#[interface(protocol = 0x7001)]
trait Zoo {
    /// Documentation is passed on.
    fn add(&self, one: u32, two: i8) -> i64;
    fn label(&mut self, caller: &Caller) -> u64;
    fn by_value(&mut self, caller: Caller, more: u64) -> u64;
    #[opcode = 10]
    fn fail(&mut self, which: u32) -> Result<(), ZooError>;
    fn shape(&mut self, shape: Shape) -> Result<Option<Shape>, ZooError>;
    fn reverse(&mut self, text: &str) -> String;
    fn sum(&mut self, bytes: &[u8], start: u64) -> (u64, Vec<u8>);
    fn fixed(&mut self, length: usize) -> Bytes<16>;
    fn at_once(&mut self, number: u64, answer: Answer<'_, u64, ZooError>);
    fn later(&mut self, answer: Answer<u64>);
    fn dropped(&mut self, answer: Answer<u64>);
    fn give(&mut self, gate: Owned<Gate>) -> Result<(), ZooError>;
    fn get(&mut self) -> Result<Owned<ZooClient>, ZooError>;
    fn header(&mut self, header: Plain<Header>) -> Plain<Header>;
    fn list(&mut self, points: Vec<Point>) -> Vec<(u8, Point)>;
    #[opcode = 90]
    fn wide(&mut self, number: i128, time: Duration, letter: char) -> (i128, Duration, char);
}

#[derive(Default)]
struct Keeper {
    calls: u32,
    kept: Vec<Kept<u64>>,
    gate: Option<Owned<Gate>>,
}

impl Zoo for Keeper {
    fn add(&self, one: u32, two: i8) -> i64 {
        i64::from(one) + i64::from(two)
    }

    fn label(&mut self, caller: &Caller) -> u64 {
        self.calls += 1;
        caller.label() + u64::from(caller.can_write())
    }

    fn by_value(&mut self, caller: Caller, more: u64) -> u64 {
        caller.label() + more
    }

    fn fail(&mut self, which: u32) -> Result<(), ZooError> {
        match which {
            0 => Ok(()),
            1 => Err(ZooError::Full),
            _ => Err(ZooError::Unknown),
        }
    }

    fn shape(&mut self, shape: Shape) -> Result<Option<Shape>, ZooError> {
        Ok((shape != Shape::Nothing).then_some(shape))
    }

    fn reverse(&mut self, text: &str) -> String {
        text.chars().rev().collect()
    }

    fn sum(&mut self, bytes: &[u8], start: u64) -> (u64, Vec<u8>) {
        (bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>() + start, bytes.repeat(2))
    }

    fn fixed(&mut self, length: usize) -> Bytes<16> {
        Bytes::new(&vec![7; length.min(17)]).unwrap_or_default()
    }

    fn at_once(&mut self, number: u64, answer: Answer<'_, u64, ZooError>) {
        assert!(answer.send(Ok(number.wrapping_mul(2))), "the client waits");
    }

    fn later(&mut self, answer: Answer<u64>) {
        self.kept.push(answer.keep().expect("a slot"));
    }

    fn dropped(&mut self, answer: Answer<u64>) {
        drop(answer);
    }

    fn give(&mut self, gate: Owned<Gate>) -> Result<(), ZooError> {
        if self.gate.is_some() {
            return Err(ZooError::Full);
        }
        self.gate = Some(gate);
        Ok(())
    }

    fn get(&mut self) -> Result<Owned<ZooClient>, ZooError> {
        let gate = self.gate.as_ref().ok_or(ZooError::Unknown)?;
        Ok(Owned::copy(**gate, USE).expect("a slot"))
    }

    fn header(&mut self, Plain(header): Plain<Header>) -> Plain<Header> {
        Plain(Header { length: header.length.swap_bytes(), ..header })
    }

    fn list(&mut self, points: Vec<Point>) -> Vec<(u8, Point)> {
        points.into_iter().rev().enumerate().map(|(index, point)| (index as u8, point)).collect()
    }

    fn wide(&mut self, number: i128, time: Duration, letter: char) -> (i128, Duration, char) {
        (-number, time * 2, letter.to_ascii_uppercase())
    }
}

fn zoo() -> ZooClient {
    ZooClient::new(loopback::gate(ZooServer(Keeper::default()), 0x41))
}

#[test]
fn values_arrive_as_they_were_sent() {
    let zoo = zoo();
    assert_eq!(zoo.add(u32::MAX, i8::MIN), Ok(i64::from(u32::MAX) - 128));
    assert_eq!(zoo.add(0, -1), Ok(-1));
    assert_eq!(zoo.reverse("grüße"), Ok("eßürg".into()));
    assert_eq!(zoo.reverse(""), Ok(String::new()));
    assert_eq!(zoo.sum(&[1, 2, 3], 10), Ok((16, vec![1, 2, 3, 1, 2, 3])));
    assert_eq!(zoo.fixed(16).expect("an answer").len(), 16);
    let point = Point { x: -1, y: i64::MIN, name: Text::new("a long name of a point") };
    assert_eq!(point.name.as_str(), "a long name ");
    for shape in [Shape::Circle(point, 255), Shape::Line { from: (1, true), to: [2, 65535] }] {
        assert_eq!(zoo.shape(shape), Ok(Some(shape)));
    }
    assert_eq!(zoo.shape(Shape::Nothing), Ok(None));
}

#[test]
fn lists_and_structures_in_memory() {
    let zoo = zoo();
    let header = Header { length: 0x0102_0304, is_last: true, flags: [1, 2, 0xffff] };
    let swapped = Header { length: 0x0403_0201, ..header };
    assert_eq!(zoo.header(Plain(header)), Ok(Plain(swapped)));
    let point = |x: i32| Point { x, y: 0, name: Text::new("p") };
    assert_eq!(zoo.list(vec![]), Ok(vec![]));
    assert_eq!(zoo.list(vec![point(1), point(-2)]), Ok(vec![(0, point(-2)), (1, point(1))]));
    assert_eq!(zoo.list(vec![point(0); 16]), Err(CallError::TooLong));
    let time = Duration::new(3, 999_999_999);
    assert_eq!(zoo.wide(i128::MIN + 1, time, 'x'), Ok((i128::MAX, time * 2, 'X')));
}

#[test]
fn numbers_of_methods_are_listed() {
    let number = |name| ZooClient::METHODS.iter().find(|method| method.0 == name).map(|it| it.1);
    assert_eq!(ZooClient::METHODS.len(), 16);
    assert_eq!((number("add"), number("fail"), number("shape")), (Some(1), Some(10), Some(11)));
    assert_eq!((number("list"), number("wide"), number("nobody")), (Some(21), Some(90), None));
}

#[test]
fn the_server_knows_its_caller() {
    let zoo = zoo();
    assert_eq!(zoo.label(), Ok(0x41));
    assert_eq!(zoo.by_value(2), Ok(0x42));
}

#[test]
fn errors_of_the_server_and_of_the_way_are_told_apart() {
    let zoo = zoo();
    assert_eq!(zoo.fail(0), Ok(()));
    assert_eq!(zoo.fail(1), Err(CallError::Server(ZooError::Full)));
    let error = zoo.fail(2).expect_err("an error");
    assert_eq!(error.to_string(), "there is no such animal");
    let nobody = ZooClient::new(Gate::new(Slot::new(7_999)));
    assert_eq!(nobody.fail(0), Err(CallError::Gone));
    assert_eq!(nobody.fail(0).expect_err("an error").to_string(), "the server is gone");
}

/// Answers in the place of a server that was restarted, or is not there.
struct StandIn(Option<u64>);

impl Server for StandIn {
    fn call(&mut self, request: Request<'_>) -> Reply {
        match self.0 {
            Some(generation) => request.restarted(generation),
            None => request.refuse(Refusal::Gone),
        }
    }
}

#[test]
fn a_restart_is_an_error_of_its_own() {
    let zoo = ZooClient::new(loopback::gate(StandIn(Some(7)), 0));
    let error = zoo.fail(0).expect_err("an error");
    assert_eq!(error, CallError::Restarted { generation: 7, was_begun: false });
    assert_eq!(error.to_string(), "the server was restarted (generation 7); nothing was done");
    assert_eq!((error.is_dead(), error.restarted()), (true, Some(7)));
    let zoo = ZooClient::new(loopback::gate(StandIn(None), 0));
    assert_eq!(zoo.fail(0), Err(CallError::Gone));
}

#[test]
fn answers_come_at_once_later_or_never() {
    let zoo = zoo();
    assert_eq!(zoo.at_once(21), Ok(42));
    assert_eq!(zoo.later(), Err(CallError::Aborted));
    assert_eq!(zoo.dropped(), Err(CallError::Aborted));
    assert_eq!(zoo.at_once(4), Ok(8));
}

#[test]
fn what_does_not_fit_is_not_sent_or_not_answered() {
    let zoo = zoo();
    assert_eq!(zoo.reverse(&"x".repeat(MAX_BYTES)).expect("fits").len(), MAX_BYTES);
    assert_eq!(zoo.reverse(&"x".repeat(MAX_BYTES + 1)), Err(CallError::TooLong));
    assert_eq!(zoo.sum(&[0; 300], 0), Err(CallError::Refused(Refusal::AnswerTooLong)));
    assert_eq!(zoo.sum(&[0; 200], 1), Ok((1, vec![0; 400])));
}

#[test]
fn capabilities_are_moved_and_never_left_behind() {
    let zoo = zoo();
    let other = loopback::gate(ZooServer(Keeper::default()), 0x80);
    assert_eq!(zoo.get().expect_err("none"), CallError::Server(ZooError::Unknown));
    let before = loopback::used();
    let sent = Owned::<Gate>::copy(other, USE).expect("a slot");
    let slot = sent.slot();
    assert_eq!(zoo.give(sent), Ok(()));
    assert!(!loopback::is_used(slot));
    // The second one is dropped by the server.
    assert_eq!(
        zoo.give(Owned::copy(other, USE).expect("a slot")),
        Err(CallError::Server(ZooError::Full))
    );
    assert_eq!(loopback::used(), before + 1);
    let got = zoo.get().expect("a gate");
    assert_eq!(got.label(), Ok(0x80));
    drop(got);
    assert_eq!(loopback::used(), before + 1);
    // A call that is not sent takes its capability with it, too.
    let nobody = ZooClient::new(Gate::new(Slot::new(7_998)));
    assert_eq!(nobody.give(Owned::copy(other, USE).expect("a slot")), Err(CallError::Gone));
    assert_eq!(loopback::used(), before + 1);
}

const REFUSED: u64 = 1 << 63;

fn refusal(words: &[u64]) -> u64 {
    let (protocol, answer) =
        loopback::send(zoo().gate(), ZooClient::PROTOCOL, words, &[]).expect("an answer");
    assert_eq!((protocol, answer.len()), (ZooClient::PROTOCOL, 1));
    assert_ne!(answer[0] & REFUSED, 0, "{words:x?} was not refused");
    answer[0] & !REFUSED
}

#[test]
fn malformed_messages_are_refused() {
    for (words, expected) in [
        (&[][..], Refusal::UnknownMethod),
        (&[0], Refusal::UnknownMethod),
        (&[4, 1], Refusal::UnknownMethod),
        (&[u64::MAX], Refusal::UnknownMethod),
        (&[1], Refusal::Malformed),
        (&[1, 5], Refusal::Malformed),
        (&[1, 1 << 32, 0], Refusal::Malformed),
        (&[1, 5, 128], Refusal::Malformed),
        (&[1, 5, 0, 0], Refusal::Malformed),
        (&[12, 9, 0], Refusal::Malformed),
        (&[12, u64::MAX, 0], Refusal::Malformed),
        (&[12, 1, 0xff], Refusal::Malformed),
        (&[11, 5], Refusal::Malformed),
        (&[11, 7, 1, 2, 0, 0], Refusal::Malformed),
        (&[18], Refusal::Malformed),
        // No `bool`; too short.
        (&[20, 0x02_0000_0000, 0], Refusal::Malformed),
        (&[20, 1], Refusal::Malformed),
        // More than there are; more than there can be.
        (&[21, 2, 0, 0, 0], Refusal::Malformed),
        (&[21, u64::MAX], Refusal::Malformed),
        // No nanoseconds; a surrogate.
        (&[90, 1, 0, 0, 1_000_000_000, 65], Refusal::Malformed),
        (&[90, 1, 0, 0, 1, 0xd800], Refusal::Malformed),
    ] {
        assert_eq!(refusal(words), expected as u64, "{words:x?}");
    }
}

#[test]
fn another_protocol_is_refused() {
    let (_, answer) = loopback::send(zoo().gate(), 5, &[1, 1, 1], &[]).expect("an answer");
    assert_eq!(answer, [REFUSED | Refusal::UnknownInterface as u64]);
}

#[test]
fn unwanted_capabilities_are_deleted() {
    let zoo = zoo();
    let before = loopback::used();
    let item = Owned::<Gate>::copy(zoo.gate(), USE).expect("a slot").keep();
    let (_, answer) =
        loopback::send(zoo.gate(), ZooClient::PROTOCOL, &[1, 1, 1], &[item.slot()]).expect("one");
    assert_eq!(answer, [REFUSED | Refusal::Malformed as u64]);
    assert_eq!(loopback::used(), before);
}

/// None of them may reach a method that it is not for.
#[test]
fn random_messages_never_panic() {
    let zoo = zoo();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..200_000 {
        let count = random() as usize % 9;
        let mut words = [0; 9];
        for word in &mut words {
            *word = random() >> (random() % 64);
        }
        words[0] = random() % 23;
        // Only the call that is kept is not answered.
        match loopback::send(zoo.gate(), ZooClient::PROTOCOL, &words[..count], &[]) {
            Ok((_, answer)) => assert!(!answer.is_empty()),
            Err(_) => assert_eq!((words[0], count), (16, 1)),
        }
    }
}

/// Answers whatever the test wants.
struct Liar(Vec<u64>);

impl Server for Liar {
    fn call(&mut self, request: Request<'_>) -> Reply {
        request.answer_raw(&self.0)
    }
}

#[test]
fn answers_are_not_believed() {
    let ask = |words: &[u64]| {
        let liar = Liar(words.to_vec());
        ZooClient::new(loopback::gate(liar, 0)).add(1, 1)
    };
    assert_eq!(ask(&[0, 2]), Ok(2));
    for words in [&[][..], &[0], &[0, 2, 3], &[0; 20], &[1], &[1 << 32], &[REFUSED], &[u64::MAX]] {
        assert_eq!(ask(words), Err(CallError::BadAnswer), "{words:x?}");
    }
    let text = |words: &[u64]| {
        let liar = Liar(words.to_vec());
        ZooClient::new(loopback::gate(liar, 0)).reverse("x")
    };
    assert_eq!(text(&[0, 9, 0]), Err(CallError::BadAnswer));
    assert_eq!(text(&[0, 1, 0xff]), Err(CallError::BadAnswer));
}
