//! The tree against a model that is a map of paths to bytes.

use alloc::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use postern_protocol::files::{Error, Kind};
use proptest::prelude::*;

use crate::{Archive, Limits, PAGE, Tree};

/// An archive whose bytes follow from their places.
struct Pattern;

fn byte(at: u64) -> u8 {
    (at * 7 % 251) as u8
}

impl Archive for Pattern {
    fn read(&self, at: u64, bytes: &mut [u8]) {
        for (index, place) in bytes.iter_mut().enumerate() {
            *place = byte(at + index as u64);
        }
    }
}

const LIMITS: Limits = Limits { bytes: 10 * PAGE as u64, names: 12 };

fn tree() -> Tree<Pattern> {
    let mut tree = Tree::new(Pattern, LIMITS);
    tree.mount("/bin/old", 100, 5000).expect("room");
    tree.mount("/note", 0, 3).expect("room");
    tree
}

fn all(tree: &Tree<Pattern>, path: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0xee; tree.info(path)?.bytes as usize + 10];
    let count = tree.read(path, 0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

fn names(tree: &Tree<Pattern>, path: &str) -> Result<Vec<String>, Error> {
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let some = tree.list(path, &after)?;
        let Some(last) = some.last() else { return Ok(names) };
        after = last.name.as_str().into();
        names.extend(some.iter().map(|entry| String::from(entry.name.as_str())));
    }
}

#[test]
fn what_is_mounted_is_read_and_then_written() {
    let mut tree = tree();
    let old: Vec<u8> = (100..5100).map(byte).collect();
    assert_eq!(all(&tree, "/bin/old"), Ok(old.clone()));
    assert_eq!(tree.usage().used, 0);
    tree.write("/bin/old", 4095, b"new").expect("room");
    let mut new = old;
    new[4095..4098].copy_from_slice(b"new");
    assert_eq!(all(&tree, "/bin/old"), Ok(new));
    assert_eq!(tree.usage().used, 2 * PAGE as u64);
    tree.resize("/bin/old", 2).expect("shorter");
    tree.resize("/bin/old", 4).expect("longer");
    assert_eq!(all(&tree, "/bin/old"), Ok(vec![byte(100), byte(101), 0, 0]));
    tree.remove("/bin/old").expect("a file");
    assert_eq!(tree.usage().used, 0);
}

#[test]
fn directories() {
    let mut tree = tree();
    assert_eq!(names(&tree, "/").expect("root"), ["bin", "note"]);
    assert_eq!(tree.info("/bin").expect("there").kind, Kind::Directory);
    assert_eq!(tree.remove("/bin"), Err(Error::NotEmpty));
    assert_eq!(tree.remove("/"), Err(Error::NotEmpty));
    assert_eq!(tree.create("/note/x"), Err(Error::NotDirectory));
    assert_eq!(tree.create("/none/x"), Err(Error::NotFound));
    assert_eq!(tree.create("/bin"), Err(Error::Exists));
    assert_eq!(tree.create("/"), Err(Error::Exists));
    assert_eq!(tree.create("note2"), Err(Error::BadPath));
    assert_eq!(tree.info("/note/x"), Err(Error::NotDirectory));
    assert_eq!(tree.read("/bin", 0, &mut []), Err(Error::IsDirectory));
    assert_eq!(tree.write("/", 0, &[]), Err(Error::IsDirectory));
    assert_eq!(tree.list("/note", "").map(|_| ()), Err(Error::NotDirectory));
    // Names that continue the name of a directory are not in it.
    for name in ["/bin-2", "/bin.3", "/bin0"] {
        tree.create(name).expect("room");
    }
    assert_eq!(names(&tree, "/bin").expect("there"), ["old"]);
    assert_eq!(names(&tree, "/").expect("there"), ["bin", "bin-2", "bin.3", "bin0", "note"]);
    tree.remove("/bin/old").expect("a file");
    tree.remove("/bin").expect("empty");
    assert_eq!(tree.info("/bin"), Err(Error::NotFound));
}

