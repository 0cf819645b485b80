//! One run of QEMU: how it is started, talked to, and ended.
//!
//! Must never leave a QEMU behind, and must end it by its handle, never by its
//! name: others on this machine may run one, too.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use postern_abi::harness::{
    EXIT_FAILURE, EXIT_INIT_DIED, EXIT_PANIC, EXIT_PORT, EXIT_SUCCESS, qemu_exit_code,
};

use crate::system::Firmware;
use crate::{setup, terminal};

/// How long QEMU may take to end once its output has ended.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// The CPU that is emulated if nothing else is said.
pub const CPU: &str = "max";

/// What to start.
pub struct Machine {
    /// The disk image.
    pub image: PathBuf,
    /// What reads the image.
    pub firmware: Firmware,
    /// Memory as QEMU writes it, such as `256M`.
    pub memory: String,
    /// The CPU as QEMU writes it; [`CPU`] has all that is emulated.
    pub cpu: String,
    /// Count instructions instead of time: the clock advances by one
    /// nanosecond with each.
    pub counted: bool,
    /// Whether to wait for a debugger before the first instruction.
    pub debugger: Debugger,
}

/// Where a debugger can attach.
pub enum Debugger {
    /// Nowhere.
    None,
    /// At a Unix socket, which QEMU makes; the machine waits for it.
    Socket(PathBuf),
}

impl Machine {
    fn command(&self) -> Result<Command> {
        let mut qemu = Command::new(setup::QEMU);
        // q35: its disk is fast; the BIOS reads the default one at a crawl.
        qemu.args(["-M", "q35", "-cpu", &self.cpu, "-m", &self.memory, "-nic", "none"]);
        qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]);
        // A second port that leads nowhere: a device for tests to play with.
        qemu.args(["-serial", "null"]);
        qemu.arg("-device").arg(format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x04"));
        if self.firmware == Firmware::Uefi {
            let (code, variables) = setup::firmware().context("the UEFI firmware is missing")?;
            let flash = "if=pflash,format=raw";
            qemu.arg("-drive").arg(format!("{flash},readonly=on,file={}", code.display()));
            qemu.arg("-drive").arg(format!("{flash},snapshot=on,file={}", variables.display()));
        }
        // A snapshot: what the guest writes is dropped, so that several runs
        // can share one image.
        qemu.arg("-drive").arg(format!("format=raw,snapshot=on,file={}", self.image.display()));
        if self.counted {
            qemu.args(["-icount", "shift=0,sleep=off"]);
            // The real-time clock follows the counted time, too.
            qemu.args(["-rtc", "clock=vm"]);
        }
        match &self.debugger {
            Debugger::None => {}
            Debugger::Socket(path) => {
                let socket = format!("unix:{},server=on,wait=off", path.display());
                qemu.args(["-S", "-gdb", &socket]);
            }
        }
        Ok(qemu)
    }
}

/// What happens while a guest runs.
pub enum Event {
    /// The guest wrote these bytes to its serial port.
    Output(Vec<u8>),
    /// The guest's output has ended.
    End,
    /// Nothing happened for as long as asked.
    Silence,
    /// The person wants to end it.
    Quit,
    /// The person's input has ended.
    InputEnd,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The system powered off in good order.
    Success,
    /// The system powered off and says that something failed.
    Failure,
    /// The kernel panicked.
    Panic,
    /// `init` died.
    InitDied,
    /// The CPU reset, most likely by a triple fault.
    Reset,
    /// It was silent for too long and was ended.
    Silent(Duration),
    /// Something else, in words.
    Other(String),
}

