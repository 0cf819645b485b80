//! The supervisor: answers those who ask, learns what died, starts again what
//! the plan says.

use alloc::vec::Vec;

use postern_runtime::protocol::supervisor::{
    Error, MemoryFigures, PROTOCOL, ProgramInfo, ProgramState, Request, finished, listed,
    memory_figures, nothing, started,
};
use postern_runtime::protocol::{Name, failure};
use postern_runtime::server::{Answer, Request as Arrived, Server};
use postern_runtime::syscall::abi::harness::{SYMBOL_CLOSE, SYMBOL_OPEN};
use postern_runtime::syscall::abi::op::thread::ThreadState;
use postern_runtime::syscall::abi::tag::protocol::EXIT;
use postern_runtime::{Boot, log, memory};

use crate::plan::{NOT_PROGRAMS, OTHER, Plan};
use crate::power;
use crate::start::{EXIT_LABEL, start};
use crate::table::{Entry, Table};

/// Most clients that wait for the end of one program.
const WAITERS: usize = 16;

/// The state of init.
pub struct Init {
    boot: Boot,
    table: Table,
}

impl Init {
    pub fn new(boot: Boot) -> Self {
        Self { boot, table: Table::default() }
    }

    /// Starts a program that the plan names.
    pub fn start(&mut self, plan: &'static Plan) {
        if let Err(error) = self.launch(plan, Name::new(plan.name), 0) {
            log!("`{}` is not running: {error}", plan.name);
        }
    }

    /// Starts a program; its number.
    fn launch(&mut self, plan: &'static Plan, name: Name, restarts: u32) -> Result<u64, Error> {
        let file = self.boot.archive.find(name.as_str()).ok_or(Error::NoSuchProgram)?;
        if !self.table.has_room() {
            return Err(Error::Busy);
        }
        let id = self.table.number();
        let running = start(plan, name, file, id, &self.boot, &self.table).map_err(|error| {
            log!("{error}");
            Error::CannotStart
        })?;
        if name.as_str() == "console" {
            self.connect_console(running.child.thread());
        }
        let info = ProgramInfo {
            id,
            name,
            state: ProgramState::Alive(ThreadState::Ready),
            priority: plan.priority,
            cpu_time: 0,
            quota: plan.quota,
            charged: 0,
        };
        let waiters = Vec::new();
        self.table.add(Entry { id, plan, name, running: Some(running), info, restarts, waiters });
        Ok(id)
    }

    /// Binds the console gates of all programs to a new console.
    fn connect_console(&self, thread: postern_runtime::syscall::Thread) {
        for (gate, label) in self.table.running().filter_map(|running| running.console) {
            if let Err(error) = gate.bind(thread, label) {
                log!("a program lost its console: {error}");
            }
        }
    }

    /// Handles the end of a program: takes it apart, tells who waits, starts it
    /// again if the plan says so.
    fn ended(&mut self, id: u64, state: ProgramState) {
        let Some(entry) = self.table.get(id).filter(|entry| entry.running.is_some()) else {
            return;
        };
        report(entry.name, state);
        entry.end(state);
        for waiter in entry.waiters.drain(..) {
            // A client that is gone needs no answer.
            let _ = waiter.answer(&finished(state));
        }
        let (plan, name, restarts) = (entry.plan, entry.name, entry.restarts);
        if restarts < plan.restarts {
            log!("starting `{name}` again ({} of {})", restarts + 1, plan.restarts);
            if let Err(error) = self.launch(plan, name, restarts + 1) {
                log!("`{name}` is not running: {error}");
            }
        } else if plan.restarts != 0 {
            log!("`{name}` ended too often and is not started again");
        }
    }

    /// Init itself, as number 0.
    fn own_info(&self) -> ProgramInfo {
        let mut info = ProgramInfo {
            id: 0,
            name: Name::new("init"),
            state: ProgramState::Alive(ThreadState::Ready),
            priority: 0,
            cpu_time: 0,
            quota: 0,
            charged: 0,
        };
        if let Ok(thread) = self.boot.thread.info() {
            info.priority = thread.priority;
            info.cpu_time = thread.cpu_time;
        }
        if let Ok(memory) = self.boot.factory.info() {
            info.quota = memory.quota;
            info.charged = memory.charged;
        }
        info
    }

    fn handle(&mut self, request: &Arrived) -> Result<Answer, Error> {
        Ok(match Request::decode(&request.message)? {
            Request::Next(0) => listed(&self.own_info()),
            Request::Next(from) => {
                listed(&self.table.next(from).ok_or(Error::NoSuchProgram)?.refresh())
            }
            Request::Memory => {
                let info = self.boot.factory.info().map_err(|_| Error::BadRequest)?;
                memory_figures(&MemoryFigures {
                    total: info.machine_total,
                    free: info.machine_free,
                    quota: info.quota,
                    charged: info.charged,
                })
            }
            Request::Run(name) => {
                if NOT_PROGRAMS.contains(&name.as_str()) {
                    return Err(Error::NoSuchProgram);
                }
                started(self.launch(&OTHER, name, 0)?)
            }
            Request::Kill(id) => {
                let entry = self.table.get(id).ok_or(Error::NoSuchProgram)?;
                if entry.running.is_none() {
                    return Err(Error::NotRunning);
                }
                self.ended(id, ProgramState::Killed);
                nothing()
            }
            Request::Wait(id) => {
                let entry = self.table.get(id).ok_or(Error::NoSuchProgram)?;
                if entry.running.is_some() {
                    if entry.waiters.len() == WAITERS {
                        return Err(Error::Busy);
                    }
                    entry.waiters.push(request.keep().map_err(|_| Error::Busy)?);
                    return Ok(Answer::Later);
                }
                finished(entry.info.state)
            }
            Request::Shutdown(code) => {
                log!("shutting down with code {code}");
                power::off(self.boot.io_ports, code);
                return Err(Error::NoPower);
            }
        }
        .into())
    }
}

/// Says on the log what became of a program.
fn report(name: Name, state: ProgramState) {
    match state {
        ProgramState::Crashed { instruction, .. } => {
            // In the form that xtask turns into a function's name.
            let offset = instruction.wrapping_sub(memory::IMAGE_ADDRESS);
            log!("`{name}` {state} {SYMBOL_OPEN}{name}+{offset:#x}{SYMBOL_CLOSE}");
        }
        state => log!("`{name}` {state}"),
    }
}

impl Server for Init {
    fn call(&mut self, request: &Arrived) -> Answer {
        self.handle(request).unwrap_or_else(|error| failure(PROTOCOL, error).into())
    }

    fn message(&mut self, request: &Arrived) {
        // Only the kernel sends through exit gates, and only they have this
        // label: a program cannot report the death of another one.
        let client = request.client();
        if client & EXIT_LABEL != 0 && request.message.protocol() == EXIT {
            let word = |index| request.message.word(index);
            let state = ProgramState::ended(word(0), word(1), word(2));
            self.ended((client & !EXIT_LABEL) >> 2, state);
        }
    }
}
