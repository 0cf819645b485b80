//! How a program ends: what `main` may return, and the exit codes that the
//! runtime itself uses.

use core::fmt::Display;

use postern_syscall::control;

/// Exit codes with a meaning of their own; programs use 0 and small numbers.
pub mod exit_code {
    /// All went well.
    pub const SUCCESS: i32 = 0;
    /// `main` returned an error.
    pub const ERROR: i32 = 1;
    /// The program panicked (the number that Rust uses everywhere).
    pub const PANIC: i32 = 101;
    /// Program and kernel, or program and starter, have different ABIs.
    pub const WRONG_ABI: i32 = 102;
}

/// Ends the calling thread with `code`; in the first thread that is what the
/// supervisor sees. Negative codes keep their sign in 64 bits.
pub fn exit(code: i32) -> ! {
    control::exit(i64::from(code) as u64)
}

/// What `main` may return.
pub trait Termination {
    /// The exit code; errors are written to the log on the way.
    fn code(self) -> i32;
}

impl Termination for () {
    fn code(self) -> i32 {
        exit_code::SUCCESS
    }
}

impl Termination for i32 {
    fn code(self) -> i32 {
        self
    }
}

impl Termination for core::convert::Infallible {
    fn code(self) -> i32 {
        match self {}
    }
}

impl<T: Termination, E: Display> Termination for Result<T, E> {
    fn code(self) -> i32 {
        match self {
            Ok(value) => value.code(),
            Err(error) => {
                crate::log!("ends with an error: {error}");
                exit_code::ERROR
            }
        }
    }
}
