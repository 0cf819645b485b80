//! The editor against a terminal of one row that knows the few sequences that
//! the editor sends: what the person sees must be what the editor holds.

extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec;

use super::{Editor, Event, MAX_HISTORY, MAX_LINE};

/// The row of a terminal, since the last line end.
#[derive(Default)]
struct Screen {
    row: Vec<char>,
    column: usize,
}

impl Screen {
    fn show(&mut self, echo: &str) {
        let mut chars = echo.chars();
        while let Some(char) = chars.next() {
            match char {
                '\x07' | '\r' => {}
                '\n' => *self = Self::default(),
                '\x1b' => {
                    assert_eq!(chars.next(), Some('['));
                    let mut number = 0;
                    let last = loop {
                        match chars.next().expect("a whole sequence") {
                            digit @ '0'..='9' => number = number * 10 + digit as usize - 48,
                            last => break last,
                        }
                    };
                    match last {
                        'C' => self.column += number,
                        'D' => self.column -= number,
                        'K' => self.row.truncate(self.column),
                        'J' | 'H' => *self = Self::default(),
                        other => panic!("unknown sequence {other}"),
                    }
                }
                char => {
                    if self.column == self.row.len() {
                        self.row.push(char);
                    } else {
                        self.row[self.column] = char;
                    }
                    self.column += 1;
                }
            }
        }
    }
}

/// Types `keys`; the finished lines. Checks the screen after every byte.
fn typed(editor: &mut Editor, keys: &[u8]) -> Vec<String> {
    let mut screen = Screen::default();
    let mut lines = Vec::new();
    for &byte in keys {
        let mut echo = String::new();
        match editor.byte(byte, &mut echo) {
            Event::Line(line) => lines.push(line),
            Event::Cleared => editor.redraw(&mut echo),
            _ => {}
        }
        screen.show(&echo);
        let shown: String = screen.row.iter().collect();
        assert_eq!(shown, editor.line.text());
    }
    lines
}

fn one(keys: &str) -> String {
    typed(&mut Editor::new(), format!("{keys}\r").as_bytes()).remove(0)
}

#[test]
fn keys_edit_the_line() {
    assert_eq!(one("echo hello"), "echo hello");
    assert_eq!(one("helo\x1b[Dl"), "hello");
    assert_eq!(one("ello\x01h\x05!"), "hello!");
    assert_eq!(one("ello\x1b[Hh\x1b[F!"), "hello!");
    assert_eq!(one("ello\x1b[1~h\x1b[4~!"), "hello!");
    assert_eq!(one("ello\x1bOHh\x1bOF!"), "hello!");
    assert_eq!(one("helxlo\x1b[D\x1b[D\x7f"), "hello");
    assert_eq!(one("helxlo\x1b[D\x1b[D\x1b[D\x1b[3~"), "hello");
    assert_eq!(one("hello world\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x0b"), "hello ");
    assert_eq!(one("garbage\x15clean"), "clean");
    assert_eq!(one("one two  \x17three"), "one three");
    assert_eq!(one("gr\u{fc}n \u{1f980}\x7fok"), "gr\u{fc}n ok");
    assert_eq!(one("a\x1b[1;5Db"), "ba");
}

#[test]
fn keys_at_the_ends_do_nothing() {
    assert_eq!(one("\x7f\x1b[D\x1b[3~\x17\x15\x0ba\x1b[C\x1b[3~"), "a");
}

#[test]
fn carriage_return_and_line_feed_are_one_line_end() {
    let mut editor = Editor::new();
    assert_eq!(typed(&mut editor, b"a\r\nb\nc\r"), ["a", "b", "c"]);
}

#[test]
fn history_is_walked_and_the_draft_kept() {
    let mut editor = Editor::new();
    assert_eq!(typed(&mut editor, b"one\rtwo\rtwo\r  \r").len(), 4);
    assert_eq!(editor.history(), ["one", "two"]);
    assert_eq!(typed(&mut editor, b"dra\x1b[A\x1b[A\x1b[A\x1b[B\x1b[Bft\r"), ["draft"]);
    assert_eq!(typed(&mut editor, b"\x10\x10!\r"), ["two!"]);
    for number in 0..100 {
        typed(&mut editor, format!("{number}\r").as_bytes());
    }
    assert_eq!(editor.history().len(), MAX_HISTORY);
}

#[test]
fn control_keys_are_events() {
    let mut editor = Editor::new();
    let mut echo = String::new();
    assert_eq!(editor.byte(4, &mut echo), Event::EndOfInput);
    editor.byte(b'x', &mut echo);
    assert_eq!(editor.byte(4, &mut echo), Event::None);
    assert_eq!(editor.byte(3, &mut echo), Event::Interrupted);
    assert_eq!(typed(&mut editor, b"ab\x0c\x1b[Dc\r"), ["acb"]);
}

#[test]
fn long_lines_are_refused_with_a_bell() {
    let mut editor = Editor::new();
    let keys: Vec<u8> = core::iter::repeat_n(b'x', MAX_LINE + 10).chain(*b"\r").collect();
    assert_eq!(typed(&mut editor, &keys)[0].len(), MAX_LINE);
}

#[test]
fn random_bytes_keep_screen_and_line_the_same() {
    let mut seed = 1_u64;
    let mut editor = Editor::new();
    let pieces: [&[u8]; 16] = [
        b"a",
        b"b",
        b" ",
        b"\x1b[D",
        b"\x1b[C",
        b"\x1b[A",
        b"\x1b[B",
        b"\x7f",
        b"\x1b[3~",
        b"\x17",
        b"\x0b",
        b"\x01",
        b"\x05",
        b"\xc3\xa4",
        b"\xff",
        b"\x1b[",
    ];
    for _ in 0..2000 {
        let mut keys = Vec::new();
        for _ in 0..20 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            keys.extend(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        keys.push(b'\r');
        keys.push(b'\r');
        typed(&mut editor, &keys);
    }
}
