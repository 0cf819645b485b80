//! `cargo xtask bench --explain`: which functions one sample of a row spends
//! its instructions in.
//!
//! The benchmarks call a marked function before the first sample. There a
//! debugger stops the machine, and from there it goes instruction by
//! instruction. A sample is what lies between two clock readings of user
//! programs with the kernel between them.
//!
//! Must never guess where time goes: every line is counted, instruction by
//! instruction, and the lines add up to the whole.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use object::read::elf::{FileHeader, Sym};
use postern_abi::harness::{BENCH_MARK, BENCH_MARK_SYMBOL};

use super::remote::{Register, Remote};
use crate::archive::LOAD_BASE;
use crate::gdb::KERNEL_BASE;
use crate::qemu::{Debugger, Guest, Machine};
use crate::symbols::{Function, Symbols};
use crate::system::{Kind, System};
use crate::{setup, step, workspace};

/// Longest sample that is stepped through.
const LONGEST: usize = 200_000;
/// `rdtsc`.
const CLOCK: [u8; 2] = [0x0f, 0x31];
/// First address of the kernel's half.
const UPPER_HALF: u64 = 1 << 63;
/// The program in the place of init, and the one that is its partner, by their
/// names in the boot archive.
const PROGRAMS: [&str; 2] = ["init", "bench-peer"];

/// One instruction: the program and the address in its file.
type Place = (&'static str, u64);

/// Explains a row.
pub fn row(name: &str, with_instructions: bool) -> Result<String> {
    let system = System::build(Kind::Bench)?;
    // Names of sockets are short.
    let socket = std::env::temp_dir().join(format!("postern-{}.socket", std::process::id()));
    let machine = Machine {
        debugger: Debugger::Socket(socket.clone()),
        ..super::machine(&system, &format!("explain={name}"))?
    };
    step::say(&format!("stepping through `{name}` in QEMU"));
    let guest = Guest::start(&machine)?;
    let mark = LOAD_BASE + mark(system.elf(PROGRAMS[0]).context("there is no init")?)?;
    let steps = Remote::attach(&socket).and_then(|mut remote| sample(&mut remote, mark));
    drop(guest);
    // QEMU leaves it behind.
    let _ = std::fs::remove_file(&socket);
    let steps = steps.with_context(|| {
        format!(
            "`{name}` cannot be explained (`cargo xtask bench {name}` says if there is such a row)"
        )
    })?;
    let mut symbols = system.symbols();
    let mut text = functions(name, &steps, &mut symbols);
    if with_instructions {
        text += "\n";
        text += &instructions(&steps, &mut symbols, &system)?;
    }
    Ok(text)
}

/// Where the marked function lies in the file of the benchmarks.
fn mark(elf: &Path) -> Result<u64> {
    let file = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let header = object::elf::FileHeader64::<object::LittleEndian>::parse(&*file)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, &*file)?;
    let table = sections.symbols(endian, &*file, object::elf::SHT_SYMTAB)?;
    let is_it = |name: &[u8]| name == BENCH_MARK_SYMBOL.as_bytes();
    let found = table
        .iter()
        .find(|symbol| table.symbol_name(endian, *symbol).is_ok_and(is_it))
        .with_context(|| format!("the benchmarks have no `{BENCH_MARK_SYMBOL}`"))?;
    Ok(found.st_value(endian))
}

/// Runs to the mark and steps through the sample behind it.
fn sample(remote: &mut Remote, mark: u64) -> Result<Vec<Place>> {
    // Firmware and other programs have code at the same address.
    loop {
        remote.set_breakpoint(mark, true)?;
        remote.run()?;
        remote.set_breakpoint(mark, false)?;
        if remote.register(Register::Rdi)? == BENCH_MARK {
            break;
        }
        remote.step()?;
    }
    let init = remote.register(Register::Cr3)?;
    // The benchmarks read first; a partner may read at the end. An interrupt
    // that waits comes right here, as if the mark were the first reading: the
    // clock went on while the machine stood.
    let (mut steps, mut was_read, mut in_kernel) = (Vec::new(), false, false);
    for _ in 0..LONGEST {
        let address = remote.register(Register::Rip)?;
        if address >= UPPER_HALF {
            in_kernel = true;
            steps.push(("kernel", address.wrapping_sub(KERNEL_BASE)));
        } else {
            let is_init = remote.register(Register::Cr3)? == init;
            if remote.memory(address, CLOCK.len())? != CLOCK {
                steps.push((PROGRAMS[usize::from(!is_init)], address.wrapping_sub(LOAD_BASE)));
            } else if in_kernel && (was_read || !is_init) {
                return Ok(steps);
            } else {
                (was_read, in_kernel) = (true, false);
                steps.clear();
            }
        }
        remote.step()?;
    }
    bail!("a sample takes more than {LONGEST} instructions")
}

/// A function with all that was inlined into it, or one of those.
#[derive(Default)]
struct Count {
    name: String,
    count: usize,
    inside: Vec<Count>,
}

/// Adds one to the entry `name` of `list`, which is made if need be.
fn add<'a>(list: &'a mut Vec<Count>, name: &str) -> &'a mut Count {
    let index = list.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
        list.push(Count { name: name.to_owned(), ..Count::default() });
        list.len() - 1
    });
    list[index].count += 1;
    &mut list[index]
}

