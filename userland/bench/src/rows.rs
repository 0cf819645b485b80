//! The rows: what is measured, and what it needs.

use core::fmt;

use postern_runtime::memory::Mapping;
use postern_runtime::program::{Child, Program, StartError};
use postern_runtime::syscall::abi::{Code, PAGE};
use postern_runtime::syscall::{
    Capability, ErrorCode, Gate, Memory, Rights, Slot, Tag, Task, Timeouts, control, ipc,
};
use postern_runtime::{Boot, Error, slots};

use crate::measure::{Figures, Overhead, samples};
use crate::relay;

/// The protocol of the measured calls; the peer echoes everything.
const PROTOCOL: i64 = 0x7e;
/// The label of the peer's gate.
const LABEL: u64 = 0x40;

/// A row of the table.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Measures it.
    pub run: fn(&Boot, Overhead) -> Result<Figures, Failure>,
}

/// All rows.
pub const ROWS: &[Row] = &[
    Row { name: "null", run: null },
    Row { name: "call-0w", run: call::<0> },
    Row { name: "call-4w", run: call::<4> },
    Row { name: "cross-0w", run: cross::<0> },
    Row { name: "cross-4w", run: cross::<4> },
    Row { name: "relay-4k", run: relay::cross::<0x1000> },
    Row { name: "relay-1m", run: relay::cross::<0x10_0000> },
    Row { name: "relay-64m", run: relay::cross::<0x400_0000> },
    Row { name: "relay-1g", run: relay::cross::<0x4000_0000> },
    Row { name: "relay-thread-4k", run: relay::call::<0x1000> },
    Row { name: "relay-thread-1g", run: relay::call::<0x4000_0000> },
    Row { name: "relay-swap", run: relay::swap },
    Row { name: "relay-mask", run: relay::mask },
    Row { name: "relay-mask-rights", run: relay::mask_rights },
];

/// Why a row could not be measured.
#[derive(Debug)]
pub enum Failure {
    /// The boot archive has no program of this name.
    NoProgram(&'static str),
    /// The peer could not be started.
    Start(StartError),
    /// The runtime failed.
    Runtime(Error),
    /// The measured operation failed.
    Operation(ErrorCode),
    /// The answer was not what was sent.
    WrongAnswer,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram(name) => write!(f, "the boot archive has no program `{name}`"),
            Self::Start(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
            Self::Operation(error) => write!(f, "the measured operation failed: {error}"),
            Self::WrongAnswer => f.write_str("the peer answered with something else"),
        }
    }
}

/// One kernel entry and exit.
fn null(_: &Boot, overhead: Overhead) -> Result<Figures, Failure> {
    samples(overhead, || control::null().map(drop)).map_err(Failure::Operation)
}

/// A call to a thread of another task and the answer, with `WORDS` message
/// words each way.
fn call<const WORDS: usize>(boot: &Boot, overhead: Overhead) -> Result<Figures, Failure> {
    let peer = Peer::start(boot)?;
    round_trip::<WORDS>(peer.gate, overhead)
}

/// A crossing into another task and the way back, with `WORDS` message words
/// each way.
fn cross<const WORDS: usize>(boot: &Boot, overhead: Overhead) -> Result<Figures, Failure> {
    let far = Far::make(boot)?;
    round_trip::<WORDS>(far.gate, overhead)
}

/// A call of something that answers with what it got.
#[inline(always)]
fn round_trip<const WORDS: usize>(gate: Gate, overhead: Overhead) -> Result<Figures, Failure> {
    let tag = const { Tag::new(PROTOCOL, WORDS) };
    let words = if WORDS == 0 { [0; 4] } else { [11, 22, 33, 44] };
    let slot = gate.slot();

    // What is measured is also right.
    let answer = ipc::call(slot, tag, words, Timeouts::NEVER).map_err(Failure::Operation)?;
    if answer.label & !3 != LABEL || answer.tag != tag || answer.words != words {
        return Err(Failure::WrongAnswer);
    }
    samples(overhead, || ipc::call(slot, tag, words, Timeouts::NEVER).map(drop))
        .map_err(Failure::Operation)
}

/// A server in a task of its own that echoes every message.
pub struct Peer {
    child: Option<Child>,
    /// Its gate.
    pub gate: Gate,
}

impl Peer {
    /// Starts it.
    pub fn start(boot: &Boot) -> Result<Self, Failure> {
        const NAME: &str = "bench-peer";
        let file = boot.archive.find(NAME).ok_or(Failure::NoProgram(NAME))?;
        // The priority of the caller: what is measured is the hand-over, not
        // the scheduler.
        let priority = postern_runtime::syscall::abi::image::init::PRIORITY;
        let child =
            Program::new(NAME, file).priority(priority).heap(0).start().map_err(Failure::Start)?;
        let gate = slots::fill("creating a gate to the peer", "factory", |slot: Slot| {
            boot.factory.create_bound_gate(slot, child.thread(), LABEL)
        });
        match gate {
            Ok(gate) => Ok(Self { child: Some(child), gate }),
            Err(error) => {
                child.destroy();
                Err(Failure::Runtime(error))
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.destroy();
        }
        // Failing here only keeps a slot in use.
        let _ = slots::destroy(self.gate.slot());
    }
}

/// A task without a thread whose entry returns what it gets: two instructions
/// of machine code and a context.
pub struct Far {
    task: Task,
    code: Memory,
    /// Its gate.
    pub gate: Gate,
}

impl Far {
    /// `mov eax, RETURN`; `syscall`.
    const CODE: [u8; 7] = {
        let [a, b, c, d, ..] = Code::Return.plain().to_le_bytes();
        [0xb8, a, b, c, d, 0x0f, 0x05]
    };
    /// Where the code is mapped.
    const HANDLER: u64 = 0x40_0000;

    /// Makes it.
    pub fn make(boot: &Boot) -> Result<Self, Failure> {
        let factory = boot.factory;
        let task = slots::fill("creating a task", "factory", |slot| factory.create_task(slot, 128))
            .map_err(Failure::Runtime)?;
        let mut code = Mapping::create(PAGE).map_err(Failure::Runtime)?;
        code.write(0, &Self::CODE);
        let memory = code.memory();
        let rights = Rights::R | Rights::X;
        task.map(memory, Self::HANDLER, 0, PAGE, rights).map_err(Failure::Operation)?;
        let entry = slots::fill("creating an entry", "factory", |slot| {
            factory.create_entry(slot, task, Self::HANDLER, 0, 0)
        })
        .map_err(Failure::Runtime)?;
        // The code needs no stack.
        entry.add_context(Self::HANDLER).map_err(Failure::Operation)?;
        let gate = slots::fill("creating a gate to the entry", "factory", |slot| {
            factory.create_entry_gate(slot, entry, LABEL, 0)
        })
        .map_err(Failure::Runtime)?;
        Ok(Self { task, code: memory, gate })
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        for slot in [self.gate.slot(), self.task.slot(), self.code.slot()] {
            // Failing here only keeps a slot in use.
            let _ = slots::destroy(slot);
        }
    }
}
