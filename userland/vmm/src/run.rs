//! Starts the guest and answers it until it ends: one wait for its exits, its
//! hypercalls, its keyboard and its timer.

use alloc::format;
use core::time::Duration;

use postern_runtime::syscall::abi::tag::protocol::{EXIT, HYPERCALL};
use postern_runtime::syscall::vcpu::{Exit, Vcpu};
use postern_runtime::syscall::{
    DeliveryKind, ErrorCode, ErrorNumber, Message, Phase, Slot, Task, Thread, Timeout, clock,
    control, ipc,
};
use postern_runtime::{Explain, own, server, slots, time};
use postern_vm_model::boot::{self, Start, linux};
use postern_vm_model::{End, Host, Machine, Next, session};

use crate::console::{ESCAPE, INTERRUPT, Keyboard, Output};
use crate::host::Machinery;
use crate::image::{Archive, Error, Image};
use crate::memory::{GuestMemory, PIECE};
use crate::options::Options;

/// Labels of the gates through which the guest is heard of.
mod label {
    pub const EXITS: u64 = 4;
    pub const HYPERCALLS: u64 = 8;
    pub const END: u64 = 12;
}

/// The exception that is the non-maskable interrupt.
const NMI: u8 = 2;

/// How it ended.
pub enum Outcome {
    /// The guest turned itself off with this code.
    Guest(u8),
    /// The person ended it.
    Ended,
    /// In any other way.
    Failed,
}

/// A guest that runs.
pub struct Guest {
    machine: Machine,
    host: Machinery,
    keyboard: Option<Keyboard>,
    /// The guest has halted: the right to answer that exit, and with what.
    halted: Option<[u64; 18]>,
    /// A slot for that right.
    saved: Slot,
    /// A non-maskable interrupt waits for the guest's next exit.
    is_interrupted: bool,
    name: &'static str,
}

/// What is said next to whoever waits for an answer.
enum Answer {
    None,
    Resume([u64; 18]),
    Outputs { carry: u64, words: [u64; 7] },
}

/// Loads the guest and starts it.
pub fn start(archive: &Archive, options: &Options) -> Result<Guest, Error> {
    let image = archive.image(options.image)?;
    let (space, thread) = objects()?;
    let mut memory = GuestMemory::new(space, options.memory);
    let machine = Machine::new(options.image, session(clock::parameters()));
    let head = image.kernel.start..image.kernel.end.min(image.kernel.start + linux::HEAD as u64);
    let head = archive.bytes(head)?;
    let start = if linux::is_one(&head) {
        load_linux(archive, &image, &head, options.memory, &mut memory)?
    } else {
        load(archive, &image, options.memory, &mut memory)?
    };
    let Start { entry, stack, arguments, system, .. } = start;
    let vcpu = Vcpu(thread);
    vcpu.set_system(&system).explain("setting the guest's registers", "virtual CPU")?;
    let prefix = options.background.then(|| format!("[{}] ", options.image));
    let host = Machinery::new(vcpu, memory, Output::new(prefix)).ok_or(Error::NoClock)?;
    let keyboard = if options.background { None } else { Some(Keyboard::start()?) };
    let saved = slots::allocate()?;
    let name = options.image;
    let mut guest =
        Guest { machine, host, keyboard, halted: None, saved, is_interrupted: false, name };
    let ends = if options.background { "" } else { "; Ctrl-] ends it, Ctrl-\\ interrupts it" };
    let size = options.memory >> 20;
    guest.host.report(&format!("vm: guest `{name}` with {size} MiB{ends}\n"));
    let [first, second] = arguments;
    thread.start(entry, stack, first, second).explain("starting the guest", "virtual CPU")?;
    Ok(guest)
}

/// Loads a kernel that was made for the `bootloader` crate.
fn load(
    archive: &Archive,
    image: &Image,
    bytes: u64,
    memory: &mut GuestMemory,
) -> Result<Start, Error> {
    let kernel = archive.bytes(image.kernel.clone())?;
    let ramdisk = image.ramdisk.end - image.ramdisk.start;
    let wanted = boot::Image { kernel: &kernel, ramdisk, align: PIECE, memory: bytes };
    let start = boot::load(&wanted, memory).map_err(Error::Load)?;
    memory.show(start.ramdisk, archive.mapping().memory(), image.ramdisk.clone())?;
    Ok(start)
}

