//! From TOML to the model. What can be said about one value alone is said
//! here; what concerns two is in `check`.

use postern_abi::Rights;
use postern_abi::image::init;
use postern_manifest::ALWAYS;
use toml::de::DeTable;

use super::check::OWN;
use super::diagnostic::{Mistakes, Place, Source, Spot};
use super::model::{Capability, Gate, Machine, Object, Program, Start};
use super::table::{self, Table, Value};
use super::{suggest, value};

/// Kernel objects that need nothing but `true`.
const PLAIN: [&str; 4] = ["log", "clock", "archive", "trace"];
/// Kernel objects that need to be told which.
const DETAILED: [&str; 4] = ["scheduler", "ports", "irq", "factory"];

/// What a file says.
#[derive(Debug, Default)]
pub struct File {
    /// About the machine.
    pub machine: Option<Machine>,
    /// Its programs.
    pub programs: Vec<Program>,
}

/// Reads source number `file`.
pub fn parse(file: usize, source: &Source, mistakes: &mut Mistakes) -> File {
    let root = match DeTable::parse(&source.text) {
        Ok(root) => root,
        Err(error) => {
            let place = table::place(file, error.span().unwrap_or(0..0));
            mistakes.add(place, format!("not TOML: {}", error.message()), "");
            return File::default();
        }
    };
    let mut root = Table::new(file, "a manifest", root.get_ref());
    let machine = root.take("machine").and_then(|value| machine(value, mistakes));
    let programs = root.take("program").map_or_else(Vec::new, |value| value.list(mistakes));
    let programs = programs.into_iter().filter_map(|value| program(value, mistakes)).collect();
    root.finish(mistakes);
    File { machine, programs }
}

fn machine(value: Value<'_>, mistakes: &mut Mistakes) -> Option<Machine> {
    let mut table = value.table("the machine", mistakes)?;
    let memory = table.take("memory").and_then(|value| value::size(value, mistakes));
    table.finish(mistakes);
    Some(Machine { memory: memory? })
}

/// A value of the table, or what it is by default, which has the program's
/// place.
fn or<T>(found: Option<Spot<T>>, place: Place, default: T) -> Spot<T> {
    found.unwrap_or(Spot { value: default, place })
}

fn program(whole: Value<'_>, mistakes: &mut Mistakes) -> Option<Program> {
    let mut table = whole.table("a program", mistakes)?;
    let name = table.take("name").and_then(|value| value.text(mistakes));
    let at = name.as_ref().map_or(whole.place, |name| name.place);
    let mut text = |key, mistakes: &mut Mistakes| table.take(key)?.text(mistakes);
    let (package, bin) = (text("package", mistakes), text("bin", mistakes));
    let start = table.take("start").and_then(|value| start(value, mistakes));
    let priority = table.take("priority").and_then(|value| {
        // Below init, which must be able to act on every program.
        let number = value.number("a priority", 1..=u64::from(init::PRIORITY) - 1, mistakes)?;
        Some(Spot { value: number.value as u8, place: number.place })
    });
    let mut size = |key, mistakes: &mut Mistakes| {
        let value = table.take(key)?;
        value::size(value, mistakes).map(|bytes| value.spot(bytes))
    };
    let quota = size("quota", mistakes);
    let (heap, stack) = (size("heap", mistakes), size("stack", mistakes));
    let slots = table.take("slots").and_then(|value| {
        let number = value.number("the size of a table", 16..=4096, mistakes)?;
        Some(Spot { value: number.value as u32, place: number.place })
    });
    let restarts = table.take("restart").and_then(|value| restart(value, mistakes));
    let delay = table
        .take("restart-delay")
        .and_then(|value| value::duration(value, mistakes).map(|delay| value.spot(delay)));
    let crossing = table.take("crossing").and_then(|value| {
        let number = value.number("the number of contexts", 1..=64, mistakes)?;
        Some(Spot { value: number.value as u32, place: number.place })
    });
    let mut texts = |key, mistakes: &mut Mistakes| {
        table.take(key).map_or_else(Vec::new, |value| value.texts(mistakes))
    };
    let arguments = texts("arguments", mistakes);
    let services = texts("services", mistakes);
    let mut capabilities = Vec::new();
    if let Some(all) = table.take("capabilities") {
        let fields = all.table("capabilities", mistakes).map_or_else(Vec::new, Table::rest);
        for (name, value) in fields {
            capabilities.extend(capability(name, value, mistakes));
        }
    }
    if let Some(all) = table.take("gates") {
        let fields = all.table("gates", mistakes).map_or_else(Vec::new, Table::rest);
        for (name, value) in fields {
            let gate = gate(value, mistakes);
            capabilities.extend(gate.map(|gate| made(name, value, Object::Gate(gate))));
        }
    }
    table.finish(mistakes);
    let Some(name) = name else {
        mistakes.add(whole.place, "a program needs a `name`", "this one has none");
        return None;
    };
    Some(Program {
        name,
        package,
        bin,
        start: start.unwrap_or(Start::Boot),
        priority: or(priority, at, 100),
        quota: or(quota, at, 4 << 20),
        heap: or(heap, at, 256 << 10),
        stack: or(stack, at, 64 << 10),
        slots: or(slots, at, 256),
        restarts: restarts.unwrap_or(0),
        delay,
        crossing,
        arguments,
        services,
        capabilities,
    })
}

