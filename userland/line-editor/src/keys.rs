//! From the bytes of a terminal to keys: control characters, escape sequences
//! of VT100 and its descendants, UTF-8.

/// A key that means something to the editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Left,
    Right,
    Home,
    End,
    Up,
    Down,
    Backspace,
    Delete,
    KillToEnd,
    KillToStart,
    KillWord,
    Enter,
    Interrupt,
    EndOfInput,
    Clear,
}

/// Where in a sequence of bytes the terminal is.
#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC [ or ESC O, with the number so far.
    Sequence(u32),
    /// Inside a character of several bytes: the bits so far, how many bytes
    /// are missing.
    Utf8(u32, u8),
}

/// Puts keys together out of bytes. What it does not know it drops.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

impl Decoder {
    /// The key that `byte` completes, if any.
    pub fn byte(&mut self, byte: u8) -> Option<Key> {
        match core::mem::take(&mut self.state) {
            State::Ground => self.ground(byte),
            State::Escape if matches!(byte, b'[' | b'O') => {
                self.state = State::Sequence(0);
                None
            }
            // Alt with a key: not used.
            State::Escape => None,
            State::Sequence(number) => self.sequence(number, byte),
            State::Utf8(bits, missing) if byte & 0xc0 == 0x80 => {
                let bits = bits << 6 | u32::from(byte & 0x3f);
                if missing == 1 {
                    return char::from_u32(bits).map(Key::Char);
                }
                self.state = State::Utf8(bits, missing - 1);
                None
            }
            // Not a continuation: the character is lost, this byte is not.
            State::Utf8(..) => self.ground(byte),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Interrupt,
            0x04 => Key::EndOfInput,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x08 | 0x7f => Key::Backspace,
            b'\n' | b'\r' => Key::Enter,
            0x0b => Key::KillToEnd,
            0x0c => Key::Clear,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::KillToStart,
            0x17 => Key::KillWord,
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            b'\t' => Key::Char(' '),
            0x20..=0x7e => Key::Char(char::from(byte)),
            0xc2..=0xdf => return self.start(byte & 0x1f, 1),
            0xe0..=0xef => return self.start(byte & 0x0f, 2),
            0xf0..=0xf4 => return self.start(byte & 0x07, 3),
            _ => return None,
        })
    }

    fn start(&mut self, bits: u8, missing: u8) -> Option<Key> {
        self.state = State::Utf8(bits.into(), missing);
        None
    }

    fn sequence(&mut self, number: u32, byte: u8) -> Option<Key> {
        Some(match byte {
            b'0'..=b'9' => {
                let number = number.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
                self.state = State::Sequence(number);
                return None;
            }
            // A modifier follows: the key counts, the modifier does not.
            b';' => {
                self.state = State::Sequence(number.saturating_mul(1000));
                return None;
            }
            b'A' => Key::Up,
            b'B' => Key::Down,
            b'C' => Key::Right,
            b'D' => Key::Left,
            b'H' => Key::Home,
            b'F' => Key::End,
            b'~' => match if number >= 1000 { number / 1000 } else { number } {
                1 | 7 => Key::Home,
                3 => Key::Delete,
                4 | 8 => Key::End,
                _ => return None,
            },
            _ => return None,
        })
    }
}
