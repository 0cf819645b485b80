//! The supervisor: starts programs, learns what died, starts again what the
//! manifest says.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use postern_manifest::{ALWAYS, MAX_NAME, Manifest, Object, Program, Start};
use postern_runtime::program::Child;
use postern_runtime::protocol::Name;
use postern_runtime::protocol::console::ConsoleClient;
use postern_runtime::protocol::supervisor::{Error, Next, ProgramInfo, ProgramState};
use postern_runtime::syscall::Timeout;
use postern_runtime::syscall::abi::harness::{FILE_PROGRAM, SYMBOL_CLOSE, SYMBOL_OPEN};
use postern_runtime::syscall::abi::op::thread::ThreadState;
use postern_runtime::{Boot, memory, time};

use crate::grants::{Grants, Link, STAND_IN, label};
use crate::history::{Due, Histories};
use crate::inspect;
use crate::journal::{Journal, note};
use crate::start::{UNLISTED, Wanted, start};
use crate::table::{Entry, Running, Table};

/// Most programs that are started because one of them needs the next.
const LONGEST_CHAIN: usize = 8;

/// The state of init.
pub struct Init {
    pub boot: Boot,
    pub table: Table,
    pub journal: Journal,
    manifest: Manifest<'static>,
    histories: Histories,
    /// Programs that are being started, each because the one before it calls
    /// it.
    starting: Vec<&'static str>,
}

impl Init {
    pub fn new(boot: Boot, manifest: Manifest<'static>) -> Self {
        Self {
            boot,
            table: Table::default(),
            journal: Journal::default(),
            manifest,
            histories: Histories::default(),
            starting: Vec::new(),
        }
    }

    /// Starts a program at boot.
    pub fn start(&mut self, program: Program<'static>) {
        if self.table.by_name(program.name).is_some() {
            // It was started already, because another one calls it.
            return;
        }
        if let Err(error) = self.launch(program, "") {
            note!(self.journal, "`{}` is not running: {error}", program.name);
        }
    }

    /// Starts a program because a person wants it; its number.
    pub fn start_by_name(&mut self, name: &str, arguments: &str) -> Result<u64, Error> {
        let program = self.manifest.find(name).ok_or(Error::NoSuchProgram)?;
        // Two servers of one name would take each other's clients, two
        // programs of the system each other's input.
        if is_single(program) && self.table.by_name(name).is_some() {
            return Err(Error::AlreadyRunning);
        }
        let history = self.histories.of(program.name);
        let counted = core::mem::take(&mut history.restarts);
        if core::mem::take(&mut history.is_given_up) {
            note!(
                self.journal,
                "`{name}` was given up after {counted} restarts; it is started by hand, and they count from 0 again"
            );
        }
        if is_single(program) {
            self.histories.forget_due(program.name);
        }
        self.launch(program, arguments)
    }

    /// Starts a program, and before it those that it calls; its number.
    fn launch(&mut self, program: Program<'static>, arguments: &str) -> Result<u64, Error> {
        self.starting.push(program.name);
        let started = self.launch_one(program, arguments);
        self.starting.pop();
        if self.starting.is_empty() {
            // All that can come has come.
            self.stand_in();
        }
        started
    }

    fn launch_one(&mut self, program: Program<'static>, arguments: &str) -> Result<u64, Error> {
        let name = program.name;
        let file = self.boot.archive.find(name).ok_or(Error::NoSuchProgram)?;
        self.start_servers(program);
        if !self.table.has_room() {
            return Err(Error::Busy);
        }
        let id = self.table.number();
        let generation = self.histories.of(name).generation + 1;
        let grants = Grants::new(program, &self.boot, &mut self.table);
        let wanted = Wanted { program, name, arguments, file, id, generation };
        let running = self.try_start(wanted, grants)?;
        self.histories.of(name).generation = generation;
        self.connect(name, &running.child);
        self.add(wanted, running);
        Ok(id)
    }

