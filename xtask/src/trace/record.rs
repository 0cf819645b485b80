//! The lines in which the guest's recorder writes its records:
//! `@trace TIME EVENT THREAD FIRST SECOND NAME`, the values in hexadecimal; at
//! last `@trace end COUNT LOST`.

use postern_abi::trace::Event;

/// A record, as [`postern_abi::trace::Record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub time: u64,
    pub event: Event,
    pub thread: u32,
    pub values: [u64; 2],
    pub name: String,
}

/// A line of the recorder.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    Record(Record),
    End { count: u64, lost: u64 },
}

/// What a line says, if it is one of the recorder's. Something else may stand
/// before it.
pub fn parse(line: &str) -> Option<Line> {
    let mut words = line.split_once("@trace ")?.1.split(' ');
    let first = words.next()?;
    if first == "end" {
        let (count, lost) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        return Some(Line::End { count, lost });
    }
    let time = first.parse().ok()?;
    let event = Event::decode(words.next()?.parse().ok()?)?;
    let thread = words.next()?.parse().ok()?;
    let hexadecimal = |word: &str| u64::from_str_radix(word, 16).ok();
    let values = [hexadecimal(words.next()?)?, hexadecimal(words.next()?)?];
    let name = words.next().unwrap_or("").to_owned();
    Some(Line::Record(Record { time, event, thread, values, name }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_wherever_they_begin() {
        let record = Record {
            time: 5,
            event: Event::Call,
            thread: 3,
            values: [0x1_0000_0007, 0xff],
            name: "shell".into(),
        };
        let line = "postern> @trace 5 3 3 100000007 ff shell";
        assert_eq!(parse(line), Some(Line::Record(record)));
        assert_eq!(parse("@trace end 7 2"), Some(Line::End { count: 7, lost: 2 }));
        for other in ["", "trace 5", "@trace 5 99 3 0 0 x", "@trace 5 3 3 zz 0 x", "@trace end 7"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
