//! Servers, and the two ways to run them.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use postern_tests::runtime::interface::{
    Answer, Caller, Kept, Lent, Owned, ServerError, USE, interface,
};
use postern_tests::runtime::relay::Extent;
use postern_tests::runtime::server::{self, Server};
use postern_tests::runtime::{Mutex, thread, time};
use postern_tests::syscall::{Capability, Gate, Tag, Timeouts, ipc};
use postern_tests::{Failure, fail};

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its thread receives messages.
    Thread,
    /// Its clients cross.
    Entry,
}

/// Both.
pub const WAYS: [Way; 2] = [Way::Thread, Way::Entry];

/// Contexts of servers behind an entry.
const CONTEXTS: u32 = 3;

/// Runs `server` in a thread of this task; a gate to it. The first
/// line is the one in which the ways differ.
#[track_caller]
pub fn run(
    way: Way,
    label: u64,
    mut server: impl Server + Send + 'static,
) -> Result<Gate, Failure> {
    server::cross(if way == Way::Entry { CONTEXTS } else { 0 })?;
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    let serving = thread::spawn(move || {
        *tell.lock() = Some(server::gate(label));
        server::serve(&mut server)
    })?;
    drop(serving);
    for _ in 0..1000 {
        if let Some(gate) = told.lock().take() {
            let gate = gate?;
            // It serves when it refuses this.
            ipc::call(gate.slot(), Tag::new(1, 0), [0; 4], Timeouts::NEVER)?;
            return Ok(gate);
        }
        time::sleep(Duration::from_micros(100));
    }
    fail!("the server does not begin")
}

/// What the desk refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeskError {
    /// nothing can be kept here
    Unkept = 1,
    /// there is no next server
    NoNext = 2,
    /// the buffer cannot be written
    ReadOnly = 3,
    /// the next server did not do it
    Next = 4,
    /// there is no room for the header
    NoRoom = 5,
}

