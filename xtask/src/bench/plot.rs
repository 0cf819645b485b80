//! The rows as a picture: bars beside the other kernels, and lines that show
//! how a cost grows.
//!
//! Must never need more than a program that shows SVG files: no scripts, no
//! fonts of its own, readable on any background.

mod axis;
mod draw;

use super::figures::Known;
use crate::protocol::Row;
use axis::{Axis, Scale};
use draw::{Anchor, Canvas};

/// Colours of the bars, Postern's first.
const COLOURS: [&str; 4] = ["#1769aa", "#8d99a6", "#c4ccd4", "#e08214"];
/// Colours of the lines of one panel.
const LINES: [&str; 3] = [COLOURS[0], COLOURS[3], "#4d9221"];
/// Width of the picture.
const WIDTH: f64 = 760.0;
/// Left and right of every panel's axes.
const LEFT: f64 = 110.0;
const RIGHT: f64 = WIDTH - 60.0;

/// How one quantity changes a cost: rows whose names have a number in them.
struct Family {
    title: &'static str,
    /// What the number counts.
    quantity: &'static str,
    scale: Scale,
    /// Whether the row does the operation as often as the number says; then
    /// what is drawn is the cost of one.
    is_each: bool,
    /// The rows: what the legend calls them, and their names around the number.
    lines: &'static [(&'static str, &'static str, &'static str)],
}

const FAMILIES: [Family; 5] = [
    Family {
        title: "Call and answer: length of the message",
        quantity: "words each way",
        scale: Scale::Linear,
        is_each: false,
        lines: &[
            ("to another task", "call-", "w"),
            ("in the same task", "call-same-", "w"),
            ("crossing into another task", "cross-", "w"),
        ],
    },
    Family {
        title: "Call through a chain of servers",
        quantity: "servers",
        scale: Scale::Linear,
        is_each: false,
        lines: &[("call-4w through a chain", "chain-", "")],
    },
    Family {
        title: "Call while other threads wait at their gates",
        quantity: "other threads and gates",
        scale: Scale::Logarithmic,
        is_each: false,
        lines: &[("call-4w", "crowd-", "")],
    },
    Family {
        title: "Deriving and revoking, for each capability",
        quantity: "capabilities",
        scale: Scale::Logarithmic,
        is_each: true,
        lines: &[("derive", "derive-", ""), ("revoke", "revoke-", "")],
    },
    Family {
        title: "Call with a relay segment",
        quantity: "size of the segment",
        scale: Scale::Bytes,
        is_each: false,
        lines: &[("by crossing", "relay-", ""), ("to a thread", "relay-thread-", "")],
    },
];

/// The picture of `rows`; `None` if none of them can be drawn.
pub fn svg(rows: &[Row], known: &Known) -> Option<String> {
    let mut canvas = Canvas::new(WIDTH);
    let compared: Vec<_> = rows
        .iter()
        .filter(|row| known.of_peers(&row.name).any(|figure| figure.is_some()))
        .collect();
    if !compared.is_empty() {
        bars(&mut canvas, &compared, known);
    }
    for family in &FAMILIES {
        let lines: Vec<_> = family.lines.iter().map(|line| points(rows, family, line)).collect();
        // One point is no growth.
        if lines.iter().any(|line| line.len() > 1) {
            curves(&mut canvas, family, &lines);
        }
    }
    canvas.finish()
}

