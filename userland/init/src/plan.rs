//! Which programs there are and what each is given.
//!
//! The system manifest (issue 3) replaces this file: it is data only, in the
//! form in which `userland/system.toml` will say it.

/// A capability that a program is given, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// The kernel's log, to write.
    Log,
    /// I/O ports: name, first port, number of ports.
    Ports(&'static str, u16, u32),
    /// An interrupt line: name, line.
    Interrupt(&'static str, u32),
    /// A gate of its own to the console, called `console`.
    Console,
    /// A gate of its own to the supervisor, called `supervisor`.
    Supervisor,
    /// A gate of its own to the name server, called `names`.
    Names,
    /// The same, with the right to register servers.
    Register,
}

/// A program and what it is given.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The name of its file in the boot archive.
    pub name: &'static str,
    /// Its priority.
    pub priority: u8,
    /// The most memory that it may use, in bytes.
    pub quota: u64,
    /// Bytes of its heap.
    pub heap: u64,
    /// How often it is started again when it ends.
    pub restarts: u32,
    /// Its capabilities, beside its own task, thread and factory.
    pub grants: &'static [Grant],
}

/// The console server: the serial port and its interrupt, no gates to others.
pub const CONSOLE: Plan = Plan {
    name: "console",
    priority: 180,
    quota: 1 << 20,
    heap: 64 << 10,
    restarts: 5,
    grants: &[Grant::Log, Grant::Ports("uart", 0x3f8, 8), Grant::Interrupt("uart-irq", 4)],
};

/// The shell: two gates, no device.
pub const SHELL: Plan = Plan {
    name: "shell",
    priority: 100,
    quota: 1 << 20,
    heap: 128 << 10,
    restarts: 5,
    grants: &[Grant::Log, Grant::Console, Grant::Supervisor],
};

/// The name server: no gates to others.
pub const NAMES: Plan = Plan {
    name: "names",
    priority: 170,
    quota: 1 << 20,
    heap: 64 << 10,
    restarts: 5,
    grants: &[Grant::Log],
};

/// An example of a server that is found by its name.
pub const ECHO: Plan = Plan {
    name: "echo-server",
    priority: 110,
    quota: 1 << 20,
    heap: 64 << 10,
    restarts: 5,
    grants: &[Grant::Log, Grant::Register],
};

/// Any other program in the archive, started by name.
pub const OTHER: Plan = Plan {
    name: "",
    priority: 90,
    quota: 4 << 20,
    heap: 256 << 10,
    restarts: 0,
    grants: &[Grant::Log, Grant::Console, Grant::Names],
};

/// What is started at boot, in this order.
pub const AT_BOOT: [&Plan; 4] = [&CONSOLE, &NAMES, &ECHO, &SHELL];

/// Entries of the boot archive that are no programs to be started by name.
pub const NOT_PROGRAMS: [&str; 2] = ["init", postern_runtime::syscall::abi::harness::CMDLINE];