/// All kinds of methods, with and without a segment.
#[interface(protocol = 0x7101)]
pub trait Desk {
    /// Adds to a number that is the server's; its new value.
    fn add(&mut self, amount: u64) -> u64;
    /// Label and rights.
    fn who(&mut self, caller: &Caller) -> (u64, bool, bool);
    /// The text, back to front.
    fn reverse(&mut self, text: &str) -> String;
    /// More words than registers.
    fn many(&mut self, words: [u64; 40]) -> [u64; 40];
    /// An error.
    fn fail(&mut self) -> Result<u64, DeskError>;
    /// Answers before the method ends.
    fn at_once(&mut self, number: u64, answer: Answer<'_, u64, DeskError>);
    /// Answers nothing.
    fn ignore(&mut self, answer: Answer<'_, u64>);
    /// Keeps the answer; [`DeskError::Unkept`] where that is not possible.
    fn keep(&mut self, answer: Answer<'_, u64, DeskError>);
    /// Answers what was kept.
    fn release(&mut self, number: u64);
    /// A gate there, the same gate back.
    fn pass(&mut self, gate: Owned<Gate>) -> Owned<Gate>;
    /// A gate of the server's, made now.
    fn door(&mut self, label: u64) -> Option<Owned<Gate>>;
    /// Sleeps, with the server in its hands.
    fn sleep(&mut self, microseconds: u64);
    /// Panics.
    fn panic(&mut self);
    /// Leads to the next server.
    fn next(&mut self, gate: Owned<Gate>);
    /// The sum of the bytes.
    fn sum(&mut self, data: Lent<'_>) -> u64;
    /// Offset and length of what came.
    fn shape(&mut self, data: Lent<'_>) -> (u64, u64);
    /// Adds `amount` to every byte.
    fn change(&mut self, data: Lent<'_>, amount: u8) -> Result<(), DeskError>;
    /// As `sum`, by the next server, who gets all of it.
    fn pass_on(&mut self, data: Lent<'_>) -> Result<u64, DeskError>;
    /// As `sum`, by the next server, who gets one block of `block` bytes at a
    /// time, to be read only.
    fn slide(&mut self, data: Lent<'_>, block: u64) -> Result<u64, DeskError>;
    /// Keeps the segment for a while.
    fn hold(&mut self, data: Lent<'_>, microseconds: u64) -> u64;
    /// Puts a header before the message, and lets the next server do so.
    fn wrap(&mut self, data: Lent<'_>, message: (u64, u64)) -> Result<(u64, u64), DeskError>;
}

/// Serves it.
#[derive(Default)]
pub struct Clerk {
    count: u64,
    kept: Vec<Kept<u64, DeskError>>,
    next: Option<Owned<Gate>>,
    header: &'static [u8],
}

impl Clerk {
    /// One that puts this before messages.
    pub fn with_header(header: &'static [u8]) -> Self {
        Self { header, ..Self::default() }
    }

    fn next(&self) -> Result<DeskClient, DeskError> {
        self.next.as_ref().map(|gate| DeskClient::new(**gate)).ok_or(DeskError::NoNext)
    }
}

/// The sum of bytes.
pub fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

impl Desk for Clerk {
    fn add(&mut self, amount: u64) -> u64 {
        self.count += amount;
        self.count
    }

    fn who(&mut self, caller: &Caller) -> (u64, bool, bool) {
        (caller.label(), caller.can_write(), caller.is_special())
    }

    fn reverse(&mut self, text: &str) -> String {
        text.chars().rev().collect()
    }

    fn many(&mut self, words: [u64; 40]) -> [u64; 40] {
        words.map(|word| !word)
    }

    fn fail(&mut self) -> Result<u64, DeskError> {
        Err(DeskError::NoRoom)
    }

    fn at_once(&mut self, number: u64, answer: Answer<'_, u64, DeskError>) {
        answer.send(Ok(2 * number));
    }

    fn ignore(&mut self, answer: Answer<'_, u64>) {
        drop(answer);
    }

    fn keep(&mut self, answer: Answer<'_, u64, DeskError>) {
        match answer.keep() {
            Ok(kept) => self.kept.push(kept),
            Err(answer) => {
                answer.send(Err(DeskError::Unkept));
            }
        }
    }

    fn release(&mut self, number: u64) {
        for kept in self.kept.drain(..) {
            kept.send(Ok(number));
        }
    }

    fn pass(&mut self, gate: Owned<Gate>) -> Owned<Gate> {
        gate
    }

    fn door(&mut self, label: u64) -> Option<Owned<Gate>> {
        let gate = Owned::new(server::gate(label).ok()?);
        Owned::copy(*gate, USE).ok()
    }

    fn sleep(&mut self, microseconds: u64) {
        time::sleep(Duration::from_micros(microseconds));
    }

    fn panic(&mut self) {
        panic!("as it was told to");
    }

    fn next(&mut self, gate: Owned<Gate>) {
        self.next = Some(gate);
    }

    fn sum(&mut self, data: Lent<'_>) -> u64 {
        sum(&data)
    }

    fn shape(&mut self, data: Lent<'_>) -> (u64, u64) {
        (data.offset() as u64, data.len() as u64)
    }

    fn change(&mut self, mut data: Lent<'_>, amount: u8) -> Result<(), DeskError> {
        let bytes = data.writable().ok_or(DeskError::ReadOnly)?;
        bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(amount));
        Ok(())
    }

    fn pass_on(&mut self, mut data: Lent<'_>) -> Result<u64, DeskError> {
        let (there, ()) = Self::next(self)?.sum(&mut data).map_err(|_| DeskError::Next)?;
        // And back.
        if there == sum(&data) { Ok(there) } else { Err(DeskError::Next) }
    }

    fn slide(&mut self, mut data: Lent<'_>, block: u64) -> Result<u64, DeskError> {
        let (next, block) = (Self::next(self)?, block as usize);
        let mut total = 0;
        for start in (0..data.len()).step_by(block.max(1)) {
            let part = data.narrow(start..start + block).read_only();
            let (sum, ()) = next.sum(part).map_err(|_| DeskError::Next)?;
            total += sum;
        }
        Ok(total)
    }

    fn hold(&mut self, data: Lent<'_>, microseconds: u64) -> u64 {
        let before = sum(&data);
        time::sleep(Duration::from_micros(microseconds));
        // Whoever lent it may be gone.
        if sum(&data) == before { before } else { u64::MAX }
    }

    fn wrap(&mut self, mut data: Lent<'_>, message: (u64, u64)) -> Result<(u64, u64), DeskError> {
        let message = Extent { start: message.0, bytes: message.1 };
        let bytes = data.writable().ok_or(DeskError::ReadOnly)?;
        let longer = message.push(bytes, self.header).ok_or(DeskError::NoRoom)?;
        let longer = (longer.start, longer.bytes);
        if self.next.is_none() {
            return Ok(longer);
        }
        let wrapped = Self::next(self)?.wrap(&mut data, longer);
        wrapped.map(|(wrapped, ())| wrapped).map_err(|_| DeskError::Next)
    }
}

/// A clerk that runs, and its client.
#[track_caller]
pub fn desk(way: Way) -> Result<DeskClient, Failure> {
    run(way, 0x40, DeskServer(Clerk::default())).map(DeskClient::new)
}