fn start(value: Value<'_>, mistakes: &mut Mistakes) -> Option<Start> {
    let text = value.text(mistakes)?.value;
    match text.as_str() {
        "boot" => Some(Start::Boot),
        "shell" => Some(Start::Demand),
        _ => {
            let help = suggest::help(&text, "a program starts at", ["boot", "shell"]);
            mistakes.add(value.place, format!("unknown start `{text}`"), "no such time").help(help);
            None
        }
    }
}

fn restart(value: Value<'_>, mistakes: &mut Mistakes) -> Option<u32> {
    if value.unsigned().is_some() {
        let times = value.number("the number of restarts", 1..=1000, mistakes)?;
        return Some(times.value as u32);
    }
    let text = value.text(mistakes)?.value;
    if text == "always" {
        return Some(ALWAYS);
    }
    if text != "never" {
        mistakes
            .add(value.place, format!("unknown restart policy `{text}`"), "no such policy")
            .help("a program is restarted \"never\", \"always\", or up to a number of times");
    }
    Some(0)
}

fn made(name: Spot<&str>, value: Value<'_>, object: Object) -> Capability {
    let name = Spot { value: name.value.to_owned(), place: name.place };
    Capability { name, place: value.place, object }
}

/// `log = true`, or `uart = { ports = "0x3f8-0x3ff" }`.
fn capability(name: Spot<&str>, value: Value<'_>, mistakes: &mut Mistakes) -> Option<Capability> {
    if let toml::de::DeValue::Boolean(is_given) = value.inner {
        let object = match name.value {
            "log" => Object::Log,
            "clock" => Object::Clock,
            "archive" => Object::Archive,
            "trace" => Object::Trace,
            _ => {
                unknown(name, &PLAIN, "can be given with `true`", mistakes);
                return None;
            }
        };
        return is_given.then(|| made(name, value, object));
    }
    let place = value.place;
    let mut fields = value.table("a capability", mistakes)?.rest().into_iter();
    let (Some((kind, of)), None) = (fields.next(), fields.next()) else {
        mistakes.add(place, "a capability is one thing", "not one thing").help(suggest::help(
            "",
            "things with a value",
            DETAILED,
        ));
        return None;
    };
    let object = match kind.value {
        "scheduler" => {
            let maximum = of.number("a priority", 1..=255, mistakes)?.value as u8;
            Object::Scheduler { maximum }
        }
        "ports" => {
            let (first, count) = value::ports(of, mistakes)?;
            Object::Ports { first, count }
        }
        "irq" => {
            let lines = 0..=u64::from(init::IRQ_COUNT) - 1;
            Object::Irq { line: of.number("an interrupt line", lines, mistakes)?.value as u32 }
        }
        "factory" => Object::Factory { quota: value::size(of, mistakes)? },
        _ => {
            unknown(kind, &DETAILED, "known with a value", mistakes);
            return None;
        }
    };
    // Two that claim the same are shown by their values.
    Some(Capability { place: of.place, ..made(name, value, object) })
}

fn unknown(name: Spot<&str>, known: &[&'static str], what: &str, mistakes: &mut Mistakes) {
    let text = name.value;
    let others = if known == PLAIN { &DETAILED[..] } else { &PLAIN[..] };
    let mut help = suggest::help(text, what, known.iter().copied());
    if others.contains(&text) && known == PLAIN {
        help = format!("write `{text} = {{ {text} = ... }}`: it has to be told which");
    } else if others.contains(&text) {
        help = format!("write `{text} = true`");
    }
    if OWN.contains(&text) {
        help = format!("leave it out: every program has its own `{text}`");
    }
    mistakes.add(name.place, format!("unknown capability `{text}`"), "no such object").help(help);
}

/// `"console"`, or `{ server = "console", rights = "w", label = 4096 }`.
fn gate(value: Value<'_>, mistakes: &mut Mistakes) -> Option<Gate> {
    if let toml::de::DeValue::String(_) = value.inner {
        let server = value.text(mistakes)?;
        return Some(Gate { server, rights: Rights::R, label: None, cycle: false });
    }
    let place = value.place;
    let mut table = value.table("a gate", mistakes)?;
    let server = table.take("server");
    let rights = table.take("rights").map(|value| value::rights(value, mistakes));
    let label = table.take("label").map(|value| label(value, mistakes));
    let cycle = table.take("cycle").map(|value| value.truth(mistakes));
    table.finish(mistakes);
    let Some(server) = server else {
        mistakes
            .add(place, "a gate without a server", "leads nowhere")
            .help("name the program that answers: `{ server = \"PROGRAM\" }`");
        return None;
    };
    let server = server.text(mistakes)?;
    Some(Gate {
        server,
        rights: rights.unwrap_or(Some(Rights::R))?,
        label: label.unwrap_or(Some(None))?,
        cycle: cycle.unwrap_or(Some(false))?,
    })
}

/// `"auto"` or a multiple of 4; the outer `None` is a mistake.
fn label(value: Value<'_>, mistakes: &mut Mistakes) -> Option<Option<Spot<u64>>> {
    if matches!(value.inner, toml::de::DeValue::String(text) if text == "auto") {
        return Some(None);
    }
    // Labels that init makes up lie above.
    let label = value.number("a label", 4..=0xffff_ffff, mistakes)?;
    if label.value % 4 != 0 {
        mistakes
            .add(value.place, "a label's two low bits are the client's rights", "no multiple of 4")
            .help("choose a multiple of 4, or \"auto\"");
        return None;
    }
    Some(Some(label))
}
