//! The lines that tests and benchmarks in QEMU write (docs/abi.md section 10).
//!
//! Must never guess: a line that does not follow the protocol is output of a
//! program.

use postern_abi::harness::MARK;

/// One line of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// There is a test of this name.
    List(&'a str),
    /// The test begins.
    Start(&'a str),
    /// It passed.
    Ok(&'a str),
    /// It does not apply here: name, reason.
    Skip(&'a str, &'a str),
    /// It failed: name, reason.
    Fail(&'a str, &'a str),
    /// All tests are done: passed, failed, skipped.
    End([u64; 3]),
    /// What reading the clock costs, which no row contains: around a stub, and
    /// around a call of the library.
    Overhead([u64; 2]),
    /// A benchmark.
    Bench(Row),
    /// To be shown, whatever the results are.
    Note(&'a str),
}

/// What a benchmark measured.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Fewest instructions.
    pub min: u64,
    /// Half of the samples took no more.
    pub median: u64,
    /// 99 of 100 samples took no more.
    pub p99: u64,
    /// How often it was measured.
    pub samples: u64,
}

impl<'a> Line<'a> {
    /// Reads a line. The mark may stand behind what a program left on the line
    /// without ending it; that is returned, too.
    pub fn parse(line: &'a str) -> Option<(&'a str, Self)> {
        line.match_indices(MARK)
            .find_map(|(at, mark)| Some((&line[..at], Self::after_mark(&line[at + mark.len()..])?)))
    }

    fn after_mark(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        let (name, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        if name.is_empty() {
            return None;
        }
        let alone = reason.is_empty().then_some(name);
        Some(match kind {
            "list" => Self::List(alone?),
            "start" => Self::Start(alone?),
            "ok" => Self::Ok(alone?),
            "skip" => Self::Skip(name, reason),
            "fail" => Self::Fail(name, reason),
            "end" => Self::End(numbers(rest)?),
            "note" => Self::Note(rest),
            "overhead" => Self::Overhead(numbers(rest)?),
            "bench" => {
                let [min, median, p99, samples] = numbers(reason)?;
                Self::Bench(Row { name: name.to_owned(), min, median, p99, samples })
            }
            _ => return None,
        })
    }
}

/// Exactly `N` numbers.
fn numbers<const N: usize>(text: &str) -> Option<[u64; N]> {
    let all: Option<Vec<u64>> = text.split(' ').map(|word| word.parse().ok()).collect();
    all?.try_into().ok()
}

/// Longest line; what is longer is cut, so that a guest cannot fill the memory.
const LONGEST: usize = 16 * 1024;

/// Cuts a stream into lines.
#[derive(Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes what arrived and returns the lines that are complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend(part);
            if part.ends_with(b"\n") || self.partial.len() > LONGEST {
                complete.extend(self.rest());
            }
        }
        complete
    }

    /// The last line, which nothing ended.
    pub fn rest(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.partial);
        (!line.is_empty())
            .then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_read() {
        let read = |line| Line::parse(line).map(|found| found.1);
        assert_eq!(read("@@ list a_b"), Some(Line::List("a_b")));
        assert_eq!(read("@@ start a"), Some(Line::Start("a")));
        assert_eq!(read("@@ ok a"), Some(Line::Ok("a")));
        assert_eq!(read("@@ skip a no SVM here"), Some(Line::Skip("a", "no SVM here")));
        assert_eq!(read("@@ fail a 1 != 2"), Some(Line::Fail("a", "1 != 2")));
        assert_eq!(read("@@ fail a"), Some(Line::Fail("a", "")));
        assert_eq!(read("@@ note two words"), Some(Line::Note("two words")));
        assert_eq!(read("@@ end 40 0 2"), Some(Line::End([40, 0, 2])));
        assert_eq!(read("@@ overhead 4 6"), Some(Line::Overhead([4, 6])));
        let row = Row { name: "null".into(), min: 1, median: 2, p99: 3, samples: 4 };
        assert_eq!(read("@@ bench null 1 2 3 4"), Some(Line::Bench(row)));
    }

    #[test]
    fn other_lines_are_output() {
        for line in ["", "@@", "@@ ", "@@ ok", "@@ ok a b", "@@ok a", "@@ end 1 2", "@@ what a"] {
            assert_eq!(Line::parse(line), None, "{line}");
        }
    }

    #[test]
    fn what_stands_before_the_mark_is_kept() {
        assert_eq!(Line::parse("dots...@@ ok a"), Some(("dots...", Line::Ok("a"))));
        assert_eq!(Line::parse("@@ @@ ok a"), Some(("@@ ", Line::Ok("a"))));
    }

    #[test]
    fn lines_are_cut_wherever_they_arrive_in_pieces() {
        let text = "one\r\n\r\ntwo\nthree";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut all = lines.feed(&text.as_bytes()[..cut]);
            all.extend(lines.feed(&text.as_bytes()[cut..]));
            assert_eq!(all, ["one", "", "two"], "cut at {cut}");
            assert_eq!(lines.rest().as_deref(), Some("three"));
            assert_eq!(lines.rest(), None);
        }
    }
}
