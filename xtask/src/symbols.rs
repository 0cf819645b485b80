//! Turns addresses that the guest prints into names, as the bytes arrive.
//!
//! `[@PROGRAM+0xOFFSET]` becomes `[PROGRAM+0xOFFSET function (file:line)]`.
//! Must never hold back a byte that cannot be part of such an address: a
//! person who types wants to see the echo at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use addr2line::Loader;
use postern_abi::harness::{FILE_PROGRAM, SYMBOL_CLOSE, SYMBOL_OPEN};

use crate::workspace;

/// Longest text between the brackets; anything longer is no address.
const LONGEST: usize = 96;

/// A function, and the place in it that an address belongs to.
pub struct Function {
    /// Its name with its modules.
    pub function: String,
    /// File and line.
    pub place: Option<String>,
}

/// The symbols of some programs, read when first needed.
#[derive(Default)]
pub struct Symbols {
    files: BTreeMap<String, PathBuf>,
    loaded: BTreeMap<PathBuf, Option<Loader>>,
}

impl Symbols {
    /// The program called `name` has its symbols in the file `elf`.
    pub fn add(&mut self, name: &str, elf: &Path) {
        self.files.insert(name.to_owned(), elf.to_path_buf());
    }

    /// What stands in the place of the address `text` (`PROGRAM+0xOFFSET`),
    /// between the brackets; `None` if that is no address.
    fn name(&mut self, text: &str) -> Option<String> {
        let (program, offset) = text.split_once("+0x")?;
        let address = u64::from_str_radix(offset, 16).ok()?;
        let found = self.find(program, address);
        Some(format!("{text} {}", found.as_deref().unwrap_or("?")))
    }

    /// The function at an address, with the functions that it was inlined into.
    fn find(&mut self, program: &str, address: u64) -> Option<String> {
        let frames = self.frames(program, address)?;
        let shown = frames.into_iter().map(|frame| match frame.place {
            Some(place) => format!("{} ({place})", frame.function),
            None => frame.function,
        });
        Some(shown.collect::<Vec<_>>().join(" in "))
    }

    /// The function at an address and those that it was inlined into, the
    /// innermost first; at least one.
    pub fn frames(&mut self, program: &str, address: u64) -> Option<Vec<Function>> {
        // Of a program that was started from a file, those of its namesake.
        let program = program.strip_suffix(FILE_PROGRAM).unwrap_or(program);
        let file = self.files.get(program)?;
        let loader =
            self.loaded.entry(file.clone()).or_insert_with(|| Loader::new(file).ok()).as_ref()?;
        let mut frames = loader.find_frames(address).ok()?;
        let mut names = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let Some(function) = &frame.function else { continue };
            let function = function.demangle().ok()?.into_owned();
            let place = frame.location.and_then(|place| Some((place.file?, place.line?)));
            let place = place.map(|(file, line)| format!("{}:{line}", short(file)));
            names.push(Function { function: plain(&function), place });
        }
        if names.is_empty() {
            let symbol = loader.find_symbol(address)?;
            let function = format!("{:#}", rustc_demangle::demangle(symbol));
            names.push(Function { function, place: None });
        }
        Some(names)
    }

    /// Replaces all addresses in `text`.
    pub fn line(&mut self, text: &str) -> String {
        let mut filter = Filter::default();
        let mut bytes = filter.feed(self, text.as_bytes());
        bytes.extend(filter.rest());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A function's name without the hash that the compiler puts behind it, and
/// without the types that it was compiled for: they are often longer than all
/// the rest, and say little about where one is.
fn plain(function: &str) -> String {
    let (mut name, mut depth, mut before) = (String::new(), 0_u32, ' ');
    for char in without_hash(function).chars() {
        // A name can begin with a type: `<Type as Trait>::function`.
        let opens = char == '<' && (depth > 0 || !matches!(before, ' ' | ':'));
        depth += u32::from(opens);
        if depth == 0 {
            name.push(char);
        }
        // The arrow of a function's type closes nothing.
        if char == '>' && before != '-' && depth > 0 {
            depth -= 1;
        }
        before = char;
    }
    name
}

fn without_hash(function: &str) -> &str {
    match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|c| c.is_ascii_hexdigit()) => {
            name
        }
        _ => function,
    }
}

/// A source file as seen from the repository, or from Rust's library.
fn short(file: &str) -> String {
    let file = workspace::shown(Path::new(file));
    let is_library = file.starts_with("/rustc/") || file.contains("/rustlib/src/rust/library/");
    match (is_library, file.split_once("/library/")) {
        (true, Some((_, inside))) => format!("library/{inside}"),
        _ => file,
    }
}

/// Replaces addresses in a stream that arrives in pieces.
#[derive(Default)]
pub struct Filter {
    /// What may become an address, from the second byte of its opening on.
    held: Vec<u8>,
    /// The last two bytes that were passed on.
    before: [u8; 2],
}

