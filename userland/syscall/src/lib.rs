//! The system calls of Postern: raw, and as typed capabilities.
//!
//! Five layers, each usable alone:
//!
//! - [`raw`]: one `asm!` block per register shape. Nothing is interpreted.
//! - [`ipc`], [`control`], [`utcb`], [`Message`]: calls with tags, timeouts and
//!   typed errors. The register-only paths are inlined into their callers:
//!   they are what the benchmarks count.
//! - [`slots`]: which slots of the own table are empty. Bookkeeping only.
//! - [`relay`]: relay segments as owned buffers.
//! - the object handles ([`Task`], [`Gate`], ...): one method per operation of
//!   [`abi::op`]. A handle is a slot number with a type: copying it copies no
//!   capability, dropping it deletes none, and the kernel checks every use.
//!
//! Rules of this crate: `unsafe` is for `asm!`, the UTCB page and slices of
//! the relay window only; nothing
//! allocates; no call is made behind the caller's back; an error of the kernel
//! reaches the caller unchanged ([`ErrorCode`]).
//!
//! # What "safe" means here
//! A [`Task`] or [`Thread`] capability to *oneself* is power over one's own
//! memory, as a debugger has it (compare `/proc/self/mem`): a program that
//! unmaps its own text dies of it. Those methods are not marked `unsafe`,
//! because the same methods on every other task are plain requests that the
//! kernel checks, and isolation between tasks never depends on them.
#![no_std]

pub mod clock;
pub mod control;
pub mod diagnosis;
pub mod ipc;
mod message;
mod object;
pub mod raw;
mod reader;
pub mod relay;
mod slot;
pub mod slots;
pub mod stub;
pub mod utcb;
pub mod window;

pub use abi::{Code, ErrorCode, ErrorNumber, Phase, Rights, Tag, Timeout};
pub use ipc::{Delivery, DeliveryKind, Timeouts};
pub use message::{Message, ReceivedItem};
pub use object::{
    AddedContext, ContextInfo, Entry, EntryInfo, Factory, FactoryInfo, Gate, GateInfo, IoPort,
    IoPortInfo, Irq, IrqInfo, ListedCapability, Log, Memory, MemoryInfo, ModifySenders,
    Notification, PortWidth, Registers, Relay, RelayInfo, Scheduler, SchedulerInfo, Task, TaskInfo,
    Thread, ThreadInfo, Trigger, operate, vcpu,
};
pub use postern_abi as abi;
pub use reader::{Malformed, Packed, Reader};
pub use slot::{Capability, Item, Slot};

/// The result of a system call.
pub type Result<T> = core::result::Result<T, ErrorCode>;
