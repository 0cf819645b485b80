//! A mutex for the threads of one program.
//!
//! Uncontended it is one atomic instruction. Waiting *sleeps* for a moment at a
//! time instead of spinning: with fixed priorities, a thread that spins for a
//! lock whose holder has a lower priority would spin for ever. It must not be
//! held across calls to other programs.

use core::time::Duration;

use postern_syscall::{clock, control};

/// How long a thread sleeps before it tries again.
const PAUSE: Duration = Duration::from_micros(50);

/// Waits for a lock by sleeping.
pub struct Sleep;

impl spin::RelaxStrategy for Sleep {
    fn relax() {
        let until = clock::now().saturating_add(PAUSE.as_nanos() as u64);
        // Woken early or not: the lock is tried again.
        let _ = control::sleep_until(until);
    }
}

/// A mutex whose waiters sleep.
pub type Mutex<T> = spin::mutex::SpinMutex<T, Sleep>;
