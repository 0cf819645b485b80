//! The supervisor: starts programs, learns what died, starts again what the
//! manifest says.

use alloc::string::String;
use alloc::vec::Vec;

use postern_manifest::{Manifest, Object, Program, Start};
use postern_runtime::program::Child;
use postern_runtime::protocol::Name;
use postern_runtime::protocol::supervisor::{Error, ProgramInfo, ProgramState};
use postern_runtime::syscall::Capability;
use postern_runtime::syscall::abi::harness::{SYMBOL_CLOSE, SYMBOL_OPEN};
use postern_runtime::syscall::abi::op::thread::ThreadState;
use postern_runtime::{Boot, memory, slots};

use crate::grants::Link;
use crate::journal::{Journal, note};
use crate::start::start;
use crate::table::{Entry, Table};

/// Most programs that are started because one of them needs the next.
const LONGEST_CHAIN: usize = 8;

/// The state of init.
pub struct Init {
    pub boot: Boot,
    pub table: Table,
    pub journal: Journal,
    manifest: Manifest<'static>,
    /// Programs that are being started, each because the one before it calls
    /// it.
    starting: Vec<&'static str>,
}

impl Init {
    pub fn new(boot: Boot, manifest: Manifest<'static>) -> Self {
        let (table, journal) = (Table::default(), Journal::default());
        Self { boot, table, journal, manifest, starting: Vec::new() }
    }

    /// Starts a program at boot.
    pub fn start(&mut self, program: Program<'static>) {
        if self.table.by_name(program.name).is_some() {
            // It was started already, because another one calls it.
            return;
        }
        if let Err(error) = self.launch(program, "", 0) {
            note!(self.journal, "`{}` is not running: {error}", program.name);
        }
    }

    /// Starts a program by name; its number.
    pub fn start_by_name(&mut self, name: &str, arguments: &str) -> Result<u64, Error> {
        let program = self.manifest.find(name).ok_or(Error::NoSuchProgram)?;
        // Two servers of one name would take each other's clients, two
        // programs of the system each other's input.
        let is_single = !program.services.is_empty() || program.start == Start::Boot;
        if is_single && self.table.by_name(name).is_some() {
            return Err(Error::AlreadyRunning);
        }
        self.launch(program, arguments, 0)
    }

    /// Starts a program, and before it those that it calls; its number.
    fn launch(
        &mut self,
        program: Program<'static>,
        arguments: &str,
        restarts: u32,
    ) -> Result<u64, Error> {
        self.starting.push(program.name);
        let started = self.launch_one(program, arguments, restarts);
        self.starting.pop();
        if self.starting.is_empty() {
            // All that can come has come.
            self.disconnect();
        }
        started
    }

    fn launch_one(
        &mut self,
        program: Program<'static>,
        arguments: &str,
        restarts: u32,
    ) -> Result<u64, Error> {
        let name = program.name;
        let file = self.boot.archive.find(name).ok_or(Error::NoSuchProgram)?;
        self.start_servers(program);
        if !self.table.has_room() {
            return Err(Error::Busy);
        }
        let id = self.table.number();
        let started = start(program, arguments, file, id, &self.boot, &mut self.table);
        let running = started.map_err(|error| {
            note!(self.journal, "{error}");
            Error::CannotStart
        })?;
        self.connect(name, &running.child);
        self.journal.remember(alloc::format!("started `{name}` (number {id})"));
        let info = ProgramInfo {
            id,
            name: Name::new(name),
            state: ProgramState::Alive(ThreadState::Ready),
            priority: program.priority,
            cpu_time: 0,
            quota: program.quota,
            charged: 0,
        };
        self.table.add(Entry {
            id,
            program,
            arguments: String::from(arguments),
            name: info.name,
            running: Some(running),
            info,
            restarts,
            waiters: Vec::new(),
        });
        Ok(id)
    }

    /// Starts the servers of a program that do not run yet: a call to a server
    /// that nobody started would wait for ever.
    fn start_servers(&mut self, program: Program<'static>) {
        for capability in program.capabilities.iter() {
            let Object::Gate(to) = capability.object else { continue };
            let is_there = self.table.by_name(to.server).is_some();
            if is_there || self.starting.contains(&to.server) {
                continue;
            }
            // Init itself is no program of the manifest.
            let Some(server) = self.manifest.find(to.server) else { continue };
            if self.starting.len() < LONGEST_CHAIN
                && let Err(error) = self.launch(server, "", 0)
            {
                note!(
                    self.journal,
                    "`{}` calls `{}`, which is not running: {error}",
                    program.name,
                    to.server
                );
            }
        }
    }

    /// Binds the gates of all programs that lead to `server` to it.
    fn connect(&mut self, server: &str, child: &Child) {
        let links = self.table.running_mut().flat_map(|running| &mut running.links);
        for link in links.filter(|link| link.server == server) {
            match child.bind(link.gate, link.label) {
                Ok(()) => link.was_bound = true,
                Err(error) => {
                    note!(self.journal, "a program lost its gate to `{server}`: {error}");
                }
            }
        }
    }

    /// Destroys the gates whose server never came, so that its clients get an
    /// error instead of waiting. (One that came and died leaves its gates
    /// bound to a dead thread, which is an error, too.)
    fn disconnect(&mut self) {
        for running in self.table.running_mut() {
            let (kept, lost) = running.links.drain(..).partition(|link| link.was_bound);
            running.links = kept;
            for link in <Vec<Link>>::into_iter(lost) {
                let slot = link.gate.slot();
                running.objects.retain(|object| *object != slot);
                // What cannot be destroyed is gone already.
                let _ = slots::destroy(slot);
            }
        }
    }

    /// Handles the end of a program: takes it apart, tells who waits, starts it
    /// again if the manifest says so.
    pub fn ended(&mut self, id: u64, state: ProgramState) {
        let Some(entry) = self.table.get(id).filter(|entry| entry.running.is_some()) else {
            return;
        };
        note!(self.journal, "{}", report(entry.name, state));
        entry.end(state);
        for waiter in entry.waiters.drain(..) {
            waiter.send(Ok(state));
        }
        let (program, restarts) = (entry.program, entry.restarts);
        let arguments = core::mem::take(&mut entry.arguments);
        let name = program.name;
        if restarts < program.restarts {
            note!(
                self.journal,
                "starting `{name}` again ({} of {})",
                restarts + 1,
                program.restarts
            );
            if let Err(error) = self.launch(program, &arguments, restarts + 1) {
                note!(self.journal, "`{name}` is not running: {error}");
            }
        } else if program.restarts != 0 {
            note!(self.journal, "`{name}` ended too often and is not started again");
        }
    }
}

/// What became of a program, in words.
fn report(name: Name, state: ProgramState) -> String {
    match state {
        ProgramState::Crashed { instruction, .. } => {
            // In the form that xtask turns into a function's name.
            let offset = instruction.wrapping_sub(memory::IMAGE_ADDRESS);
            alloc::format!("`{name}` {state} {SYMBOL_OPEN}{name}+{offset:#x}{SYMBOL_CLOSE}")
        }
        state => alloc::format!("`{name}` {state}"),
    }
}
