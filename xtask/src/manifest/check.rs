//! What has to be true of all programs together.

use std::collections::BTreeMap;

use postern_abi::env::name::ENTRY;
use postern_manifest::{INIT, MAX_NAME};

use super::diagnostic::{Mistakes, Place, Spot};
use super::model::{Gate, Machine, Object, Program, Start};
use super::{suggest, value};

/// Names of files in the boot archive, and of what is no program.
const RESERVED: [&str; 5] =
    [INIT, "kernel", postern_manifest::FILE, postern_abi::harness::CMDLINE, "runner"];
/// Capabilities that every program has.
pub const OWN: [&str; 3] = ["task", "thread", "factory"];
/// Memory that kernel and init need for themselves.
const SYSTEM_MEMORY: u64 = 8 << 20;
/// Memory that a program needs beside heap and stack, at the very least: code
/// and data, message buffer, environment, capability and page tables.
const LEAST: u64 = 96 << 10;
/// Slots that a program needs beside those of its capabilities: its own three,
/// its image's, and a few that are empty.
const SLOTS: usize = 12;
/// Most bytes of all arguments: they share a page with names.
const ARGUMENTS: usize = 2048;

/// Finds what is wrong; the names have been looked at.
pub fn check(machine: &Machine, programs: &[Program], mistakes: &mut Mistakes) {
    for program in programs {
        self_contained(program, machine, mistakes);
        for (_, gate) in program.gates() {
            server(program, gate, programs, mistakes);
        }
    }
    claims(programs, mistakes);
    labels(programs, mistakes);
    memory(machine, programs, mistakes);
    cycles(programs, mistakes);
}

/// Servers that call each other in a circle wait for ever when each does so while
/// it handles a call. Each circle is shown once, at the gate that closes it.
fn cycles(programs: &[Program], mistakes: &mut Mistakes) {
    let mut done = vec![false; programs.len()];
    for start in 0..programs.len() {
        follow(start, programs, &mut Vec::new(), &mut done, mistakes);
    }
}

/// Follows the gates of a program that was reached by the gates in `way`.
fn follow<'p>(
    at: usize,
    programs: &'p [Program],
    way: &mut Vec<(usize, &'p Gate)>,
    done: &mut [bool],
    mistakes: &mut Mistakes,
) {
    if done[at] {
        return;
    }
    for (_, gate) in programs[at].gates().filter(|(_, gate)| !gate.cycle) {
        let name = &gate.server.value;
        let Some(next) = programs.iter().position(|one| one.name.value == *name) else { continue };
        // That a program calls itself is a mistake of its own.
        if next == at {
            continue;
        }
        way.push((at, gate));
        match way.iter().position(|(program, _)| *program == next) {
            Some(first) => circle(&way[first..], programs, mistakes),
            None => follow(next, programs, way, done, mistakes),
        }
        way.pop();
    }
    done[at] = true;
}

fn circle(way: &[(usize, &Gate)], programs: &[Program], mistakes: &mut Mistakes) {
    let Some(((_, closing), others)) = way.split_last() else { return };
    let names: Vec<_> = way.iter().map(|(at, _)| programs[*at].name.value.as_str()).collect();
    let text = format!("{} -> {}", names.join(" -> "), closing.server.value);
    let mistake = mistakes.add(
        closing.server.place,
        format!("programs that call each other wait for ever: {text}"),
        "closes the circle",
    );
    if let Some((_, first)) = others.first() {
        mistake.note(first.server.place, "begins it");
    }
    mistake.help("if calls in it have timeouts, say so at this gate: `cycle = true`");
}

fn name(name: &Spot<String>, what: &str, mistakes: &mut Mistakes) {
    let text = &name.value;
    if text.len() > MAX_NAME {
        let message = format!("the name of {what} is too long");
        let label = format!("{} bytes, at most {MAX_NAME} fit", text.len());
        mistakes.add(name.place, message, label);
        return;
    }
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(is_good) {
        let message = format!("bad name of {what}: `{text}`");
        mistakes.add(name.place, message, "needs lower-case letters, digits and `-`");
    }
}

/// Finds names of programs that cannot be.
pub fn names(programs: &[Program], mistakes: &mut Mistakes) {
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    for program in programs {
        name(&program.name, "a program", mistakes);
        let text = program.name.value.as_str();
        if RESERVED.contains(&text) {
            let message = format!("the name `{text}` is taken");
            mistakes.add(program.name.place, message, "belongs to the system");
        }
        if let Some(first) = seen.get(text) {
            mistakes
                .add(program.name.place, format!("two programs are called `{text}`"), "again")
                .note(*first, "first here");
        } else {
            seen.insert(text, program.name.place);
        }
    }
}

