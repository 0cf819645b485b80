//! Writes the boot archive and the flat image of `init`, for the readers in
//! `postern_abi::image`.
//!
//! Must never write what those readers would not take, and never put two
//! segments with different rights on one page.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use postern_abi::image::{
    ARCHIVE_ENTRY, ARCHIVE_HEADER, ARCHIVE_MAGIC, FLAT_HEADER, FLAT_MAGIC, FLAT_SEGMENT,
};
use postern_abi::{PAGE, Rights, address};

use crate::elf::{Executable, flags};
use crate::workspace;

/// Where `init` is loaded.
pub const LOAD_BASE: u64 = 0x40_0000;
/// Bytes of a name in the archive.
const NAME: usize = 32;

/// The archive with these files, in this order.
pub fn archive(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let header = ARCHIVE_HEADER + files.len() * ARCHIVE_ENTRY;
    let mut bytes = Vec::with_capacity(header);
    bytes.extend(ARCHIVE_MAGIC);
    bytes.extend(word(files.len()));
    let mut at = page_up(header);
    for (index, (name, contents)) in files.iter().enumerate() {
        ensure!(
            !name.is_empty() && name.len() < NAME && !name.contains('\0'),
            "the name `{name}` does not fit into the boot archive: 1 to {} bytes",
            NAME - 1
        );
        ensure!(
            files[..index].iter().all(|other| other.0 != *name),
            "two files are called `{name}`"
        );
        bytes.extend(name.as_bytes());
        bytes.resize(ARCHIVE_HEADER + index * ARCHIVE_ENTRY + NAME, 0);
        bytes.extend(word(at));
        bytes.extend(word(contents.len()));
        at = page_up(at + contents.len());
    }
    for (_, contents) in files {
        bytes.resize(page_up(bytes.len()), 0);
        bytes.extend(*contents);
    }
    bytes.resize(at, 0);
    Ok(bytes)
}

/// The files below a folder, sorted, as entries of the archive: each is called
/// by its path from there on, with a `/` before it, which no program has.
pub fn folder(root: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let cannot = || format!("cannot read {}", workspace::shown(folder));
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().context("a file has a name")?;
        let name = name.to_str().with_context(|| format!("{name:?} is no text"))?;
        let name = format!("{prefix}/{name}");
        if path.is_dir() {
            collect(&path, &name, files)?;
            continue;
        }
        ensure!(
            name.len() < NAME,
            "the path `{name}` is too long for the boot archive: at most {} bytes",
            NAME - 1
        );
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        files.push((name, bytes));
    }
    Ok(())
}

/// The flat image of a program: its relocations applied for [`LOAD_BASE`], its
/// segments ready to be mapped.
pub fn flat(program: &Executable) -> Result<Vec<u8>> {
    let segments = pages(program)?;
    let header = FLAT_HEADER + segments.len() * FLAT_SEGMENT;
    let mut bytes = Vec::with_capacity(header);
    bytes.extend(FLAT_MAGIC);
    bytes.extend((LOAD_BASE + program.entry).to_le_bytes());
    bytes.extend(word(segments.len()));
    bytes.extend(program.build);
    bytes.extend(LOAD_BASE.to_le_bytes());
    let mut at = page_up(header);
    for segment in &segments {
        bytes.extend((LOAD_BASE + segment.address).to_le_bytes());
        bytes.extend(segment.memory.to_le_bytes());
        bytes.extend(word(at));
        bytes.extend(word(segment.contents.len()));
        bytes.extend(u64::from(segment.rights.bits()).to_le_bytes());
        at = page_up(at + segment.contents.len());
    }
    for segment in &segments {
        bytes.resize(page_up(bytes.len()), 0);
        bytes.extend(&segment.contents);
    }
    Ok(bytes)
}

/// A segment made of whole pages; the address is relative to the load base.
struct Pages {
    address: u64,
    memory: u64,
    contents: Vec<u8>,
    rights: Rights,
}

fn pages(program: &Executable) -> Result<Vec<Pages>> {
    let mut all: Vec<Pages> = Vec::new();
    for segment in &program.segments {
        let lead = segment.address % PAGE;
        let address = segment.address - lead;
        let memory = (lead + segment.memory).next_multiple_of(PAGE);
        ensure!(
            all.last().is_none_or(|last| last.address + last.memory <= address),
            "two segments share the page {address:#x}, but their rights differ; \
             link with -z separate-loadable-segments"
        );
        ensure!(
            address::is_mappable(LOAD_BASE + address, memory),
            "the segment at {address:#x} does not fit into a task"
        );
        let lead = usize::try_from(lead)?;
        let mut contents = vec![0; lead];
        contents.extend(&segment.contents);
        all.push(Pages { address, memory, contents, rights: rights(segment.flags) });
    }
    for (offset, addend) in &program.relocations {
        let word = all.iter_mut().find_map(|part| {
            let start = usize::try_from(offset.checked_sub(part.address)?).ok()?;
            part.contents.get_mut(start..start + 8)
        });
        let word = word.with_context(|| format!("the relocation at {offset:#x} hits nothing"))?;
        word.copy_from_slice(&LOAD_BASE.wrapping_add(*addend).to_le_bytes());
    }
    Ok(all)
}

