//! Answers those who ask the supervisor.

use alloc::string::String;

use postern_runtime::protocol::supervisor::{
    Error, LogLine, MemoryFigures, PROTOCOL, ProgramInfo, ProgramState, Request, described,
    finished, listed, log_line, memory_figures, nothing, started,
};
use postern_runtime::protocol::{Name, failure};
use postern_runtime::server::{Answer, Request as Arrived, Server};
use postern_runtime::syscall::abi::op::thread::ThreadState;
use postern_runtime::syscall::abi::tag::protocol::EXIT;

use crate::grants::EXIT_LABEL;
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
            Request::Run(name, arguments) => {
                let arguments = String::from_utf8(arguments.iter().collect());
                let arguments = arguments.map_err(|_| Error::BadRequest)?;
                started(self.run(name.as_str(), &arguments)?)
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
                note!(self.journal, "shutting down with code {code}");
                power::off(self.boot.io_ports, code);
                return Err(Error::NoPower);
            }
            Request::Capability(id, slot) => described(&inspect::capability(self, id, slot)?),
            Request::Log(from) => {
                let line = self.journal.line(from).ok_or(Error::NoMore)?;
                log_line(&LogLine { number: line.number, time: line.time, text: &line.text })
            }
        }
        .into())
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
