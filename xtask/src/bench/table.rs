//! The rows as a table for the terminal.

use super::figures::{Known, Measured};
use crate::protocol::Row;

/// The row that `--wall` compares all others with.
pub const UNIT: &str = "null";

/// Counted instructions, next to budgets and recorded figures.
pub fn counted(measured: &Measured, known: &Known) -> String {
    let mut head: Vec<_> =
        ["row", "min", "median", "p99", "samples", "budget"].map(str::to_owned).into();
    head.extend(known.peers.keys().cloned());
    head.push("ratio".to_owned());
    let line = |row: &Row| {
        let mut line = vec![row.name.clone()];
        line.extend([row.min, row.median, row.p99, row.samples].map(|count| count.to_string()));
        line.push(or_dash(known.budgets.get(&row.name)));
        line.extend(known.of_peers(&row.name).map(or_dash));
        line.push(or_dash(known.ratio(row).map(|ratio| format!("{ratio:.2}"))));
        line
    };
    let lines: Vec<_> = std::iter::once(head).chain(measured.rows.iter().map(line)).collect();
    let [stub, library] = measured.overhead;
    format!(
        "{}\n\nInstructions. The ratio is the median to the best of the other kernels. Subtracted: \
         {stub} for the\nclock readings around a stub, {library} around a call of the library, \
         0 in `irq`.",
        align(&lines)
    )
}

/// Times without counting, as multiples of the row [`UNIT`] only: the same
/// computer gives other ones tomorrow.
pub fn ratios(measured: &Measured) -> Option<String> {
    let unit = measured.rows.iter().find(|row| row.name == UNIT)?.median.max(1) as f64;
    let head = ["row", "min", "median", "p99", "samples"].map(str::to_owned).into();
    let line = |row: &Row| {
        let mut line = vec![row.name.clone()];
        line.extend([row.min, row.median, row.p99].map(|t| format!("{:.2}", t as f64 / unit)));
        line.push(row.samples.to_string());
        line
    };
    let lines: Vec<_> = std::iter::once(head).chain(measured.rows.iter().map(line)).collect();
    Some(format!(
        "{}\n\nMultiples of the median time of `{UNIT}`, on this computer, today.",
        align(&lines)
    ))
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Columns of equal width: the first to the left, the others to the right.
fn align(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let shown = lines.iter().map(|line| {
        let cell = |(column, text): (usize, &String)| match column {
            0 => format!("{text:<0$}", width(0)),
            _ => format!("{text:>0$}", width(column)),
        };
        line.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ")
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Budgets, Peers};
    use super::super::tests::row;
    use super::*;

    #[test]
    fn the_table_is_aligned() {
        let known = Known {
            budgets: Budgets::from([("null".into(), 60)]),
            peers: Peers::from([("other".into(), [("null".to_owned(), 10)].into())]),
        };
        let measured =
            Measured { rows: vec![row("null", 5), row("call", 12345)], overhead: [4, 6] };
        let text = counted(&measured, &known);
        let expected = "row     min  median    p99  samples  budget  other  ratio\n\
                        null      5       5      5      100      60     10   0.50\n\
                        call  12345   12345  12345      100       -      -      -\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("4 for the") && text.contains("6 around a call"), "{text}");
    }

    #[test]
    fn without_counting_there_are_only_ratios() {
        let measured = Measured { rows: vec![row("null", 50), row("call", 125)], overhead: [4, 6] };
        let text = ratios(&measured).expect("the unit is there");
        assert!(text.contains("null  1.00    1.00  1.00      100\n"), "{text}");
        assert!(text.contains("call  2.50    2.50  2.50      100\n"), "{text}");
        assert!(!text.contains("50.") && !text.contains("125"), "{text}");
        let rows = vec![row("call", 125)];
        assert!(ratios(&Measured { rows, overhead: [4, 6] }).is_none());
    }
}
