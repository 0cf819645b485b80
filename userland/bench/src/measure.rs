//! Samples of one operation: warm-up, many repetitions, the spread.

use alloc::vec::Vec;
use core::fmt;

use postern_runtime::syscall::abi::harness::BENCH_MARK;
use postern_runtime::syscall::raw::clobber_registers;
use postern_runtime::syscall::stub::client::{self, Timed, postern_bench_mark};
use postern_runtime::time::time_stamp;

use crate::failure::Failure;

/// Repetitions before the first sample, at most: long rows have fewer.
const WARM_UP: usize = 200;
/// Samples of a row, unless it is too long for so many.
pub const SAMPLES: usize = 1000;

/// Takes samples, and knows what a pair of readings costs with nothing between
/// them: the least of many, because only that is free of interrupts.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    /// Around a stub in assembly.
    stub: u64,
    /// Around a call of the library, which leaves the compiler no register.
    library: u64,
    /// Whether a debugger waits for a mark.
    is_explained: bool,
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stub, self.library)
    }
}

impl Meter {
    /// Measures the overheads.
    pub fn new(is_explained: bool) -> Self {
        let stub = (0..SAMPLES).map(|_| client::empty().elapsed()).min();
        let library = (0..SAMPLES).map(|_| time(clobber_registers).0).min();
        Self { stub: stub.unwrap_or(0), library: library.unwrap_or(0), is_explained }
    }

    /// What lies between two readings in a program that only reads the clock,
    /// with room for everything but an interrupt.
    pub fn gap(&self) -> u64 {
        16 * (self.stub + self.library)
    }

    /// Samples of a stub.
    pub fn stub(
        &self,
        mut sample: impl FnMut() -> Result<Timed, Failure>,
    ) -> Result<Figures, Failure> {
        let mut round = 0;
        self.samples(SAMPLES, self.stub, || {
            self.mark(&mut round, SAMPLES);
            let timed = sample()?;
            if timed.failed { Err(Failure::Stub) } else { Ok(timed.elapsed()) }
        })
    }

    /// Samples of calls of the library, as [`time`] measures them.
    pub fn library(
        &self,
        count: usize,
        mut sample: impl FnMut() -> Result<u64, Failure>,
    ) -> Result<Figures, Failure> {
        let mut round = 0;
        self.samples(count, self.library, || {
            self.mark(&mut round, count);
            sample()
        })
    }

    /// Counts rounds of a row with `count` samples, and before the first sample
    /// tells the debugger that waits for it, if one does.
    pub fn mark(&self, round: &mut usize, count: usize) {
        if self.is_explained && *round == warm_up(count) {
            postern_bench_mark(BENCH_MARK);
        }
        *round += 1;
    }

    /// Samples from which `overhead` is subtracted; the first error ends it.
    pub fn samples(
        &self,
        count: usize,
        overhead: u64,
        mut sample: impl FnMut() -> Result<u64, Failure>,
    ) -> Result<Figures, Failure> {
        for _ in 0..warm_up(count) {
            sample()?;
        }
        let mut samples = Vec::with_capacity(count);
        for _ in 0..count {
            samples.push(sample()?.saturating_sub(overhead));
        }
        samples.sort_unstable();
        Ok(Figures {
            least: samples[0],
            median: samples[count / 2],
            percentile: samples[count * 99 / 100],
            samples: count,
        })
    }
}

/// How often a row with `count` samples is done before the first one.
fn warm_up(count: usize) -> usize {
    WARM_UP.min(count.div_ceil(4))
}

/// What the clock says about `operation`, and its result.
#[inline(always)]
pub fn time<T>(operation: impl FnOnce() -> T) -> (u64, T) {
    let start = time_stamp();
    let result = operation();
    (time_stamp() - start, result)
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
