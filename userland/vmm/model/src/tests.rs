//! The machine on a host of plain memory: exits in, what the guest goes on with
//! out.

extern crate std;

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use postern_abi::clock::Clock;
use postern_hypercall::{Coredump, Dump, DumpTag, Error, Outputs, Request, code_word};
use postern_syscall::Result;
use postern_syscall::vcpu::register::{RAX, RBX, RCX, RDX, RFLAGS, RIP};
use postern_syscall::vcpu::{Exit, System};

use crate::{End, Given, Host, Machine, Next, session};

/// Everything that the machine asks for, in plain memory.
#[derive(Default)]
struct Fake {
    now: u64,
    system: System,
    registers: [u64; 18],
    memory: BTreeMap<u64, u8>,
    /// First address at which there is nothing; what is from half of that on is
    /// used up.
    end: u64,
    sent: Vec<u8>,
    reports: String,
    injected: Vec<(u8, Option<u32>)>,
    interrupts: Vec<u8>,
    /// The CPU takes no interrupt.
    is_full: bool,
}

impl Fake {
    fn write(&mut self, at: u64, bytes: &[u8]) {
        self.memory.extend((at..).zip(bytes.iter().copied()));
    }
}

impl Host for Fake {
    fn now(&self) -> u64 {
        self.now
    }
    fn ticks(&self) -> u64 {
        2 * self.now
    }
    fn time_at(&self, ticks: u64) -> u64 {
        ticks / 2
    }
    fn tick_rate(&self) -> u64 {
        2_000_000_000
    }
    fn cpuid(&self, leaf: u32, _sub: u32) -> [u32; 4] {
        [leaf; 4]
    }
    fn sent(&mut self, byte: u8) {
        self.sent.push(byte);
    }
    fn report(&mut self, text: &str) {
        self.reports.push_str(text);
    }
    fn registers(&mut self) -> Result<[u64; 18]> {
        Ok(self.registers)
    }
    fn system(&mut self) -> Result<System> {
        Ok(self.system)
    }
    fn set_system(&mut self, system: &System) -> Result<()> {
        self.system = *system;
        Ok(())
    }
    fn inject(&mut self, vector: u8, error: Option<u32>) -> Result<()> {
        self.injected.push((vector, error));
        Ok(())
    }
    fn interrupt(&mut self, vector: u8) -> Result<bool> {
        if !self.is_full {
            self.interrupts.push(vector);
        }
        Ok(!self.is_full)
    }
    fn give(&mut self, address: u64) -> Given {
        match address {
            address if address >= self.end => Given::Nothing,
            address if address >= self.end / 2 => Given::Exhausted,
            _ => Given::Memory,
        }
    }
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        bytes.iter_mut().enumerate().all(|(index, byte)| {
            let found = self.memory.get(&(address + index as u64));
            found.map(|found| *byte = *found).is_some()
        })
    }
}

fn machine() -> (Machine, Fake) {
    (Machine::new("test", *b"01234567-89AB-CDEF-0123-456789ABCDEF"), Fake::default())
}

fn exit(code: u64) -> Exit {
    let mut registers = [0; 18];
    (registers[RIP], registers[RFLAGS]) = (0x1000, 0x202);
    let next = 0x1002;
    Exit { code, info: [0; 2], next, registers, level: 0, interruptible: true, pending: false }
}

/// Port `port`, `bytes` wide, read or written.
fn port(port: u64, bytes: u64, is_read: bool, rax: u64) -> Exit {
    let mut exit = exit(0x7b);
    exit.info[0] = port << 16 | bytes << 4 | u64::from(is_read);
    exit.registers[RAX] = rax;
    exit
}

fn msr(msr: u64, value: Option<u64>) -> Exit {
    let mut exit = exit(0x7c);
    exit.info[0] = value.is_some().into();
    exit.registers[RCX] = msr;
    let value = value.unwrap_or(0);
    (exit.registers[RAX], exit.registers[RDX]) = (value & 0xffff_ffff, value >> 32);
    exit
}

#[track_caller]
fn resumed(next: Next) -> [u64; 18] {
    match next {
        Next::Resume(registers) => registers,
        other => panic!("{other:?}"),
    }
}

/// What an MSR reads as; `None` for a protection fault.
fn read_msr(machine: &mut Machine, host: &mut Fake, number: u64) -> Option<u64> {
    let before = host.injected.len();
    let registers = resumed(machine.exit(host, &msr(number, None)));
    if host.injected.len() > before {
        assert_eq!((host.injected.last(), registers[RIP]), (Some(&(13, Some(0))), 0x1000));
        return None;
    }
    assert_eq!(registers[RIP], 0x1002);
    Some(registers[RDX] << 32 | registers[RAX])
}

