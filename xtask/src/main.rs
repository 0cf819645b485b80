//! `cargo xtask`: everything a developer does with Postern, one file a command.
//!
//! Runs on the developer's computer. It must never depend on `boot` (asking
//! for help would wait minutes for the bootloader) and never hold knowledge
//! that the kernel and programs need too: that is `postern_abi`'s.
#![forbid(unsafe_code)]

#[cfg(test)]
mod abi_text;
mod archive;
mod bench;
mod build;
mod caps;
mod check;
#[cfg(test)]
mod conformance;
mod elf;
mod gdb;
mod guests;
#[cfg(test)]
mod guide;
mod host;
mod image;
mod manifest;
mod new;
mod prompt;
mod protocol;
mod qemu;
#[cfg(test)]
mod readme;
mod run;
mod script;
mod session;
mod setup;
mod step;
mod suite;
mod symbols;
mod system;
mod terminal;
mod test;
mod trace;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs, tests and measures Postern.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start Postern in QEMU, with the serial console on this terminal
    Run(run::Options),
    /// Start Postern in QEMU under gdb, with the symbols of the kernel and of
    /// every program
    Gdb(gdb::Options),
    /// Run the tests on the host and in QEMU
    Test(test::Options),
    /// Count instructions of kernel paths in QEMU
    Bench(bench::Options),
    /// Run commands with the kernel's trace on, and write what happened for
    /// Perfetto
    Trace(trace::Options),
    /// Write disk images for BIOS and UEFI machines
    Image(image::Options),
    /// Make a crate with a server, its client and a test
    New(new::Options),
    /// Show which programs the system has, what each is given, who may call whom
    Caps(caps::Options),
    /// Check formatting, lints, host tests and documentation
    Check(check::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(options) => run::main(&options),
        Command::Gdb(options) => gdb::main(&options),
        Command::Test(options) => test::main(&options),
        Command::Bench(options) => bench::main(&options),
        Command::Trace(options) => trace::main(&options),
        Command::Image(options) => image::main(&options),
        Command::New(options) => new::main(&options),
        Command::Caps(options) => caps::main(&options),
        Command::Check(options) => check::main(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