fn rights(segment: u32) -> Rights {
    let pairs = [(flags::R, Rights::R), (flags::W, Rights::W), (flags::X, Rights::X)];
    pairs
        .into_iter()
        .filter(|pair| segment & pair.0 != 0)
        .fold(Rights::empty(), |all, pair| all | pair.1)
}

fn word(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}

fn page_up(at: usize) -> usize {
    at.next_multiple_of(PAGE as usize)
}

#[cfg(test)]
mod tests {
    use postern_abi::image::{Archive, Flat};

    use super::*;
    use crate::elf::Segment;

    fn program() -> Executable {
        let part = |address, memory, contents: &[u8], flags| Segment {
            address,
            memory,
            contents: contents.to_vec(),
            flags,
        };
        Executable {
            segments: vec![
                part(0, 0x100, &[1; 0x100], flags::R),
                part(0x1100, 0x40, &[2; 0x40], flags::R | flags::X),
                part(0x2f00, 0x1200, &[3; 0x20], flags::R | flags::W),
            ],
            entry: 0x1100,
            relocations: vec![(0x2f08, 0x1104)],
            build: *b"buildid!",
        }
    }

    #[test]
    fn an_archive_is_read_back() {
        let long = vec![7; 5000];
        let files: [(&str, &[u8]); 4] =
            [("init", b"first"), ("long", &long), ("empty", b""), ("cmdline", b"list")];
        let bytes = archive(&files).expect("written");
        let read = Archive::new(&bytes).expect("an archive");
        assert_eq!(read.entries().collect::<Vec<_>>(), files);
        assert_eq!(read.find("cmdline"), Some(&b"list"[..]));
        for (_, contents) in read.entries() {
            let offset = contents.as_ptr().addr() - bytes.as_ptr().addr();
            assert_eq!(offset % PAGE as usize, 0, "contents begin on a page");
        }
        assert_eq!(bytes.len() % PAGE as usize, 0, "the last page is whole");
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "a name that is far too long for thirty-two"] {
            assert!(archive(&[(name, b"")]).is_err(), "{name}");
        }
        let error = archive(&[("a", b""), ("a", b"")]).expect_err("twice the same");
        assert!(error.to_string().contains("two files are called `a`"));
    }

    #[test]
    fn a_flat_image_is_read_back() {
        let bytes = flat(&program()).expect("written");
        let read = Flat::new(&bytes).expect("a flat image");
        assert_eq!(read.entry, LOAD_BASE + 0x1100);
        assert_eq!(read.base, LOAD_BASE);
        assert_eq!(read.build.to_le_bytes(), *b"buildid!");
        assert_eq!(read.segments, 3);
        let code = read.segment(1).expect("code");
        assert_eq!((code.address, code.memory), (LOAD_BASE + 0x1000, PAGE));
        assert_eq!(code.contents[..0x100], [0; 0x100], "what lies before it is zero");
        assert_eq!(code.contents[0x100..], [2; 0x40]);
        assert_eq!(Rights::from_bits(code.rights), Some(Rights::R | Rights::X));
        let data = read.segment(2).expect("data");
        assert_eq!((data.address, data.memory), (LOAD_BASE + 0x2000, 3 * PAGE));
        assert_eq!(data.contents[0xf00..0xf08], [3; 8]);
        assert_eq!(data.contents[0xf08..0xf10], (LOAD_BASE + 0x1104).to_le_bytes(), "relocated");
        assert_eq!(Rights::from_bits(data.rights), Some(Rights::R | Rights::W));
        for index in 0..3 {
            let contents = read.segment(index).expect("well-formed").contents;
            let offset = contents.as_ptr().addr() - bytes.as_ptr().addr();
            assert_eq!(offset % PAGE as usize, 0, "contents begin on a page");
        }
    }

    #[test]
    fn segments_on_one_page_are_an_error() {
        let mut shared = program();
        shared.segments[1].address = 0x200;
        let error = flat(&shared).expect_err("they share page 0");
        assert!(error.to_string().contains("share the page 0x0"), "{error}");
    }

    #[test]
    fn a_relocation_outside_of_the_contents_is_an_error() {
        let mut wrong = program();
        wrong.relocations.push((0x3f00, 0));
        let error = flat(&wrong).expect_err("in the zeroed part");
        assert!(error.to_string().contains("0x3f00"), "{error}");
    }
}
