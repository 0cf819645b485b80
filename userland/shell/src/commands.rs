//! The commands. Each says in words what went wrong; none ends the shell.

use core::time::Duration;

use postern_runtime::protocol::CallError;
use postern_runtime::protocol::supervisor::{Error, SupervisorClient};
use postern_runtime::{print, println, time};

use crate::format::{Size, Time};

type Outcome = Result<(), CallError<Error>>;

/// A command: its name, what to type, what it does.
struct Command {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    run: fn(&str, SupervisorClient) -> Outcome,
}

const COMMANDS: &[Command] = &[
    Command { name: "help", usage: "", about: "list the commands", run: help },
    Command { name: "ps", usage: "", about: "list the programs", run: ps },
    Command { name: "mem", usage: "", about: "show who uses how much memory", run: mem },
    Command { name: "echo", usage: "TEXT", about: "print TEXT", run: echo },
    Command { name: "uptime", usage: "", about: "show the time since boot", run: uptime },
    Command { name: "run", usage: "PROGRAM", about: "start a program, wait for its end", run },
    Command { name: "kill", usage: "NUMBER", about: "end the program with this number", run: kill },
    Command { name: "crash", usage: "", about: "start a program that crashes", run: crash },
    Command { name: "clear", usage: "", about: "clear the screen", run: clear },
    Command { name: "shutdown", usage: "[CODE]", about: "turn the machine off", run: shutdown },
];

/// Executes one line.
pub fn execute(line: &str, supervisor: SupervisorClient) {
    let line = line.trim();
    let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
    if name.is_empty() {
        return;
    }
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => {
            if let Err(error) = (command.run)(arguments.trim_start(), supervisor) {
                println!("{name}: {error}");
            }
        }
        None => println!("{name}: unknown command; `help` lists the commands"),
    }
}

fn help(_: &str, _: SupervisorClient) -> Outcome {
    for command in COMMANDS {
        let what = alloc::format!("{} {}", command.name, command.usage);
        println!("{what:<16} {}", command.about);
    }
    Ok(())
}

fn ps(_: &str, supervisor: SupervisorClient) -> Outcome {
    println!("{:>4} {:<16} {:>4} {:>12}  STATE", "ID", "NAME", "PRIO", "CPU");
    for program in supervisor.programs() {
        let program = program?;
        let cpu = Time(Duration::from_nanos(program.cpu_time));
        println!(
            "{:>4} {:<16} {:>4} {:>12}  {}",
            program.id, program.name, program.priority, cpu, program.state
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

fn run(name: &str, supervisor: SupervisorClient) -> Outcome {
    if name.is_empty() {
        println!("run: which program?");
        return Ok(());
    }
    let id = supervisor.run(name)?;
    let state = supervisor.wait(id)?;
    println!("{name} (number {id}) {state}");
    Ok(())
}

fn kill(number: &str, supervisor: SupervisorClient) -> Outcome {
    match number.parse() {
        Ok(id) => supervisor.kill(id),
        Err(_) => {
            println!("kill: needs the number of a program, as `ps` shows it");
            Ok(())
        }
    }
}

fn crash(_: &str, supervisor: SupervisorClient) -> Outcome {
    run("crasher", supervisor)
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