/// Horizontal bars, a group for each row.
fn bars(canvas: &mut Canvas, rows: &[&Row], known: &Known) {
    const BAR: f64 = 11.0;
    let names: Vec<_> =
        std::iter::once("Postern").chain(known.peers.keys().map(String::as_str)).collect();
    let groups: Vec<Vec<_>> = rows
        .iter()
        .map(|row| std::iter::once(Some(row.median)).chain(known.of_peers(&row.name)).collect())
        .collect();
    let most = groups.iter().flatten().flatten().max().copied().unwrap_or(1);
    let axis = Axis::new(Scale::Linear, 0.0, most as f64, LEFT, RIGHT);
    let group = BAR * names.len() as f64 + 9.0;

    canvas.title("Instructions for one operation, the whole way");
    canvas.legend(LEFT, names.iter().copied().zip(COLOURS));
    let top = canvas.take(group * rows.len() as f64 + 40.0);
    let bottom = top + group * rows.len() as f64;
    for (place, text) in axis.ticks() {
        canvas.line((place, top), (place, bottom), "#dddddd");
        canvas.text((place, bottom + 15.0), Anchor::Middle, &text);
    }
    canvas.text((RIGHT, bottom + 31.0), Anchor::End, "instructions");
    for (index, (row, figures)) in rows.iter().zip(&groups).enumerate() {
        let y = top + group * index as f64 + 4.0;
        let middle = y + BAR * names.len() as f64 / 2.0;
        canvas.text((LEFT - 8.0, middle + 4.0), Anchor::End, &row.name);
        for (number, (figure, colour)) in figures.iter().zip(COLOURS).enumerate() {
            let Some(figure) = figure else { continue };
            let (end, y) = (axis.place(*figure as f64), y + BAR * number as f64);
            canvas.bar((LEFT, y), end - LEFT, BAR - 1.0, colour);
            canvas.small_text((end + 4.0, y + BAR - 2.0), &figure.to_string());
        }
    }
    canvas.line((LEFT, top), (LEFT, bottom), "#444444");
}

/// The rows of one line of a family, as points.
fn points(
    rows: &[Row],
    family: &Family,
    (_, prefix, suffix): &(&str, &str, &str),
) -> Vec<(f64, f64)> {
    let point = |row: &Row| {
        let x = number(row.name.strip_prefix(prefix)?.strip_suffix(suffix)?)?;
        let y = row.median as f64;
        Some((x, if family.is_each { y / x } else { y }))
    };
    let mut points: Vec<_> = rows.iter().filter_map(point).collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
}

/// A number in a row's name, which may end in k, m or g.
fn number(text: &str) -> Option<f64> {
    let unit = match text.chars().last()? {
        'k' => 1 << 10,
        'm' => 1 << 20,
        'g' => 1 << 30,
        _ => 1,
    };
    let digits = if unit == 1 { text } else { &text[..text.len() - 1] };
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse::<u64>().ok()).flatten().map(|n| (n * unit) as f64)
}

/// Lines through points.
fn curves(canvas: &mut Canvas, family: &Family, lines: &[Vec<(f64, f64)>]) {
    const HEIGHT: f64 = 170.0;
    let all = || lines.iter().flatten();
    let least = all().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = all().map(|point| point.0).fold(0.0, f64::max);
    let highest = all().map(|point| point.1).fold(0.0, f64::max);

    canvas.title(family.title);
    let drawn = || family.lines.iter().zip(lines).zip(LINES).filter(|line| !line.0.1.is_empty());
    canvas.legend(LEFT, drawn().map(|((names, _), colour)| (names.0, colour)));
    let top = canvas.take(HEIGHT + 48.0);
    let bottom = top + HEIGHT;
    let across = Axis::new(family.scale, least, most, LEFT, RIGHT);
    let up = Axis::new(Scale::Linear, 0.0, highest, bottom, top);
    for (place, text) in up.ticks() {
        canvas.line((LEFT, place), (RIGHT, place), "#dddddd");
        canvas.text((LEFT - 8.0, place + 4.0), Anchor::End, &text);
    }
    for (place, text) in across.ticks() {
        canvas.line((place, bottom), (place, bottom + 4.0), "#444444");
        canvas.text((place, bottom + 17.0), Anchor::Middle, &text);
    }
    canvas.line((LEFT, bottom), (RIGHT, bottom), "#444444");
    canvas.line((LEFT, top), (LEFT, bottom), "#444444");
    let each = if family.is_each { "instructions for each" } else { "instructions" };
    canvas.text((RIGHT, bottom + 34.0), Anchor::End, &format!("{} → {each}", family.quantity));
    for ((_, points), colour) in drawn() {
        let places: Vec<_> =
            points.iter().map(|point| (across.place(point.0), up.place(point.1))).collect();
        canvas.curve(&places, colour);
    }
}

#[cfg(test)]
mod tests;