#[test]
fn a_full_tree_says_so_and_has_lost_nothing() {
    let mut tree = tree();
    tree.create("/a").expect("room");
    let some = vec![1; 9 * PAGE];
    tree.write("/a", 0, &some).expect("room");
    assert_eq!(tree.write("/a", some.len() as u64, &[2; PAGE + 1]), Err(Error::Full));
    assert_eq!(tree.write("/bin/old", 0, b"x"), Err(Error::Full), "two pages");
    assert_eq!(tree.resize("/a", u64::MAX), Err(Error::Full));
    assert_eq!(tree.write("/a", some.len() as u64 + 1, &[2]), Err(Error::Behind));
    assert_eq!(all(&tree, "/a"), Ok(some));
    assert_eq!(all(&tree, "/bin/old"), Ok((100..5100).map(byte).collect()));
    tree.write("/note", 3, b"!").expect("the last page");
    assert_eq!(tree.usage().used, LIMITS.bytes);
    for index in 0..8 {
        tree.create(&format!("/{index}")).expect("room");
    }
    assert_eq!(tree.create("/another"), Err(Error::TooMany));
    // What is deleted makes room.
    tree.remove("/a").expect("a file");
    tree.create("/another").expect("room");
    tree.write("/another", 0, &[3; 9 * PAGE]).expect("room");
}

#[derive(Debug, Clone)]
enum Step {
    Create(usize),
    Remove(usize),
    Write(usize, u64, Vec<u8>),
    Resize(usize, u64),
    Read(usize, u64, usize),
}

const PATHS: [&str; 5] = ["/note", "/bin/old", "/bin/new", "/x", "/bin"];

fn step() -> impl Strategy<Value = Step> {
    let path = 0..PATHS.len();
    let place = prop_oneof![0u64..10, 4080u64..4110, 0u64..20_000, Just(u64::MAX)];
    let data = (any::<u8>(), prop_oneof![0usize..10, 4000usize..9000])
        .prop_map(|(byte, length)| vec![byte; length]);
    prop_oneof![
        path.clone().prop_map(Step::Create),
        path.clone().prop_map(Step::Remove),
        (path.clone(), place.clone(), data).prop_map(|(a, b, c)| Step::Write(a, b, c)),
        (path.clone(), place.clone()).prop_map(|(a, b)| Step::Resize(a, b)),
        (path, place, 0usize..9000).prop_map(|(a, b, c)| Step::Read(a, b, c)),
    ]
}

proptest! {
    #[test]
    fn random_steps_do_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let mut tree = tree();
        let mut model: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        model.insert("/note", (0..3).map(byte).collect());
        model.insert("/bin/old", (100..5100).map(byte).collect());
        for step in steps {
            match step {
                Step::Create(index) => {
                    let is_new = PATHS[index] != "/bin" && !model.contains_key(PATHS[index]);
                    prop_assert_eq!(tree.create(PATHS[index]).is_ok(), is_new);
                    if is_new {
                        model.insert(PATHS[index], Vec::new());
                    }
                }
                Step::Remove(index) if PATHS[index] != "/bin" => {
                    prop_assert_eq!(
                        tree.remove(PATHS[index]).is_ok(),
                        model.remove(PATHS[index]).is_some()
                    );
                }
                Step::Remove(_) => {}
                Step::Write(index, at, data) => {
                    let done = tree.write(PATHS[index], at, &data);
                    match model.get_mut(PATHS[index]) {
                        Some(bytes) if at <= bytes.len() as u64 => match done {
                            Ok(()) => {
                                let (at, end) = (at as usize, at as usize + data.len());
                                bytes.resize(bytes.len().max(end), 0);
                                bytes[at..end].copy_from_slice(&data);
                            }
                            Err(error) => prop_assert_eq!(error, Error::Full),
                        },
                        Some(_) => prop_assert_eq!(done, Err(Error::Behind)),
                        None => prop_assert!(done.is_err()),
                    }
                }
                Step::Resize(index, length) => {
                    let done = tree.resize(PATHS[index], length);
                    match model.get_mut(PATHS[index]) {
                        Some(bytes) => match done {
                            Ok(()) => bytes.resize(length as usize, 0),
                            Err(error) => prop_assert_eq!(error, Error::Full),
                        },
                        None => prop_assert!(done.is_err()),
                    }
                }
                Step::Read(index, at, length) => {
                    let mut bytes = vec![0; length];
                    let done = tree.read(PATHS[index], at, &mut bytes);
                    match model.get(PATHS[index]) {
                        Some(all) => {
                            let start = usize::try_from(at).unwrap_or(usize::MAX).min(all.len());
                            let end = all.len().min(start + length);
                            prop_assert_eq!(done, Ok(end - start));
                            prop_assert_eq!(&bytes[..end - start], &all[start..end]);
                        }
                        None => prop_assert!(done.is_err()),
                    }
                }
            }
            let pages: usize = model.values().map(|bytes| bytes.len().div_ceil(PAGE)).sum();
            let used = tree.usage().used as usize;
            prop_assert!(used <= pages * PAGE && used as u64 <= LIMITS.bytes, "{} pages", used);
            for (path, bytes) in &model {
                prop_assert_eq!(&all(&tree, path).expect("there"), bytes);
            }
        }
    }
}