    /// Starts the program in `file` with what its starter hands to it; its
    /// number. Its name ends so that it is no program's of the manifest.
    pub fn start_file(
        &mut self,
        name: &str,
        arguments: &str,
        file: &[u8],
        console: ConsoleClient,
    ) -> Result<u64, Error> {
        if !self.table.has_room() {
            return Err(Error::Busy);
        }
        let room = MAX_NAME - FILE_PROGRAM.len();
        let name = alloc::format!("{}{FILE_PROGRAM}", cut(name, room));
        let id = self.table.number();
        let grants = Grants::handed_on(&self.boot, console);
        let wanted = Wanted { program: UNLISTED, name: &name, arguments, file, id, generation: 1 };
        let running = self.try_start(wanted, Ok(grants))?;
        self.add(wanted, running);
        Ok(id)
    }

    fn try_start(
        &mut self,
        wanted: Wanted<'_>,
        grants: postern_runtime::Result<Grants>,
    ) -> Result<Running, Error> {
        start(wanted, grants, &self.boot).map_err(|error| {
            note!(self.journal, "{error}");
            Error::CannotStart
        })
    }

    /// Notes a program that was started.
    fn add(&mut self, wanted: Wanted<'_>, running: Running) {
        let Wanted { program, name, id, generation, .. } = wanted;
        self.journal.remember(alloc::format!("started `{name}` (number {id})"));
        let info = ProgramInfo {
            id,
            name: Name::new(name),
            state: ProgramState::Alive(ThreadState::Ready),
            priority: program.priority,
            cpu_time: 0,
            quota: program.quota,
            charged: 0,
            generation,
            is_server: !program.services.is_empty(),
            next: Next::Nothing,
        };
        self.table.add(Entry {
            id,
            program,
            arguments: String::from(wanted.arguments),
            name: info.name,
            running: Some(running),
            info,
            held: Vec::new(),
            waiters: Vec::new(),
        });
    }

    /// Starts the servers of a program that do not run yet: a call to a server
    /// that nobody started would wait for ever. One that was given up stays so.
    fn start_servers(&mut self, program: Program<'static>) {
        for capability in program.capabilities.iter() {
            let Object::Gate(to) = capability.object else { continue };
            let is_there = self.table.by_name(to.server).is_some();
            let comes = self.starting.contains(&to.server) || self.histories.is_due(to.server);
            if is_there || comes {
                continue;
            }
            // Init itself is no program of the manifest.
            let Some(server) = self.manifest.find(to.server) else { continue };
            let why = if self.histories.of(server.name).is_given_up {
                "it was given up, and is started again by hand only"
            } else if self.starting.len() >= LONGEST_CHAIN {
                "too many programs need each other"
            } else if self.launch(server, "").is_err() {
                "it cannot be started"
            } else {
                continue;
            };
            let (client, server) = (program.name, server.name);
            note!(self.journal, "`{client}` calls `{server}`, which is not running: {why}");
        }
    }

    /// Binds the gates of all programs that lead to `server` to it. Those that
    /// led to an instance before lead to init first, which tells their clients.
    fn connect(&mut self, server: &str, child: &Child) {
        let thread = self.boot.thread;
        let links = self.table.running_mut().flat_map(|running| &mut running.links);
        for link in links.filter(|link| link.server == server) {
            let bound = if link.was_bound {
                link.gate.bind(thread, STAND_IN | label(link.number))
            } else {
                child.bind(link.gate, link.label)
            };
            match bound {
                Ok(()) => link.was_bound = true,
                Err(error) => {
                    note!(self.journal, "a program lost its gate to `{server}`: {error}");
                }
            }
        }
    }

    /// A client has called through a gate for which init stands in. If there is
    /// a server again, the gate leads to it from now on, and this is its
    /// generation.
    pub fn reconnect(&mut self, number: u64) -> Option<u64> {
        let link = *self.table.link(number)?;
        let (running, generation) = self.table.instance(link.server)?;
        running.child.bind(link.gate, link.label).ok()?;
        Some(generation)
    }

