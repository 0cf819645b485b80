extern crate std;

use alloc::vec;
use alloc::vec::Vec;

use postern_abi::Rights;

use super::*;

fn draft(name: &str) -> Draft<'_> {
    Draft {
        name,
        start: Start::Boot,
        priority: 180,
        quota: 1 << 20,
        heap: 64 << 10,
        stack: 32 << 10,
        slots: 128,
        restarts: 5,
        delay: 0,
        contexts: 4,
        arguments: vec![],
        services: vec![],
        capabilities: vec![],
    }
}

fn objects() -> Vec<Object<'static>> {
    let gate = |server, rights, label| Object::Gate(GateTo { server, rights, label });
    vec![
        Object::Log,
        Object::Clock,
        Object::Archive,
        Object::Trace,
        Object::Scheduler { maximum: 150 },
        Object::Ports { first: 0, count: 65536 },
        Object::Irq { line: 23 },
        Object::Factory { quota: u64::MAX },
        gate("console", Rights::R | Rights::W | Rights::GRANT, Some(4096)),
        gate(INIT, Rights::R, None),
    ]
}

fn sample() -> Vec<u8> {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let capabilities = names.iter().zip(objects());
    let full = Draft {
        start: Start::Demand,
        arguments: vec!["-v", "", "größe"],
        services: vec!["echo", "discard"],
        capabilities: capabilities.map(|(name, object)| Capability { name, object }).collect(),
        ..draft("full")
    };
    write(&[draft("bare"), full]).expect("short enough")
}

#[test]
fn what_is_written_is_read() {
    let bytes = sample();
    let manifest = Manifest::parse(&bytes).expect("well-formed");
    let programs: Vec<_> = manifest.programs().collect();
    assert_eq!(programs.len(), 2);
    let bare = programs[0];
    assert_eq!((bare.name, bare.start, bare.priority), ("bare", Start::Boot, 180));
    assert_eq!((bare.quota, bare.heap, bare.stack), (1 << 20, 64 << 10, 32 << 10));
    assert_eq!((bare.slots, bare.restarts, bare.contexts), (128, 5, 4));
    assert!(bare.arguments.is_empty() && bare.services.is_empty());
    assert!(bare.capabilities.is_empty());
    let full = manifest.find("full").expect("the second one");
    assert_eq!(full.start, Start::Demand);
    assert_eq!(full.arguments.iter().collect::<Vec<_>>(), ["-v", "", "größe"]);
    assert_eq!(full.services.iter().collect::<Vec<_>>(), ["echo", "discard"]);
    let read: Vec<_> = full.capabilities.iter().map(|capability| capability.object).collect();
    assert_eq!(read, objects());
    assert_eq!(full.capabilities.iter().nth(1).map(|found| found.name), Some("b"));
    assert!(manifest.find("absent").is_none());
}

#[test]
fn a_manifest_that_is_cut_or_has_a_tail_is_malformed() {
    let mut bytes = sample();
    for length in 0..bytes.len() {
        assert_eq!(Manifest::parse(&bytes[..length]).err(), Some(Malformed), "cut at {length}");
    }
    bytes.push(0);
    assert_eq!(Manifest::parse(&bytes).err(), Some(Malformed));
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let good = sample();
    for at in 0..good.len() {
        for value in [0, 1, 9, 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(manifest) = Manifest::parse(&bytes) {
                for program in manifest.programs() {
                    assert_eq!(program.capabilities.iter().count(), program.capabilities.len());
                    assert_eq!(program.arguments.iter().count(), program.arguments.len());
                }
            }
        }
    }
}

#[test]
fn names_that_do_not_fit_are_not_written() {
    let long = "a-name-of-32-bytes-does-not-fit-";
    assert_eq!(long.len(), MAX_NAME + 1);
    assert!(write(&[draft(&long[..MAX_NAME])]).is_some());
    assert!(write(&[draft(long)]).is_none());
    assert!(write(&[draft("")]).is_none());
    let services = vec![long];
    assert!(write(&[Draft { services, ..draft("x") }]).is_none());
}
