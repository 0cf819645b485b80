//! The commands. Each says in words what went wrong; none ends the shell.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use postern_runtime::protocol::CallError;
use postern_runtime::protocol::supervisor::{Error, ProgramState, SupervisorClient};
use postern_runtime::syscall::abi::rights::Kind;
use postern_runtime::{print, println, time};

use crate::files::{self, Servers};
use crate::format::{After, Size, Time};
use crate::vm;

pub type Outcome = Result<(), CallError<Error>>;

/// A command: its name, what to type, what it does.
pub struct Command<Run> {
    pub name: &'static str,
    pub usage: &'static str,
    pub about: &'static str,
    pub run: Run,
}

/// What the supervisor does for a command.
type Supervised = fn(&str, SupervisorClient) -> Outcome;

const COMMANDS: &[Command<Supervised>] = &[
    Command { name: "help", usage: "", about: "list the commands", run: help },
    Command { name: "ps", usage: "", about: "list the programs", run: ps },
    Command { name: "mem", usage: "", about: "show who uses how much memory", run: mem },
    Command { name: "echo", usage: "TEXT", about: "print TEXT", run: echo },
    Command { name: "uptime", usage: "", about: "show the time since boot", run: uptime },
    Command {
        name: "run",
        usage: "PROGRAM [ARG]...",
        about: "start a program or a file, wait for its end",
        run,
    },
    Command {
        name: "start",
        usage: "PROGRAM [ARG]...",
        about: "start a program, do not wait",
        run: start,
    },
    Command {
        name: "kill",
        usage: "PROGRAM",
        about: "end a program, by name or number",
        run: kill,
    },
    Command { name: "caps", usage: "PROGRAM", about: "show what a program may do", run: caps },
    Command { name: "log", usage: "", about: "show what init logged lately", run: log },
    Command {
        name: "relay",
        usage: "[BYTES] [SERVERS]",
        about: "pass a buffer through 1 to 4 servers, and count",
        run: relay,
    },
    Command {
        name: "vm",
        usage: "run|start|list|kill",
        about: "guests of virtual machines; `vm` says more",
        run: vm::command,
    },
    Command {
        name: "top",
        usage: "[TIMES] [MS]",
        about: "show CPU time, calls and messages by program",
        run: top,
    },
    Command {
        name: "trace",
        usage: "on [KIB] | off",
        about: "record what happens; write it to the log",
        run: trace,
    },
    Command { name: "crash", usage: "", about: "start a program that crashes", run: crash },
    Command { name: "clear", usage: "", about: "clear the screen", run: clear },
    Command { name: "shutdown", usage: "[CODE]", about: "turn the machine off", run: shutdown },
];

/// Executes one line.
pub fn execute(line: &str, supervisor: SupervisorClient, servers: &Servers) {
    let line = line.trim();
    let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
    if name.is_empty() {
        return;
    }
    let arguments = arguments.trim();
    let (first, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let outcome = if name == "run" && first.contains('/') {
        // No program of the manifest has such a name: it is a file.
        files::run(first, rest.trim(), servers)
    } else if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        (command.run)(arguments, supervisor).map_err(|error| error.to_string())
    } else if let Some(command) = files::COMMANDS.iter().find(|command| command.name == name) {
        (command.run)(arguments, servers)
    } else {
        Err("unknown command; `help` lists the commands".into())
    };
    if let Err(error) = outcome {
        println!("{name}: {error}");
    }
}

fn help(_: &str, _: SupervisorClient) -> Outcome {
    let others = files::COMMANDS.iter().map(|one| (one.name, one.usage, one.about));
    let all = COMMANDS.iter().map(|one| (one.name, one.usage, one.about)).chain(others);
    for (name, usage, about) in all {
        let what = alloc::format!("{name} {usage}");
        println!("{what:<24} {about}");
    }
    Ok(())
}

fn ps(_: &str, supervisor: SupervisorClient) -> Outcome {
    println!("{:>4} {:<16} {:>4} {:>4} {:>12}  STATE", "ID", "NAME", "PRIO", "GEN", "CPU");
    for program in supervisor.programs() {
        let program = program?;
        let cpu = Time(Duration::from_nanos(program.cpu_time));
        println!(
            "{:>4} {:<16} {:>4} {:>4} {:>12}  {}{}",
            program.id,
            program.name,
            program.priority,
            program.generation,
            cpu,
            program.state,
            After(program.next)
        );
    }
    Ok(())
}

fn mem(_: &str, supervisor: SupervisorClient) -> Outcome {
    println!("{:>4} {:<16} {:>12} {:>12}", "ID", "NAME", "USED", "QUOTA");
    for program in supervisor.programs() {
        let program = program?;
        if program.state.is_alive() {
            println!(
                "{:>4} {:<16} {:>12} {:>12}",
                program.id,
                program.name,
                Size(program.charged),
                Size(program.quota)
            );
        }
    }
    let memory = supervisor.memory()?;
    println!("machine: {} free of {}", Size(memory.free), Size(memory.total));
    Ok(())
}

fn echo(text: &str, _: SupervisorClient) -> Outcome {
    println!("{text}");
    Ok(())
}

fn uptime(_: &str, _: SupervisorClient) -> Outcome {
    println!("up {}", Time(time::now()));
    Ok(())
}