impl Filter {
    /// Takes what arrived and returns what can be printed.
    pub fn feed(&mut self, symbols: &mut Symbols, bytes: &[u8]) -> Vec<u8> {
        let (first, second) = SYMBOL_OPEN.split_at(1);
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if self.held.is_empty() {
                // The first byte of the opening is printed in any case, so it
                // need not wait; behind ESC it opens a control sequence.
                let opened = self.before[1] == first.as_bytes()[0] && self.before[0] != 0x1b;
                if opened && byte == second.as_bytes()[0] {
                    self.held.push(byte);
                } else {
                    self.pass(&mut out, &[byte]);
                }
                continue;
            }
            self.held.push(byte);
            let held = std::mem::take(&mut self.held);
            let inside = String::from_utf8_lossy(&held[1..]).into_owned();
            if let Some(text) = inside.strip_suffix(SYMBOL_CLOSE) {
                let text = symbols.name(text).map(|name| name + SYMBOL_CLOSE);
                self.pass(&mut out, text.map_or(held, String::into_bytes).as_slice());
            } else if is_beginning(&inside) {
                self.held = held;
            } else {
                self.pass(&mut out, &held);
            }
        }
        out
    }

    /// What is still held when the stream ends.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn pass(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        for &byte in bytes {
            self.before = [self.before[1], byte];
        }
        out.extend(bytes);
    }
}

/// Whether `text` can be the beginning of `PROGRAM+0xOFFSET`.
fn is_beginning(text: &str) -> bool {
    let (program, offset) = text.split_once('+').unwrap_or((text, ""));
    let digits =
        offset.strip_prefix("0x").unwrap_or(if "0x".starts_with(offset) { "" } else { "?" });
    text.len() <= LONGEST
        && program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds pieces and returns what came out after each.
    fn stream(pieces: &[&str]) -> Vec<String> {
        let (mut symbols, mut filter) = (Symbols::default(), Filter::default());
        pieces
            .iter()
            .map(|piece| filter.feed(&mut symbols, piece.as_bytes()))
            .map(|bytes| String::from_utf8(bytes).expect("text"))
            .collect()
    }

    #[test]
    fn text_without_an_opening_passes_at_once() {
        let pieces = ["p", "s", "[", "x", "] ", "@", "a[", "b+0x1]", "\x1b[", "@", "\n"];
        assert_eq!(stream(&pieces), pieces);
    }

    #[test]
    fn an_address_is_replaced_wherever_it_is_cut() {
        let text = "at [@shell+0x12aF], then [@kernel+0x0]\n";
        let expected = "at [shell+0x12aF ?], then [kernel+0x0 ?]\n";
        for cut in 0..text.len() {
            assert_eq!(stream(&[&text[..cut], &text[cut..]]).concat(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_turns_out_to_be_no_address_is_given_back() {
        for text in ["[@ home]", "[@a+1]", "[@a\n+0x1]", "[@a]", "[@+0x]", "[@[@x y"] {
            assert_eq!(stream(&[text, "\n"]).concat(), format!("{text}\n"));
        }
        let long = format!("[@{}", "x".repeat(2 * LONGEST));
        assert_eq!(stream(&[&long, "\n"]).concat(), format!("{long}\n"));
    }

    #[test]
    fn what_is_held_at_the_end_is_not_lost() {
        assert_eq!(Symbols::default().line("see [@kernel+0x1"), "see [@kernel+0x1");
    }

    #[test]
    fn types_and_hashes_are_left_out_of_names() {
        for (name, expected) in [
            ("core::panicking::panic_fmt", "core::panicking::panic_fmt"),
            ("a::b::h0123456789abcdef", "a::b"),
            ("call<4, 0, (), {closure#0}<u8>>", "call"),
            ("{closure#1}<fn(u8) -> Vec<u8>>", "{closure#1}"),
            ("<Type<u8> as Trait>::function<T>", "<Type as Trait>::function"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }

    #[test]
    fn names_come_from_the_file_of_the_program() {
        let itself = std::env::current_exe().expect("the test's own file");
        let loader = Loader::new(&itself).expect("symbols");
        let file = std::fs::read(&itself).expect("readable");
        let wanted = "names_come_from_the_file";
        let address = symbol_containing(&file, wanted).expect("its own symbol");
        assert!(loader.find_symbol(address).is_some_and(|name| name.contains(wanted)));
        let mut symbols = Symbols::default();
        symbols.add("me", &itself);
        let line = symbols.line(&format!("[@me+{address:#x}]"));
        assert!(line.starts_with(&format!("[me+{address:#x} ")), "{line}");
        assert!(line.contains(wanted) && line.contains("symbols.rs:"), "{line}");
    }

    fn symbol_containing(file: &[u8], text: &str) -> Option<u64> {
        use object::read::elf::{FileHeader, Sym};
        let header = object::elf::FileHeader64::<object::LittleEndian>::parse(file).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, file).ok()?;
        let table = sections.symbols(endian, file, object::elf::SHT_SYMTAB).ok()?;
        let is_it = |name: &[u8]| String::from_utf8_lossy(name).contains(text);
        table
            .iter()
            .filter(|symbol| symbol.st_type() == object::elf::STT_FUNC)
            .find(|symbol| table.symbol_name(endian, *symbol).is_ok_and(is_it))
            .map(|symbol| symbol.st_value(endian))
    }
}
