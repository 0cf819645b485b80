//! The first lines in the log: what runs, on what, and what it cannot defend.

use core::fmt::{self, Write};

use postern_core::machine::LogWriter;
use postern_hypercall::Absent;
use postern_machine::{Boot, Facts, Hypervisor};

/// Hertz of a megahertz.
const MEGA: u64 = 1_000_000;

/// Prints the banner.
pub fn print(boot: &mut Boot, hypervisor: Result<Hypervisor, Absent>) {
    let build = boot.build();
    let Facts { memory, features, flaws, controller, timer, rates, lines } = boot.facts;
    let mut log = LogWriter(&mut boot.kernel.machine);
    let mut lines = || -> fmt::Result {
        writeln!(log, "Postern {} (build {build})", env!("CARGO_PKG_VERSION"))?;
        writeln!(log, "memory: {} KiB", memory / 1024)?;
        writeln!(log, "CPU: {features}")?;
        let (count, by) = lines;
        writeln!(log, "interrupts: {controller}, {count} lines ({by})")?;
        let (tsc, apic) = (rates.tsc / MEGA, rates.apic / MEGA);
        let source = rates.source;
        writeln!(log, "clock: TSC {tsc} MHz ({source}); timer: {timer}, {apic} MHz")?;
        match hypervisor {
            Ok(hypervisor) => writeln!(log, "hypercalls: {hypervisor}")?,
            Err(absent) => writeln!(log, "hypercalls: {absent}")?,
        }
        if !flaws.is_empty() {
            writeln!(log, "not mitigated: {flaws}")?;
        }
        Ok(())
    };
    // Writing to the log cannot fail.
    let _written = lines();
}
