//! The known calls, typed: each exists only if its feature does.
//!
//! What is asked and how the answer reads are pure functions, for the tests
//! and for whoever answers; only the methods execute anything.

use core::fmt;

use crate::{Error, Features, Hypercalls, Outputs, Request};

/// The numbers of the known calls, for whoever answers.
pub mod number {
    /// Triggers a dump.
    pub const TRIGGER_DUMP: u32 = 1;
    /// Tells where the kernel is.
    pub const SET_COREDUMP_DATA: u32 = 2;
    /// Asks for the offset of the absolute time.
    pub const GET_MABS_OFFSET: u32 = 3;
    /// Asks for the UUID of the boot session.
    pub const GET_BOOT_SESSION: u32 = 4;
}
use number::{GET_BOOT_SESSION, GET_MABS_OFFSET, SET_COREDUMP_DATA, TRIGGER_DUMP};

/// The only kind of dump.
const REGULAR: u64 = 1;

/// Defines a handle for the calls of one feature.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $method:ident, $feature:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(Hypercalls);

        impl Hypercalls {
            $(#[$doc])*
            ///
            /// `None` if the hypervisor does not offer it.
            #[must_use]
            pub const fn $method(self) -> Option<$name> {
                if self.features().contains(Features::$feature) { Some($name(self)) } else { None }
            }
        }
    };
}
handle! {
    /// Lets the hypervisor write a dump of the guest.
    Dump, dump, COREDUMP
}
handle! {
    /// Tells the hypervisor what a dump of this kernel needs.
    Debugger, debugger, XNU_DEBUG
}
handle! {
    /// Relates the guest's clock to the hypervisor's.
    Clock, clock, MABS_OFFSET
}
handle! {
    /// Names this boot.
    Session, session, BOOT_SESSION_UUID
}

impl Dump {
    /// What is asked.
    pub const REQUEST: Request = Request::new(TRIGGER_DUMP, [REGULAR]);

    /// Writes a dump now; by which name it can be found.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn trigger(self) -> Result<DumpTag, Error> {
        self.0.call(Self::REQUEST).map(DumpTag::new)
    }
}

/// The name of a dump: up to 56 bytes, which the seven outputs hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpTag([u8; 57]);

impl DumpTag {
    /// The tag in the outputs of the call.
    #[must_use]
    pub fn new(outputs: Outputs) -> Self {
        let mut tag = [0; 57];
        tag[..56].copy_from_slice(&outputs.bytes());
        Self(tag)
    }

    /// All 56 bytes and the NUL that is added to them.
    #[must_use]
    pub const fn with_nul(&self) -> &[u8; 57] {
        &self.0
    }

    /// The bytes before the first NUL.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(56);
        &self.0[..end]
    }
}

impl fmt::Display for DumpTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name().escape_ascii())
    }
}

/// Where things are in the guest's kernel: the six arguments, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coredump {
    /// Address of the kernel's text.
    pub text: u64,
    /// First address of the kernel's map.
    pub map_start: u64,
    /// First address behind the kernel's map.
    pub map_end: u64,
    /// The kernel's CR3.
    pub cr3: u64,
    /// Address of the buffers of compressed memory; 0 if there are none.
    pub buffers: u64,
    /// Their size in bytes.
    pub buffers_size: u64,
}

impl Coredump {
    /// What is asked.
    #[must_use]
    pub const fn request(self) -> Request {
        let Self { text, map_start, map_end, cr3, buffers, buffers_size } = self;
        Request::new(SET_COREDUMP_DATA, [text, map_start, map_end, cr3, buffers, buffers_size])
    }
}

impl Debugger {
    /// Tells where things are.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn set_coredump_data(self, data: Coredump) -> Result<(), Error> {
        self.0.call(data.request()).map(drop)
    }
}

impl Clock {
    /// What is asked.
    #[must_use]
    pub const fn request(tsc: u64, nanoseconds: u64) -> Request {
        Request::new(GET_MABS_OFFSET, [tsc, nanoseconds])
    }

    /// The answer: output 1.
    #[must_use]
    pub const fn offset_in(outputs: Outputs) -> u64 {
        outputs.0[1]
    }

    /// What to add to the guest's absolute time, which began at these values of
    /// the TSC and of the time in nanoseconds, to get the hypervisor's.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn offset(self, tsc: u64, nanoseconds: u64) -> Result<u64, Error> {
        self.0.call(Self::request(tsc, nanoseconds)).map(Self::offset_in)
    }
}

/// What is asked for the UUID of the boot session.
pub const BOOT_SESSION: Request = Request::new(GET_BOOT_SESSION, []);

impl Session {
    /// The UUID of this boot, as text.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn id(self) -> Result<SessionId, Error> {
        self.0.call(BOOT_SESSION).map(SessionId::new)
    }
}

/// The UUID of a boot: 36 characters, as the hypervisor wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId([u8; 36]);

impl SessionId {
    /// The UUID in the outputs of the call: four whole ones and half of the
    /// fifth.
    #[must_use]
    pub fn new(outputs: Outputs) -> Self {
        let mut text = [0; 36];
        text.copy_from_slice(&outputs.bytes()[..36]);
        Self(text)
    }

    /// The characters.
    #[must_use]
    pub const fn text(&self) -> &[u8; 36] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}
