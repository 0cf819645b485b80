//! Reports for people: what a faulting program did, with registers and a
//! backtrace whose addresses `xtask` turns into names; and who called it, who
//! called that, and so on, with a backtrace of each.

use core::fmt::Write;

use postern_abi::ErrorCode;
use postern_abi::harness::{SYMBOL_CLOSE, SYMBOL_OPEN};
use postern_abi::op::reason;
use postern_arena::Ref;

use crate::Kernel;
use crate::fpu::NOT_AVAILABLE;
use crate::machine::{Fault, LogWriter, Machine};
use crate::object::Thread;
use crate::object::thread::Asks;

/// Most frames of a backtrace.
const FRAMES: u32 = 16;
/// The first line of the backtrace of the thread that faulted.
const FIRST_FRAME: u32 = 7;
/// Most callers that are reported: as many as crossings can be nested.
const CALLERS: u8 = 16;

/// A line of a report: a part for the thread that faulted, then one for each
/// caller that waits for it, directly or over others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// Number of the part.
    part: u8,
    /// Number of the line in it.
    line: u32,
}

/// The program of an activation, for the report.
struct Program {
    name: [u8; 32],
    base: u64,
    build: u64,
}

impl Program {
    fn name(&self) -> &str {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        core::str::from_utf8(&self.name[..end]).unwrap_or("?")
    }
}

impl<M: Machine> Kernel<M> {
    /// Writes the line at `place` of the report of a fault to the log; the place
    /// of the next one, if there is one. A line a step, because a serial port is
    /// slow.
    pub(crate) fn report_line(
        &mut self,
        thread: Ref<Thread<M>>,
        fault: Fault,
        place: Place,
    ) -> Option<Place> {
        let activation = self.waiting_above(thread, place.part)?;
        let written = match place.part {
            0 => self.write_line(activation, fault, place.line),
            _ => self.write_caller_line(activation, place.line),
        };
        // A log that cannot be written has nobody to complain to.
        if written.unwrap_or(false) {
            return Some(Place { line: place.line + 1, ..place });
        }
        let next = Place { part: place.part + 1, line: 0 };
        let has_more = next.part <= CALLERS && self.waiting_above(thread, next.part).is_some();
        // The line is empty: the part begins with the next step.
        has_more.then_some(next)
    }

    /// The activation that waits, over `count` calls, for this one.
    fn waiting_above(&self, thread: Ref<Thread<M>>, count: u8) -> Option<Ref<Thread<M>>> {
        let mut at = thread;
        for _ in 0..count {
            let caller = self.threads.get(at)?.caller?;
            self.threads.get(caller.thread).filter(|it| it.awaits(caller.number))?;
            at = caller.thread;
        }
        Some(at)
    }

    /// The program of an activation.
    fn program(&self, thread: &Thread<M>) -> Program {
        let mut program = Program { name: [0; 32], base: 0, build: 0 };
        if let Some(task) = thread.task.and_then(|task| self.tasks.get(task)) {
            let bytes = task.name().as_bytes();
            program.name[..bytes.len()].copy_from_slice(bytes);
            (program.base, program.build) = (task.base, task.build);
        }
        program
    }

