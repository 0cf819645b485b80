//! `vm`: guests, each of which is a program called `vmm`.

use core::time::Duration;

use postern_runtime::println;
use postern_runtime::protocol::supervisor::{ProgramState, SupervisorClient};

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
        ("kill", number) if !number.is_empty() => kill(number, supervisor),
        _ => {
            println!("vm run IMAGE [MEMORY]    run a guest at this console; Ctrl-] ends it");
            println!("vm start IMAGE [MEMORY]  run a guest that only writes, and do not wait");
            println!("vm list                  list the guests that run");
            println!("vm kill NUMBER           end a guest");
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

fn list(supervisor: SupervisorClient) -> Outcome {
    println!("{:>4} {:<16} {:>12} {:>12}", "ID", "IMAGE", "CPU", "USED");
    for program in supervisor.programs() {
        let program = program?;
        if program.name.as_str() == MONITOR && program.state.is_alive() {
            let arguments = supervisor.arguments(program.id)?;
            let image = arguments.as_str().split(' ').next().unwrap_or("");
            let cpu = Time(Duration::from_nanos(program.cpu_time));
            println!("{:>4} {image:<16} {cpu:>12} {:>12}", program.id, Size(program.charged));
        }
    }
    Ok(())
}

fn kill(number: &str, supervisor: SupervisorClient) -> Outcome {
    let guests = supervisor.programs().filter_map(Result::ok);
    let mut guests =
        guests.filter(|program| program.name.as_str() == MONITOR && program.state.is_alive());
    match number.parse().ok().and_then(|id| guests.find(|program| program.id == id)) {
        Some(guest) => supervisor.kill(guest.id),
        None => {
            println!("vm: no guest has number {number}; `vm list` lists them");
            Ok(())
        }
    }
}
