//! `cargo xtask run`: Postern in QEMU with its console on this terminal, or
//! with commands that are typed for the person.
//!
//! Must never end with success unless the system did what was asked, and must
//! give the terminal back in any case.

use std::io::{Read, Write, stderr, stdin, stdout};
use std::path::PathBuf;
use std::process::{ChildStdin, ExitCode};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use postern_abi::harness::PROMPT;

use crate::guests::Guests;
use crate::manifest::{App, Manifest};
use crate::qemu::{CPU, Debugger, Event, Guest, Machine, Outcome};
use crate::symbols::{Filter, Symbols};
use crate::system::{Firmware, System};
use crate::terminal::Raw;
use crate::{prompt, setup, step};

/// Ctrl-A: the next key is for xtask.
const ESCAPE: u8 = 1;
/// Longer than anybody waits.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// How much of the output an error shows again.
const TAIL: usize = 1500;

#[derive(clap::Args)]
pub struct Options {
    /// Type these commands, separated by `;`, and print what they answer
    #[arg(long, value_name = "COMMANDS")]
    exec: Option<String>,
    /// Add the programs of a crate, which may be outside of the repository;
    /// its postern.toml says what they are given
    #[arg(long, value_name = "PATH")]
    app: Option<PathBuf>,
    /// Seconds to wait for a prompt (with --exec) or, when the input is no
    /// terminal, for output after its end
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
    /// Boot with UEFI instead of the BIOS
    #[arg(long)]
    uefi: bool,
    /// Memory of the machine
    #[arg(long, default_value = "256M", value_name = "SIZE")]
    memory: String,
    /// Let the time stamp counter count instructions, and time follow it: what
    /// programs measure is the same on every computer
    #[arg(long)]
    counted: bool,
    /// Pack images of guests for `vm run`: `postern`, which is Postern itself,
    /// and `selftest`
    #[arg(long)]
    guests: bool,
    /// Pack a kernel from elsewhere for `vm run NAME`: one for the `bootloader`
    /// crate, or a Linux bzImage
    #[arg(long, value_name = "NAME=KERNEL[,RAMDISK]")]
    guest: Vec<String>,
    /// The command line of the kernels from elsewhere
    #[arg(long, value_name = "TEXT", default_value = "", requires = "guest")]
    guest_cmdline: String,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    // First, because nothing is as fast: a mistake is seen at once.
    let app = options.app.as_deref().map(App::find).transpose()?;
    let manifest = Manifest::load(app.as_ref())?;
    manifest.ensure_fits(&options.memory)?;
    setup::ensure(if options.uefi { setup::Need::Uefi } else { setup::Need::Bios })?;
    let mut system = System::from_manifest(&manifest, app.as_ref())?;
    if options.guests {
        system.add(Guests::build()?);
    }
    system.add(Guests::from_files(&options.guest, &options.guest_cmdline)?);
    let firmware = Firmware::from_option(options.uefi);
    let machine = Machine {
        image: system.image("", firmware)?,
        firmware,
        memory: options.memory.clone(),
        cpu: CPU.into(),
        counted: options.counted,
        debugger: Debugger::None,
    };
    let console = Console::new(system.symbols());
    let timeout = Duration::from_secs(options.timeout);
    let outcome = match &options.exec {
        Some(commands) => type_commands(&machine, console, commands, timeout)?,
        None => interactive(&machine, console, timeout)?,
    };
    match outcome {
        None | Some(Outcome::Success) => Ok(ExitCode::SUCCESS),
        Some(outcome) => bail!("{outcome}"),
    }
}

/// Prints what the guest writes, with names for addresses.
struct Console {
    symbols: Symbols,
    filter: Filter,
    tail: Vec<u8>,
}

impl Console {
    fn new(symbols: Symbols) -> Self {
        Self { symbols, filter: Filter::default(), tail: Vec::new() }
    }

    fn print(&mut self, bytes: &[u8]) -> Result<()> {
        let bytes = self.filter.feed(&mut self.symbols, bytes);
        self.put(&bytes)
    }

