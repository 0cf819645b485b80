//! From records to what lasted: calls from their beginning to their answer, on
//! both sides, and who had the CPU when.

use std::collections::{BTreeMap, HashMap};

use postern_abi::ErrorCode;
use postern_abi::trace::{Event, NOBODY, flag};

use super::record::Record;

/// The interfaces of the system's own servers: protocol, name, method, name.
const NUMBERS: &str = include_str!("../../../userland/protocol/src/numbers.txt");

/// A thread, or a context of an entry, of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Track {
    /// Index in [`Trace::programs`].
    pub program: usize,
    /// The kernel's number of the thread.
    pub thread: u32,
}

/// A call, from its beginning to its answer.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who called.
    pub caller: Track,
    /// Who got it, and when; `None` if nobody did.
    pub served: Option<(Track, u64)>,
    /// What it is about: `console.write`.
    pub what: String,
    /// When it began and when it ended.
    pub time: [u64; 2],
    /// The caller's thread crossed into the server.
    pub crossing: bool,
    /// A relay segment went along.
    pub relay: bool,
    /// Why it was not answered.
    pub failed: Option<String>,
}

/// Somebody had the CPU.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Who.
    pub track: Track,
    /// From when to when.
    pub time: [u64; 2],
}

/// Something that takes no time.
#[derive(Debug, Clone)]
pub struct Moment {
    /// In whose time.
    pub track: Option<Track>,
    /// When.
    pub time: u64,
    /// What.
    pub what: String,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Trace {
    /// Names of programs.
    pub programs: Vec<String>,
    /// Calls in the order of their beginnings.
    pub calls: Vec<Call>,
    /// Who had the CPU.
    pub runs: Vec<Run>,
    /// Interrupts, exceptions, messages, ends.
    pub moments: Vec<Moment>,
}

/// A call that was not answered yet.
struct Open {
    begin: u64,
    what: String,
    /// Receiver and when.
    delivered: Option<(u32, u64)>,
    crossing: bool,
    relay: bool,
}

#[derive(Default)]
struct Builder {
    trace: Trace,
    /// The program of a thread, as its records say.
    of_thread: HashMap<u32, usize>,
    open: BTreeMap<u32, Open>,
    running: Option<(Track, u64)>,
}

/// What lasted, out of records in their order.
pub fn build(records: &[Record]) -> Trace {
    let mut builder = Builder::default();
    let Some(end) = records.last().map(|record| record.time) else { return builder.trace };
    // Who is in the middle of a call is known by name only when it runs again.
    for record in records.iter().rev() {
        builder.know(record);
    }
    for record in records {
        builder.know(record);
        builder.take(record);
    }
    builder.switch(end, None);
    for thread in builder.open.keys().copied().collect::<Vec<_>>() {
        builder.close(thread, end, Some("not answered yet".into()));
    }
    builder.trace.calls.sort_by_key(|call| call.time[0]);
    builder.trace
}

impl Builder {
    fn know(&mut self, record: &Record) {
        if record.thread == NOBODY {
            return;
        }
        let name = if record.name.is_empty() { "?" } else { &record.name };
        let known = self.trace.programs.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.trace.programs.push(name.to_owned());
            self.trace.programs.len() - 1
        });
        self.of_thread.insert(record.thread, index);
    }

    fn track(&mut self, thread: u32) -> Track {
        if let Some(program) = self.of_thread.get(&thread) {
            return Track { program: *program, thread };
        }
        let unknown =
            Record { time: 0, event: Event::Switch, thread, values: [0; 2], name: String::new() };
        self.know(&unknown);
        self.track(thread)
    }

    fn take(&mut self, record: &Record) {
        let Record { time, thread, values: [first, second], .. } = *record;
        match record.event {
            Event::Switch => {
                let track = (thread != NOBODY).then(|| self.track(thread));
                self.switch(time, track);
            }
            Event::Wait => {
                let open = Open {
                    begin: time,
                    what: subject(second),
                    delivered: None,
                    crossing: false,
                    relay: false,
                };
                self.open.insert(thread, open);
            }
            Event::Call => self.call(record),
            Event::Reply => self.close(thread, time, None),
            Event::Failed => {
                let error = ErrorCode::decode(first).map(|error| error.to_string());
                self.close(thread, time, Some(error.unwrap_or_else(|| format!("error {first}"))));
            }
            Event::Fault => self.moment(thread, time, format!("exception {first} at {second:#x}")),
            Event::Interrupt => self.moment(NOBODY, time, format!("interrupt {first}")),
            Event::Timer => self.moment(NOBODY, time, "timer".into()),
            Event::End => self.moment(thread, time, "end".into()),
        }
    }

    fn call(&mut self, record: &Record) {
        let Record { time, thread, values: [first, second], .. } = *record;
        let crossing = first & flag::CROSSING != 0;
        if first & flag::MESSAGE != 0 && !crossing {
            self.open.remove(&thread);
            self.moment(thread, time, format!("message {}", subject(second)));
            return;
        }
        let open = self.open.entry(thread).or_insert_with(|| Open {
            begin: time,
            what: String::new(),
            delivered: None,
            crossing: false,
            relay: false,
        });
        open.what = subject(second);
        open.delivered = Some((first as u32, time));
        open.crossing = crossing;
        open.relay = first & flag::RELAY != 0;
    }

    /// The call of a thread has ended, if it had one.
    fn close(&mut self, thread: u32, end: u64, failed: Option<String>) {
        let Some(open) = self.open.remove(&thread) else { return };
        let caller = self.track(thread);
        let served = open.delivered.map(|(server, time)| (self.track(server), time));
        let Open { begin, what, crossing, relay, .. } = open;
        let time = [begin, end];
        self.trace.calls.push(Call { caller, served, what, time, crossing, relay, failed });
    }

    fn switch(&mut self, time: u64, next: Option<Track>) {
        if let Some((track, since)) = self.running.take() {
            self.trace.runs.push(Run { track, time: [since, time] });
        }
        self.running = next.map(|track| (track, time));
    }

    fn moment(&mut self, thread: u32, time: u64, what: String) {
        let track = (thread != NOBODY).then(|| self.track(thread));
        self.trace.moments.push(Moment { track, time, what });
    }
}

