//! The rows of the hypercall convention, from inside of a guest whose monitor
//! serves the calls.

use postern_hypercall::{Coredump, Error, Hypercalls, Outputs, Request, Switch, code_word, number};

use crate::console::println;
use crate::{Given, bare};

/// One row: what was seen has to be what was wanted.
macro_rules! row {
    ($row:literal, $seen:expr, $wanted:expr) => {{
        let (seen, wanted) = ($seen, $wanted);
        if seen == wanted {
            println!("{}: ok", $row);
        } else {
            println!("{}: FAILED: {:x?} instead of {:x?}", $row, seen, wanted);
        }
    }};
}

fn calls() -> Option<Hypercalls> {
    let found = Hypercalls::detect(Switch::On).ok();
    if found.is_none() {
        println!("no hypercalls: nothing was called");
    }
    found
}

/// Goes through all rows.
pub fn all(_: &Given) {
    let Some(calls) = calls() else { return };
    let session = |code| calls.hypercall0(code).map(|outputs| outputs.bytes()[8]);
    row!("a01 only 24 bits of a code count", session(0xff00_0004), Ok(b'-'));
    row!("a02 and the outputs are where they belong", outputs(calls), true);
    row!("a03 carry says error, both ways", carry(calls), [true, false, true, false]);
    let other = |code| calls.call(Request { code, arguments: [1, 0, 0, 0, 0, 0] });
    row!("a04 other name spaces are not ours", other(1), Err(Error::InvalidCode));
    row!("a04 nor with high bits", other(1 << 32 | code_word(4)), Err(Error::InvalidCode));
    row!("a05 all four calls are offered", calls.features().0, 0xf);
    row!("a05 in the first block", calls.interface().base, 0x4000_0100);
    row!("a06 switched off there is no token", Hypercalls::detect(Switch::Off).is_err(), true);
    known(calls);
    row!("a08 unknown code", calls.hypercall0(5), Err(Error::InvalidCode));
    row!("a08 with its errno", calls.hypercall0(0xff_ffff).map_err(Error::errno), Err(22));
    let wrong = calls.hypercall1(number::TRIGGER_DUMP, 2);
    row!("a08 wrong kind of dump", wrong, Err(Error::InvalidParameter));
    // With all arguments zero, the call says that there is nothing to dump.
    let zero = calls.hypercall0(number::SET_COREDUMP_DATA);
    row!("a09 arguments that are not given are zero", zero, Ok(Outputs::default()));
    let intel = bare::other_instruction(calls);
    row!("a10 the other instruction is answered, too", intel.hypercall0(4), calls.hypercall0(4));
    row!("a10 and refused", intel.hypercall0(0x100), Err(Error::InvalidCode));
}

/// The text of the session lies in outputs 0 to 4, and 5 and 6 are empty.
fn outputs(calls: Hypercalls) -> bool {
    let Ok(outputs) = calls.hypercall0(number::GET_BOOT_SESSION) else { return false };
    let bytes = outputs.bytes();
    bytes[..36].iter().all(|byte| *byte == b'-' || byte.is_ascii_hexdigit())
        && bytes[36..].iter().all(|byte| *byte == 0)
        && outputs.0[4] >> 32 == 0
}

fn carry(calls: Hypercalls) -> [bool; 4] {
    [9, number::GET_BOOT_SESSION, 10, number::SET_COREDUMP_DATA]
        .map(|code| calls.hypercall0(code).is_err())
}

fn known(calls: Hypercalls) {
    let (Some(debugger), Some(clock), Some(session)) =
        (calls.debugger(), calls.clock(), calls.session())
    else {
        println!("a07: FAILED: a feature is missing");
        return;
    };
    let data = Coredump {
        text: 0x1000,
        map_start: 0x2000,
        map_end: 0x3000,
        cr3: 0x4000,
        buffers: 0x5000,
        buffers_size: 0x600,
    };
    row!("a07 coredump data", debugger.set_coredump_data(data), Ok(()));
    let wrong = Coredump { map_end: 0, ..data };
    let refused = debugger.set_coredump_data(wrong);
    row!("a07 coredump data that cannot be", refused, Err(Error::InvalidParameter));
    match session.id() {
        Ok(id) => println!("a07 session: {id}"),
        Err(error) => println!("a07 session: FAILED: {error}"),
    }
    // Two moments: both offsets say the same about the host's clock.
    let tsc = bare::ticks();
    let (here, later) = (clock.offset(tsc, 0), clock.offset(tsc, 1000));
    let differ = here.and_then(|here| later.map(|later| here.wrapping_sub(later)));
    row!("a07 offset of the absolute time", differ, Ok(1000));
    let rate = u64::from(core::arch::x86_64::__cpuid(0x4000_0010).eax) * 1000;
    let second = clock.offset(tsc + rate, 0);
    let passed = here.and_then(|here| second.map(|second| second.wrapping_sub(here)));
    let is_second = passed.map(|passed| passed.abs_diff(1_000_000_000) < 10_000);
    row!("a07 which is the host's time", is_second, Ok(true));
}

/// Triggers a dump, with data about this guest: six different arguments in, and
/// seven different outputs out, which spell the dump's name.
pub fn dump(_: &Given) {
    let Some(calls) = calls() else { return };
    let (Some(debugger), Some(dump), Some(session)) =
        (calls.debugger(), calls.dump(), calls.session())
    else {
        println!("a feature is missing");
        return;
    };
    let data = Coredump {
        text: main_address(),
        map_start: 0x2222,
        map_end: !0x3333,
        cr3: 0x4444,
        buffers: 0x5555,
        buffers_size: 666,
    };
    if let Err(error) = debugger.set_coredump_data(data) {
        println!("no data for the dump: {error}");
    }
    match (dump.trigger(), session.id()) {
        (Ok(tag), Ok(session)) => {
            println!("the dump is called {tag}");
            let name = tag.name();
            let start = name.iter().position(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            let rest = &name[start..];
            row!("a02 seven outputs, all different", &session.text()[..rest.len()], rest);
        }
        (dump, session) => println!("FAILED: {dump:?}, {session:?}"),
    }
}

fn main_address() -> u64 {
    dump as *const () as u64 & !0xfff
}
