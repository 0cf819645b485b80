//! Operations on kernel objects (docs/abi.md section 7).
//!
//! An operation is a call (or a send) on the object's capability with protocol
//! [`crate::tag::protocol::KOBJECT`]. Word 0 is the operation below; words 1.. are its
//! arguments as listed; capability arguments are items. Results are the words
//! of the answer. High byte: the kind of the object, so that an operation sent
//! to the wrong object is `NoSys` and never something else.

/// Operations of a factory.
pub mod factory {
    /// Create an object: w1 kind, w2 empty slot for it (in the caller's task),
    /// w3.. as the kind says. Needs S.
    ///
    /// - `Factory`: w3 quota in bytes, charged to this factory.
    /// - `Task`: w3 capability slots, rounded up to 128; w4, if it is there, 1
    ///   for the memory of a guest (`Unsupported` where the CPU runs none), else
    ///   0.
    /// - `Thread`: w3 priority, at most the creator's own.
    /// - `Gate`: without items unbound; with an item (a thread or an entry, S
    ///   needed): w3 label, and for an entry optionally w4 limit, as in
    ///   [`super::gate::BIND`].
    /// - `Entry`: w3 handler address, w4 floor priority, w5 grace time in
    ///   nanoseconds; item 0 a task (W needed); optionally item 1 a
    ///   `Scheduler` (W needed), whose maximum bounds the floor in place of the
    ///   creator's own priority.
    /// - `Memory`: w3 bytes, a multiple of 4096; physically contiguous, zeroed.
    /// - `Notification`: nothing more.
    /// - `Scheduler`: w3 maximum priority, at most that of item 0, a
    ///   `Scheduler` (W needed); nothing is charged.
    /// - `Relay`: w3 bytes, a multiple of 4096 up to 512 GiB; w4, if there is
    ///   one, 0 or [`super::relay::SCATTERED`]; zeroed.
    /// - `IoPort`: w3 first port, w4 number of ports; item 0 an `IoPort` (W
    ///   needed) that covers them.
    pub const CREATE: u64 = 0x101;
    /// w0 quota, w1 bytes charged; of the root factory also w2 free bytes of
    /// the machine's memory, w3 all of them, else 0. Needs R.
    pub const INFO: u64 = 0x102;
    /// Destroy everything that was made through this factory and its
    /// sub-factories, the caller included if it was. The factory stays and is
    /// empty afterwards; while it lasts, creating gives `NoMem`. Needs D.
    pub const EMPTY: u64 = 0x103;
}

/// Operations of a task.
pub mod task {
    /// Map item 0 (memory): w1 address, w2 offset in the memory, w3 bytes, w4
    /// rights (R, W, X; W and X exclude each other). Needs W on the task. The
    /// range must be unmapped.
    pub const MAP: u64 = 0x201;
    /// Unmap w1 address, w2 bytes: whole mappings that lie in the range; one
    /// that lies in it in part is `Inval`. w0: bytes unmapped. Needs W.
    pub const UNMAP: u64 = 0x202;
    /// Derive inside this task: w1 source slot, w2 empty slot, w3 rights mask.
    /// Needs W.
    pub const DERIVE: u64 = 0x203;
    /// Put a capability of the *caller* into this task: item 0 with its rights
    /// mask (GRANT needed when this is another task), w1 empty slot. Needs W.
    pub const DELEGATE: u64 = 0x204;
    /// Delete the capability in slot w1 of this task; with w2 = 1 also the
    /// object, for everybody (the slot's capability needs D). Needs W.
    pub const DELETE: u64 = 0x205;
    /// Describe up to 15 used slots from w1 on: w0 number n, then n times four
    /// words: slot | kind << 32 | rights << 40, object id, two details by kind
    /// (a gate: label and bound thread's index; memory: bytes and number of
    /// mappings; docs/abi.md 7.5 has all). Needs R.
    pub const LIST: u64 = 0x206;
    /// Take back everything that was derived from the capability in slot w1 of
    /// this task, in every task, mappings included; the capability itself
    /// stays. While it lasts, deriving from any capability of the object gives
    /// `Busy`. Needs W.
    pub const REVOKE: u64 = 0x209;
    /// Move the capability in slot w1 of this task to its empty slot w2; what
    /// was derived from it stays derived from it. Needs W.
    pub const MOVE: u64 = 0x20a;
    /// Change the rights of whole mappings: w1 address, w2 bytes, w3 rights (R,
    /// W, X; W and X exclude each other), which the capability that each was
    /// mapped with must have. w0: bytes changed. Needs W.
    pub const PROTECT: u64 = 0x20b;
    /// w1-w4 a name (32 bytes, NUL-padded UTF-8), w5 build id, w6 load base:
    /// what crash reports call the program. Needs W.
    pub const SET_NAME: u64 = 0x207;
    /// w0 slots in use, w1 slots, w2 bytes mapped, w3 threads, w4.. name.
    /// Needs R.
    pub const INFO: u64 = 0x208;
    /// Item 0, a gate: told of the hypercalls of this task's threads (protocol
    /// HYPERCALL, see [`crate::hypercall`]) while it is bound to a thread.
    /// Without an item: hypercalls fail. Needs W.
    pub const SET_HYPERCALL_GATE: u64 = 0x20c;
}