/// Whether an MSR takes a value.
fn write_msr(machine: &mut Machine, host: &mut Fake, number: u64, value: u64) -> bool {
    let before = host.injected.len();
    resumed(machine.exit(host, &msr(number, Some(value))));
    host.injected.len() == before
}

#[test]
fn cpuid_sets_four_registers() {
    let (mut machine, mut host) = machine();
    let mut exit = exit(0x72);
    exit.registers[RAX] = 0x4000_0101;
    exit.registers[RBX] = u64::MAX;
    let registers = resumed(machine.exit(&mut host, &exit));
    assert_eq!(registers[RIP], 0x1002);
    assert_eq!([RAX, RBX, RCX, RDX].map(|index| registers[index]), [0x3123_4841, 0, 0, 0]);
}

#[test]
fn ports_are_of_three_widths() {
    let (mut machine, mut host) = machine();
    // What is not there reads as ones, and only as wide as it was read.
    for (bytes, wanted) in [(1, 0x1234_ffff_u64 & !0xff00 | 0x5600), (2, 0x1234_ffff)] {
        let exit = port(0x70, bytes, true, 0x1234_5678);
        assert_eq!(resumed(machine.exit(&mut host, &exit))[RAX], wanted, "{bytes}");
    }
    let exit = port(0xcfc, 4, true, u64::MAX);
    assert_eq!(resumed(machine.exit(&mut host, &exit))[RAX], 0xffff_ffff);
    resumed(machine.exit(&mut host, &port(0x3f8, 1, false, 0x141)));
    assert_eq!(host.sent, b"A");
    let mut string = port(0x3f8, 1, false, 0);
    string.info[0] |= 4;
    let next = machine.exit(&mut host, &string);
    assert_eq!(next, Next::End(End::StringPort { port: 0x3f8 }));
}

#[test]
fn a_guest_turns_itself_off() {
    let (mut machine, mut host) = machine();
    for (number, bytes, value, code) in
        [(0xf4, 1, 0x10, 0), (0xf4, 1, 0x12, 0x12), (0x604, 2, 0x2000, 0)]
    {
        let next = machine.exit(&mut host, &port(number, bytes, false, value));
        assert_eq!(next, Next::End(End::Off(code)));
    }
    resumed(machine.exit(&mut host, &port(0x604, 2, false, 0)));
}

#[test]
fn halting_waits_for_an_interrupt() {
    let (mut machine, mut host) = machine();
    let mut halt = exit(0x78);
    assert!(matches!(machine.exit(&mut host, &halt), Next::Wait(it) if it[RIP] == 0x1002));
    assert_eq!(machine.pass_interrupts(&mut host), Ok(false));
    halt.pending = true;
    resumed(machine.exit(&mut host, &halt));
    halt.registers[RFLAGS] = 2;
    assert_eq!(machine.exit(&mut host, &halt), Next::End(End::Halted));
}

#[test]
fn the_timer_wakes() {
    let (mut machine, mut host) = machine();
    assert_eq!(read_msr(&mut machine, &mut host, 0x802), None, "not yet");
    let base = read_msr(&mut machine, &mut host, 0x1b).expect("it is there");
    for (number, value) in [(0x1b, base | 1 << 10), (0x80f, 0x1ff), (0x832, 0x4_00f0)] {
        assert!(write_msr(&mut machine, &mut host, number, value));
    }
    assert!(write_msr(&mut machine, &mut host, 0x6e0, 2000));
    assert_eq!(machine.wakes(0), Some(1000));
    assert_eq!(machine.pass_interrupts(&mut host), Ok(false));
    host.now = 1000;
    host.is_full = true;
    assert_eq!(machine.pass_interrupts(&mut host), Ok(true));
    assert_eq!(host.interrupts, []);
    assert!(machine.wakes(1000).is_some(), "it is tried again");
    host.is_full = false;
    assert_eq!(machine.pass_interrupts(&mut host), Ok(true));
    assert_eq!(host.interrupts, [0xf0]);
    assert_eq!((machine.wakes(1000), machine.pass_interrupts(&mut host)), (None, Ok(false)));
    assert_eq!(read_msr(&mut machine, &mut host, 0x6e0), Some(0));
}

