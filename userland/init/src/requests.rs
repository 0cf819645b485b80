//! Answers those who ask the supervisor.

use postern_runtime::Name;
use postern_runtime::interface::{Lent, MAX_ITEMS, Owned, Refusal, Text};
use postern_runtime::protocol::console::ConsoleClient;
use postern_runtime::protocol::supervisor::{
    CapabilityInfo, Error, LogLine, MAX_ARGUMENTS, MemoryFigures, Next, ProgramInfo, ProgramState,
    Supervisor, SupervisorServer,
};
use postern_runtime::server::{Answer, Reply, Request, Server};
use postern_runtime::syscall::Timeout;
use postern_runtime::syscall::abi::op::thread::ThreadState;
use postern_runtime::syscall::abi::tag::protocol::EXIT;

use crate::grants::{EXIT_LABEL, STAND_IN};
use crate::journal::note;
use crate::supervisor::Init;
use crate::{inspect, power};

/// Most clients that wait for the end of one program.
const WAITERS: usize = 16;

impl Init {
    /// Init itself, as number 0.
    fn own_info(&self) -> ProgramInfo {
        let mut info = ProgramInfo {
            id: 0,
            name: Name::new(postern_manifest::INIT),
            state: ProgramState::Alive(ThreadState::Ready),
            priority: 0,
            cpu_time: 0,
            quota: 0,
            charged: 0,
            generation: 1,
            is_server: true,
            next: Next::Nothing,
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

    fn run(&mut self, name: &str, arguments: &str) -> Result<u64, Error> {
        self.start_by_name(name, arguments)
    }

    fn kill(&mut self, id: u64) -> Result<(), Error> {
        let entry = self.table.get(id).ok_or(Error::NoSuchProgram)?;
        if entry.running.is_none() {
            return Err(Error::NotRunning);
        }
        self.ended(id, ProgramState::Killed);
        self.restart_due();
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
        note!(self.journal, "shutting down with code {code}");
        power::off(self.boot.io_ports, code);
        Err(Error::NoPower)
    }

    fn capability(&mut self, id: u64, slot: u32) -> Result<CapabilityInfo, Error> {
        inspect::capability(self, id, slot)
    }

    fn log_line(&mut self, from: u64) -> Result<LogLine, Error> {
        let line = self.journal.line(from).ok_or(Error::NoMore)?;
        Ok(LogLine { number: line.number, time: line.time, text: Text::new(&line.text) })
    }

    fn arguments(&mut self, id: u64) -> Result<Text<MAX_ARGUMENTS>, Error> {
        let entry = self.table.get(id).ok_or(Error::NoSuchProgram)?;
        Ok(Text::new(&entry.arguments))
    }

    fn run_file(
        &mut self,
        file: Lent<'_>,
        bytes: u64,
        name: &str,
        arguments: &str,
        console: Owned<ConsoleClient>,
    ) -> Result<u64, Error> {
        let length = usize::try_from(bytes).map_err(|_| Error::BadRequest)?;
        let file = file.get(..length).ok_or(Error::BadRequest)?;
        // The program keeps its copy when this one goes.
        self.start_file(name, arguments, file, *console)
    }
}

impl Server for Init {
    fn call(&mut self, request: Request<'_>) -> Reply {
        let label = request.caller().label();
        if label & STAND_IN != 0 {
            return match self.reconnect((label & !STAND_IN) >> 2) {
                Some(generation) => request.restarted(generation),
                None => request.refuse(Refusal::Gone),
            };
        }
        SupervisorServer::dispatch(self, request)
    }

    fn windows(&self) -> usize {
        // Capabilities that a client wanted to send to a server that is dead.
        MAX_ITEMS
    }

    fn patience(&self) -> Timeout {
        self.until_restart()
    }

    fn timed_out(&mut self) {
        self.restart_due();
    }

    fn message(&mut self, request: Request<'_>) {
        // Only the kernel sends through exit gates, and only they have this
        // label: a program cannot report the death of another one.
        let client = request.caller().label();
        if client & EXIT_LABEL != 0 && request.protocol() == EXIT {
            let state = ProgramState::ended(request.word(0), request.word(1), request.word(2));
            self.ended((client & !EXIT_LABEL) >> 2, state);
            self.restart_due();
        }
    }
}