fn self_contained(program: &Program, machine: &Machine, mistakes: &mut Mistakes) {
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    for capability in &program.capabilities {
        name(&capability.name, "a capability", mistakes);
        let (text, place) = (capability.name.value.as_str(), capability.name.place);
        if OWN.contains(&text) {
            let message = format!("the capability name `{text}` is taken");
            mistakes.add(place, message, "every program has its own");
        }
        if let Some(first) = seen.insert(text, place) {
            let message = format!("two capabilities are called `{text}`");
            mistakes.add(place, message, "again").note(first, "first here");
        }
        if let Object::Scheduler { maximum } = capability.object
            && maximum < program.priority.value
        {
            let priority = program.priority.value;
            mistakes
                .add(
                    program.priority.place,
                    format!("priority {priority} is above the program's scheduler"),
                    "could not be set again",
                )
                .note(capability.place, format!("sets at most {maximum}"));
        }
    }
    if let Some(contexts) = &program.crossing {
        if program.services.is_empty() {
            mistakes
                .add(contexts.place, "a program that nobody calls", "nobody crosses into it")
                .help("a server says what it offers: `services = [\"NAME\"]`");
        }
        let mut given = program.capabilities.iter().map(|capability| &capability.name);
        if let Some(entry) = given.find(|name| name.value == ENTRY) {
            mistakes
                .add(entry.place, "the name `entry` is taken", "its entry is called so")
                .note(contexts.place, "clients cross into it");
        }
    }
    if let Some(delay) = program.delay.as_ref().filter(|_| program.restarts == 0) {
        mistakes
            .add(delay.place, "a program that is never started again", "waits for nothing")
            .help("say how often it is: `restart = 5`, or `restart = \"always\"`");
    }
    for service in &program.services {
        name(service, "a service", mistakes);
    }
    let needed = program.capabilities.len() + SLOTS;
    if needed > program.slots.value as usize {
        let label = format!("{needed} are needed");
        mistakes.add(program.slots.place, "the capability table is too small", label);
    }
    let bytes: usize = program.arguments.iter().map(|text| text.value.len() + 32).sum();
    if let Some(first) = program.arguments.first().filter(|_| bytes > ARGUMENTS) {
        mistakes.add(first.place, "the arguments are too long", "from here on");
    }
    quota(program, machine, mistakes);
}

fn quota(program: &Program, machine: &Machine, mistakes: &mut Mistakes) {
    let (quota, place) = (program.quota.value, program.quota.place);
    let parts = program.heap.value.saturating_add(program.stack.value);
    if quota > machine.memory {
        let label = format!("the machine has {}", value::shown(machine.memory));
        mistakes.add(place, "a quota larger than the memory", label);
    } else if quota < parts.saturating_add(LEAST) {
        let least = value::shown(LEAST);
        let label = format!("heap and stack need {}, the rest {least}", value::shown(parts));
        mistakes.add(place, "a quota too small for the program", label);
    }
}

/// The server of a gate is a program that answers.
fn server(program: &Program, gate: &Gate, programs: &[Program], mistakes: &mut Mistakes) {
    let (text, place) = (gate.server.value.as_str(), gate.server.place);
    if text == INIT {
        if let Some(label) = &gate.label {
            // Init tells its clients and dying programs apart by labels.
            mistakes.add(label.place, "init chooses the labels of its gates", "must be \"auto\"");
        }
        return;
    }
    if text == program.name.value {
        mistakes.add(place, "a program that calls itself waits for ever", "its own name");
        return;
    }
    let Some(server) = programs.iter().find(|other| other.name.value == text) else {
        let known = programs.iter().filter(|other| !other.services.is_empty());
        let known = known.map(|other| other.name.value.as_str()).chain([INIT]);
        mistakes
            .add(place, format!("unknown program `{text}`"), "a gate without a server")
            .help(suggest::help(text, "programs with services", known));
        return;
    };
    if server.services.is_empty() {
        mistakes
            .add(place, format!("`{text}` is no server"), "a gate without a server")
            .note(server.name.place, "offers no service")
            .help("a server says what it offers: `services = [\"NAME\"]`");
    }
}

/// Ports and interrupts have one owner.
fn claims(programs: &[Program], mistakes: &mut Mistakes) {
    let mut claimed: Vec<(&Program, Place, &Object)> = Vec::new();
    for program in programs {
        for capability in &program.capabilities {
            let object = &capability.object;
            let other = claimed.iter().find(|(_, _, other)| overlap(object, other));
            if let Some((owner, place, _)) = other {
                let what = match object {
                    Object::Irq { .. } => "one interrupt line",
                    _ => "the same ports",
                };
                mistakes
                    .add(capability.place, format!("two drivers claim {what}"), "claimed again")
                    .note(*place, format!("claimed first, by `{}`", owner.name.value));
            }
            claimed.push((program, capability.place, object));
        }
    }
}

fn overlap(one: &Object, other: &Object) -> bool {
    match (one, other) {
        (Object::Irq { line: one }, Object::Irq { line: other }) => one == other,
        (
            Object::Ports { first: one, count: one_count },
            Object::Ports { first: other, count: other_count },
        ) => {
            let (one, other) = (u32::from(*one), u32::from(*other));
            one < other + other_count && other < one + one_count
        }
        _ => false,
    }
}

/// A label that the manifest chooses tells one client from all others.
fn labels(programs: &[Program], mistakes: &mut Mistakes) {
    let mut seen: BTreeMap<(&str, u64), Place> = BTreeMap::new();
    for (_, gate) in programs.iter().flat_map(Program::gates) {
        let Some(label) = &gate.label else { continue };
        let server = gate.server.value.as_str();
        if let Some(first) = seen.insert((server, label.value), label.place) {
            mistakes
                .add(label.place, format!("two gates to `{server}` have one label"), "again")
                .note(first, "first here")
                .help("the server could not tell the clients apart");
        }
    }
}

/// All that starts with the system fits into the machine.
fn memory(machine: &Machine, programs: &[Program], mistakes: &mut Mistakes) {
    let mut sum = SYSTEM_MEMORY;
    for program in programs.iter().filter(|program| program.start == Start::Boot) {
        let quota = &program.quota;
        let before = sum;
        sum = sum.saturating_add(quota.value);
        if before <= machine.memory && sum > machine.memory && quota.value <= machine.memory {
            let label = format!("the sum is {} here", value::shown(sum));
            let text = value::shown(machine.memory);
            mistakes.add(
                quota.place,
                format!("the quotas of what starts at boot are more than the memory ({text})"),
                label,
            );
        }
    }
}