#[test]
fn what_is_typed_interrupts() {
    let (mut machine, mut host) = machine();
    for (number, value) in
        [(0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 3), (0x21, 0xef), (0x3f9, 1), (0x3fc, 0xb)]
    {
        resumed(machine.exit(&mut host, &port(number, 1, false, value)));
    }
    assert_eq!(machine.typed(b"x"), 1);
    assert_eq!(machine.pass_interrupts(&mut host), Ok(true));
    assert_eq!(machine.pass_interrupts(&mut host), Ok(false), "an edge");
    assert_eq!(host.interrupts, [0x34]);
    let read = machine.exit(&mut host, &port(0x3f8, 1, true, 0));
    assert_eq!(resumed(read)[RAX], u64::from(b'x'));
}

#[test]
fn msrs_are_kept_or_refused() {
    let (mut machine, mut host) = machine();
    let high = 0xffff_8000_0000_1234;
    for number in [0x174, 0x175, 0x176, 0xc000_0082, 0xc000_0100, 0xc000_0101, 0xc000_0102] {
        assert!(write_msr(&mut machine, &mut host, number, high), "{number:#x}");
        assert_eq!(read_msr(&mut machine, &mut host, number), Some(high), "{number:#x}");
        assert!(!write_msr(&mut machine, &mut host, number, 1 << 60), "not canonical");
    }
    assert_eq!(host.system.segments[5].base, high);
    assert_eq!(host.system.calls[1], high);
    for number in [0, 0x3a, 0x9e, 0x1a0, 0xc000_0103, 0xc001_0114, 0xffff_ffff] {
        assert_eq!(read_msr(&mut machine, &mut host, number), None, "{number:#x}");
        assert!(!write_msr(&mut machine, &mut host, number, 0), "{number:#x}");
    }
    host.now = 50;
    assert_eq!(read_msr(&mut machine, &mut host, 0x10), Some(100));
    assert!(!write_msr(&mut machine, &mut host, 0x277, 0x0303), "no such kind of memory");
}

#[test]
fn long_mode_is_the_cpus_to_say() {
    let (mut machine, mut host) = machine();
    let efer = 0xc000_0080;
    assert!(write_msr(&mut machine, &mut host, efer, 0xd01));
    assert_eq!(host.system.efer, 0x901, "active is not set by writing it");
    host.system.efer = 0xd01;
    host.system.cr[0] = 1 << 31;
    assert!(write_msr(&mut machine, &mut host, efer, 0x900));
    assert_eq!(host.system.efer, 0xd00);
    assert!(!write_msr(&mut machine, &mut host, efer, 0x800), "not while paging");
    assert!(!write_msr(&mut machine, &mut host, efer, 0x1900), "no guests of its own");
}

#[test]
fn what_it_has_not_is_an_exception() {
    let (mut machine, mut host) = machine();
    for (code, exception) in [
        (0x80, (6, None)),
        (0x86, (6, None)),
        (0x8d, (6, None)),
        (0x7a, (6, None)),
        (0x6f, (13, Some(0))),
        (0x88, (1, None)),
    ] {
        let registers = resumed(machine.exit(&mut host, &exit(code)));
        assert_eq!((host.injected.pop(), registers[RIP]), (Some(exception), 0x1000), "{code:#x}");
    }
    assert_eq!(resumed(machine.exit(&mut host, &exit(0x89)))[RIP], 0x1002, "WBINVD");
    let ends = [(0x7f, End::Shutdown), (u64::MAX, End::Invalid)];
    for (code, end) in ends.into_iter().chain([(0x7d, End::Unsupported { code: 0x7d })]) {
        assert_eq!(machine.exit(&mut host, &exit(code)), Next::End(end));
    }
}

#[test]
fn memory_comes_when_it_is_used() {
    let (mut machine, mut host) = machine();
    host.end = 0x8000;
    let mut fault = |address, how| {
        let mut exit = exit(0x400);
        exit.info = [how, address];
        machine.exit(&mut host, &exit)
    };
    assert_eq!(resumed(fault(0x3000, 4))[RIP], 0x1000, "it is tried again");
    assert_eq!(fault(0x4000, 4), Next::End(End::Exhausted { address: 0x4000 }));
    let outside = |write| Next::End(End::NoMemory { address: 0x9000, write });
    assert_eq!((fault(0x9000, 4), fault(0x9000, 6)), (outside(false), outside(true)));
    // What is there and read-only.
    let forbidden = End::NoMemory { address: 0x3000, write: true };
    assert_eq!(fault(0x3000, 7), Next::End(forbidden));
}

