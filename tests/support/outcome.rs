//! Results of system calls as one word, so that a partner can end with them.

use postern_runtime::syscall::{ErrorCode, Result};

/// 0 for success, else the error as it stands in `rax`.
#[must_use]
pub fn tell<T>(result: Result<T>) -> u64 {
    match result {
        Ok(_) => 0,
        Err(error) => error.encode(),
    }
}

/// What [`tell`] has told.
///
/// # Errors
/// The error that was told.
///
/// # Panics
/// If it is no error that the kernel could have returned.
pub fn told(code: u64) -> Result<()> {
    match code {
        0 => Ok(()),
        code => match ErrorCode::decode(code) {
            Some(error) => Err(error),
            None => panic!("{code:#x} is no error"),
        },
    }
}