/// Operations of a thread. They act on its home activation.
pub mod thread {
    /// Bind the new thread to item 0, a task (W needed there): allocates the
    /// UTCB. w0: the UTCB's address. Needs W.
    pub const BIND: u64 = 0x301;
    /// Start: w1 instruction pointer, w2 stack pointer, w3 and w4 the values
    /// of rdi and rsi. Needs W.
    pub const START: u64 = 0x302;
    /// Stop: an IPC under way is cancelled; runs again with RESUME. Needs W.
    pub const STOP: u64 = 0x303;
    /// Let a stopped thread go on where it stopped. Needs W.
    pub const RESUME: u64 = 0x304;
    /// Item 0, a gate: told when the thread ends (protocol EXIT). Without an
    /// item: nobody is told. Needs W.
    pub const SET_EXIT_GATE: u64 = 0x305;
    /// w0 state (see [`ThreadState`]), w1 priority, w2 CPU time in
    /// nanoseconds, w3 index (used again after the thread is gone), w4 why it
    /// ended and w5 the detail (see [`super::reason`]). Needs R.
    pub const INFO: u64 = 0x306;
    /// Cancel the IPC or sleep in which the thread waits. Needs W.
    pub const CANCEL: u64 = 0x307;

    /// Item 0, a gate: told of this thread's faults (protocol FAULT, see
    /// [`super::fault`]) while it is bound to a thread. Without an item: no
    /// handler, a fault ends the thread. Needs W.
    pub const SET_FAULT_GATE: u64 = 0x308;
    /// w0-w18: rip rsp rflags rax rbx rcx rdx rsi rdi rbp r8-r15 and the FS
    /// base of a thread that is stopped, new, or waits for its fault handler;
    /// else `Busy`. Needs R.
    pub const GET_REGISTERS: u64 = 0x309;
    /// w1-w19: the same registers, to be loaded when it goes on. Addresses are
    /// checked, flags that are not the user's are ignored. Needs W.
    pub const SET_REGISTERS: u64 = 0x30a;
    /// Modify senders: from w1 on rules of four words, mask, match, clear, set.
    /// In the label of each sender that waits at the thread, rights bits
    /// included, the first rule with `label & mask == match` makes it
    /// `label & !clear | set`. A rule that is not whole is ignored. `Busy`
    /// while another run is under way. Needs S.
    pub const MODIFY_SENDERS: u64 = 0x30b;
    /// Signal item 0, a notification (W needed there), with the bits w1 when a
    /// gate that is bound to this thread is destroyed; without an item no
    /// more. A thread has one such notification. Needs W.
    pub const NOTIFY_DELETION: u64 = 0x30c;

    /// Words of a rule of [`MODIFY_SENDERS`].
    pub const RULE_WORDS: usize = 4;
    /// Most rules that fit into one message.
    pub const MAX_RULES: usize = (crate::tag::MAX_WORDS - 1) / RULE_WORDS;

    /// States of a thread in INFO.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[repr(u64)]
    pub enum ThreadState {
        /// Created, never started.
        New = 0,
        /// Runs or waits for its turn.
        Ready = 1,
        /// Waits for a receiver.
        Sending = 2,
        /// Waits for a message.
        Receiving = 3,
        /// Waits for an answer.
        Calling = 4,
        /// Asleep.
        Sleeping = 5,
        /// Stopped by STOP.
        Stopped = 6,
        /// Stopped by a fault that nobody handled.
        Faulted = 7,
        /// Has exited.
        Exited = 8,
        /// Waits for its fault handler.
        Faulting = 9,
        /// Runs in another task, by a crossing.
        Abroad = 10,
    }