/// Loads a Linux kernel.
fn load_linux(
    archive: &Archive,
    image: &Image,
    head: &[u8],
    bytes: u64,
    memory: &mut GuestMemory,
) -> Result<Start, Error> {
    let command_line = archive.bytes(image.command_line.clone())?;
    let wanted = linux::Image {
        head,
        bytes: image.kernel.end - image.kernel.start,
        ramdisk: image.ramdisk.end - image.ramdisk.start,
        command_line: &command_line,
        memory: bytes,
    };
    let linux::Plan { start, part, to } = linux::load(&wanted, memory).map_err(Error::Load)?;
    let part = image.kernel.start + part.start..image.kernel.start + part.end;
    memory.copy(to, archive.mapping(), part)?;
    memory.copy(start.ramdisk, archive.mapping(), image.ramdisk.clone())?;
    Ok(start)
}

/// The guest's task and virtual CPU, with gates to this thread.
fn objects() -> Result<(Task, Thread), Error> {
    let factory = own::factory()?;
    let space = slots::allocate()?;
    let space = match factory.create_guest_memory(space) {
        Err(error) if error.number == ErrorNumber::Unsupported => return Err(Error::NoGuests),
        made => made.explain("creating a guest's memory", "factory")?,
    };
    let gate = server::gate(label::HYPERCALLS)?;
    space.set_hypercall_gate(Some(gate)).explain("setting the hypercall gate", "task")?;
    // Below this thread, so that the timer is on time.
    let own = own::thread()?.info().explain("asking for the priority", "thread")?.priority;
    let thread = slots::fill("creating a virtual CPU", "factory", |slot| {
        factory.create_thread(slot, own.saturating_sub(1))
    })?;
    let gate = server::gate(label::EXITS)?;
    thread.set_fault_gate(Some(gate)).explain("setting the exits' gate", "virtual CPU")?;
    let gate = server::gate(label::END)?;
    thread.set_exit_gate(Some(gate)).explain("setting the exit gate", "virtual CPU")?;
    thread.bind(space).explain("binding the virtual CPU", "task")?;
    Ok((space, thread))
}

impl Guest {
    /// Answers the guest until it ends, and says how it did.
    pub fn run(mut self) -> Outcome {
        let (text, outcome) = match self.serve() {
            Stop::Guest(end) => {
                let outcome = match end {
                    End::Off(code) => Outcome::Guest(code),
                    _ => Outcome::Failed,
                };
                (format!("{end}"), outcome)
            }
            Stop::Escape => ("was ended from its console".into(), Outcome::Ended),
        };
        if matches!(outcome, Outcome::Failed) {
            self.tell_registers();
        }
        self.host.report(&format!("vm: guest `{}` {text}\n", self.name));
        outcome
    }

    /// For somebody who wants to know why.
    fn tell_registers(&mut self) {
        if let Ok(registers) = self.host.registers() {
            let [rip, rsp] = [registers[0], registers[8]];
            let cr3 = self.host.system().map_or(0, |system| system.cr[2]);
            self.host.report(&format!("vm: at rip {rip:#x}, rsp {rsp:#x}, cr3 {cr3:#x}\n"));
        }
    }

    fn serve(&mut self) -> Stop {
        let mut answer = Answer::None;
        loop {
            let timeout = self.timeout();
            let received = match core::mem::replace(&mut answer, Answer::None) {
                Answer::None => ipc::receive(timeout),
                Answer::Resume(registers) => exit_answer(&registers).reply_receive(0, timeout),
                Answer::Outputs { carry, words } => {
                    Message::with_words(0, &words).reply_receive(carry, timeout)
                }
            };
            let served = match received {
                Ok(delivery) => self.handle(&delivery, &mut answer),
                // It was destroyed while it was answered; its end is told, too.
                Err(error) if error.phase == Phase::Send => Ok(()),
                Err(error) if error.number == ErrorNumber::Timeout => Ok(()),
                Err(error) if error.number == ErrorNumber::Cancelled => Ok(()),
                Err(error) => Err(Stop::Guest(End::Host(error))),
            };
            if let Err(stop) = served.and_then(|()| self.look()) {
                return stop;
            }
        }
    }

