//! How a test came out, and why.

use alloc::format;
use alloc::string::String;
use core::fmt;

use postern_runtime::syscall::abi::op::reason;
use postern_runtime::{exit_code, memory};
use postern_tests::protocol::{PASSED, SAID_WHY};

/// How a test came out.
pub enum Outcome {
    /// It passed.
    Passed,
    /// It does not apply here, and why.
    Skipped(String),
    /// It failed, and why.
    Failed(String),
}

impl Outcome {
    /// A failure for this reason.
    pub fn failed(reason: fmt::Arguments<'_>) -> Self {
        Self::Failed(format!("{reason}"))
    }

    /// What the end of the test's first thread means; `said` is what the test
    /// itself said before.
    pub fn of_end(words: [u64; 4], said: Option<Self>, program: &str) -> Self {
        let [reason, detail, instruction, error] = words;
        match (reason, detail) {
            (reason::EXIT, PASSED) => said.unwrap_or(Self::Passed),
            (reason::EXIT, SAID_WHY) => {
                said.unwrap_or_else(|| Self::failed(format_args!("it failed without a reason")))
            }
            (reason::EXIT, code) if code == exit_code::PANIC as u64 => {
                Self::failed(format_args!("it panicked"))
            }
            (reason::EXIT, code) => Self::failed(format_args!("it ended with the code {code}")),
            _ => {
                let what = reason::name(reason);
                let offset = instruction.wrapping_sub(memory::IMAGE_ADDRESS);
                let access = match error {
                    _ if reason != reason::EXCEPTION + 14 => "",
                    error if error & 16 != 0 => " executing",
                    error if error & 2 != 0 => " writing",
                    _ => " reading",
                };
                Self::failed(format_args!("{what}{access} {detail:#x} at {program}+{offset:#x}"))
            }
        }
    }

    /// Adds what was found afterwards, which makes it a failure.
    pub fn and(self, also: fmt::Arguments<'_>) -> Self {
        match self {
            Self::Passed | Self::Skipped(_) => Self::failed(also),
            Self::Failed(reason) => Self::failed(format_args!("{reason}; {also}")),
        }
    }
}
