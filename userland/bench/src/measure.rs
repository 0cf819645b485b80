//! Samples of one operation: warm-up, many repetitions, the spread.

use alloc::vec::Vec;
use core::fmt;

use postern_runtime::syscall::raw::clobber_registers;
use postern_runtime::time::time_stamp;

/// Repetitions before the first sample.
const WARM_UP: usize = 256;
/// Samples of one row.
const SAMPLES: usize = 2000;

/// What a pair of readings costs with nothing between them.
#[derive(Debug, Clone, Copy)]
pub struct Overhead(u64);

impl Overhead {
    /// Measures it: the least of many, because only that is free of
    /// interrupts.
    pub fn measure() -> Self {
        let least = (0..WARM_UP + SAMPLES).map(|_| {
            let start = time_stamp();
            clobber_registers();
            time_stamp() - start
        });
        Self(least.min().unwrap_or(0))
    }
}

/// The spread of the samples.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    least: u64,
    median: u64,
    percentile: u64,
    samples: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.least, self.median, self.percentile, self.samples)
    }
}

/// Repeats `operation`; the first error ends it.
#[inline(always)]
pub fn samples<E>(
    overhead: Overhead,
    mut operation: impl FnMut() -> Result<(), E>,
) -> Result<Figures, E> {
    for _ in 0..WARM_UP {
        operation()?;
    }
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let start = time_stamp();
        let result = operation();
        let end = time_stamp();
        result?;
        samples.push((end - start).saturating_sub(overhead.0));
    }
    samples.sort_unstable();
    Ok(Figures {
        least: samples[0],
        median: samples[SAMPLES / 2],
        percentile: samples[SAMPLES * 99 / 100],
        samples: SAMPLES,
    })
}
