//! What `xtask` and the programs in QEMU say to each other (docs/abi.md
//! section 10): exit codes and the lines of the test protocol.

/// The port of QEMU's `isa-debug-exit`; writing `v` ends QEMU with the exit
/// code `v * 2 + 1`.
pub const EXIT_PORT: u16 = 0xf4;
/// Written for success: QEMU exits with 33.
pub const EXIT_SUCCESS: u8 = 0x10;
/// Written when something failed in an orderly way: 35.
pub const EXIT_FAILURE: u8 = 0x11;
/// Written by a kernel panic, after its report: 37.
pub const EXIT_PANIC: u8 = 0x12;
/// Written when `init` died, so that nothing more can happen: 39.
pub const EXIT_INIT_DIED: u8 = 0x13;

/// The exit code of QEMU for a value written to [`EXIT_PORT`].
#[must_use]
pub const fn qemu_exit_code(value: u8) -> i32 {
    value as i32 * 2 + 1
}

/// What the shell prints when it waits for a line; `run --exec` types the next
/// command when it sees this.
pub const PROMPT: &str = "postern> ";

/// Begins every line of the test protocol. Lines: `@@ list NAME`,
/// `@@ start NAME`, `@@ ok NAME`, `@@ skip NAME REASON`, `@@ fail NAME REASON`,
/// `@@ end PASSED FAILED SKIPPED`, `@@ note TEXT`; benchmarks: `@@ bench NAME MIN MEDIAN P99 SAMPLES`.
pub const MARK: &str = "@@ ";

/// Begins an address that xtask turns into a name: `[@PROGRAM+0xOFFSET]`,
/// where PROGRAM is `kernel` or a program's name and OFFSET is the address
/// relative to the load base.
pub const SYMBOL_OPEN: &str = "[@";
/// Ends an address that xtask turns into a name.
pub const SYMBOL_CLOSE: &str = "]";

/// Ends the names of programs that were started from a file and not from the
/// boot archive, so that none of them has the name of another one.
pub const FILE_PROGRAM: &str = ".file";

/// The function that the benchmarks call before the sample that
/// `cargo xtask bench --explain` looks at, and the argument by which a
/// debugger knows it from whatever else lies at its address.
pub const BENCH_MARK_SYMBOL: &str = "postern_bench_mark";
/// See [`BENCH_MARK_SYMBOL`].
pub const BENCH_MARK: u64 = 0x6265_6e63_686d_726b;

/// The archive entry that holds the command line (words for `init`).
pub const CMDLINE: &str = "cmdline";
