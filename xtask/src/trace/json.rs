//! The format of Chrome's trace viewer, which Perfetto reads: one object a
//! slice, moment or flow, times in microseconds. Programs are processes, threads
//! are threads; process 0 is the CPU.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::build::{Call, Trace, Track};

/// The process of the CPU.
const CPU: usize = 0;

/// Nanoseconds as the format wants them.
fn micros(time: u64) -> f64 {
    time as f64 / 1000.0
}

fn pid(track: Track) -> usize {
    track.program + 1
}

/// The trace as JSON.
pub fn write(trace: &Trace) -> String {
    let mut events = Vec::new();
    name_tracks(trace, &mut events);
    for run in &trace.runs {
        let name = &trace.programs[run.track.program];
        events.push(slice(CPU, 0, name, run.time, json!({ "thread": run.track.thread })));
    }
    let straight = nested(&trace.calls);
    for (index, call) in trace.calls.iter().enumerate() {
        write_call(trace, index, call, straight[index], &mut events);
    }
    for moment in &trace.moments {
        let (pid, tid, scope) = match moment.track {
            Some(track) => (pid(track), track.thread, "t"),
            None => (CPU, 0, "p"),
        };
        events.push(json!({
            "ph": "i", "pid": pid, "tid": tid, "ts": micros(moment.time),
            "name": moment.what, "s": scope,
        }));
    }
    let whole = json!({ "traceEvents": events, "displayTimeUnit": "ns" });
    whole.to_string()
}

fn name_tracks(trace: &Trace, events: &mut Vec<Value>) {
    let mut name = |pid: usize, tid: Option<u32>, text: String| {
        let kind = if tid.is_some() { "thread_name" } else { "process_name" };
        events.push(json!({
            "ph": "M", "pid": pid, "tid": tid.unwrap_or(0), "name": kind,
            "args": { "name": text },
        }));
    };
    name(CPU, None, "CPU".into());
    name(CPU, Some(0), "CPU 0".into());
    for (index, program) in trace.programs.iter().enumerate() {
        name(index + 1, None, program.clone());
    }
    let callers = trace.calls.iter().map(|call| call.caller);
    let servers = trace.calls.iter().filter_map(|call| Some(call.served?.0));
    let others = trace.moments.iter().filter_map(|moment| moment.track);
    for track in callers.chain(servers).chain(others).collect::<BTreeSet<_>>() {
        let text = format!("{} {}", trace.programs[track.program], track.thread);
        name(pid(track), Some(track.thread), text);
    }
}

fn slice(pid: usize, tid: u32, name: &str, time: [u64; 2], args: Value) -> Value {
    json!({
        "ph": "X", "pid": pid, "tid": tid, "name": name, "args": args,
        "ts": micros(time[0]), "dur": micros(time[1] - time[0]),
    })
}

/// A call: a slice of the caller, one of the server, and an arrow.
fn write_call(trace: &Trace, id: usize, call: &Call, straight: bool, events: &mut Vec<Value>) {
    let name = |track: Track| trace.programs[track.program].as_str();
    let mut args = json!({ "crossing": call.crossing, "relay": call.relay });
    if let Some(error) = &call.failed {
        args["error"] = json!(error);
    }
    let caller = call.caller;
    let to = call.served.map_or("nobody", |(server, _)| name(server));
    let text = format!("{} -> {to}", call.what);
    events.push(slice(pid(caller), caller.thread, &text, call.time, args.clone()));
    let Some((server, time)) = call.served else { return };
    let text = format!("{} for {}", call.what, name(caller));
    if straight {
        events.push(slice(pid(server), server.thread, &text, [time, call.time[1]], args));
    } else {
        // It was answered later: it overlaps with others.
        for (phase, time) in [("b", time), ("e", call.time[1])] {
            events.push(json!({
                "ph": phase, "cat": "answered later", "id": id, "pid": pid(server),
                "tid": server.thread, "ts": micros(time), "name": text, "args": args,
            }));
        }
    }
    for (phase, track) in [("s", caller), ("f", server)] {
        events.push(json!({
            "ph": phase, "cat": "call", "id": id, "pid": pid(track), "tid": track.thread,
            "ts": micros(time), "name": call.what, "bp": "e",
        }));
    }
}

/// For each call whether the server's slice lies within or beside all others of
/// its track. Callers' slices always do: a thread waits for one answer.
fn nested(calls: &[Call]) -> Vec<bool> {
    let mut tracks: BTreeMap<Track, Vec<(u64, u64, Option<usize>)>> = BTreeMap::new();
    for (index, call) in calls.iter().enumerate() {
        tracks.entry(call.caller).or_default().push((call.time[0], call.time[1], None));
        if let Some((server, time)) = call.served {
            tracks.entry(server).or_default().push((time, call.time[1], Some(index)));
        }
    }
    let mut straight = vec![true; calls.len()];
    for slices in tracks.values_mut() {
        slices.sort_by_key(|slice| (slice.0, std::cmp::Reverse(slice.1)));
        let mut open: Vec<(u64, Option<usize>)> = Vec::new();
        for &(start, end, served) in slices.iter() {
            while open.last().is_some_and(|last| last.0 <= start) {
                open.pop();
            }
            // Of two that overlap in part, the served one is drawn apart.
            while let Some(&(until, outer)) = open.last()
                && until < end
            {
                if let Some(outer) = outer {
                    straight[outer] = false;
                    open.pop();
                } else {
                    if let Some(served) = served {
                        straight[served] = false;
                    }
                    break;
                }
            }
            if served.is_none_or(|served| straight[served]) {
                open.push((end, served));
            }
        }
    }
    straight
}

