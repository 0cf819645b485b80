//! What is known about the rows: what was measured, what they may take, what
//! other kernels take.
//!
//! Must never hold a figure: budgets and recorded figures are in files beside
//! this crate.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::protocol::Row;
use crate::{setup, workspace};

/// Most instructions that the median of a row may take.
pub type Budgets = BTreeMap<String, u64>;

/// Recorded figures of other kernels: by kernel, then by row.
pub type Peers = BTreeMap<String, BTreeMap<String, u64>>;

/// What one boot of the benchmarks said.
pub struct Measured {
    /// The rows, in their order.
    pub rows: Vec<Row>,
    /// What two readings of the clock cost, which the rows do not contain:
    /// around a stub, and around a call of the library.
    pub overhead: [u64; 2],
}

/// The figures that are compared with.
pub struct Known {
    /// Of this kernel.
    pub budgets: Budgets,
    /// Of others.
    pub peers: Peers,
}

impl Known {
    /// Reads both files.
    pub fn load() -> Result<Self> {
        let (budgets, peers) = ("xtask/budgets.toml", "xtask/peers.toml");
        Ok(Self {
            budgets: toml::from_str(&read(budgets)?)
                .with_context(|| format!("in {budgets} (every line is `row = instructions`)"))?,
            peers: toml::from_str(&read(peers)?)
                .with_context(|| format!("in {peers} (a table for each kernel, as budgets)"))?,
        })
    }

    /// The figure of each peer, in their order; `None` where it has none.
    pub fn of_peers(&self, row: &str) -> impl Iterator<Item = Option<u64>> {
        self.peers.values().map(move |figures| figures.get(row).copied())
    }

    /// The row's share of what the best of the peers takes.
    pub fn ratio(&self, row: &Row) -> Option<f64> {
        let best = self.of_peers(&row.name).flatten().min()?;
        Some(row.median as f64 / best as f64)
    }
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(workspace::root().join(file))
        .with_context(|| format!("cannot read {file}"))
}

/// For each row with a budget, and each budget without a row, whether it is
/// kept.
pub fn judge(
    rows: &[Row],
    budgets: &Budgets,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Result<String, String>> {
    let one = |(name, budget): (&String, &u64)| {
        let Some(row) = rows.iter().find(|row| row.name == *name) else {
            return Err(format!("{name}: not measured, its budget is {budget}"));
        };
        let text = format!("{name}: {} instructions, its budget is {budget}", row.median);
        if row.median <= *budget { Ok(text) } else { Err(text) }
    };
    budgets.iter().filter(|budget| is_wanted(budget.0)).map(one).collect()
}

/// Everything, for programs that read it.
pub fn as_json(measured: &Measured, known: &Known) -> String {
    let row = |row: &Row| {
        let peers: BTreeMap<_, _> = known
            .peers
            .iter()
            .filter_map(|(peer, figures)| Some((peer, *figures.get(&row.name)?)))
            .collect();
        json!({
            "row": row.name, "min": row.min, "median": row.median, "p99": row.p99,
            "samples": row.samples, "budget": known.budgets.get(&row.name), "peers": peers,
        })
    };
    let [stub, library] = measured.overhead;
    let qemu = workspace::output_of(Command::new(setup::QEMU).arg("--version"));
    let mut git = Command::new("git");
    git.current_dir(workspace::root()).args(["describe", "--always", "--dirty", "--abbrev=40"]);
    let all = json!({
        "rows": measured.rows.iter().map(row).collect::<Vec<_>>(),
        "unit": "instructions",
        "overhead": { "stub": stub, "library": library },
        "qemu": qemu.ok().and_then(|text| text.lines().next().map(str::to_owned)),
        "commit": workspace::output_of(&mut git).ok(),
    });
    format!("{all:#}\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    #[test]
    fn a_row_over_its_budget_fails_by_name() {
        let budgets = Budgets::from([("null".into(), 60), ("call-0w".into(), 200)]);
        let results = judge(&[row("null", 60), row("call-0w", 201)], &budgets, |_| true);
        let over = "call-0w: 201 instructions, its budget is 200".to_owned();
        let kept = "null: 60 instructions, its budget is 60".to_owned();
        assert_eq!(results, [Err(over), Ok(kept)]);
    }

    #[test]
    fn a_budget_without_a_row_fails_unless_it_was_not_asked_for() {
        let budgets = Budgets::from([("null".into(), 60)]);
        let results = judge(&[row("other", 1)], &budgets, |_| true);
        assert_eq!(results, [Err("null: not measured, its budget is 60".into())]);
        assert!(judge(&[row("other", 1)], &budgets, |name| name == "other").is_empty());
    }

    #[test]
    fn the_files_in_the_repository_are_right() {
        let known = Known::load().expect("both files");
        assert!(known.budgets.len() > 10);
        // The ratio is the one to the best of them.
        assert_eq!(known.of_peers("call-4w").collect::<Vec<_>>(), [Some(457), Some(557)]);
        assert_eq!(known.ratio(&row("call-4w", 914)), Some(2.0));
        assert_eq!(known.of_peers("null").collect::<Vec<_>>(), [Some(85), None]);
        assert_eq!(known.ratio(&row("no-such-row", 1)), None);
    }

    #[test]
    fn the_json_has_the_promised_form() {
        let known = Known {
            budgets: Budgets::from([("null".into(), 60)]),
            peers: Peers::from([("other".into(), BTreeMap::from([("null".into(), 85)]))]),
        };
        let measured = Measured { rows: vec![row("null", 5), row("new", 7)], overhead: [4, 6] };
        let json: serde_json::Value =
            serde_json::from_str(&as_json(&measured, &known)).expect("JSON");
        let first = json!({ "row": "null", "min": 5, "median": 5, "p99": 5, "samples": 100,
            "budget": 60, "peers": { "other": 85 } });
        assert_eq!(json["rows"][0], first);
        assert_eq!(json["rows"][1]["budget"], serde_json::Value::Null);
        assert_eq!(json["rows"][1]["peers"], json!({}));
        assert!(json["qemu"].is_string() || json["qemu"].is_null());
        assert_eq!(json["overhead"], json!({ "stub": 4, "library": 6 }));
    }
}