    impl ThreadState {
        /// The state with this number.
        #[must_use]
        pub const fn decode(number: u64) -> Option<Self> {
            Some(match number {
                0 => Self::New,
                1 => Self::Ready,
                2 => Self::Sending,
                3 => Self::Receiving,
                4 => Self::Calling,
                5 => Self::Sleeping,
                6 => Self::Stopped,
                7 => Self::Faulted,
                8 => Self::Exited,
                9 => Self::Faulting,
                10 => Self::Abroad,
                _ => return None,
            })
        }
    }
}

/// Operations of a thread that is a virtual CPU: one that is bound to a task of
/// guest memory.
///
/// Its exits come as VM_EXIT messages to its fault gate: w0 the exit code of AMD's
/// manual, w1 and w2 its EXITINFO1 and 2, w3 the address behind the instruction
/// that caused it, w4.. the general registers rip rax rbx rcx rdx rsi rdi rbp rsp
/// rflags r8-r15; last a word of state: bits 0-1 the privilege level, bit 8 an
/// interrupt could be taken now, bit 9 one is pending. The answer's w0 is as
/// for faults ([`fault`]), w1.. are new values of these registers, as
/// many as there are.
pub mod vcpu {
    /// w0.. the system registers: CR0 CR2 CR3 CR4 EFER PAT STAR LSTAR CSTAR
    /// SFMASK, kernel GS base, SYSENTER CS ESP EIP, TSC offset, interrupt shadow;
    /// then ES CS SS DS FS GS GDTR LDTR IDTR TR with two words each: selector |
    /// attributes << 16 | limit << 32, base. `Busy` as for the registers of a
    /// thread. Needs R.
    pub const GET_STATE: u64 = 0xe01;
    /// w1.. the same, to be used when it goes on. Needs W.
    pub const SET_STATE: u64 = 0xe02;
    /// Deliver exception w1, with error code w2 if it is there, when it goes
    /// on. Needs W.
    pub const INJECT: u64 = 0xe03;
    /// Deliver interrupt w1 as soon as the guest takes interrupts; `Busy` while
    /// another one waits. At any time. Needs W.
    pub const INTERRUPT: u64 = 0xe04;

    /// General registers in messages.
    pub const REGISTERS: usize = 18;
    /// Words of a VM_EXIT message.
    pub const EXIT_WORDS: usize = 4 + REGISTERS + 1;
    /// Words of the state.
    pub const STATE: usize = 36;
}

/// Operations of a gate; all need SERVER, else the message is forwarded.
pub mod gate {
    /// Bind to item 0, a thread or an entry (S needed there): w1 label, low two
    /// bits 0; for an entry optionally w2, how many of its contexts the gate may
    /// have in use at a time (0: no limit). Needs S.
    pub const BIND: u64 = 0x401;
    /// Unbind: later messages wait. Needs S.
    pub const UNBIND: u64 = 0x402;
    /// w0 label; w1 0 unbound, 1 bound to a thread, 2 to an entry; w2 the limit
    /// of contexts; w3 how many it has in use, senders that wait for one
    /// included.
    pub const INFO: u64 = 0x403;
}

/// Operations of an entry.
pub mod entry {
    /// Add a context: w1 stack pointer at which the handler begins, optionally
    /// w2 FS base (else the address of its UTCB). One page, and what a thread
    /// costs, is charged to the entry's factory. w0: the context's number, w1
    /// the address of its UTCB in the entry's task. Needs W.
    pub const ADD_CONTEXT: u64 = 0xc01;
    /// Remove context w1, which must be free or quarantined. Needs W.
    pub const REMOVE_CONTEXT: u64 = 0xc02;
    /// Make the quarantined context w1 free again; optionally w2 is its new
    /// stack pointer. Needs W.
    pub const RESET_CONTEXT: u64 = 0xc03;
    /// Item 0, a gate: told of faults in the contexts, as
    /// [`super::thread::SET_FAULT_GATE`]. Without an item: no handler. Needs W.
    pub const SET_FAULT_GATE: u64 = 0xc04;
    /// Signal item 0, a notification (W needed there), with the bits w1 when a
    /// context is quarantined and when the entry goes. Without an item: nobody
    /// is told. Needs W.
    pub const BIND_NOTIFICATION: u64 = 0xc05;
    /// w1 handler address, w2 floor priority, w3 grace time in nanoseconds, w4
    /// and w5 the sizes that INFO tells; optionally item 0 a `Scheduler`, as at
    /// creation. Later crossings follow it. Needs W.
    pub const SET: u64 = 0xc06;
    /// w0 handler address, w1 floor priority, w2 grace time, w3 contexts, w4
    /// free ones, w5 those in use by a caller, w6 orphaned, w7 quarantined, w8
    /// senders that wait for one, w9 bytes that the handler adds to a message
    /// of its own (`S_self`), w10 bytes that it and everything it calls need at
    /// most (`S_all`). Needs R.
    pub const INFO: u64 = 0xc07;
    /// w1 context: w0 its state (see [`ContextState`]), w1 stack pointer, w2 FS
    /// base, w3 address of its UTCB. Needs R.
    pub const CONTEXT: u64 = 0xc08;

