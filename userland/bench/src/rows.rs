//! The rows: what is measured, in files by what they are about.

mod calls;
mod capabilities;
mod crossings;
mod events;
mod guests;
mod objects;
mod relays;
mod threads;

use postern_runtime::Boot;

use crate::failure::Failure;
use crate::measure::{Figures, Meter};

/// What every row needs.
pub struct Bench<'a> {
    /// The capabilities of the first program.
    pub boot: &'a Boot,
    /// Takes the samples.
    pub meter: Meter,
}

/// A row of the table.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Measures it.
    pub run: fn(&Bench<'_>) -> Result<Figures, Failure>,
}

impl Row {
    const fn new(name: &'static str, run: fn(&Bench<'_>) -> Result<Figures, Failure>) -> Self {
        Self { name, run }
    }
}

/// All rows, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Row> {
    let parts = [
        calls::ROWS,
        crossings::ROWS,
        relays::ROWS,
        events::ROWS,
        guests::ROWS,
        objects::ROWS,
        capabilities::ROWS,
        threads::ROWS,
        events::LAST,
    ];
    parts.into_iter().flatten()
}