impl Outcome {
    fn from_status(status: ExitStatus, complaint: &str) -> Self {
        let known = [
            (qemu_exit_code(EXIT_SUCCESS), Self::Success),
            (qemu_exit_code(EXIT_FAILURE), Self::Failure),
            (qemu_exit_code(EXIT_PANIC), Self::Panic),
            (qemu_exit_code(EXIT_INIT_DIED), Self::InitDied),
            (0, Self::Reset),
        ];
        let found = known.into_iter().find(|pair| Some(pair.0) == status.code());
        found.map_or_else(
            || Self::Other(format!("QEMU ended with {status}: {}", complaint.trim())),
            |pair| pair.1,
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("the system powered off in good order"),
            Self::Failure => f.write_str("the system powered off and reported a failure"),
            Self::Panic => f.write_str("the kernel panicked"),
            Self::InitDied => f.write_str("init died"),
            Self::Reset => f.write_str(
                "the machine reset by itself (a triple fault?) or was switched off by force",
            ),
            Self::Silent(time) => write!(f, "no sign of life for {} s", time.as_secs()),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// A running guest. It ends when this is dropped.
pub struct Guest {
    child: Arc<Mutex<Child>>,
    input: Option<ChildStdin>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    complaint: Option<JoinHandle<String>>,
}

impl Guest {
    /// Starts the machine.
    pub fn start(machine: &Machine) -> Result<Self> {
        let guest = Self::spawn(machine.command()?)?;
        end_when_told_to_stop(&guest.child)?;
        Ok(guest)
    }

    /// Starts the machine where Ctrl-C does not reach it; whoever calls this
    /// ends it.
    pub fn start_apart(machine: &Machine) -> Result<Self> {
        let mut command = machine.command()?;
        command.process_group(0);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", setup::QEMU))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("QEMU has no output")?;
        let mut errors = child.stderr.take().context("QEMU has no error output")?;
        let child = Arc::new(Mutex::new(child));
        let (sender, events) = channel();
        let to_reader = sender.clone();
        thread::spawn(move || forward(output, &to_reader));
        let complaint = thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is as good as it gets.
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Self { child, input, events, sender, complaint: Some(complaint) })
    }

    /// Waits for the next event, until `deadline` at most.
    pub fn next(&self, deadline: Instant) -> Event {
        let time = deadline.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(time) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Silence,
            Err(RecvTimeoutError::Disconnected) => Event::End,
        }
    }

    /// Types `bytes`.
    pub fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        let input = self.input.as_mut().context("the guest's input belongs to the terminal")?;
        input.write_all(bytes).and_then(|()| input.flush()).context("cannot type into QEMU")
    }

    /// The guest's input and the way to report events, for a thread that
    /// listens to the person.
    pub fn take_input(&mut self) -> Option<(ChildStdin, Sender<Event>)> {
        Some((self.input.take()?, self.sender.clone()))
    }

    /// Waits for the end of a guest whose output has ended.
    pub fn finish(mut self) -> Result<Outcome> {
        let deadline = Instant::now() + LAST_BREATH;
        loop {
            if let Some(status) = lock(&self.child).try_wait()? {
                let complaint = self.complaint.take().and_then(|thread| thread.join().ok());
                return Ok(Outcome::from_status(status, &complaint.unwrap_or_default()));
            }
            if Instant::now() > deadline {
                return Ok(Outcome::Other("QEMU closed its output but did not end".into()));
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        end(&self.child);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends QEMU, if it still runs; both calls only fail when it does not.
fn end(child: &Mutex<Child>) {
    let mut child = lock(child);
    let _ = child.kill();
    let _ = child.wait();
}

/// Sees to it that Ctrl-C or a polite kill of xtask takes this QEMU along.
fn end_when_told_to_stop(child: &Arc<Mutex<Child>>) -> Result<()> {
    static CURRENT: Mutex<Option<Arc<Mutex<Child>>>> = Mutex::new(None);
    static HANDLER: OnceLock<Result<(), ctrlc::Error>> = OnceLock::new();
    *lock(&CURRENT) = Some(Arc::clone(child));
    let installed = HANDLER.get_or_init(|| {
        ctrlc::set_handler(|| {
            terminal::restore();
            if let Some(child) = lock(&CURRENT).as_ref() {
                end(child);
            }
            std::process::exit(130);
        })
    });
    installed.as_ref().map_err(|error| anyhow::anyhow!("cannot wait for signals: {error}"))?;
    Ok(())
}

/// Turns what the guest writes into events until its output ends.
fn forward(mut output: impl Read, events: &Sender<Event>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        if events.send(Event::Output(buffer[..count].to_vec())).is_err() {
            return;
        }
    }
    // Nobody listens any more when the run is over already.
    let _ = events.send(Event::End);
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn exit_codes_mean_what_the_contract_says() {
        let code = |code: i32| Outcome::from_status(ExitStatus::from_raw(code << 8), "why\n");
        assert_eq!(code(33), Outcome::Success);
        assert_eq!(code(35), Outcome::Failure);
        assert_eq!(code(37), Outcome::Panic);
        assert_eq!(code(39), Outcome::InitDied);
        assert_eq!(code(0), Outcome::Reset);
        assert!(matches!(code(1), Outcome::Other(text) if text.ends_with("1: why")));
        let killed = Outcome::from_status(ExitStatus::from_raw(9), "");
        assert!(matches!(killed, Outcome::Other(text) if text.contains("signal: 9")));
    }
}