fn run(line: &str, supervisor: SupervisorClient) -> Outcome {
    let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
    if name.is_empty() {
        println!("run: which program?");
        return Ok(());
    }
    let id = supervisor.run(name, arguments.trim())?;
    if supervisor.next(id)?.is_server {
        println!("{name} has number {id}; it is a server and goes on");
        return Ok(());
    }
    let state = supervisor.wait(id)?;
    println!("{name} (number {id}) {state}");
    Ok(())
}

fn start(line: &str, supervisor: SupervisorClient) -> Outcome {
    let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
    if name.is_empty() {
        println!("start: which program?");
        return Ok(());
    }
    let id = supervisor.run(name, arguments.trim())?;
    println!("{name} has number {id}");
    Ok(())
}

fn kill(program: &str, supervisor: SupervisorClient) -> Outcome {
    match find(program, supervisor)? {
        Some(id) => supervisor.kill(id),
        None => Ok(()),
    }
}

/// The number of the running program with this name or number; says so if
/// there is none, or more than one.
fn find(program: &str, supervisor: SupervisorClient) -> Result<Option<u64>, CallError<Error>> {
    if let Ok(id) = program.parse() {
        return Ok(Some(id));
    }
    let mut found = Vec::new();
    for info in supervisor.programs() {
        let info = info?;
        if info.state.is_alive() && info.name.as_str() == program {
            found.push(info.id);
        }
    }
    match found[..] {
        [id] => return Ok(Some(id)),
        [] if program.is_empty() => println!("which program? `ps` lists them"),
        [] => println!("no program called `{program}` runs"),
        _ => println!("several programs are called `{program}`: use a number, as in {found:?}"),
    }
    Ok(None)
}

/// The number of the program with this name or number; if none of this name
/// runs, of the last one that has ended.
fn find_also_dead(
    program: &str,
    supervisor: SupervisorClient,
) -> Result<Option<u64>, CallError<Error>> {
    let (mut runs, mut ended) = (false, None);
    for info in supervisor.programs() {
        let info = info?;
        if info.name.as_str() == program {
            runs |= info.state.is_alive();
            ended = Some(info).filter(|info| !info.state.is_alive()).or(ended);
        }
    }
    match ended {
        Some(info) if !runs => {
            println!("{program} (number {}) {}{}", info.id, info.state, After(info.next));
            Ok(Some(info.id))
        }
        _ => find(program, supervisor),
    }
}

fn caps(program: &str, supervisor: SupervisorClient) -> Outcome {
    let Some(id) = find_also_dead(program, supervisor)? else { return Ok(()) };
    let mut slot = 0;
    loop {
        match supervisor.capability(id, slot) {
            Ok(info) => {
                if slot == 0 {
                    println!(
                        "{:>4} {:<12} {:<12} {:<9} WHAT IT NAMES",
                        "SLOT", "NAME", "KIND", "RIGHTS"
                    );
                }
                let kind = info.kind.map_or("unknown", Kind::name);
                let rights = info.rights_letters();
                let line = alloc::format!(
                    "{:>4} {:<12} {kind:<12} {rights:<9} {}",
                    info.slot,
                    info.name,
                    info.target()
                );
                println!("{}", line.trim_end());
                let Some(next) = info.slot.checked_add(1) else { return Ok(()) };
                slot = next;
            }
            Err(CallError::Server(Error::NoMore)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn log(_: &str, supervisor: SupervisorClient) -> Outcome {
    let mut from = 0;
    loop {
        match supervisor.log_line(from) {
            Ok(line) => {
                println!("{:>12}  {}", Time(Duration::from_nanos(line.time)), line.text);
                from = line.number + 1;
            }
            Err(CallError::Server(Error::NoMore)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn crash(_: &str, supervisor: SupervisorClient) -> Outcome {
    run("crasher", supervisor)
}

fn top(arguments: &str, supervisor: SupervisorClient) -> Outcome {
    run_quietly("top", arguments, supervisor)
}

fn trace(arguments: &str, supervisor: SupervisorClient) -> Outcome {
    match arguments.split_once(' ').unwrap_or((arguments, "")) {
        ("on", size) => supervisor.run("tracer", size.trim()).map(drop),
        ("off", _) => run_quietly("untrace", "", supervisor),
        _ => {
            println!("trace: `on` or `off`?");
            Ok(())
        }
    }
}

fn relay(arguments: &str, supervisor: SupervisorClient) -> Outcome {
    run_quietly("relay", arguments, supervisor)
}

/// Runs a program that says itself what there is to say.
fn run_quietly(name: &str, arguments: &str, supervisor: SupervisorClient) -> Outcome {
    let id = supervisor.run(name, arguments)?;
    let state = supervisor.wait(id)?;
    if state != (ProgramState::Exited(0)) {
        println!("{name} (number {id}) {state}");
    }
    Ok(())
}

fn clear(_: &str, _: SupervisorClient) -> Outcome {
    print!("\x1b[2J\x1b[H");
    Ok(())
}

fn shutdown(code: &str, supervisor: SupervisorClient) -> Outcome {
    match if code.is_empty() { Ok(0) } else { code.parse() } {
        Ok(code) => {
            println!("good bye");
            supervisor.shutdown(code)
        }
        Err(_) => {
            println!("shutdown: the code has to be a number");
            Ok(())
        }
    }
}
