//! The supervisor: answers those who ask, learns what died, starts again what
//! the plan says.

use alloc::vec::Vec;

use postern_runtime::protocol::Name;
use postern_runtime::protocol::supervisor::{
    Error, MemoryFigures, ProgramInfo, ProgramState, Supervisor, SupervisorServer,
};
use postern_runtime::server::{Answer, Reply, Request, Server};
use postern_runtime::syscall::Thread;
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
        self.connect(name, running.child.thread());
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

    /// Binds the gates that lead to a server of this name.
    fn connect(&self, server: Name, thread: Thread) {
        let clients = self.table.running().flat_map(|running| &running.clients);
        for client in clients.filter(|client| client.server == server.as_str()) {
            if let Err(error) = client.bind(thread) {
                log!("a program lost its {server}: {error}");
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
            waiter.send(Ok(state));
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
}

impl Supervisor for Init {
    fn next(&mut self, from: u64) -> Result<ProgramInfo, Error> {
        if from == 0 {
            return Ok(self.own_info());
        }
        Ok(self.table.next(from).ok_or(Error::NoSuchProgram)?.refresh())
    }

    fn memory(&mut self) -> Result<MemoryFigures, Error> {
        let info = self.boot.factory.info().map_err(|_| Error::BadRequest)?;
        Ok(MemoryFigures {
            total: info.machine_total,
            free: info.machine_free,
            quota: info.quota,
            charged: info.charged,
        })
    }

    fn run(&mut self, name: &str) -> Result<u64, Error> {
        if NOT_PROGRAMS.contains(&name) {
            return Err(Error::NoSuchProgram);
        }
        self.launch(&OTHER, Name::whole(name).ok_or(Error::NoSuchProgram)?, 0)
    }

    fn kill(&mut self, id: u64) -> Result<(), Error> {
        let entry = self.table.get(id).ok_or(Error::NoSuchProgram)?;
        if entry.running.is_none() {
            return Err(Error::NotRunning);
        }
        self.ended(id, ProgramState::Killed);
        Ok(())
    }

    fn wait(&mut self, id: u64, answer: Answer<ProgramState, Error>) {
        let Some(entry) = self.table.get(id) else {
            answer.send(Err(Error::NoSuchProgram));
            return;
        };
        if entry.running.is_none() {
            answer.send(Ok(entry.info.state));
        } else if entry.waiters.len() == WAITERS {
            answer.send(Err(Error::Busy));
        } else {
            match answer.keep() {
                Ok(kept) => entry.waiters.push(kept),
                Err(answer) => {
                    answer.send(Err(Error::Busy));
                }
            }
        }
    }

    fn shutdown(&mut self, code: u64) -> Result<(), Error> {
        log!("shutting down with code {code}");
        power::off(self.boot.io_ports, code);
        Err(Error::NoPower)
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
    fn call(&mut self, request: Request<'_>) -> Reply {
        SupervisorServer::dispatch(self, request)
    }

    fn message(&mut self, request: Request<'_>) {
        // Only the kernel sends through exit gates, and only they have this
        // label: a program cannot report the death of another one.
        let client = request.caller().label();
        if client & EXIT_LABEL != 0 && request.protocol() == EXIT {
            let state = ProgramState::ended(request.word(0), request.word(1), request.word(2));
            self.ended((client & !EXIT_LABEL) >> 2, state);
        }
    }
}