/// A function's name without type arguments, and its file. Some instructions
/// of a function have no line; they belong to the file of the others, which
/// `files` remembers.
fn described(function: &Function, files: &mut HashMap<String, String>) -> String {
    if let Some((file, _)) = function.place.as_deref().and_then(|place| place.rsplit_once(':')) {
        files.insert(function.function.clone(), file.to_owned());
    }
    let name = match function.function.split_once('<') {
        Some((name, _)) if !name.is_empty() => name,
        _ => &function.function,
    };
    match files.get(&function.function) {
        Some(file) => format!("{name} ({file})"),
        None => name.to_owned(),
    }
}

/// Counts by function, in the order in which they are first reached.
fn functions(name: &str, steps: &[Place], symbols: &mut Symbols) -> String {
    let (mut programs, mut outer) = (Vec::new(), Vec::new());
    let mut files = HashMap::new();
    let mut described = |function: &Function| described(function, &mut files);
    for (program, address) in steps {
        add(&mut programs, program);
        let frames = symbols.frames(program, *address).unwrap_or_default();
        let function = frames.last().map_or("?".to_owned(), &mut described);
        let entry = add(&mut outer, &format!("{program}: {function}"));
        // What Rust's library does, it does for the function that calls it.
        let inside = frames.iter().map(&mut described).find(|name| !name.contains("(library/"));
        if let Some(inside) = inside.filter(|inside| *inside != function) {
            add(&mut entry.inside, &inside);
        }
    }
    let mut text = format!("{name}: {} instructions between two clock readings", steps.len());
    let shares: Vec<_> = programs.iter().map(|one| format!("{} {}", one.name, one.count)).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        " ({}).\nThree of them keep the first reading; they are not part of the row's figure, except in `irq`.\n",
        shares.join(", ")
    );
    for function in &outer {
        let _ = writeln!(text, "{:>7}  {}", function.count, function.name);
        for inside in &function.inside {
            let _ = writeln!(text, "{:>15}  {}", inside.count, inside.name);
        }
    }
    text
}

/// Every instruction with its place.
fn instructions(steps: &[Place], symbols: &mut Symbols, system: &System) -> Result<String> {
    let mut listings: HashMap<&str, HashMap<u64, String>> = HashMap::new();
    let mut text = String::new();
    let mut last = String::new();
    for (number, (program, address)) in steps.iter().enumerate() {
        if !listings.contains_key(program) {
            let elf = system.elf(program).context("an unknown program")?;
            listings.insert(program, disassemble(elf)?);
        }
        let instruction = listings[program].get(address).map_or("?", String::as_str);
        let frames = symbols.frames(program, *address).unwrap_or_default();
        let place = frames.first().map_or("?".to_owned(), |frame| {
            let place = frame.place.as_deref().unwrap_or("assembly");
            format!("{} ({place})", frame.function)
        });
        if place != last {
            let _ = writeln!(text, "{program}: {place}");
            last = place;
        }
        let _ = writeln!(text, "{:>7}  {address:>8x}  {instruction}", number + 1);
    }
    Ok(text)
}

/// The instructions of a program by their addresses.
fn disassemble(elf: &Path) -> Result<HashMap<u64, String>> {
    let tool = setup::llvm_tool(setup::sysroot()?, "llvm-objdump")
        .context("llvm-objdump is missing (rustup component add llvm-tools)")?;
    let mut dump = Command::new(tool);
    dump.args(["-d", "--no-show-raw-insn", "--x86-asm-syntax=intel"]).arg(elf);
    let text = workspace::output_of(&mut dump)?;
    let all: HashMap<_, _> = text.lines().filter_map(instruction).collect();
    ensure!(!all.is_empty(), "llvm-objdump shows no instruction of {}", elf.display());
    Ok(all)
}

/// An instruction in a line of the disassembler.
fn instruction(line: &str) -> Option<(u64, String)> {
    let (address, text) = line.split_once(':')?;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let address = u64::from_str_radix(address.trim(), 16).ok()?;
    (!text.is_empty()).then_some((address, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_in_the_order_of_the_first_one() {
        let mut list = Vec::new();
        for name in ["b", "a", "b", "c", "b"] {
            add(&mut list, name);
        }
        let counted: Vec<_> = list.iter().map(|one| (one.name.as_str(), one.count)).collect();
        assert_eq!(counted, [("b", 3), ("a", 1), ("c", 1)]);
    }

    #[test]
    fn functions_are_described_without_types() {
        let place = Some("kernel/core/src/run.rs:12".to_owned());
        let function = Function { function: "choose<X86>".into(), place };
        let mut files = HashMap::new();
        assert_eq!(described(&function, &mut files), "choose (kernel/core/src/run.rs)");
        let elsewhere = Function { place: None, ..function };
        assert_eq!(described(&elsewhere, &mut files), "choose (kernel/core/src/run.rs)");
        let assembly = Function { function: "<T as U>::go".into(), place: None };
        assert_eq!(described(&assembly, &mut files), "<T as U>::go");
    }

    #[test]
    fn every_instruction_is_in_some_line() {
        let steps = [("kernel", 1), ("init", 2), ("kernel", 1)];
        let text = functions("x", &steps, &mut Symbols::default());
        assert!(text.starts_with("x: 3 instructions"), "{text}");
        assert!(text.contains("(kernel 2, init 1)"), "{text}");
        assert!(text.contains("      2  kernel: ?\n      1  init: ?\n"), "{text}");
    }

    #[test]
    fn lines_of_the_disassembler_are_read() {
        let line = "    1a2f:      \tmov\teax, dword ptr [rdi]";
        assert_eq!(instruction(line), Some((0x1a2f, "mov eax, dword ptr [rdi]".into())));
        assert_eq!(instruction("0000000000001a20 <name>:"), None);
        assert_eq!(instruction("file:\tformat elf64-x86-64"), None);
    }
}