    /// Nested crossings that a thread can be in.
    pub const DEPTH: usize = 16;

    /// What a context is doing, in CONTEXT.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[repr(u8)]
    pub enum ContextState {
        /// Waits for a caller.
        Free = 0,
        /// Runs for a caller.
        Active = 1,
        /// Its caller is gone; it may finish within the grace time.
        Orphaned = 2,
        /// It failed or did not finish, and is not used until it is reset.
        Quarantined = 3,
    }

    impl ContextState {
        /// The state with this number.
        #[must_use]
        pub const fn decode(number: u64) -> Option<Self> {
            Some(match number {
                0 => Self::Free,
                1 => Self::Active,
                2 => Self::Orphaned,
                3 => Self::Quarantined,
                _ => return None,
            })
        }
    }
}

/// Operations of memory.
pub mod memory {
    /// w0 bytes, w1 mappings. Needs R.
    pub const INFO: u64 = 0x501;
    /// w0 physical address. Needs PHYS.
    pub const PHYS: u64 = 0x502;
    /// Cut this memory, which must not be mapped, in two: from offset w1 on it
    /// becomes a memory of its own, in the empty slot w2 of the caller's task,
    /// charged to the same factory. Needs D, because it takes the part away
    /// from everybody who has a capability.
    pub const SPLIT: u64 = 0x503;
}

/// Operations of a notification.
pub mod notification {
    /// Set the bits w1 and wake a thread that waits for them. Needs W.
    pub const SIGNAL: u64 = 0x601;
    /// Bind to item 0, a thread (S needed there); without an item unbind.
    /// A thread has one bound notification. Needs S.
    pub const BIND: u64 = 0x602;
    /// Take and clear the bits: w0. Needs R.
    pub const POLL: u64 = 0x603;
}

/// Operations of an interrupt.
pub mod irq {
    /// Signal item 0, a notification (W needed there), with the bits w1;
    /// without an item unbind. Unmasks. Needs S.
    pub const BIND: u64 = 0x701;
    /// The last interrupt is served: let the next one come. Needs W.
    pub const ACK: u64 = 0x702;
    /// w1 = 0 unmasks, anything else masks. Needs W.
    pub const MASK: u64 = 0x703;
    /// w1 = 1 by level, 0 by edge; w2 = 1 active low, 0 active high. Not while
    /// something is bound. Needs S.
    pub const CONFIGURE: u64 = 0x704;
    /// w0 flags ([`LEVEL`] and so on), w1 interrupts since boot, w2 the number
    /// of the line. Needs R.
    pub const INFO: u64 = 0x705;

    /// In INFO: it is triggered by level, not by edge.
    pub const LEVEL: u64 = 1;
    /// In INFO: it is active low.
    pub const LOW: u64 = 2;
    /// In INFO: a notification is bound.
    pub const BOUND: u64 = 4;
    /// In INFO: MASK has masked it.
    pub const MASKED: u64 = 8;
    /// In INFO: an interrupt was signalled and is not acknowledged yet.
    pub const PENDING: u64 = 16;
}

/// Operations of a range of I/O ports.
pub mod io_port {
    /// Read port w1, w2 bytes wide (1, 2 or 4): w0. Needs R.
    pub const IN: u64 = 0x801;
    /// Write w3 to port w1, w2 bytes wide. Needs W.
    pub const OUT: u64 = 0x802;
    /// Write w2 bytes (at most 472), packed little-endian from word 4 on, to
    /// the 8-bit port w1; word 3 is not used. Needs W.
    pub const OUT_BYTES: u64 = 0x803;
    /// w0 first port, w1 number of ports. Needs R.
    pub const INFO: u64 = 0x804;
}

