//! What a guest should not do, or cannot.

use postern_hypercall::{Hypercalls, Switch};

use postern_abi::harness::PROMPT;

use crate::console::{print, println};
use crate::{Given, bare};

/// Does nothing, for ever. It asks once more, so that whoever typed this goes on.
pub fn spin(_: &Given) {
    println!("spinning");
    print!("{PROMPT}");
    loop {
        core::hint::spin_loop();
    }
}

/// Uses addresses behind its memory. All of the memory is mapped and nothing
/// more, so the guest's own tables have to say that there is some.
pub fn outside(given: &Given) {
    let (root, _) = x86_64::registers::control::Cr3::read();
    // The first slot is free: a huge page of addresses far away.
    let table = given.physical + root.start_address().as_u64();
    let page = given.physical + 0x50_0000;
    // SAFETY: the slots of these addresses are empty, and nothing lies at 5 MiB.
    unsafe {
        bare::touch(page, 0x70_0000_0000 | 0x83);
        bare::touch(table + 8 * 3, 0x50_0000 | 3);
        println!("outside of its memory");
        bare::touch(3 << 39 | 0x123_4560, 1);
    }
    println!("there was something");
}

/// Asks for interrupts as often as can be, of both timers, and counts what comes.
pub fn ticks(_: &Given) {
    let rate = u64::from(core::arch::x86_64::__cpuid(0x4000_0010).eax) * 1000;
    let before = bare::count(bare::TICKS) + bare::count(bare::OLD_TICKS);
    bare::set_timer(1 << 17);
    bare::start_countdown(1);
    bare::set_old_timer(1);
    let (start, wait) = (bare::ticks(), rate / 50);
    while bare::ticks() - start < wait {
        core::hint::spin_loop();
    }
    bare::start_countdown(0);
    bare::set_old_timer(0);
    let milliseconds = (bare::ticks() - start) * 1000 / rate;
    let count = bare::count(bare::TICKS) + bare::count(bare::OLD_TICKS) - before;
    // Ten of each in a millisecond.
    let is_bounded = (10..=20 * milliseconds + 4).contains(&count);
    println!("ticks: {}", if is_bounded { "bounded" } else { "too few or too many" });
    bare::set_timer(1 << 16);
}

/// Dies.
pub fn triple(_: &Given) {
    println!("no interrupt table");
    bare::triple_fault();
}

/// Very many hypercalls.
pub fn flood(given: &Given) {
    let Ok(calls) = Hypercalls::detect(Switch::On) else { return };
    let count = given.number.unwrap_or(u64::MAX);
    let refused = (0..count).filter(|_| calls.hypercall0(0x77).is_err()).count();
    println!("{refused} hypercalls were refused");
}

/// Reads all MSRs in the ranges that CPUs have, and writes to those that do not
/// take the ground away from under this guest.
pub fn msrs(_: &Given) {
    let before = bare::count(bare::PROTECTION);
    let mut total = 0;
    for msr in (0..0x1000).chain(0xc000_0000..0xc000_0400).chain(0xc001_0000..0xc001_0400) {
        let value = bare::read_msr(msr);
        total += 1;
        // Its own interrupt controller, the bases of segments, EFER.
        if !matches!(msr, 0x1b | 0x800..=0x8ff | 0xc000_0080..=0xc000_0102) {
            // SAFETY: the machine has none of them, or they stay as they are.
            unsafe {
                bare::write_msr(msr, value);
                bare::write_msr(msr, u64::MAX);
            }
        }
    }
    let faults = bare::count(bare::PROTECTION) - before;
    println!("{total} MSRs, {} faults", if faults > total { "many" } else { "few" });
}

/// Reads all ports, and writes to those that do not end the guest.
pub fn ports(_: &Given) {
    let mut total = 0_u64;
    for number in 0..=u16::MAX {
        let port = bare::port(number);
        let _ = port.read();
        total += 1;
        // The serial port, the interrupt controllers, the two switches.
        if !matches!(number, 0x20 | 0x21 | 0xa0 | 0xa1 | 0xf4 | 0x3f8..=0x3ff | 0x604) {
            port.write(0xff);
        }
    }
    println!("{total} ports");
}

/// Halts and cannot be woken.
pub fn halt(_: &Given) {
    bare::halt_for_ever();
}

/// Moves a string through a port.
pub fn string(_: &Given) {
    bare::write_string(0x3f8, b"text");
}
