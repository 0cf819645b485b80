//! A small world to test in: a kernel with some tasks and threads, and system
//! calls written as functions.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use postern_abi::code::{Code, IpcFlags};
use postern_abi::image::{Flat, init};
use postern_abi::rights::Kind;
use postern_abi::tag::{Tag, protocol};
use postern_abi::timeout::Timeout;
use postern_abi::{ErrorCode, Rights, op, utcb};

use postern_arena::Ref;

use crate::Kernel;
use crate::fpu::NOT_AVAILABLE;
use crate::machine::{CARRY, Fault, Form, Next};
use crate::mem::{FrameInfo, Frames};
use crate::object::Thread;
use crate::sim::Sim;

/// Page frames of the simulated machine.
const FRAMES: usize = 4096;

/// The kernel of a test.
pub struct World {
    pub kernel: Kernel<Sim>,
    /// Word 0 of the messages that random operations send.
    pub payload: u64,
    /// System calls that took a fast path.
    pub fast: u64,
    /// What activations have in their floating-point registers.
    fpu: Vec<(Ref<Thread<Sim>>, u64)>,
}

/// What a system call returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    pub kind: u64,
    pub label: u64,
    pub words: [u64; 4],
}

impl World {
    /// A kernel with `init` running.
    pub fn new() -> Self {
        let infos = Box::leak(vec![FrameInfo::UNUSABLE; FRAMES].into_boxed_slice());
        let mut kernel = Kernel::new(Sim::default(), infos);
        kernel.add_memory(1, FRAMES as u64 - 1);
        let image = flat_image();
        let image = Flat::new(&image).expect("well-formed");
        let archive = Frames::device(FRAMES as u64 + 16, 2);
        kernel.start_init(archive, 8000, image).expect("init starts");
        let mut world = Self { kernel, payload: 1, fast: 0, fpu: Vec::new() };
        assert_eq!(world.kernel.settle(), Next::User);
        world
    }

    /// Index of the thread that runs.
    pub fn current(&self) -> u32 {
        self.kernel.current.expect("somebody runs").index()
    }

    /// The current thread makes a system call; `None` if it does not return
    /// at once.
    pub fn call(&mut self, rax: u64, args: [u64; 6]) -> Option<Result<Reply, ErrorCode>> {
        let caller = self.kernel.current.expect("somebody runs");
        // As a machine does when it resumes it.
        self.kernel.user_state().form = Form::Outputs;
        self.fast += u64::from(self.kernel.system_call(rax, args));
        // Its long operations go on until they are done or another runs.
        while self.kernel.decide() == Next::Work {
            self.kernel.work();
        }
        (self.kernel.current == Some(caller)).then(|| self.result())
    }

    /// What the current thread finds in its registers.
    pub fn result(&mut self) -> Result<Reply, ErrorCode> {
        let r = &self.kernel.user_state().registers;
        if r.rflags & CARRY != 0 {
            return Err(ErrorCode::decode(r.rax).expect("a known error"));
        }
        Ok(Reply { kind: r.rax, label: r.rdi, words: [r.rdx, r.r10, r.r8, r.r9] })
    }

    /// The current thread stands at this instruction (three bytes).
    pub fn at_instruction(&mut self, instruction: u32) {
        let rip = self.kernel.user_state().registers.rip;
        // Every word of memory is the same one.
        let word = u64::from(instruction).rotate_left(8 * (rip % 8) as u32);
        self.kernel.machine.text = Some(word);
    }

    /// The current thread uses its floating-point registers: it finds there what
    /// it has left there, or nothing, and leaves something else. `false`: it
    /// cannot have any.
    pub fn use_fpu(&mut self) -> bool {
        let thread = self.kernel.current.expect("somebody runs");
        let known = self.fpu.iter().position(|(user, _)| *user == thread);
        if self.kernel.machine.fpu_open {
            let (_, left) = self.fpu[known.expect("nobody else's registers are open")];
            assert_eq!(self.kernel.machine.fpu, left, "registers of {thread:?}");
        } else {
            self.kernel.fault(Fault { vector: NOT_AVAILABLE, error: 0, address: 0 });
            if !self.kernel.machine.fpu_open {
                return false;
            }
            assert_eq!(self.kernel.machine.fpu, 0, "what somebody left");
        }
        let next = 1 + self.fpu.iter().map(|(_, value)| *value).max().unwrap_or(0);
        self.kernel.machine.fpu = next;
        match known {
            Some(index) => self.fpu[index].1 = next,
            None => self.fpu.push((thread, next)),
        }
        true
    }