#[test]
fn debug_registers_keep_what_is_written() {
    let (mut machine, mut host) = machine();
    for (code, place, value, wanted) in
        [([0x0f, 0x23, 0xc0, 0], RAX, 0x55, 0), ([0x0f, 0x21, 0xc3, 0], RBX, 0, 0x55)]
    {
        host.write(0x1000, &code);
        let mut exit = exit(if code[1] == 0x23 { 0x30 } else { 0x20 });
        exit.registers[place] = value;
        let registers = resumed(machine.exit(&mut host, &exit));
        assert_eq!(registers[RIP], 0x1003);
        assert_eq!(registers[RBX], wanted);
    }
    host.write(0x1000, &[0x90; 4]);
    let next = machine.exit(&mut host, &exit(0x20));
    assert_eq!(next, Next::End(End::Unsupported { code: 0x20 }));
}

fn call(
    machine: &mut Machine,
    host: &mut Fake,
    request: Request,
) -> core::result::Result<Outputs, Error> {
    let [a, b, c, d, e, f] = request.arguments;
    machine.hypercall(host, [request.code, a, b, c, d, e, f])
}

#[test]
fn hypercalls_are_served() {
    let (mut machine, mut host) = machine();
    let session = call(&mut machine, &mut host, postern_hypercall::BOOT_SESSION);
    let session = postern_hypercall::SessionId::new(session.expect("a session"));
    assert_eq!(session.text(), b"01234567-89AB-CDEF-0123-456789ABCDEF");
    let offset = call(&mut machine, &mut host, postern_hypercall::Clock::request(5000, 600));
    assert_eq!(offset.map(postern_hypercall::Clock::offset_in), Ok(1900));
    let data = Coredump { text: 0x1000, map_end: 0x9000, cr3: 7, ..Coredump::default() };
    assert_eq!(call(&mut machine, &mut host, data.request()), Ok(Outputs::default()));
    let wrong = Coredump { map_start: 1, map_end: 0, ..data };
    let refused = call(&mut machine, &mut host, wrong.request());
    assert_eq!(refused, Err(Error::InvalidParameter));
    for code in [0, 1, 4, code_word(0), code_word(5), 1 << 32 | code_word(4), u64::MAX] {
        let request = Request { code, arguments: [1; 6] };
        assert_eq!(call(&mut machine, &mut host, request), Err(Error::InvalidCode), "{code:#x}");
    }
    let kind = Request { arguments: [2, 0, 0, 0, 0, 0], ..Dump::REQUEST };
    assert_eq!(call(&mut machine, &mut host, kind), Err(Error::InvalidParameter));
    assert_eq!(host.reports, "");
}

#[test]
fn a_dump_can_be_read() {
    let (mut machine, mut host) = machine();
    host.registers = core::array::from_fn(|index| index as u64);
    host.registers[RIP] = 0x1234;
    host.registers[8] = 0x2000;
    host.write(0x2000, &[0x11; 48]);
    let data = Coredump { text: 0x1000, map_end: 0x9000, cr3: 7, ..Coredump::default() };
    assert!(call(&mut machine, &mut host, data.request()).is_ok());
    let tag = call(&mut machine, &mut host, Dump::REQUEST).map(DumpTag::new).expect("a dump");
    assert_eq!(tag.name(), b"dump-1-of-test/01234567-89AB-CDEF-0123-456789ABCDEF");
    for line in [
        "*** dump 1 of guest `test`: begin",
        "coredump data: kernel text 0x1000, CR3 0x7",
        "  rip is kernel text + 0x234",
        "  rip  0000000000001234   rax  0000000000000001   rbx  0000000000000002",
        "  +0x20 1111111111111111 1111111111111111",
        "*** dump 1 of guest `test`: end",
    ] {
        assert!(host.reports.lines().any(|one| one == line), "{line}\n{}", host.reports);
    }
}

#[test]
fn a_boot_has_one_name() {
    let clock = Clock { start: 1234, factor: 1 << 32 };
    let name = session(clock);
    assert_eq!(name, session(clock));
    assert_ne!(name, session(Clock { start: 1235, ..clock }));
    let text = core::str::from_utf8(&name).expect("text");
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert!(text.chars().all(|digit| digit == '-' || digit.is_ascii_hexdigit()));
    assert_eq!(&text[14..15], "8", "the version");
    assert!("89AB".contains(&text[19..20]), "the variant");
}

#[test]
fn no_exit_does_harm() {
    let (mut machine, mut host) = machine();
    host.end = 1 << 20;
    for code in (0..0x410).chain([u64::MAX, 1 << 40]) {
        for info in [[0, 0], [u64::MAX; 2], [1, 1 << 19]] {
            let mut exit = exit(code);
            exit.info = info;
            exit.registers = [u64::MAX; 18];
            let _ = machine.exit(&mut host, &exit);
            let _ = machine.pass_interrupts(&mut host);
        }
    }
}
