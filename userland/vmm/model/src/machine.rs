//! The machine: exits of the guest in, what it goes on with out.

use alloc::string::String;

use postern_hypercall::Coredump;
use postern_syscall::Result;
use postern_syscall::vcpu::register::{RAX, RCX, RFLAGS};
use postern_syscall::vcpu::{Exit, System};

use crate::exit::{End, Next, REGISTERS, behind, with_results};
use crate::pit::Pit;
use crate::{Apic, Pics, Uart, cpuid, debug, msr, ports};

/// Exit codes of AMD's manual, volume 2, appendix C.
mod code {
    pub const READ_DR: u64 = 0x20;
    pub const END_DR: u64 = 0x40;
    pub const EXCEPTION: u64 = 0x40;
    pub const END_EXCEPTION: u64 = 0x60;
    pub const RDPMC: u64 = 0x6f;
    pub const CPUID: u64 = 0x72;
    pub const RSM: u64 = 0x73;
    pub const INVD: u64 = 0x76;
    pub const HLT: u64 = 0x78;
    pub const INVLPGA: u64 = 0x7a;
    pub const PORT: u64 = 0x7b;
    pub const MSR: u64 = 0x7c;
    pub const SHUTDOWN: u64 = 0x7f;
    pub const VMRUN: u64 = 0x80;
    pub const VMLOAD: u64 = 0x82;
    pub const SKINIT: u64 = 0x86;
    pub const ICEBP: u64 = 0x88;
    pub const WBINVD: u64 = 0x89;
    pub const MONITOR: u64 = 0x8a;
    pub const XSETBV: u64 = 0x8d;
    pub const NESTED_FAULT: u64 = 0x400;
    pub const INVALID: u64 = u64::MAX;
}

/// Exceptions of the guest.
pub mod exception {
    /// Single step, and what is like it.
    pub const DEBUG: u8 = 1;
    /// No such instruction.
    pub const UNDEFINED: u8 = 6;
    /// General protection.
    pub const PROTECTION: u8 = 13;
}

/// The interrupt line of the old timer.
const TIMER_LINE: u8 = 0;
/// The interrupt line of the serial port.
const SERIAL_LINE: u8 = 4;
/// RFLAGS: interrupts are let in.
const INTERRUPTS: u64 = 1 << 9;
/// How long an interrupt waits that the CPU could not be given, in
/// nanoseconds.
const RETRY: u64 = 500_000;

/// What became of an address for which the guest has no memory yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It has some now.
    Memory,
    /// There is nothing at this address.
    Nothing,
    /// There should be, but there is none left.
    Exhausted,
}

/// What the machine is made of and cannot do itself.
pub trait Host {
    /// Nanoseconds since the host's boot.
    fn now(&self) -> u64;
    /// The time stamp counter, which the guest shares.
    fn ticks(&self) -> u64;
    /// The time at which the counter has, or had, this value.
    fn time_at(&self, ticks: u64) -> u64;
    /// Ticks in a second.
    fn tick_rate(&self) -> u64;
    /// What the CPU itself says.
    fn cpuid(&self, leaf: u32, sub: u32) -> [u32; 4];
    /// The guest has sent a byte.
    fn sent(&mut self, byte: u8);
    /// A report about the guest, of whole lines.
    fn report(&mut self, text: &str);
    /// The guest's general registers, in the order of an exit.
    ///
    /// # Errors
    /// The operation is refused.
    fn registers(&mut self) -> Result<[u64; REGISTERS]>;
    /// The guest's system registers.
    ///
    /// # Errors
    /// The operation is refused.
    fn system(&mut self) -> Result<System>;
    /// Sets them.
    ///
    /// # Errors
    /// The operation is refused, or no guest can have such a state.
    fn set_system(&mut self, system: &System) -> Result<()>;
    /// Delivers an exception when the guest goes on.
    ///
    /// # Errors
    /// The operation is refused.
    fn inject(&mut self, vector: u8, error: Option<u32>) -> Result<()>;
    /// Delivers an interrupt as soon as the guest takes one; `false` while
    /// another one waits for that.
    ///
    /// # Errors
    /// The operation is refused.
    fn interrupt(&mut self, vector: u8) -> Result<bool>;
    /// The guest needs memory at this address.
    fn give(&mut self, address: u64) -> Given;
    /// Reads the guest's memory; `false` if not all of it is there.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool;
}

/// A machine with one guest.
#[derive(Debug)]
pub struct Machine {
    /// What the guest is called.
    pub(crate) name: String,
    /// The name of the host's boot.
    pub(crate) session: [u8; 36],
    pub(crate) uart: Uart,
    pub(crate) pics: Pics,
    pub(crate) pit: Pit,
    pub(crate) apic: Apic,
    pub(crate) debug: [u64; 8],
    /// What the guest said about itself for dumps.
    pub(crate) coredump: Option<Coredump>,
    pub(crate) dumps: u32,
    /// An interrupt waits that the CPU could not be given yet.
    is_stuck: bool,
}

