//! `vm`: guests, each of which is a program called `vmm`.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use postern_runtime::println;
use postern_runtime::protocol::CallError;
use postern_runtime::protocol::supervisor::{Error, ProgramInfo, ProgramState, SupervisorClient};

use crate::commands::Outcome;
use crate::format::{Size, Time};

/// The program that runs a guest.
const MONITOR: &str = "vmm";

/// `vm WHAT ...`.
pub fn command(line: &str, supervisor: SupervisorClient) -> Outcome {
    let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
    match (what, rest.trim()) {
        ("list", "") => list(supervisor),
        ("run", image) if !image.is_empty() => run(image, supervisor),
        ("start", image) if !image.is_empty() => start(image, supervisor),
        ("kill", guest) if !guest.is_empty() => kill(guest, supervisor),
        _ => {
            println!("vm run IMAGE [MEMORY]    run a guest at this console; Ctrl-] ends it,");
            println!("                         Ctrl-\\ is a non-maskable interrupt for it");
            println!("vm start IMAGE [MEMORY]  run a guest that only writes, and do not wait");
            println!("vm list                  list the guests that run");
            println!("vm kill GUEST            end a guest, by image or number");
            Ok(())
        }
    }
}

fn run(image: &str, supervisor: SupervisorClient) -> Outcome {
    let id = supervisor.run(MONITOR, image)?;
    let state = supervisor.wait(id)?;
    // What there is to say about its own end, the monitor has said.
    if !matches!(state, ProgramState::Exited(_)) {
        println!("vm: the monitor of guest {id} {state}");
    }
    Ok(())
}

fn start(image: &str, supervisor: SupervisorClient) -> Outcome {
    let id = supervisor.run(MONITOR, &alloc::format!("{image} --background"))?;
    println!("vm: guest {id}");
    Ok(())
}

/// The guests that run: number, image, figures.
fn guests(supervisor: SupervisorClient) -> Result<Vec<(ProgramInfo, String)>, CallError<Error>> {
    let mut guests = Vec::new();
    for program in supervisor.programs() {
        let program = program?;
        if program.name.as_str() == MONITOR && program.state.is_alive() {
            let arguments = supervisor.arguments(program.id)?;
            let image = arguments.as_str().split(' ').next().unwrap_or("");
            guests.push((program, image.into()));
        }
    }
    Ok(guests)
}

fn list(supervisor: SupervisorClient) -> Outcome {
    println!("{:>4} {:<16} {:>12} {:>12}", "ID", "IMAGE", "CPU", "USED");
    for (program, image) in guests(supervisor)? {
        let cpu = Time(Duration::from_nanos(program.cpu_time));
        println!("{:>4} {image:<16} {cpu:>12} {:>12}", program.id, Size(program.charged));
    }
    Ok(())
}

fn kill(guest: &str, supervisor: SupervisorClient) -> Outcome {
    let mut found = Vec::new();
    for (program, image) in guests(supervisor)? {
        if guest == image || guest.parse() == Ok(program.id) {
            found.push(program.id);
        }
    }
    match found[..] {
        [id] => return supervisor.kill(id),
        [] => println!("vm: no guest is called `{guest}`; `vm list` lists them"),
        _ => println!("vm: several guests are called `{guest}`: use a number, as in {found:?}"),
    }
    Ok(())
}
