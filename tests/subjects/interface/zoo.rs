//! The interface that is tested, and its server.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use postern_tests::runtime::interface::{Answer, Caller, Kept, Owned, ServerError, USE, interface};
use postern_tests::runtime::{log, time};
use postern_tests::syscall::{Gate, control};

/// What the zoo refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZooError {
    /// the zoo is full
    Full = 1,
    /// there is no such animal
    Unknown = 40,
}

/// All kinds of methods.
#[interface(protocol = 0x7001)]
pub trait Zoo {
    /// One word: its number is 1.
    fn ping(&mut self);
    /// Three words there and back; its number is 2.
    fn two(&mut self, one: u32, two: i8) -> (i64, bool);
    /// Four words.
    fn three(&mut self, one: u64, two: u64, three: u64) -> [u64; 3];
    /// 62 words.
    fn many(&mut self, words: [u64; 61]) -> [u64; 61];
    /// Text, back to front; its number is 5.
    fn reverse(&mut self, text: &str) -> String;
    /// The bytes twice.
    fn twice(&mut self, bytes: &[u8]) -> Vec<u8>;
    /// Label and rights.
    fn who(&mut self, caller: &Caller) -> (u64, bool, bool);
    /// The error, or nothing.
    fn fail(&mut self, full: bool) -> Result<u64, ZooError>;
    /// Logs before it looks at its arguments, and calls somebody else.
    fn talk(&mut self, bytes: &[u8], other: u32) -> Vec<u8>;
    /// Answers twice the number before the method ends.
    fn at_once(&mut self, number: u64, answer: Answer<'_, u64, ZooError>);
    /// Keeps the answer.
    fn keep(&mut self, answer: Answer<u64>);
    /// How many answers are kept.
    fn kept(&mut self) -> u64;
    /// Gives the oldest kept answer; whether it arrived.
    fn release(&mut self, value: u64) -> Option<bool>;
    /// Drops the oldest kept answer.
    fn forget(&mut self);
    /// Drops the answer.
    fn ignore(&mut self, answer: Answer<u64>);
    /// Answers after so many milliseconds.
    fn sleep(&mut self, milliseconds: u64) -> u64;
    /// Ends the server.
    fn die(&mut self) -> u64;
    /// Takes a gate.
    fn give(&mut self, gate: Owned<Gate>) -> Result<u64, ZooError>;
    /// Copies the gate.
    fn get(&mut self) -> Result<Owned<Gate>, ZooError>;
    /// A gate there, the same gate back.
    fn pass(&mut self, gate: Owned<Gate>) -> Owned<Gate>;
    /// Three of them.
    fn three_gates(&mut self, gates: [Owned<Gate>; 3], number: u64) -> (Owned<Gate>, u64);
    /// Drops the gate.
    fn throw_away(&mut self);
}

/// Everything that a server can do wrong or right.
#[derive(Default)]
pub struct Keeper {
    kept: Vec<Kept<u64>>,
    gate: Option<Owned<Gate>>,
}

impl Zoo for Keeper {
    fn ping(&mut self) {}

    fn two(&mut self, one: u32, two: i8) -> (i64, bool) {
        (i64::from(one) + i64::from(two), two < 0)
    }

    fn three(&mut self, one: u64, two: u64, three: u64) -> [u64; 3] {
        [three, two, one]
    }

    fn many(&mut self, words: [u64; 61]) -> [u64; 61] {
        words.map(|word| !word)
    }

    fn reverse(&mut self, text: &str) -> String {
        text.chars().rev().collect()
    }

    fn twice(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.repeat(2)
    }

    fn who(&mut self, caller: &Caller) -> (u64, bool, bool) {
        (caller.label(), caller.can_write(), caller.is_special())
    }

    fn fail(&mut self, full: bool) -> Result<u64, ZooError> {
        Err(if full { ZooError::Full } else { ZooError::Unknown })
    }

    fn talk(&mut self, bytes: &[u8], other: u32) -> Vec<u8> {
        log!(
            "{} bytes: {}",
            bytes.len(),
            "this line is longer than four words of a message, by far"
        );
        if other != 0 {
            // Overwrites the UTCB from end to end.
            let other: ZooClient = crate::client(other.into());
            if other.many([u64::MAX; 61]) != Ok([0; 61]) {
                return Vec::new();
            }
        }
        let answer = bytes.to_vec();
        log!(
            "and another one, when the answer is there already but for the message that it goes in"
        );
        answer
    }

    fn at_once(&mut self, number: u64, answer: Answer<'_, u64, ZooError>) {
        let result = if number == 0 { Err(ZooError::Unknown) } else { Ok(number * 2) };
        answer.send(result);
    }

    fn keep(&mut self, answer: Answer<u64>) {
        match answer.keep() {
            Ok(kept) => self.kept.push(kept),
            Err(answer) => drop(answer),
        }
    }

    fn kept(&mut self) -> u64 {
        self.kept.len() as u64
    }

    fn release(&mut self, value: u64) -> Option<bool> {
        (!self.kept.is_empty()).then(|| self.kept.remove(0).send(Ok(value)))
    }

    fn forget(&mut self) {
        drop(self.kept.remove(0));
    }

    fn ignore(&mut self, answer: Answer<u64>) {
        drop(answer);
    }

    fn sleep(&mut self, milliseconds: u64) -> u64 {
        time::sleep(Duration::from_millis(milliseconds));
        milliseconds
    }

    fn die(&mut self) -> u64 {
        control::exit(9)
    }

    fn give(&mut self, gate: Owned<Gate>) -> Result<u64, ZooError> {
        if self.gate.is_some() {
            return Err(ZooError::Full);
        }
        self.gate = Some(gate);
        Ok(1)
    }

    fn get(&mut self) -> Result<Owned<Gate>, ZooError> {
        let gate = self.gate.as_ref().ok_or(ZooError::Unknown)?;
        Owned::copy(**gate, USE).map_err(|_| ZooError::Full)
    }

    fn pass(&mut self, gate: Owned<Gate>) -> Owned<Gate> {
        gate
    }

    fn three_gates(&mut self, gates: [Owned<Gate>; 3], number: u64) -> (Owned<Gate>, u64) {
        let [_, second, _] = gates;
        (second, number + 1)
    }

    fn throw_away(&mut self) {
        self.gate = None;
    }
}