    /// How long there is nothing to do unless something comes.
    fn timeout(&self) -> Timeout {
        let now = self.host.now();
        let wakes = self.machine.wakes(now).into_iter().chain(self.host.output.wakes()).min();
        wakes.map_or(Timeout::NEVER, |time| {
            time::timeout(Duration::from_nanos(time.saturating_sub(now)))
        })
    }

    fn handle(&mut self, delivery: &ipc::Delivery, answer: &mut Answer) -> Result<(), Stop> {
        if delivery.kind == DeliveryKind::Notification {
            return self.typed();
        }
        if let Some(exit) = Exit::from_delivery(delivery).filter(|_| delivery.label == label::EXITS)
        {
            let next = self.machine.exit(&mut self.host, &exit);
            if core::mem::take(&mut self.is_interrupted) {
                // In place of an exception that the exit has become, which then
                // comes again.
                self.host.inject(NMI, None).map_err(failed)?;
            }
            match next {
                Next::Resume(registers) => *answer = Answer::Resume(registers),
                Next::Wait(registers) => {
                    control::save_reply(self.saved).map_err(failed)?;
                    self.halted = Some(registers);
                    self.host.output.pause();
                }
                Next::End(end) => return Err(Stop::Guest(end)),
            }
        } else if delivery.tag.protocol() == HYPERCALL && delivery.label == label::HYPERCALLS {
            let message = Message::from_delivery(delivery);
            let words = core::array::from_fn(|index| message.word(index));
            *answer = match self.machine.hypercall(&mut self.host, words) {
                Ok(outputs) => Answer::Outputs { carry: 0, words: outputs.0 },
                Err(error) => {
                    let words = [error.number(), 0, 0, 0, 0, 0, 0];
                    Answer::Outputs { carry: 1, words }
                }
            };
        } else if delivery.tag.protocol() == EXIT && delivery.label == label::END {
            return Err(Stop::Guest(End::Unsupported { code: delivery.words[1] }));
        }
        Ok(())
    }

    fn typed(&mut self) -> Result<(), Stop> {
        let keys = self.keyboard.as_ref().map(Keyboard::take).unwrap_or_default();
        for key in keys {
            match key {
                ESCAPE => return Err(Stop::Escape),
                INTERRUPT => self.interrupt().map_err(failed)?,
                // What the guest does not take in time is lost, as with any
                // port.
                key => _ = self.machine.typed(&[key]),
            }
        }
        Ok(())
    }

    /// Gives the guest a non-maskable interrupt: now if it waits or can be
    /// stopped, else at its next exit.
    fn interrupt(&mut self) -> Result<(), ErrorCode> {
        let thread = self.host.vcpu.0;
        if self.halted.is_some() {
            self.host.inject(NMI, None)?;
            return self.wake();
        }
        match thread.stop() {
            Ok(()) => {
                self.host.inject(NMI, None)?;
                thread.resume()
            }
            Err(error) if error.number == ErrorNumber::Busy => {
                self.is_interrupted = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the guest go on, if it has halted.
    fn wake(&mut self) -> Result<(), ErrorCode> {
        let Some(registers) = self.halted.take() else { return Ok(()) };
        match exit_answer(&registers).reply_saved(self.saved, 0) {
            // It is gone, and its end is told, too.
            Err(error) if error.phase == Phase::Send => Ok(()),
            other => other,
        }
    }

    /// Looks for interrupts, and wakes the guest if there is one.
    fn look(&mut self) -> Result<(), Stop> {
        let has_interrupt = self.machine.pass_interrupts(&mut self.host).map_err(failed)?;
        if has_interrupt {
            self.wake().map_err(failed)?;
        }
        let now = self.host.now();
        if self.host.output.wakes().is_some_and(|time| time <= now) {
            self.host.output.pause();
        }
        Ok(())
    }
}

/// Why the guest is not served any more.
enum Stop {
    Guest(End),
    Escape,
}

fn failed(code: ErrorCode) -> Stop {
    Stop::Guest(End::Host(code))
}

/// The answer to an exit: go on, with these registers.
fn exit_answer(registers: &[u64; 18]) -> Message {
    let mut words = [0; 19];
    words[1..].copy_from_slice(registers);
    Message::with_words(0, &words)
}
