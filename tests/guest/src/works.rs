//! What the machine gives a guest: exceptions, a timer, a keyboard, memory.

use postern_hypercall::{Hypercalls, Switch};

use crate::console::println;
use crate::{Given, bare};

/// Instructions and MSRs that a guest has not.
pub fn exceptions(_: &Given) {
    let before = [bare::count(bare::UNDEFINED), bare::count(bare::PROTECTION)];
    bare::run_guest();
    let _ = bare::read_msr(0x1234);
    let _ = bare::read_msr(0xc001_0117);
    let after = [bare::count(bare::UNDEFINED), bare::count(bare::PROTECTION)];
    println!("undefined {}, protection {}", after[0] - before[0], after[1] - before[1]);
}

/// The timer in all its modes.
pub fn timer(_: &Given) {
    const MILLISECOND: u64 = 1_000_000;
    let rate = u64::from(core::arch::x86_64::__cpuid(0x4000_0010).eax) * 1000;
    let microseconds = |ticks: u64| ticks * 1_000_000 / rate;
    bare::set_timer(0);
    let start = bare::ticks();
    bare::start_countdown(5 * MILLISECOND as u32);
    wait_for(bare::TICKS, 1);
    let once = microseconds(bare::ticks() - start);
    println!("once: {}", if (5000..50_000).contains(&once) { "on time" } else { "not on time" });
    bare::set_timer(1 << 17);
    bare::start_countdown(MILLISECOND as u32);
    wait_for(bare::TICKS, 3);
    bare::start_countdown(0);
    println!("periodic: 3 ticks");
    bare::set_timer(2 << 17);
    let start = bare::ticks();
    bare::start_deadline(start + rate / 200);
    wait_for(bare::TICKS, 1);
    let at = microseconds(bare::ticks() - start);
    let is_on_time = (5000..50_000).contains(&at);
    println!("deadline: {}", if is_on_time { "on time" } else { "not on time" });
    bare::set_timer(1 << 16);
    let start = bare::ticks();
    bare::set_old_timer(1193);
    wait_for(bare::OLD_TICKS, 5);
    bare::set_old_timer(0);
    let passed = microseconds(bare::ticks() - start);
    let is_on_time = (5000..50_000).contains(&passed);
    println!("old timer: {}", if is_on_time { "on time" } else { "not on time" });
}

fn wait_for(what: usize, count: u64) {
    let wanted = bare::count(what) + count;
    while bare::count(what) < wanted {
        bare::halt();
    }
}

/// How often the keyboard has interrupted.
pub fn keys(_: &Given) {
    let count = bare::count(bare::SERIAL);
    println!("keys: {}", if count > 0 { "by interrupt" } else { "no interrupt" });
}

/// Uses a word in each MiB of memory that nothing else uses.
pub fn memory(given: &Given) {
    let first = 4 << 20;
    let mut sum = 0;
    for round in 0..2 {
        for at in (first..given.memory).step_by(1 << 20) {
            // SAFETY: nothing of this small guest lies so high.
            sum += unsafe { bare::touch(given.physical + at, at + round) };
        }
    }
    let wanted: u64 = (first..given.memory).step_by(1 << 20).sum();
    println!("memory: {}", if sum == wanted { "zero at first, then kept" } else { "wrong" });
}

/// Registers that the machine keeps.
pub fn registers(_: &Given) {
    let [zero, three, seven] = bare::debug_registers(0x1234);
    println!("debug registers: {zero:#x} {three:#x} {seven:#x}");
    // FS, GS, kernel GS; SYSENTER; LSTAR.
    let all = [0xc000_0100, 0xc000_0101, 0xc000_0102, 0x175, 0x176, 0xc000_0082];
    for (index, msr) in all.into_iter().enumerate() {
        // SAFETY: the guest uses none of them.
        unsafe { bare::write_msr(msr, 0xffff_8000_0000_0000 + index as u64) };
    }
    let kept = all
        .into_iter()
        .enumerate()
        .all(|(index, msr)| bare::read_msr(msr) == 0xffff_8000_0000_0000 + index as u64);
    println!("MSRs: {}", if kept { "kept" } else { "lost" });
}

/// Instructions of a hypercall and its answer, by the time stamp counter: of an
/// unknown code, which the monitor only refuses.
pub fn count(_: &Given) {
    let Ok(calls) = Hypercalls::detect(Switch::On) else { return };
    let mut least = u64::MAX;
    for _ in 0..16 {
        let start = bare::ticks();
        let nothing = bare::ticks() - start;
        let start = bare::ticks();
        let _ = calls.hypercall0(0x100);
        least = least.min(bare::ticks() - start - nothing);
    }
    println!("a hypercall takes {least} ticks");
}
