//! `cargo xtask gdb`: Postern in QEMU under gdb, with the symbols of the kernel
//! and of every program, and commands that know threads and gates
//! (`postern.py` beside this file).
//!
//! Must never change what it looks at: kernel and programs are compiled as those
//! that ship, with all debug information.

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::build::Profile;
use crate::manifest::{App, Manifest};
use crate::qemu::{CPU, Debugger, Event, Guest, Machine};
use crate::symbols::{Filter, Symbols};
use crate::system::{Firmware, System};
use crate::{prompt, setup, workspace};

/// The debugger.
pub const GDB: &str = "gdb";
/// Where the kernel is linked to (its `BootloaderConfig`).
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// Where programs are loaded (userland/runtime/src/memory.rs).
const IMAGE: u64 = 0x40_0000;
/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// The commands of gdb that know Postern.
const COMMANDS: &str = include_str!("gdb/postern.py");

#[derive(clap::Args)]
pub struct Options {
    /// Type these commands, separated by `;`, into the shell when it asks
    #[arg(long, value_name = "COMMANDS")]
    exec: Option<String>,
    /// Have gdb read these commands, and end, instead of asking for some
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Add the programs of a crate, as `cargo xtask run --app` does
    #[arg(long, value_name = "PATH")]
    app: Option<PathBuf>,
    /// Memory of the machine
    #[arg(long, default_value = "256M", value_name = "SIZE")]
    memory: String,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    if !workspace::is_installed(GDB) {
        bail!("{GDB} is not installed (apt-get install gdb)");
    }
    let app = options.app.as_deref().map(App::find).transpose()?;
    let manifest = Manifest::load(app.as_ref())?;
    manifest.ensure_fits(&options.memory)?;
    setup::ensure(setup::Need::Bios)?;
    let system = System::from_manifest_with(&manifest, app.as_ref(), Profile::Debugger)?;
    let folder = workspace::output("gdb")?;
    let own = |name: &str| folder.join(format!("{}.{name}", std::process::id()));
    let (socket, commands, start) = (own("socket"), own("py"), own("gdb"));
    fs::write(&commands, COMMANDS).context("cannot write the commands for gdb")?;
    fs::write(&start, preparation(&system, &socket, &commands)?)
        .context("cannot write what gdb begins with")?;
    let machine = Machine {
        image: system.image("", Firmware::Bios)?,
        firmware: Firmware::Bios,
        memory: options.memory.clone(),
        cpu: CPU.into(),
        counted: false,
        debugger: Debugger::Socket(socket.clone()),
    };
    // Ctrl-C is gdb's: it stops the guest, and nothing else.
    ctrlc::set_handler(|| {}).context("cannot leave Ctrl-C to gdb")?;
    let guest = Guest::start_apart(&machine)?;
    wait_for(&socket)?;
    let done = Arc::new(AtomicBool::new(false));
    let typing = options.exec.clone().unwrap_or_default();
    let (symbols, told) = (system.symbols(), Arc::clone(&done));
    let console = thread::spawn(move || show(guest, symbols, &typing, &told));
    let mut gdb = Command::new(GDB);
    gdb.args(["-q", "-nx", "-x"]).arg(&start);
    if let Some(script) = &options.script {
        gdb.arg("-batch").arg("-x").arg(script);
    }
    let status = wait(gdb.spawn().context("cannot start gdb")?, options.script.is_some());
    done.store(true, Ordering::Relaxed);
    let ended = console.join().map_err(|_| anyhow::anyhow!("the console's thread panicked"));
    for file in [&socket, &commands, &start] {
        // What is gone need not be removed.
        let _ = fs::remove_file(file);
    }
    ended??;
    Ok(if status?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits for the end of gdb. A person takes all the time, a script does not.
fn wait(mut gdb: Child, is_script: bool) -> Result<ExitStatus> {
    if is_script {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = gdb.try_wait().context("cannot wait for gdb")? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(50));
        }
        // It may have ended just now.
        let _ = gdb.kill();
        let _ = gdb.wait();
        bail!("gdb was not done with its script after {} s", PATIENCE.as_secs());
    }
    gdb.wait().context("cannot wait for gdb")
}

/// What gdb begins with: symbols, commands, the connection.
fn preparation(system: &System, socket: &Path, commands: &Path) -> Result<String> {
    let programs: Vec<_> = system
        .programs()
        .map(|(name, file)| format!("{name:?}: {:?}", file.display().to_string()))
        .collect();
    let kernel = system.kernel_elf();
    Ok(format!(
        "set pagination off\nset confirm off\nset print thread-events off\n\
         set architecture i386:x86-64\n\
         python\nPROGRAMS = {{{}}}\nIMAGE = {IMAGE:#x}\nend\n\
         add-symbol-file {} -o {KERNEL_BASE:#x}\n\
         source {}\n\
         target remote {}\n\
         echo Postern waits before its first instruction; `help postern` lists its commands.\\n\n",
        programs.join(", "),
        kernel.display(),
        commands.display(),
        socket.display()
    ))
}

/// Waits for the socket that QEMU makes.
fn wait_for(socket: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !socket.exists() {
        if Instant::now() > deadline {
            bail!("QEMU does not wait for a debugger");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Prints what the guest writes, and types what is to be typed, until gdb has
/// ended.
fn show(mut guest: Guest, mut symbols: Symbols, typing: &str, done: &AtomicBool) -> Result<()> {
    let (mut filter, mut watch) = (Filter::default(), prompt::Watch::new());
    let mut commands = typing.split(';').map(str::trim).filter(|text| !text.is_empty());
    while !done.load(Ordering::Relaxed) {
        match guest.next(Instant::now() + Duration::from_millis(100)) {
            Event::Output(bytes) => {
                watch.feed(&bytes);
                let bytes = filter.feed(&mut symbols, &bytes);
                let mut out = stdout().lock();
                out.write_all(&bytes).and_then(|()| out.flush()).context("cannot print")?;
            }
            Event::End => break,
            _ => {}
        }
        if watch.is_waiting()
            && let Some(command) = commands.next()
        {
            guest.type_in(format!("{command}\r").as_bytes())?;
            watch.typed();
        }
    }
    Ok(())
}
