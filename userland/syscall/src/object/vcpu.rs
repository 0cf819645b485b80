//! Virtual CPU: a thread that is bound to the memory of a guest.

use abi::op::vcpu::{EXIT_WORDS, GET_STATE, INJECT, INTERRUPT, REGISTERS, SET_STATE, STATE};
use abi::tag::protocol::VM_EXIT;
use abi::utcb::FIRST_WORD;
use postern_abi as abi;

use crate::{Delivery, Result, Tag, Thread, ipc, operate, utcb};

/// The operations that only virtual CPUs have; the thread has all others. Its
/// fault gate is told of the exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vcpu(pub Thread);

/// The system registers of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct System {
    /// CR0, CR2, CR3, CR4.
    pub cr: [u64; 4],
    /// EFER, as the guest sees it.
    pub efer: u64,
    /// PAT.
    pub pat: u64,
    /// STAR, LSTAR, CSTAR, SFMASK, kernel GS base, SYSENTER CS, ESP, EIP.
    pub calls: [u64; 8],
    /// What is added to the time stamp counter.
    pub tsc_offset: u64,
    /// 1: no interrupt before the next instruction.
    pub shadow: u64,
    /// ES, CS, SS, DS, FS, GS, GDTR, LDTR, IDTR, TR.
    pub segments: [Segment; 10],
}

/// A segment register, or a table register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Selector; attributes (the descriptor's bits 40-47 and 52-55, packed).
    pub selector: u16,
    /// See above.
    pub attributes: u16,
    /// Last byte.
    pub limit: u32,
    /// First byte.
    pub base: u64,
}

/// Places in [`System::segments`].
pub mod segment {
    /// Code.
    pub const CS: usize = 1;
    /// Stack.
    pub const SS: usize = 2;
    /// Interrupt table.
    pub const IDTR: usize = 8;
    /// Segment table.
    pub const GDTR: usize = 6;
    /// Task state.
    pub const TR: usize = 9;
}

impl System {
    fn from_words(words: [u64; STATE]) -> Self {
        let [a, b, c, d, efer, pat, rest @ ..] = words;
        let (calls, rest) = rest.split_at(8);
        let mut segments = [Segment::default(); 10];
        for (segment, pair) in segments.iter_mut().zip(rest[2..].chunks_exact(2)) {
            *segment = Segment {
                selector: pair[0] as u16,
                attributes: (pair[0] >> 16) as u16,
                limit: (pair[0] >> 32) as u32,
                base: pair[1],
            };
        }
        let mut system = Self { cr: [a, b, c, d], efer, pat, ..Self::default() };
        system.calls.copy_from_slice(calls);
        (system.tsc_offset, system.shadow, system.segments) = (rest[0], rest[1], segments);
        system
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        let pairs = self.segments.into_iter().flat_map(|it| {
            let low = u64::from(it.selector) | u64::from(it.attributes) << 16;
            [low | u64::from(it.limit) << 32, it.base]
        });
        let first = self.cr.into_iter().chain([self.efer, self.pat]).chain(self.calls);
        first.chain([self.tsc_offset, self.shadow]).chain(pairs)
    }
}

/// Why a guest was left, and its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code of AMD's manual.
    pub code: u64,
    /// EXITINFO1 and EXITINFO2.
    pub info: [u64; 2],
    /// Address behind the instruction that caused it.
    pub next: u64,
    /// rip rax rbx rcx rdx rsi rdi rbp rsp rflags r8-r15.
    pub registers: [u64; REGISTERS],
    /// Privilege level of the guest.
    pub level: u8,
    /// It could take an interrupt now.
    pub interruptible: bool,
    /// An interrupt waits for that.
    pub pending: bool,
}

/// Places in [`Exit::registers`].
pub mod register {
    /// Instruction pointer.
    pub const RIP: usize = 0;
    /// rax.
    pub const RAX: usize = 1;
    /// rbx.
    pub const RBX: usize = 2;
    /// rcx.
    pub const RCX: usize = 3;
    /// rdx.
    pub const RDX: usize = 4;
    /// Flags.
    pub const RFLAGS: usize = 9;
}

impl Exit {
    /// The exit that `delivery` brought, if it is one. To be called before the
    /// next system call.
    #[must_use]
    pub fn from_delivery(delivery: &Delivery) -> Option<Self> {
        if delivery.tag != Tag::new(VM_EXIT, EXIT_WORDS) {
            return None;
        }
        let [code, first, second, next] = delivery.words;
        let state = utcb::word(EXIT_WORDS - 1);
        Some(Self {
            code,
            info: [first, second],
            next,
            registers: core::array::from_fn(|index| utcb::word(FIRST_WORD + index)),
            level: state as u8 & 3,
            interruptible: state >> 8 & 1 != 0,
            pending: state >> 9 & 1 != 0,
        })
    }
}

/// Lets the guest whose exit was received last go on with these registers, as
/// many as there are, in the order of [`Exit::registers`].
///
/// # Errors
/// As [`ipc::reply`].
///
/// # Panics
/// If there are more than the guest has.
pub fn resume(registers: &[u64]) -> Result<()> {
    assert!(registers.len() <= REGISTERS);
    let mut words = [0; 1 + REGISTERS];
    words[1..=registers.len()].copy_from_slice(registers);
    let words = &words[..=registers.len()];
    utcb::set_words(words);
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    ipc::reply(0, Tag::new(0, words.len()), [0, word(1), word(2), word(3)])
}

impl Vcpu {
    /// The system registers. Needs R.
    ///
    /// # Errors
    /// `Perm`, `WrongKind` if the thread is no virtual CPU, `Busy` if it may
    /// be running.
    pub fn system(self) -> Result<System> {
        let first = operate(self.0.0, &[GET_STATE], &[])?.words;
        let word = |index: usize| match first.get(index) {
            Some(word) => *word,
            None => utcb::word(index),
        };
        Ok(System::from_words(core::array::from_fn(word)))
    }

    /// Sets the system registers. Needs W.
    ///
    /// # Errors
    /// As [`Vcpu::system`]; `Inval` for what no guest can have. What only the
    /// CPU refuses is an exit with the code -1.
    pub fn set_system(self, system: &System) -> Result<()> {
        let mut words = [SET_STATE; 1 + STATE];
        for (word, value) in words[1..].iter_mut().zip(system.words()) {
            *word = value;
        }
        operate(self.0.0, &words, &[]).map(drop)
    }

    /// Delivers an exception when the guest goes on. Needs W.
    ///
    /// # Errors
    /// As [`Vcpu::system`]; `Inval` for a vector that is no exception.
    pub fn inject(self, vector: u8, error: Option<u32>) -> Result<()> {
        let vector = vector.into();
        match error {
            None => operate(self.0.0, &[INJECT, vector], &[]).map(drop),
            Some(error) => operate(self.0.0, &[INJECT, vector, error.into()], &[]).map(drop),
        }
    }

    /// Delivers an interrupt as soon as the guest takes one. Needs W.
    ///
    /// # Errors
    /// `Perm`, `WrongKind`, `Busy` while another one waits.
    pub fn interrupt(self, vector: u8) -> Result<()> {
        operate(self.0.0, &[INTERRUPT, vector.into()], &[]).map(drop)
    }
}