    /// Writes a word of the current thread's UTCB.
    pub fn poke(&mut self, index: usize, value: u64) {
        let current = self.kernel.current.expect("somebody runs");
        self.kernel.set_utcb_word(current, index, value);
    }

    /// An operation on the capability in `slot`, with `items`.
    pub fn operate(
        &mut self,
        slot: u32,
        words: &[u64],
        items: &[(u32, Rights)],
    ) -> Option<Result<Reply, ErrorCode>> {
        let mut registers = [0; 4];
        for (index, word) in words.iter().enumerate() {
            match registers.get_mut(index) {
                Some(register) => *register = *word,
                None => self.poke(index, *word),
            }
        }
        for (index, (item, rights)) in items.iter().enumerate() {
            self.poke(utcb::ITEMS + 2 * index, u64::from(*item));
            self.poke(utcb::ITEMS + 2 * index + 1, u64::from(rights.bits()));
        }
        let tag = Tag::new(protocol::KOBJECT, words.len()).with_items(items.len());
        let [a, b, c, d] = registers;
        self.call(Code::Call.plain(), [u64::from(slot), tag.bits(), a, b, c, d])
    }

    /// An operation that must succeed at once.
    pub fn must(&mut self, slot: u32, words: &[u64], items: &[(u32, Rights)]) -> [u64; 4] {
        self.operate(slot, words, items).expect("returns").expect("succeeds").words
    }

    /// Creates an object into `slot` of the current task.
    pub fn create(&mut self, kind: Kind, slot: u32, arguments: &[u64], items: &[(u32, Rights)]) {
        let mut words = vec![op::factory::CREATE, kind as u64, u64::from(slot)];
        words.extend(arguments);
        self.must(init::FACTORY, &words, items);
    }

    /// A message through a gate.
    pub fn message(
        &mut self,
        code: Code,
        slot: u64,
        words: &[u64],
        send: Timeout,
        receive: Timeout,
    ) -> Option<Result<Reply, ErrorCode>> {
        let mut args = [slot, Tag::new(1, words.len()).bits(), 0, 0, 0, 0];
        args[2..2 + words.len()].copy_from_slice(words);
        self.call(code.encode(IpcFlags::empty(), send, receive), args)
    }

    /// Creates and starts a thread in the task of `init`; its capability goes
    /// to `slot`. Returns its index.
    pub fn spawn(&mut self, slot: u32, priority: u64) -> u32 {
        self.create(Kind::Thread, slot, &[priority], &[]);
        self.must(slot, &[op::thread::BIND], &[(init::TASK, Rights::all())]);
        let index = self.must(slot, &[op::thread::INFO], &[])[3];
        self.must(slot, &[op::thread::START, 0x40_0000, 0x50_0000, 0, 0], &[]);
        index as u32
    }

    /// Lets others run until `thread` does.
    pub fn run_until(&mut self, thread: u32) {
        for _ in 0..100 {
            if self.kernel.settle() == Next::User && self.current() == thread {
                return;
            }
            self.call(Code::Yield.plain(), [0; 6]);
        }
        panic!("thread {thread} does not run");
    }
}

/// A flat image with one page of text.
fn flat_image() -> Vec<u8> {
    use postern_abi::image::{FLAT_HEADER, FLAT_MAGIC, FLAT_SEGMENT};
    let mut image = FLAT_MAGIC.to_vec();
    let data = (FLAT_HEADER + FLAT_SEGMENT) as u64;
    let rights = u64::from((Rights::R | Rights::X).bits());
    let words = [0x40_0000, 1, 0, 0x40_0000, 0x40_0000, 4096, data, 4, rights];
    image.extend(words.iter().flat_map(|word: &u64| word.to_le_bytes()));
    image.extend([0xf4; 4]);
    image
}
