//! A handler that does what its caller says, and callers that say it.

use postern_tests::runtime::crossing::Answer;
use postern_tests::syscall::{
    Capability, Delivery, Gate, Result, Slot, Tag, Thread, Timeouts, control, ipc, raw, utcb,
};
use postern_tests::{bare, board, peer, tell};

use crate::server::FOUR;

/// What the handler is to do: word 0 of the message. Words 1 to 3 are its
/// arguments.
pub mod command {
    /// Answer with word 1.
    pub const ECHO: u64 = 0;
    /// Count up the board's word 1 for ever.
    pub const SPIN: u64 = 1;
    /// Sleep for word 1 nanoseconds.
    pub const SLEEP: u64 = 2;
    /// End the thread.
    pub const EXIT: u64 = 3;
    /// Read the byte at word 1.
    pub const READ: u64 = 4;
    /// Push until the stack ends.
    pub const OVERFLOW: u64 = 5;
    /// Call slot word 1 with word 2 as the command and word 3 as its first
    /// argument; tell what came of it.
    pub const CALL: u64 = 6;
    /// Nested calls through the given capability 0: word 1 is how many more,
    /// word 2 how many nanoseconds the last one sleeps. Answers with how many
    /// there were.
    pub const CHAIN: u64 = 7;
    /// Try to receive.
    pub const RECEIVE: u64 = 8;
    /// Try to save the right to answer to slot word 1.
    pub const SAVE: u64 = 9;
    /// Try to reply.
    pub const REPLY: u64 = 10;
    /// The stack pointer, about.
    pub const STACK: u64 = 11;
    /// Log word 1 to the board at word 3, give up the CPU, log word 2.
    pub const LOG_TWICE: u64 = 12;
    /// Wait for signals of the notification in slot word 1; the bits.
    pub const SIGNALS: u64 = 17;
    /// Ask for the registers of the thread in slot word 1.
    pub const REGISTERS: u64 = 13;
    /// Return with more items than a message can have; then properly.
    pub const BAD_TAG: u64 = 14;
    /// Sleep until the board's word 1 is not 0; answer with it.
    pub const AWAIT: u64 = 15;
    /// The sum of the words past the fourth, of which word 1 is the number.
    pub const SUM: u64 = 16;
}

/// Where a chain logs that it has reached its end.
pub const REACHED: usize = 60;

/// The handler.
pub fn obey(message: Delivery) -> Answer {
    let [what, a, b, c] = message.words;
    let slot = Slot::new(a as u32);
    let word = match what {
        command::ECHO => a,
        command::SPIN => loop {
            board::add(a as usize, 1);
        },
        command::SLEEP => tell(control::sleep_until(control::clock() + a)),
        command::EXIT => control::exit(a),
        command::READ => raw::peek(a).into(),
        command::OVERFLOW => bare::memory::overflow_stack(0),
        command::CALL => tell(ask(Gate::new(slot), [b, c, 0, 0])),
        command::CHAIN if a == 0 => {
            board::add(REACHED, 1);
            if b != 0 {
                // Cancelled or not: the way back is what counts.
                let _ = control::sleep_until(control::clock() + b);
            }
            0
        }
        command::CHAIN => match ask(Gate::new(peer::given(0)), [what, a - 1, b, c]) {
            Ok(deeper) => deeper + 1,
            Err(error) => error.encode() << 32,
        },
        command::RECEIVE => tell(ipc::receive(Timeouts::ZERO.receive)),
        command::SAVE => tell(control::save_reply(slot)),
        command::REPLY => tell(ipc::reply(0, Tag::default(), [0; 4])),
        command::STACK => bare::memory::stack_address(),
        command::LOG_TWICE => {
            board::push(c as usize, a);
            control::yield_now();
            board::push(c as usize, b);
            0
        }
        command::SIGNALS => ipc::receive_from(slot, Timeouts::NEVER.receive)
            .map_or_else(|error| error.encode(), |signals| signals.words[0]),
        command::REGISTERS => tell(Thread::new(slot).registers()),
        command::BAD_TAG => tell(ipc::ret(0, Tag::from_bits(9 << 6), [0; 4])),
        command::AWAIT => {
            while board::get(a as usize) == 0 {
                let _ = control::sleep_until(control::clock() + 20_000);
            }
            board::get(a as usize)
        }
        command::SUM => (4..a as usize).map(utcb::word).sum(),
        _ => u64::MAX,
    };
    Answer { label: message.label, tag: FOUR, words: [word, what, message.kind as u64, 0] }
}

/// Says to the handler behind `gate` what to do; word 0 of its answer.
pub fn ask(gate: impl Capability, words: [u64; 4]) -> Result<u64> {
    ask_within(gate, words, Timeouts::NEVER)
}

/// As [`ask`], with timeouts.
pub fn ask_within(gate: impl Capability, words: [u64; 4], timeouts: Timeouts) -> Result<u64> {
    ipc::call(gate.slot(), FOUR, words, timeouts).map(|answer| answer.words[0])
}

/// The argument of a partner that runs [`asks`]: `a` has 24 bits.
pub fn order(gate: impl Capability, command: u64, a: u64) -> u64 {
    gate.slot().word() | command << 32 | a << 40
}

/// A partner's body: asks once; 0, or the error.
pub fn asks(argument: u64) -> u64 {
    tell(ask(Gate::new(Slot::new(argument as u32)), [argument >> 32 & 0xff, argument >> 40, 0, 0]))
}

/// As [`asks`], but ends with the answer.
pub fn asks_for_answer(argument: u64) -> u64 {
    ask(Gate::new(Slot::new(argument as u32)), [argument >> 32 & 0xff, argument >> 40, 0, 0])
        .unwrap_or(u64::MAX)
}