    /// The guest writes no more.
    fn finish(&mut self) -> Result<()> {
        let rest = self.filter.rest();
        self.put(&rest)?;
        if self.tail.last().is_some_and(|byte| *byte != b'\n') {
            self.put(b"\r\n")?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.tail.extend(bytes);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        let mut out = stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).context("cannot print")
    }

    /// The last output, for an error message.
    fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).replace('\r', "")
    }
}

/// Lets the person type. `None` if the person ended it.
fn interactive(
    machine: &Machine,
    mut console: Console,
    timeout: Duration,
) -> Result<Option<Outcome>> {
    let mut guest = Guest::start(machine)?;
    let raw = Raw::enter()?;
    if raw.is_some() {
        step::say("Postern starts; Ctrl-A x ends QEMU");
    }
    // A file is typed when the shell asks for it: a guest that still boots would
    // lose it. A person sees what happens.
    let mut listener = guest.take_input();
    let mut watch = prompt::Watch::new();
    // A person may take all the time; a file has an end.
    let is_person = raw.is_some();
    let mut patience = if is_person { FOREVER } else { timeout };
    loop {
        if (is_person || watch.is_waiting())
            && let Some((input, events)) = listener.take()
        {
            thread::spawn(move || listen(input, &events));
        }
        match guest.next(Instant::now() + patience) {
            Event::Output(bytes) => {
                watch.feed(&bytes);
                console.print(&bytes)?;
            }
            Event::InputEnd => patience = timeout,
            Event::Quit => {
                console.finish()?;
                return Ok(None);
            }
            Event::Silence => {
                console.finish()?;
                return Ok(Some(Outcome::Silent(patience)));
            }
            Event::End => {
                console.finish()?;
                return guest.finish().map(Some);
            }
        }
    }
}

/// Gives the person's keys to the guest. Ctrl-A x ends it, Ctrl-A Ctrl-A is
/// Ctrl-A.
fn listen(mut guest: ChildStdin, events: &Sender<Event>) {
    let mut buffer = [0; 256];
    let mut is_escaped = false;
    while let Ok(count @ 1..) = stdin().read(&mut buffer) {
        let mut keys = Vec::with_capacity(count);
        for &key in &buffer[..count] {
            if is_escaped && matches!(key, b'x' | b'X') {
                let _ = events.send(Event::Quit);
                return;
            }
            is_escaped = key == ESCAPE && !is_escaped;
            if !is_escaped {
                keys.push(key);
            }
        }
        if guest.write_all(&keys).and_then(|()| guest.flush()).is_err() {
            return;
        }
    }
    let _ = events.send(Event::InputEnd);
    // The guest's input stays open: the end of a file is not a key.
    std::mem::forget(guest);
}

/// Types commands. `None` if all were answered and the system still runs.
fn type_commands(
    machine: &Machine,
    mut console: Console,
    commands: &str,
    timeout: Duration,
) -> Result<Option<Outcome>> {
    let mut commands = commands.split(';').map(str::trim).filter(|text| !text.is_empty());
    let mut guest = Guest::start(machine)?;
    let mut watch = prompt::Watch::new();
    let mut last = "the start".to_owned();
    let mut deadline = Instant::now() + timeout;
    loop {
        let event = guest.next(deadline);
        if let Event::Output(bytes) = &event {
            watch.feed(bytes);
            console.print(bytes)?;
        }
        if matches!(event, Event::End) {
            console.finish()?;
            let outcome = guest.finish()?;
            return match commands.next() {
                Some(command) if outcome == Outcome::Success => {
                    bail!("{outcome} before `{command}` could be typed")
                }
                _ => Ok(Some(outcome)),
            };
        }
        if watch.is_waiting() {
            let Some(command) = commands.next() else {
                console.finish()?;
                return Ok(None);
            };
            last = format!("`{command}`");
            guest.type_in(format!("{command}\r").as_bytes())?;
            watch.typed();
            deadline = Instant::now() + timeout;
        } else if Instant::now() >= deadline {
            console.finish()?;
            writeln!(stderr(), "--- the last output was:\n{}\n---", console.tail())?;
            bail!(
                "no prompt (`{}`) within {} s after {last}",
                PROMPT.trim_end(),
                timeout.as_secs()
            );
        }
    }
}
