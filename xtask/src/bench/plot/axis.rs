//! From numbers to places, and which numbers to write at an axis.

/// How places follow from numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal factors are equally long; for numbers over 0.
    Logarithmic,
    /// The same, in bytes.
    Bytes,
}

/// An axis between two places.
pub struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// An axis on which everything between `from` and `to` has a place between
    /// `start` and `end`, the second of which may be the smaller one.
    pub fn new(scale: Scale, from: f64, to: f64, start: f64, end: f64) -> Self {
        let (from, to) = match scale {
            Scale::Linear => (from.min(0.0), step(to.max(1.0)) * (to / step(to.max(1.0))).ceil()),
            Scale::Logarithmic | Scale::Bytes => (from.max(1.0), to.max(from * 10.0)),
        };
        Self { scale, from, to: to.max(from + 1.0), start, end }
    }

    /// The place of a number.
    pub fn place(&self, number: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (number - self.from) / (self.to - self.from),
            Scale::Logarithmic | Scale::Bytes => {
                (number / self.from).ln() / (self.to / self.from).ln()
            }
        };
        self.start + part * (self.end - self.start)
    }

    /// Numbers to write at the axis, with their places.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let next = |number: f64| match self.scale {
            Scale::Linear => number + step(self.to),
            Scale::Logarithmic => number * 10.0,
            Scale::Bytes => number * 16.0,
        };
        let text = |number| if self.scale == Scale::Bytes { bytes(number) } else { short(number) };
        std::iter::successors(Some(self.from), |number| Some(next(*number)))
            .take_while(|number| *number <= self.to * 1.000_001)
            .map(|number| (self.place(number), text(number)))
            .collect()
    }
}

/// A round step of which four to nine lead to `most`.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf(most.log10().floor());
    let factor = [0.2, 0.25, 0.5, 1.0].into_iter().find(|factor| most / (power * factor) <= 8.0);
    (power * factor.unwrap_or(1.0)).max(1.0)
}

/// A number in few characters.
fn short(number: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e4, "k")];
    match units.into_iter().find(|unit| number >= unit.0) {
        Some((1e4, _)) => format!("{}k", number / 1e3),
        Some((unit, name)) => format!("{}{name}", (number / unit * 10.0).round() / 10.0),
        None => format!("{number}"),
    }
}

/// A number of bytes in the largest unit that leaves it whole.
fn bytes(number: f64) -> String {
    let units =
        [(30, "GiB"), (20, "MiB"), (10, "KiB")].map(|(power, name)| (2_f64.powi(power), name));
    match units.into_iter().find(|unit| number >= unit.0) {
        Some((unit, name)) => format!("{} {name}", (number / unit).round()),
        None => format!("{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_reaches_from_place_to_place() {
        let axis = Axis::new(Scale::Linear, 0.0, 2899.0, 100.0, 700.0);
        assert_eq!(axis.place(0.0), 100.0);
        assert!(axis.place(2899.0) <= 700.0 && axis.place(2899.0) > 600.0);
        let texts: Vec<_> = axis.ticks().into_iter().map(|tick| tick.1).collect();
        assert_eq!(texts, ["0", "500", "1000", "1500", "2000", "2500", "3000"]);
        let down = Axis::new(Scale::Linear, 0.0, 10.0, 200.0, 50.0);
        assert!(down.place(10.0) >= 50.0 && down.place(1.0) < down.place(0.0));
    }

    #[test]
    fn bytes_have_their_own_units() {
        let axis = Axis::new(Scale::Bytes, 4096.0, 1_073_741_824.0, 0.0, 100.0);
        let texts: Vec<_> = axis.ticks().into_iter().map(|tick| tick.1).collect();
        assert_eq!(texts, ["4 KiB", "64 KiB", "1 MiB", "16 MiB", "256 MiB"]);
    }

    #[test]
    fn a_logarithmic_axis_has_equal_decades() {
        let axis = Axis::new(Scale::Logarithmic, 1.0, 10_000.0, 0.0, 400.0);
        let ticks = axis.ticks();
        let texts: Vec<_> = ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(texts, ["1", "10", "100", "1000", "10k"]);
        assert!((ticks[1].0 - 100.0).abs() < 1e-9 && (ticks[4].0 - 400.0).abs() < 1e-9);
    }
}