    /// A line about the activation that faulted; `false`: there is no such line.
    fn write_line(
        &mut self,
        thread: Ref<Thread<M>>,
        fault: Fault,
        line: u32,
    ) -> Result<bool, core::fmt::Error> {
        let Some(faulted) = self.threads.get(thread) else { return Ok(false) };
        let (r, has_panicked) = (&faulted.user.registers.clone(), faulted.asks == Asks::Nothing);
        let program = self.program(faulted);
        // What a panic had in its registers is not known.
        let line = if has_panicked && line >= 2 { line + FIRST_FRAME - 2 } else { line };
        if let Some(depth) = line.checked_sub(FIRST_FRAME) {
            return self.write_frame(thread, &program, depth);
        }
        let why = self.end_reason(thread, fault);
        let log = &mut LogWriter(&mut self.machine);
        match line {
            0 => {
                let (name, build, index) = (program.name(), program.build, thread.index());
                let kind = if has_panicked { "panic" } else { "fault" };
                write!(log, "{kind}: program `{name}` (build {build:016x}), thread {index}: ")?;
                if has_panicked {
                    write!(log, "ends itself with code {}", fault.error)?;
                } else {
                    write!(log, "{}", reason::name(why))?;
                    write_detail(log, fault)?;
                }
            }
            1 => {
                write!(log, "  at ")?;
                write_symbol(log, &program, r.rip)?;
            }
            2 => four(log, [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)])?,
            3 => four(log, [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("rsp", r.rsp)])?,
            4 => four(log, [("r8 ", r.r8), ("r9 ", r.r9), ("r10", r.r10), ("r11", r.r11)])?,
            5 => four(log, [("r12", r.r12), ("r13", r.r13), ("r14", r.r14), ("r15", r.r15)])?,
            _ => write!(log, "  rip {:016x} flags {:08x}", r.rip, r.rflags)?,
        }
        writeln!(log)?;
        Ok(true)
    }

    /// A line about a caller that waits.
    fn write_caller_line(
        &mut self,
        thread: Ref<Thread<M>>,
        line: u32,
    ) -> Result<bool, core::fmt::Error> {
        let Some(caller) = self.threads.get(thread) else { return Ok(false) };
        let program = self.program(caller);
        if let Some(depth) = line.checked_sub(2) {
            return self.write_frame(thread, &program, depth);
        }
        let below = caller.answerer.and_then(|answerer| self.threads.get(answerer));
        let how = match (caller.fault.is_some(), caller.asks) {
            (true, Asks::Hypercall) => "whose hypercall it handles",
            (true, Asks::Exit(_)) => "whose guest it handles",
            (true, _) => "whose fault it handles",
            _ if below.is_some_and(Thread::is_context) => "which has crossed into it",
            _ => "which waits for its answer",
        };
        let rip = caller.user.registers.rip;
        let log = &mut LogWriter(&mut self.machine);
        if line == 0 {
            let (name, build, index) = (program.name(), program.build, thread.index());
            write!(log, "called by program `{name}` (build {build:016x}), thread {index}, {how}:")?;
        } else {
            write!(log, "  at ")?;
            // The system call lies before the address that it returns to.
            write_symbol(log, &program, rip.saturating_sub(1))?;
        }
        writeln!(log)?;
        Ok(true)
    }

    /// The line for the return address `depth` calls up.
    fn write_frame(
        &mut self,
        thread: Ref<Thread<M>>,
        program: &Program,
        depth: u32,
    ) -> Result<bool, core::fmt::Error> {
        let Some(address) = self.caller(thread, depth) else { return Ok(false) };
        let log = &mut LogWriter(&mut self.machine);
        write!(log, "  #{depth} ")?;
        // The call lies before the address that it returns to.
        write_symbol(log, program, address.saturating_sub(1))?;
        writeln!(log)?;
        Ok(true)
    }

    /// The return address `depth` calls up the chain of frame pointers. Each of
    /// them is checked by `peek`, and must lead upwards, so that the walk ends.
    fn caller(&self, thread: Ref<Thread<M>>, depth: u32) -> Option<u64> {
        let thread = self.threads.get(thread)?;
        let space = self.tasks.get(thread.task?)?.space.as_ref()?;
        let registers = &thread.user.registers;
        // In a system call the register is gone; where the stub saved it the
        // ABI says (11.26).
        let mut frame = match thread.fault {
            Some(_) => registers.rbp,
            None => self.machine.peek(space, registers.rsp)?,
        };
        for level in 0..=depth.min(FRAMES) {
            let next = self.machine.peek(space, frame)?;
            let back = self.machine.peek(space, frame.checked_add(8)?).filter(|back| *back != 0)?;
            if level == depth {
                return (depth < FRAMES).then_some(back);
            }
            if next <= frame {
                return None;
            }
            frame = next;
        }
        None
    }
}

/// What the fault is about.
fn write_detail(log: &mut impl Write, fault: Fault) -> core::fmt::Result {
    if fault.vector != 14 {
        return match fault.error {
            0 => Ok(()),
            error if fault.vector == NOT_AVAILABLE => match ErrorCode::decode(error) {
                Some(why) => write!(log, ": its registers cannot be kept: {why}"),
                None => Ok(()),
            },
            error => write!(log, ", error code {error:#x}"),
        };
    }
    let access = match fault.error {
        error if error & 16 != 0 => "executing",
        error if error & 2 != 0 => "writing",
        _ => "reading",
    };
    let present = if fault.error & 1 != 0 { "forbidden there" } else { "nothing mapped" };
    write!(log, " {access} {:#x} ({present})", fault.address)
}

/// Four registers with their names.
fn four(log: &mut impl Write, registers: [(&str, u64); 4]) -> core::fmt::Result {
    write!(log, " ")?;
    registers.iter().try_for_each(|(name, value)| write!(log, " {name} {value:016x}"))
}

/// An address in the form that `xtask` looks for; plain outside of the image.
fn write_symbol(log: &mut impl Write, program: &Program, address: u64) -> core::fmt::Result {
    let name = program.name();
    match address.checked_sub(program.base) {
        Some(offset) if program.base != 0 && offset < 1 << 30 => {
            write!(log, "{SYMBOL_OPEN}{name}+{offset:#x}{SYMBOL_CLOSE}")
        }
        _ => write!(log, "{address:#x}"),
    }
}