    /// Has the callers of `server` wait until it is decided what becomes of it.
    fn hold(&mut self, server: &str) {
        let links = self.table.running_mut().flat_map(|running| &running.links);
        for link in links.filter(|link| link.server == server) {
            // A gate that cannot be unbound is gone, and nobody calls it.
            let _ = link.gate.unbind();
        }
    }

    /// Answers in the place of servers that are not there and do not come, so
    /// that their clients get an error instead of waiting.
    fn stand_in(&mut self) {
        let mut links: Vec<Link> = Vec::new();
        for link in self.table.running().flat_map(|running| &running.links) {
            if self.table.by_name(link.server).is_none() && !self.histories.is_due(link.server) {
                links.push(*link);
            }
        }
        for link in links {
            // As above.
            let _ = link.gate.bind(self.boot.thread, STAND_IN | label(link.number));
        }
    }

    /// Handles the end of a program: takes it apart, tells who waits, starts it
    /// again if the manifest says so.
    pub fn ended(&mut self, id: u64, state: ProgramState) {
        let is_running = |entry: &&mut Entry| entry.running.is_some();
        let Some(entry) = self.table.get(id).filter(is_running) else { return };
        let (program, name) = (entry.program, entry.name);
        note!(self.journal, "{}", report(name, state));
        let held = inspect::all(self, id);
        if is_single(program) {
            self.hold(program.name);
        }
        let Some(entry) = self.table.get(id) else { return };
        entry.held = held;
        entry.end(state);
        for waiter in entry.waiters.drain(..) {
            waiter.send(Ok(state));
        }
        let arguments = core::mem::take(&mut entry.arguments);
        self.plan_restart(program, id, arguments);
        if self.starting.is_empty() {
            self.stand_in();
        }
    }

    /// Decides whether a program that has ended is started again, and when.
    fn plan_restart(&mut self, program: Program<'static>, id: u64, arguments: String) {
        let (name, limit) = (program.name, program.restarts);
        if limit == 0 {
            return;
        }
        let history = self.histories.of(name);
        if !history.count_restart(program) {
            note!(self.journal, "`{name}` ended too often and is not started again");
            self.table.set_next(id, Next::GivenUp);
            return;
        }
        let time = now().saturating_add(program.delay);
        let times = match limit {
            ALWAYS => alloc::format!("(restart {})", history.restarts),
            limit => alloc::format!("({} of {limit})", history.restarts),
        };
        self.histories.add_due(Due { name, time, arguments });
        let delay = Duration::from_nanos(program.delay);
        if delay.is_zero() {
            note!(self.journal, "starting `{name}` again {times}");
        } else {
            note!(self.journal, "starting `{name}` again in {delay:?} {times}");
            self.table.set_next(id, Next::Restart(time));
        }
    }

    /// Starts again what is due.
    pub fn restart_due(&mut self) {
        while let Some(Due { name, arguments, .. }) = self.histories.take_due(now()) {
            self.table.set_next_of(name, Next::Nothing);
            let Some(program) = self.manifest.find(name) else { continue };
            if let Err(error) = self.launch(program, &arguments) {
                note!(self.journal, "`{name}` is not running: {error}");
                self.histories.of(name).is_given_up = true;
                self.table.set_next_of(name, Next::GivenUp);
            }
        }
    }

    /// How long init may wait for messages.
    pub fn until_restart(&self) -> Timeout {
        let left = self.histories.next_due().map(|time| time.saturating_sub(now()));
        left.map_or(Timeout::NEVER, Timeout::from_ns)
    }
}

/// Nanoseconds since boot.
fn now() -> u64 {
    u64::try_from(time::now().as_nanos()).unwrap_or(u64::MAX)
}

/// Whether there can be one instance only.
fn is_single(program: Program<'_>) -> bool {
    !program.services.is_empty() || program.start == Start::Boot
}

/// The beginning of a text, at most `length` bytes.
fn cut(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
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