/// Looks at a file as a viewer does.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> Result<()> {
    let whole: Value = serde_json::from_str(text).context("not JSON")?;
    let events = whole["traceEvents"].as_array().context("no `traceEvents`")?;
    let mut names: BTreeSet<(u64, Option<u64>)> = BTreeSet::new();
    let mut slices: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    let mut pairs: BTreeMap<(String, u64), Vec<(String, f64)>> = BTreeMap::new();
    for event in events {
        let number = |key: &str| event[key].as_u64().with_context(|| format!("no {key}: {event}"));
        let (pid, tid) = (number("pid")?, number("tid")?);
        let phase = event["ph"].as_str().with_context(|| format!("no phase: {event}"))?;
        let name = event["name"].as_str().with_context(|| format!("no name: {event}"))?;
        if phase == "M" {
            ensure!(event["args"]["name"].is_string(), "a track without its name: {event}");
            match name {
                "process_name" => names.insert((pid, None)),
                "thread_name" => names.insert((pid, Some(tid))),
                _ => bail!("process {pid}, thread {tid} has no name that is known: {event}"),
            };
            continue;
        }
        let time = event["ts"].as_f64().with_context(|| format!("no time: {event}"))?;
        ensure!(time >= 0.0, "a time before the start: {event}");
        ensure!(names.contains(&(pid, None)), "process {pid} has no name: {event}");
        ensure!(names.contains(&(pid, Some(tid))), "thread {tid} has no name: {event}");
        match phase {
            "X" => {
                let duration = event["dur"].as_f64().with_context(|| format!("no dur: {event}"))?;
                ensure!(duration >= 0.0, "a slice that ends before it begins: {event}");
                slices.entry((pid, tid)).or_default().push((time, time + duration));
            }
            "b" | "e" | "s" | "f" => {
                let category = event["cat"].as_str().with_context(|| format!("no cat: {event}"))?;
                let pair = pairs.entry((category.to_owned(), number("id")?)).or_default();
                pair.push((phase.to_owned(), time));
            }
            "i" => ensure!(event["s"].is_string(), "a moment without a scope: {event}"),
            other => bail!("unknown phase `{other}`: {event}"),
        }
    }
    for ((category, id), pair) in pairs {
        let phases: Vec<_> = pair.iter().map(|(phase, _)| phase.as_str()).collect();
        ensure!(phases == ["b", "e"] || phases == ["s", "f"], "{category} {id}: {phases:?}");
        ensure!(pair[0].1 <= pair[1].1, "{category} {id} ends before it begins");
    }
    for ((pid, tid), mut slices) in slices {
        slices.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
        let mut open: Vec<f64> = Vec::new();
        for (start, end) in slices {
            // Sums of rounded numbers: a picosecond is none.
            while open.last().is_some_and(|until| *until <= start + 1e-6) {
                open.pop();
            }
            ensure!(
                open.last().is_none_or(|until| end <= until + 1e-6),
                "slices of thread {tid} of process {pid} overlap at {start}"
            );
            open.push(end);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::build::{build, tests::example};
    use super::*;

    #[test]
    fn what_is_written_is_what_viewers_read() {
        let text = write(&build(&example()));
        check(&text).expect("a good trace");
        let whole: Value = serde_json::from_str(&text).expect("JSON");
        let count = |phase: &str| {
            let events = whole["traceEvents"].as_array().expect("events");
            events.iter().filter(|event| event["ph"] == phase).count()
        };
        // Five runs, three calls, two of them served; an arrow for each of these.
        assert_eq!((count("X"), count("s"), count("f"), count("i")), (10, 2, 2, 1));
    }

    #[test]
    fn what_viewers_do_not_read_is_found() {
        let text = write(&build(&example()));
        for (from, to, expected) in [
            ("\"ph\":\"X\"", "\"ph\":\"Q\"", "unknown phase"),
            ("\"dur\":", "\"length\":", "no dur"),
            ("process_name", "process_title", "has no name"),
            ("thread_name", "thread_title", "has no name"),
            ("\"ph\":\"f\"", "\"ph\":\"s\"", "call 0"),
            ("\"ts\":", "\"at\":", "no time"),
            ("traceEvents", "events", "no `traceEvents`"),
        ] {
            let error = check(&text.replace(from, to)).expect_err(to).to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn calls_that_are_answered_later_are_drawn_apart() {
        let track = |program, thread| Track { program, thread };
        let call = |caller, start, end| Call {
            caller: track(0, caller),
            served: Some((track(1, 9), start)),
            what: "x".into(),
            time: [start, end],
            crossing: false,
            relay: false,
            failed: None,
        };
        let trace = Trace {
            programs: vec!["clients".into(), "server".into()],
            calls: vec![call(1, 0, 50), call(2, 10, 20), call(3, 30, 60)],
            ..Trace::default()
        };
        assert_eq!(nested(&trace.calls), [false, true, true]);
        check(&write(&trace)).expect("a good trace");
    }
}