/// A message in words: interface and method where they are known.
fn subject(word: u64) -> String {
    let (protocol, method) = ((word as i64) >> 16, word & 0xffff);
    let known = NUMBERS.lines().find_map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let [number, interface, opcode, name] = words[..] else { return None };
        let number = i64::from_str_radix(number.strip_prefix("0x")?, 16).ok()?;
        let is_it = number == protocol && opcode.parse() == Ok(method);
        is_it.then(|| format!("{interface}.{name}"))
    });
    known.unwrap_or_else(|| match protocol {
        postern_abi::tag::protocol::FAULT => format!("fault {method}"),
        postern_abi::tag::protocol::EXIT => "exit".into(),
        _ => format!("{protocol:#x}.{method}"),
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    fn record(time: u64, event: Event, thread: u32, first: u64, name: &str) -> Record {
        Record { time, event, thread, values: [first, 0x10_0001], name: name.into() }
    }

    /// `shell` calls `fs`, which crosses into `disk`; then a call that fails.
    pub fn example() -> Vec<Record> {
        vec![
            record(0, Event::Switch, 1, 0, "shell"),
            record(10, Event::Wait, 1, 0, "shell"),
            record(20, Event::Call, 1, 2, "shell"),
            record(21, Event::Switch, 2, 0, "fs"),
            record(30, Event::Call, 2, 3 | flag::CROSSING | flag::RELAY, "fs"),
            record(31, Event::Switch, 3, 0, "disk"),
            record(35, Event::Interrupt, 3, 4, "disk"),
            record(40, Event::Reply, 2, 3 | flag::CROSSING, "fs"),
            record(41, Event::Switch, 2, 0, "fs"),
            record(50, Event::Reply, 1, 2, "shell"),
            record(51, Event::Switch, 1, 0, "shell"),
            record(60, Event::Wait, 1, 0, "shell"),
            record(70, Event::Failed, 1, 6, "shell"),
            record(80, Event::Switch, NOBODY, 0, ""),
        ]
    }

    #[test]
    fn calls_are_nested_across_servers() {
        let trace = build(&example());
        assert_eq!(trace.programs.len(), 3);
        let name = |track: Track| trace.programs[track.program].as_str();
        let calls: Vec<_> = trace
            .calls
            .iter()
            .map(|call| (name(call.caller), call.served.map(|it| (name(it.0), it.1)), call.time))
            .collect();
        let expected = [
            ("shell", Some(("fs", 20)), [10, 50]),
            ("fs", Some(("disk", 30)), [30, 40]),
            ("shell", None, [60, 70]),
        ];
        assert_eq!(calls, expected);
        assert_eq!(trace.calls[0].what, "console.write");
        assert!(trace.calls[1].crossing && trace.calls[1].relay);
        assert!(trace.calls[2].failed.is_some());
        assert_eq!(trace.runs.len(), 5);
        assert_eq!(trace.moments.len(), 1);
    }
}
