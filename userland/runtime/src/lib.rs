//! What a Postern program stands on.
//!
//! A program is a `no_std` crate with one line more than usual:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! postern_runtime::main!(main);
//!
//! fn main(env: postern_runtime::Env) -> Result<(), postern_runtime::Error> {
//!     let console: postern_runtime::syscall::Gate = env.capability("console")?;
//!     postern_runtime::println!("my gate is {console:?}");
//!     Ok(())
//! }
//! ```
//!
//! - [`main!`], [`init_main!`]: the entry point, the heap, the panic handler.
//! - [`Env`]: capabilities by name, arguments. [`own`]: the program's own task,
//!   thread, factory. [`slots`]: empty slots of the capability table.
//! - [`log!`], [`print!`], [`println!`].
//! - [`interface`]: a trait becomes client and server. [`names`]: servers by
//!   name. [`server`]: one wait for all gates and signals, or contexts that
//!   clients cross into. [`relay`]: memory that changes hands with a call;
//!   [`copying`]: messages of any length for those who do not want to know.
//! - [`thread`], [`crossing`], [`time`], [`Timers`], [`memory`], [`Mutex`].
//! - [`program`]: starts other programs.
//!
//! Rules of this crate: it holds no capability that the program was not given;
//! it waits only where a function's name says so; nothing in it panics because
//! of what another program sends. `unsafe` is for the entry points, the
//! allocator and mapped memory.
#![no_std]

extern crate alloc;

pub mod copying;
pub mod crossing;
#[doc(hidden)]
pub mod entry;
mod env;
mod error;
mod heap;
pub mod interface;
mod lock;
pub mod memory;
pub mod names;
pub mod output;
pub mod own;
mod panic;
pub mod prelude;
pub mod program;
pub mod relay;
pub mod server;
pub mod slots;
mod termination;
pub mod thread;
pub mod time;
pub mod timers;

pub use entry::Boot;
pub use env::{Env, Region};
pub use error::{Error, Explain, Result};
pub use heap::usage as heap_usage;
pub use lock::Mutex;
pub use postern_loader as loader;
pub use postern_protocol as protocol;
pub use postern_protocol::Name;
pub use postern_syscall as syscall;
pub use termination::{Termination, exit, exit_code};
pub use timers::Timers;

/// Makes a function the program's main function: `fn main(env: Env) -> T`
/// where `T` is `()`, a code, or a `Result` of these ([`Termination`]).
#[macro_export]
macro_rules! main {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn __postern_main(first: u64, second: u64) -> ! {
            $crate::entry::run(first, second, $main)
        }
    };
}

/// Makes a function the main function of a program that the *kernel* starts
/// (init, or a test runner in its place): `fn main(boot: Boot) -> T`.
#[macro_export]
macro_rules! init_main {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn __postern_main(first: u64, second: u64) -> ! {
            $crate::entry::run_init(first, second, $main)
        }
    };
}