impl Machine {
    /// A machine for a guest of this name, in the host's boot session.
    #[must_use]
    pub fn new(name: &str, session: [u8; 36]) -> Self {
        Self {
            name: name.into(),
            session,
            uart: Uart::default(),
            pics: Pics::default(),
            pit: Pit::default(),
            apic: Apic::default(),
            debug: debug::RESET,
            coredump: None,
            dumps: 0,
            is_stuck: false,
        }
    }

    /// The person at the guest's console typed this; how much found room.
    pub fn typed(&mut self, bytes: &[u8]) -> usize {
        self.uart.receive(bytes)
    }

    /// When [`Machine::pass_interrupts`] is to be called at the latest, in
    /// nanoseconds since the host's boot.
    #[must_use]
    pub fn wakes(&self, now: u64) -> Option<u64> {
        let retry = self.is_stuck.then(|| now.saturating_add(RETRY));
        self.apic.wakes().into_iter().chain(self.pit.wakes()).chain(retry).min()
    }

    /// Gives the CPU the next interrupt, if there is one: whether the guest has
    /// something to wake up for. To be called after every exit and whenever
    /// something happened.
    ///
    /// # Errors
    /// The host's.
    pub fn pass_interrupts(&mut self, host: &mut impl Host) -> Result<bool> {
        self.apic.tick(host.now());
        if self.pit.tick(host.now()) {
            // An edge.
            self.pics.set_line(TIMER_LINE, true);
            self.pics.set_line(TIMER_LINE, false);
        }
        self.pics.set_line(SERIAL_LINE, self.uart.interrupts());
        self.is_stuck = false;
        if let Some(vector) = self.pics.next().filter(|_| self.apic.passes_pic()) {
            if host.interrupt(vector)? {
                self.pics.acknowledge();
            } else {
                self.is_stuck = true;
            }
            return Ok(true);
        }
        let Some(vector) = self.apic.next() else { return Ok(false) };
        if host.interrupt(vector)? {
            self.apic.accept(vector);
        } else {
            self.is_stuck = true;
        }
        Ok(true)
    }

    /// The guest has left the CPU.
    pub fn exit(&mut self, host: &mut impl Host, exit: &Exit) -> Next {
        match self.handle(host, exit) {
            Ok(next) => next,
            Err(code) => Next::End(End::Host(code)),
        }
    }

    fn handle(&mut self, host: &mut impl Host, exit: &Exit) -> Result<Next> {
        Ok(match exit.code {
            code::CPUID => {
                let (leaf, sub) = (exit.registers[RAX] as u32, exit.registers[RCX] as u32);
                let own = |leaf, sub| host.cpuid(leaf, sub);
                let answer = cpuid(leaf, sub, host.tick_rate(), own);
                Next::Resume(with_results(exit, answer.map(u64::from)))
            }
            code::MSR => match msr::access(self, host, exit)? {
                Some(registers) => Next::Resume(registers),
                None => self.refuse(host, exit, exception::PROTECTION, Some(0))?,
            },
            code::PORT => ports::access(self, host, exit),
            code::HLT if exit.registers[RFLAGS] & INTERRUPTS == 0 => Next::End(End::Halted),
            code::HLT if exit.pending => Next::Resume(behind(exit)),
            code::HLT => Next::Wait(behind(exit)),
            // Caches are coherent, and nobody sees whether they are written
            // back.
            code::INVD | code::WBINVD => Next::Resume(behind(exit)),
            code::READ_DR..code::END_DR => match debug::access(self, host, exit)? {
                Some(registers) => Next::Resume(registers),
                None => Next::End(End::Unsupported { code: exit.code }),
            },
            code::RDPMC => self.refuse(host, exit, exception::PROTECTION, Some(0))?,
            code::ICEBP => self.refuse(host, exit, exception::DEBUG, None)?,
            code::RSM
            | code::INVLPGA
            | code::VMRUN
            | code::VMLOAD..=code::SKINIT
            | code::MONITOR..=code::XSETBV => {
                self.refuse(host, exit, exception::UNDEFINED, None)?
            }
            code::NESTED_FAULT => {
                let (address, write) = (exit.info[1], exit.info[0] & 2 != 0);
                // What is there, but must not be written, is no memory.
                let is_forbidden = exit.info[0] & 1 != 0;
                match if is_forbidden { Given::Nothing } else { host.give(address) } {
                    Given::Memory => Next::Resume(exit.registers),
                    Given::Nothing => Next::End(End::NoMemory { address, write }),
                    Given::Exhausted => Next::End(End::Exhausted { address }),
                }
            }
            code::SHUTDOWN => Next::End(End::Shutdown),
            code::INVALID => Next::End(End::Invalid),
            code::EXCEPTION..code::END_EXCEPTION => {
                self.refuse(host, exit, (exit.code - code::EXCEPTION) as u8, None)?
            }
            code => Next::End(End::Unsupported { code }),
        })
    }

    /// The instruction becomes an exception.
    fn refuse(
        &mut self,
        host: &mut impl Host,
        exit: &Exit,
        vector: u8,
        error: Option<u32>,
    ) -> Result<Next> {
        host.inject(vector, error)?;
        Ok(Next::Resume(exit.registers))
    }
}
