//! `cargo xtask caps`: what the manifest gives to whom, as a table or a
//! picture; and why a program may, or may not, call another one.
//!
//! Must say what the compiled manifest says and nothing else: it reads the
//! same checked model.

mod graph;

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use postern_manifest::{ALWAYS, INIT, Start};

use crate::manifest::model::{Capability, Gate, Object, Program};
use crate::manifest::{App, Manifest, suggest, value};
use crate::workspace;

#[derive(clap::Args)]
pub struct Options {
    /// Add the programs of a crate, with its postern.toml
    #[arg(long, value_name = "PATH")]
    app: Option<PathBuf>,
    /// Say by which route PROGRAM may call GATE (its name for a gate, or the
    /// name of a server), or where the route ends
    #[arg(long, num_args = 2, value_names = ["PROGRAM", "GATE"])]
    why: Option<Vec<String>>,
    /// Draw the programs with their capabilities and gates into this file
    #[arg(long, value_name = "FILE.svg", conflicts_with = "why")]
    graph: Option<PathBuf>,
}

/// Runs the command.
pub fn main(options: &Options) -> Result<ExitCode> {
    let app = options.app.as_deref().map(App::find).transpose()?;
    let manifest = Manifest::load(app.as_ref())?;
    if let Some(file) = &options.graph {
        workspace::write_whole(file, graph::svg(&manifest.programs).as_bytes())?;
        println!("{} programs are drawn in {}", manifest.programs.len(), file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let Some([program, gate]) = options.why.as_deref() else {
        print!("{}", table(&manifest.programs));
        return Ok(ExitCode::SUCCESS);
    };
    let (is_allowed, text) = why(&manifest, program, gate)?;
    println!("{text}");
    Ok(if is_allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All programs with their capabilities.
fn table(programs: &[Program]) -> String {
    let mut text = format!(
        "{:<16} {:<6} {:>4} {:>9} {:>9} {:>9} {:>8}  SERVICES\n",
        "PROGRAM", "START", "PRIO", "QUOTA", "HEAP", "STACK", "RESTARTS"
    );
    for program in programs {
        let start = if program.start == Start::Boot { "boot" } else { "shell" };
        let services: Vec<_> = program.services.iter().map(|name| name.value.as_str()).collect();
        let line = format!(
            "{:<16} {start:<6} {:>4} {:>9} {:>9} {:>9} {:>8}  {}",
            program.name.value,
            program.priority.value,
            value::shown(program.quota.value),
            value::shown(program.heap.value),
            value::shown(program.stack.value),
            restarts(program.restarts),
            services.join(", ")
        );
        let _ = writeln!(text, "{}", line.trim_end());
        for capability in &program.capabilities {
            let _ = writeln!(text, "    {:<20} {}", capability.name.value, words(capability));
        }
    }
    text
}

/// How often a program is started again.
fn restarts(times: u32) -> String {
    if times == ALWAYS { "always".to_owned() } else { times.to_string() }
}

/// What a capability is, in words.
fn words(capability: &Capability) -> String {
    match &capability.object {
        Object::Log => "log: the kernel's, to write".into(),
        Object::Clock => "scheduler: to read the time".into(),
        Object::Trace => "scheduler: to trace the system".into(),
        Object::Archive => "memory: the boot archive, to read".into(),
        Object::Scheduler { maximum } => format!("scheduler: priorities up to {maximum}"),
        Object::Ports { first, count } => {
            format!("I/O ports: {first:#x} to {:#x}", u32::from(*first) + count - 1)
        }
        Object::Irq { line } => format!("interrupt: line {line}"),
        Object::Factory { quota } => format!("factory: a second one, {}", value::shown(*quota)),
        Object::Gate(gate) => {
            let label =
                gate.label.as_ref().map_or("auto".into(), |label| format!("{:#x}", label.value));
            let rights = match value::rights_shown(gate.rights) {
                letters if letters.is_empty() => String::new(),
                letters => format!(", rights {letters}"),
            };
            format!("gate: to {}, label {label}{rights}", gate.server.value)
        }
    }
}

/// Whether `program` may call `gate`, and why.
fn why(manifest: &Manifest, program: &str, gate: &str) -> Result<(bool, String)> {
    let programs = &manifest.programs;
    let names = programs.iter().map(|one| one.name.value.as_str());
    let found = programs.iter().find(|one| one.name.value == program);
    let found = found.with_context(|| {
        format!("unknown program `{program}`; {}", suggest::help(program, "programs", names))
    })?;
    let is_it = |(capability, to): &(&Capability, &Gate)| {
        capability.name.value == gate || to.server.value == gate
    };
    if let Some((capability, to)) = found.gates().find(is_it) {
        let (name, server) = (&capability.name.value, &to.server.value);
        let place = manifest.shown(capability.name.place);
        let text = format!("{program} may call {server}: by its gate `{name}` ({place})");
        return Ok((true, text));
    }
    let mut text = format!("{program} may not call {gate}: ");
    let has: Vec<_> = found.gates().map(|(one, _)| format!("`{}`", one.name.value)).collect();
    let has =
        if has.is_empty() { "no gate at all".into() } else { format!("only {}", has.join(", ")) };
    let _ = write!(text, "it has {has} ({})", manifest.shown(found.name.place));
    match programs.iter().find(|one| one.name.value == gate) {
        None if gate == INIT => text.push_str("\n`init` answers whoever has a gate to it"),
        None => {
            let names = names_of_servers(programs);
            let _ = write!(text, "\nno program is called `{gate}`; servers: {}", names.join(", "));
        }
        Some(server) if server.services.is_empty() => {
            let _ = write!(text, "\n`{gate}` offers no service, so nobody may call it");
        }
        Some(_) => {}
    }
    if let Some(route) = route(programs, program, gate) {
        let _ = write!(text, "\nwhat it asks of others can reach {gate}: {}", route.join(" -> "));
    }
    Ok((false, text))
}

fn names_of_servers(programs: &[Program]) -> Vec<&str> {
    let servers = programs.iter().filter(|one| !one.services.is_empty());
    servers.map(|one| one.name.value.as_str()).chain([INIT]).collect()
}

/// The shortest chain of calls from one program to another.
fn route<'a>(programs: &'a [Program], from: &str, to: &str) -> Option<Vec<&'a str>> {
    let find = |name: &str| programs.iter().find(|one| one.name.value == name);
    let start = find(from)?.name.value.as_str();
    let mut chains = VecDeque::from([vec![start]]);
    let mut seen = vec![start];
    while let Some(chain) = chains.pop_front() {
        let last = find(chain.last()?);
        for (_, gate) in last.into_iter().flat_map(Program::gates) {
            let server = gate.server.value.as_str();
            let longer = [chain.as_slice(), &[server]].concat();
            if server == to {
                return Some(longer);
            }
            if !seen.contains(&server) {
                seen.push(server);
                chains.push_back(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[[program]]
name = "disk"
package = "p"
services = ["disk"]
restart = 3
capabilities = { ports = { ports = "0x1f0-0x1f7" }, clock = true }
[[program]]
name = "files"
package = "p"
services = ["files"]
gates = { disk = { server = "disk", rights = "ws", label = 64 } }
[[program]]
name = "editor"
package = "p"
start = "shell"
gates = { files = "files" }
"#;

    fn manifest() -> Manifest {
        Manifest::for_test(TEXT, "p", &["disk", "files", "editor"])
    }

    #[test]
    fn the_table_says_what_everyone_has() {
        assert_eq!(
            table(&manifest().programs),
            "\
PROGRAM          START  PRIO     QUOTA      HEAP     STACK RESTARTS  SERVICES
disk             boot    100     4 MiB   256 KiB    64 KiB        3  disk
    ports                I/O ports: 0x1f0 to 0x1f7
    clock                scheduler: to read the time
files            boot    100     4 MiB   256 KiB    64 KiB        0  files
    disk                 gate: to disk, label 0x40, rights ws
editor           shell   100     4 MiB   256 KiB    64 KiB        0
    files                gate: to files, label auto
"
        );
    }

    #[test]
    fn a_route_is_found_or_its_end_is_shown() {
        for (program, gate, is_allowed, expected) in [
            (
                "editor",
                "files",
                true,
                "editor may call files: by its gate `files` (system.toml:17:11)",
            ),
            (
                "editor",
                "disk",
                false,
                "editor may not call disk: it has only `files` (system.toml:14:8)\n\
                 what it asks of others can reach disk: editor -> files -> disk",
            ),
            (
                "disk",
                "editor",
                false,
                "disk may not call editor: it has no gate at all (system.toml:3:8)\n\
                 `editor` offers no service, so nobody may call it",
            ),
            (
                "disk",
                "printer",
                false,
                "disk may not call printer: it has no gate at all (system.toml:3:8)\n\
                 no program is called `printer`; servers: disk, files, init",
            ),
        ] {
            let found = why(&manifest(), program, gate).expect("a known program");
            assert_eq!(found, (is_allowed, expected.to_owned()), "{program} {gate}");
        }
        let error = why(&manifest(), "edtor", "disk").map(drop).expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "unknown program `edtor`; did you mean `editor`? programs: `disk`, `files`, `editor`"
        );
    }
}