/// Operations of a scheduler.
pub mod scheduler {
    /// Set the priority of item 0, a thread (W needed there), to w1, at most
    /// the scheduler's maximum. Needs W.
    pub const SET_PRIORITY: u64 = 0x901;
    /// w0 nanoseconds since boot, w1 of them idle, w2 thread switches, w3 the
    /// longest stretch in the kernel without letting interrupts in, in
    /// nanoseconds, w4 its [cause](crate::stretch::Cause) (measured in checked
    /// builds only, else 0), w5 timer interrupts, w6 times that the CPU began to
    /// wait for an interrupt. With a w1 that is not 0 the search for the longest
    /// begins anew, and W is needed, too. Needs R.
    pub const INFO: u64 = 0x902;
    /// Set the time slice of item 0, a thread (W needed there), to w1
    /// nanoseconds, [`SLICE_MIN`] to [`SLICE_MAX`]. Needs W.
    pub const SET_SLICE: u64 = 0x903;
    /// Take the kernel's fast paths (w1 = 1, as after boot), or the general path
    /// for everything (0): what programs see is the same. Needs D.
    pub const SET_PATHS: u64 = 0x904;
    /// Record what happens in item 0, a memory (W needed there), as a ring
    /// ([`crate::trace`]). Without an item: no more; w0 how many records were
    /// written. Needs D.
    pub const TRACE: u64 = 0x905;

    /// Nanoseconds of a new thread's time slice.
    pub const SLICE: u64 = 10_000_000;
    /// Shortest time slice: a hundred times what a switch costs.
    pub const SLICE_MIN: u64 = 100_000;
    /// Longest time slice.
    pub const SLICE_MAX: u64 = 1_000_000_000;
}

/// Operations of the log.
pub mod log {
    /// Write w1 bytes (at most 488), packed little-endian from word 2 on.
    /// Needs W.
    pub const WRITE: u64 = 0xa01;
}

/// Operations of a relay segment.
pub mod relay {
    /// In word 4 of the creation: the page frames need not be contiguous.
    pub const SCATTERED: u64 = 1;
    /// Places in a task's list of parked segments.
    pub const PLACES: usize = 16;

    /// Show the segment in the window of the calling activation, which must be
    /// empty, writable if the capability has W. Needs R.
    pub const ACTIVATE: u64 = 0xd01;
    /// w0 first address in the window, w1 bytes, w2 rights of the capability,
    /// w3 physical address (with PHYS; 0 if scattered), w4 whose it is
    /// ([`Owner`]). Needs R.
    pub const INFO: u64 = 0xd02;

    /// Whose a segment is, in INFO.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[repr(u64)]
    pub enum Owner {
        /// Nobody's: ACTIVATE shows it.
        Idle = 0,
        /// An activation's.
        Active = 1,
        /// In a task's list.
        Parked = 2,
        /// Lent; the lender waits for it.
        Lent = 3,
        /// Lent; the lender has given up. Idle when the loan ends.
        Outstanding = 4,
    }

    impl Owner {
        /// The value in w4 of INFO, if it is a known one.
        #[must_use]
        pub const fn decode(value: u64) -> Option<Self> {
            Some(match value {
                0 => Self::Idle,
                1 => Self::Active,
                2 => Self::Parked,
                3 => Self::Lent,
                4 => Self::Outstanding,
                _ => return None,
            })
        }
    }
}

/// A FAULT message, which the kernel sends in the name of a faulting thread: w0
/// the exception vector, w1 the address of a page fault or the CPU's error
/// code, w2 the instruction pointer, w3 the CPU's error code. The label tells
/// the handler which thread it is. The answer's w0 says what happens.
pub mod fault {
    /// The thread goes on, with whatever registers it has now. So does an
    /// answer without words.
    pub const RESUME: u64 = 0;
    /// The handler gives up: the thread is reported and ends. So does any
    /// other value.
    pub const GIVE_UP: u64 = 1;
}

/// Why a thread ended, in word 0 of an EXIT message and in thread INFO. The
/// message: w0 reason, w1 detail (exit code; address of a page fault; error code
/// of any other exception), w2 instruction pointer, w3 error code of the CPU.
pub mod reason {
    /// Nothing yet.
    pub const NONE: u64 = 0;
    /// The thread called exit; the detail is the code.
    pub const EXIT: u64 = 1;
    /// The task or thread was destroyed. The kernel never says so, as nothing is
    /// left that could tell; supervisors use the number.
    pub const KILLED: u64 = 2;
    /// A guest's exit nobody handled; the detail is its code.
    pub const GUEST: u64 = 3;
    /// A CPU exception nobody handled: `EXCEPTION + vector` (14 a page fault).
    pub const EXCEPTION: u64 = 0x100;

