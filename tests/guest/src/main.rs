//! A guest for the tests of the monitor (`userland/vmm`): a kernel of its own,
//! started as the `bootloader` crate starts kernels. It reads commands from its
//! serial port and does what they say: everything that a guest may do, and what
//! it may not.
//!
//! It asks with the shell's own prompt, so that the scripts in `tests/scripts`
//! can talk to it. Nothing of Postern but the numbers in `postern_abi` and the
//! hypercalls is used.
#![no_std]
#![no_main]

mod bare;
mod console;
mod hostile;
mod rows;
mod works;

use core::panic::PanicInfo;

use bootloader_api::BootInfo;
use bootloader_api::config::{BootloaderConfig, Mapping};
use postern_abi::harness::{EXIT_PANIC, EXIT_SUCCESS, PROMPT};
use postern_hypercall::{Hypercalls, Switch};

use console::{line, print, println};

/// All memory is mapped, so that commands can use it.
const CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config
};

bootloader_api::entry_point!(main, config = &CONFIG);

/// What a command gets.
struct Given {
    /// Where all memory is mapped.
    physical: u64,
    /// Bytes of memory.
    memory: u64,
    /// The word behind the command, if it is a number.
    number: Option<u64>,
}

/// A command: its name, and what it does.
type Command = (&'static str, fn(&Given));

const COMMANDS: &[Command] = &[
    ("rows", rows::all),
    ("dump", rows::dump),
    ("exceptions", works::exceptions),
    ("timer", works::timer),
    ("keys", works::keys),
    ("memory", works::memory),
    ("registers", works::registers),
    ("spin", hostile::spin),
    ("outside", hostile::outside),
    ("ticks", hostile::ticks),
    ("triple", hostile::triple),
    ("flood", hostile::flood),
    ("msrs", hostile::msrs),
    ("ports", hostile::ports),
    ("halt", hostile::halt),
    ("string", hostile::string),
    ("count", works::count),
    ("off", off),
];

fn main(info: &'static mut BootInfo) -> ! {
    console::start();
    bare::start();
    let memory = info.memory_regions.iter().map(|region| region.end).max().unwrap_or(0);
    println!("selftest: a guest with {} MiB", memory >> 20);
    match Hypercalls::detect(Switch::On) {
        Ok(calls) => println!("hypercalls: {} ({:?})", calls.features(), calls.opcode()),
        Err(absent) => println!("hypercalls: {absent}"),
    }
    let physical = info.physical_memory_offset.into_option().unwrap_or(0);
    let mut buffer = [0; 80];
    loop {
        print!("{PROMPT}");
        let text = line(&mut buffer);
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let given = Given { physical, memory, number: rest.parse().ok() };
        match COMMANDS.iter().find(|command| command.0 == name) {
            Some((_, command)) => command(&given),
            None if name.is_empty() => {}
            None => println!("selftest: no command `{name}`"),
        }
    }
}

fn off(given: &Given) {
    println!("selftest: good bye");
    bare::exit(given.number.map_or(EXIT_SUCCESS, |code| code as u8));
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("selftest: {info}");
    bare::exit(EXIT_PANIC)
}
