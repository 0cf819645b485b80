//! The trace as a picture: a line for each thread that calls or is called, a
//! bar for each call on both sides, an arrow between them, and below who had the
//! CPU.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::build::{Trace, Track};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 130.0;
const ROW: f64 = 46.0;
const BAR: f64 = 20.0;
const STYLE: &str = "text{font:11px sans-serif;fill:#222}.name{font-weight:bold}\
.call{fill:#cfe2f3;stroke:#3d6fa5}.serve{fill:#d9ead3;stroke:#4b8a3b}.failed{fill:#f4cccc;stroke:#a33}\
.run{fill:#ddd;stroke:#999}.arrow{stroke:#555;fill:none}.grid{stroke:#eee}";

/// The picture as SVG; with `focus` of the time in which this program has a part
/// in calls.
pub fn draw(trace: &Trace, focus: Option<&str>) -> String {
    let served = || trace.calls.iter().filter(|call| call.served.is_some());
    let is_it = |track: Track| focus.is_none_or(|name| trace.programs[track.program] == name);
    let seen =
        || served().filter(|call| is_it(call.caller) || call.served.is_some_and(|it| is_it(it.0)));
    let start = seen().map(|call| call.time[0]).min().unwrap_or(0);
    let end = seen().map(|call| call.time[1]).max().unwrap_or(1).max(start + 1);
    let shown: Vec<_> =
        served().filter(|call| call.time[1] > start && call.time[0] < end).collect();
    let mut rows: BTreeMap<Track, f64> = BTreeMap::new();
    // In the order in which they come in.
    for call in &shown {
        for track in [Some(call.caller), call.served.map(|served| served.0)].into_iter().flatten() {
            let next = 40.0 + rows.len() as f64 * ROW;
            rows.entry(track).or_insert(next);
        }
    }
    let bottom = 40.0 + rows.len() as f64 * ROW;
    let x = |time: u64| {
        let part = time.clamp(start, end) - start;
        LEFT + part as f64 / (end - start) as f64 * (WIDTH - LEFT - 20.0)
    };
    let mut out = String::new();
    // A string takes everything.
    let mut put = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    let height = bottom + 50.0;
    put(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\"><style>{STYLE}</style>"
    ));
    for step in 0..=10_u64 {
        let time = start + (end - start) * step / 10;
        let (x, micros) = (x(time), (time - start) as f64 / 1000.0);
        put(format!(
            "<path class=\"grid\" d=\"M{x:.1} 24V{bottom}\"/><text x=\"{x:.1}\" y=\"18\" text-anchor=\"middle\">{micros:.0} µs</text>"
        ));
    }
    for (track, y) in &rows {
        let (name, y) = (escaped(&trace.programs[track.program]), y + 14.0);
        put(format!("<text class=\"name\" x=\"4\" y=\"{y}\">{name} {}</text>", track.thread));
    }
    let bar = |class: &str, from: u64, to: u64, y: f64, text: &str| {
        let (left, width) = (x(from), (x(to) - x(from)).max(1.0));
        let text = escaped(text);
        let fits = text.len() as f64 * 5.6 < width;
        let label = if fits {
            format!("<text x=\"{:.1}\" y=\"{:.1}\">{text}</text>", left + 3.0, y + 14.0)
        } else {
            String::new()
        };
        format!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\"><title>{text}</title></rect>{label}"
        )
    };
    for call in &shown {
        let Some((server, time)) = call.served else { continue };
        let (from, to) = (rows[&call.caller], rows[&server]);
        let class = if call.failed.is_some() { "failed" } else { "call" };
        put(bar(class, call.time[0], call.time[1], from + 10.0, &call.what));
        put(bar("serve", time, call.time[1], to, &call.what));
        let (x, from, to) = (x(time), from + 10.0 + BAR, to);
        put(format!("<path class=\"arrow\" d=\"M{x:.1} {from:.1}L{x:.1} {to:.1}\"/>"));
    }
    put(format!("<text class=\"name\" x=\"4\" y=\"{}\">CPU</text>", bottom + 24.0));
    for run in trace.runs.iter().filter(|run| run.time[1] > start && run.time[0] < end) {
        let name = &trace.programs[run.track.program];
        put(bar("run", run.time[0].max(start), run.time[1].min(end), bottom + 10.0, name));
    }
    put("</svg>".into());
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::build::{build, tests::example};
    use super::*;

    #[test]
    fn everybody_is_in_the_picture() {
        let picture = draw(&build(&example()), None);
        for text in ["shell 1", "fs 2", "disk 3", "CPU", "console.write"] {
            assert!(picture.contains(text), "{text}");
        }
        assert_eq!(picture.matches("class=\"serve\"").count(), 2);
        assert!(picture.trim_end().ends_with("</svg>"));
    }
}