    /// The reason in words, for messages to people.
    #[must_use]
    pub const fn name(reason: u64) -> &'static str {
        match reason {
            NONE => "none",
            EXIT => "exit",
            KILLED => "killed",
            GUEST => "exit of a guest",
            0x100 => "divide error",
            0x101 => "debug exception",
            0x103 => "breakpoint",
            0x104 => "overflow",
            0x105 => "bound range exceeded",
            0x106 => "invalid instruction",
            0x107 => "floating point not enabled",
            0x10b => "segment not present",
            0x10c => "stack fault",
            0x10d => "general protection fault",
            0x10e => "page fault",
            0x110 => "floating point error",
            0x111 => "alignment check",
            0x113 => "SIMD floating point error",
            _ => "exception",
        }
    }
}

/// Whether this ABI knows the operation.
#[must_use]
pub const fn is_known(operation: u64) -> bool {
    !matches!(name(operation).as_bytes(), b"unknown operation")
}

/// An operation in words, for messages to people.
#[must_use]
pub const fn name(operation: u64) -> &'static str {
    match operation {
        factory::CREATE => "factory: create",
        factory::INFO => "factory: info",
        factory::EMPTY => "factory: empty",
        task::MAP => "task: map",
        task::UNMAP => "task: unmap",
        task::DERIVE => "task: derive",
        task::DELEGATE => "task: delegate",
        task::DELETE => "task: delete",
        task::LIST => "task: list",
        task::REVOKE => "task: revoke",
        task::MOVE => "task: move",
        task::PROTECT => "task: protect",
        task::SET_NAME => "task: set name",
        task::INFO => "task: info",
        task::SET_HYPERCALL_GATE => "task: set hypercall gate",
        thread::BIND => "thread: bind",
        thread::START => "thread: start",
        thread::STOP => "thread: stop",
        thread::RESUME => "thread: resume",
        thread::SET_EXIT_GATE => "thread: set exit gate",
        thread::INFO => "thread: info",
        thread::CANCEL => "thread: cancel",
        thread::SET_FAULT_GATE => "thread: set fault gate",
        thread::GET_REGISTERS => "thread: get registers",
        thread::SET_REGISTERS => "thread: set registers",
        thread::MODIFY_SENDERS => "thread: modify senders",
        thread::NOTIFY_DELETION => "thread: notify deletion",
        vcpu::GET_STATE => "vcpu: get state",
        vcpu::SET_STATE => "vcpu: set state",
        vcpu::INJECT => "vcpu: inject",
        vcpu::INTERRUPT => "vcpu: interrupt",
        gate::BIND => "gate: bind",
        gate::UNBIND => "gate: unbind",
        gate::INFO => "gate: info",
        entry::ADD_CONTEXT => "entry: add context",
        entry::REMOVE_CONTEXT => "entry: remove context",
        entry::RESET_CONTEXT => "entry: reset context",
        entry::SET_FAULT_GATE => "entry: set fault gate",
        entry::BIND_NOTIFICATION => "entry: bind notification",
        entry::SET => "entry: set",
        entry::INFO => "entry: info",
        entry::CONTEXT => "entry: context",
        memory::INFO => "memory: info",
        memory::PHYS => "memory: phys",
        memory::SPLIT => "memory: split",
        notification::SIGNAL => "notification: signal",
        notification::BIND => "notification: bind",
        notification::POLL => "notification: poll",
        irq::BIND => "irq: bind",
        irq::ACK => "irq: ack",
        irq::MASK => "irq: mask",
        irq::CONFIGURE => "irq: configure",
        irq::INFO => "irq: info",
        io_port::IN => "io port: in",
        io_port::OUT => "io port: out",
        io_port::OUT_BYTES => "io port: out bytes",
        io_port::INFO => "io port: info",
        scheduler::SET_PRIORITY => "scheduler: set priority",
        scheduler::INFO => "scheduler: info",
        scheduler::SET_SLICE => "scheduler: set slice",
        scheduler::SET_PATHS => "scheduler: set paths",
        scheduler::TRACE => "scheduler: trace",
        log::WRITE => "log: write",
        relay::ACTIVATE => "relay: activate",
        relay::INFO => "relay: info",
        _ => "unknown operation",
    }
}
