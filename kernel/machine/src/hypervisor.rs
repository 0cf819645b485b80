//! The hypervisor below this kernel, if it speaks the hypercall convention:
//! it is told where the kernel is, and asked for a dump when the kernel dies.
//!
//! Detection reads CPUID only. Nothing here may execute the instruction
//! without the token that detection gave out.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use postern_hypercall::{Absent, Coredump, Features, Hypercalls, SessionId, Switch};

use crate::layout::{PAGE, UPPER_HALF};
use crate::serial::Log;
use crate::{cpu, image};

/// Whether a panic looks for the hypervisor: set by [`Hypervisor::meet`]. The
/// token is not kept, so that nothing of the kernel's state is needed then.
static MET: AtomicBool = AtomicBool::new(false);

/// What the hypervisor said at boot.
#[derive(Debug, Clone, Copy)]
pub struct Hypervisor {
    calls: Hypercalls,
    told: Option<Result<(), postern_hypercall::Error>>,
    session: Option<Result<SessionId, postern_hypercall::Error>>,
}

impl Hypervisor {
    /// Looks for the hypervisor, tells it where the kernel is and asks for the
    /// name of this boot. The kernel's own page tables are in use.
    ///
    /// # Errors
    /// Why there is none; no hypercall was made then.
    pub fn meet(switch: Switch) -> Result<Self, Absent> {
        let calls = Hypercalls::detect(switch)?;
        MET.store(true, Ordering::Relaxed);
        let here = Coredump {
            text: image::base(),
            map_start: UPPER_HALF,
            map_end: u64::MAX - (PAGE - 1),
            cr3: cpu::root(),
            ..Coredump::default()
        };
        let told = calls.debugger().map(|debugger| debugger.set_coredump_data(here));
        let session = calls.session().map(|session| session.id());
        Ok(Self { calls, told, session })
    }

    /// Which calls there are.
    #[must_use]
    pub fn features(&self) -> Features {
        self.calls.features()
    }
}

impl fmt::Display for Hypervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opcode = self.calls.opcode();
        write!(f, "{} (leaf {:#x}, {opcode:?})", self.features(), self.calls.interface().base)?;
        if let Some(Err(error)) = self.told {
            write!(f, "; coredump data refused: {error}")?;
        }
        match self.session {
            None => Ok(()),
            Some(Ok(id)) => write!(f, "; session {id}"),
            Some(Err(error)) => write!(f, "; no session: {error}"),
        }
    }
}

/// The kernel has panicked: asks for a dump, if somebody was met who writes
/// one.
pub fn dump(log: &mut Log) {
    if !MET.load(Ordering::Relaxed) {
        return;
    }
    // It was not switched off when it was met.
    let dump = Hypercalls::detect(Switch::On).ok().and_then(Hypercalls::dump);
    let Some(dump) = dump else { return };
    // The log is all that is left to complain to.
    let _sent = match dump.trigger() {
        Ok(tag) => writeln!(log, "*** the hypervisor wrote a dump: {tag}"),
        Err(error) => writeln!(log, "*** the hypervisor wrote no dump: {error}"),
    };
}
