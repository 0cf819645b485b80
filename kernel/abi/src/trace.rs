//! The kernel's trace ring (docs/abi.md section 18): what memory that was given
//! to [`crate::op::scheduler::TRACE`] holds.
//!
//! The first [`HEADER`] bytes are four words: [`MAGIC`], how many records were
//! ever written, how many there is room for, bytes of a record. Record `n` lies
//! at `HEADER + n % room * RECORD`: eight words, see [`Record`]. The count is
//! written after the record.

/// First word of a trace.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PSTNTRC\x01");
/// Bytes before the first record.
pub const HEADER: u64 = 64;
/// Bytes of a record.
pub const RECORD: u64 = 64;
/// The thread of a record that is about none.
pub const NOBODY: u32 = u32::MAX;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// The thread has the CPU from now on; with [`NOBODY`] it waits for an
    /// interrupt. First value: index of the task.
    Switch = 1,
    /// The thread waits for somebody who receives what it sends. Second value
    /// as in [`Event::Call`].
    Wait = 2,
    /// A message of the thread was delivered. First value: index of the
    /// receiver, and [`flag`]s; second: word 0 of the message (16 bits), then
    /// the protocol (48 bits).
    Call = 3,
    /// The call of the thread was answered. First value: index of the one that
    /// answered, and [`flag`]s.
    Reply = 4,
    /// What the thread waited for ended with an error. First value: the error as
    /// in `rax`.
    Failed = 5,
    /// An exception. First value: its vector; second: the instruction.
    Fault = 6,
    /// An interrupt. First value: its line.
    Interrupt = 7,
    /// The timer.
    Timer = 8,
    /// The thread has exited or faulted for good. First value: the reason.
    End = 9,
}

impl Event {
    /// The event with this number.
    #[must_use]
    pub const fn decode(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Switch,
            2 => Self::Wait,
            3 => Self::Call,
            4 => Self::Reply,
            5 => Self::Failed,
            6 => Self::Fault,
            7 => Self::Interrupt,
            8 => Self::Timer,
            9 => Self::End,
            _ => return None,
        })
    }
}

/// Flags beside an index, in the first value of a call or reply.
pub mod flag {
    /// By a crossing: the receiver is a context.
    pub const CROSSING: u64 = 1 << 32;
    /// A relay segment went along, or came back.
    pub const RELAY: u64 = 1 << 33;
    /// A message that expects no answer.
    pub const MESSAGE: u64 = 1 << 34;
}

/// One record: time, what and who, two values, the name of the thread's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Nanoseconds since boot.
    pub time: u64,
    /// What happened.
    pub event: Event,
    /// Index of the thread, or [`NOBODY`].
    pub thread: u32,
    /// Two values; what they mean, the event says.
    pub values: [u64; 2],
    /// The name of its task, NUL-padded.
    pub name: [u8; 32],
}

impl Record {
    /// The record as it lies in memory.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD as usize] {
        let mut bytes = [0; RECORD as usize];
        let what = self.event as u64 | u64::from(self.thread) << 32;
        let words = [self.time, what, self.values[0], self.values[1]];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[32..].copy_from_slice(&self.name);
        bytes
    }

    /// The record in these bytes, if it is one.
    #[must_use]
    pub fn decode(bytes: &[u8; RECORD as usize]) -> Option<Self> {
        let mut words = [0; 4];
        for (word, place) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(place.try_into().ok()?);
        }
        let [time, what, first, second] = words;
        Some(Self {
            time,
            event: Event::decode(what as u8)?,
            thread: (what >> 32) as u32,
            values: [first, second],
            name: bytes[32..].try_into().ok()?,
        })
    }

    /// The name as text; empty if it is none.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        core::str::from_utf8(&self.name[..end]).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        let mut name = [0; 32];
        name[..5].copy_from_slice(b"shell");
        for number in 0..=255 {
            let Some(event) = Event::decode(number) else { continue };
            assert_eq!(event as u8, number);
            let record = Record { time: 7, event, thread: 3, values: [1, u64::MAX], name };
            assert_eq!(Record::decode(&record.encode()), Some(record));
            assert_eq!(record.name(), "shell");
        }
        assert_eq!(Record::decode(&[0; RECORD as usize]), None);
    }
}
