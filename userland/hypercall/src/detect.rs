//! Detection: what the CPUID leaves of hypervisors say.
//!
//! A pure function over a reader, so that every kind of garbage can be tried
//! on the host. Hypervisors offer interfaces in blocks of leaves, and one can
//! offer several; what is read where no interface is, is arbitrary.

use core::fmt;

/// What CPUID returns for one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leaf {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// First leaf of the first block in which the interface can be; the one before
/// it introduces the hypervisor itself.
pub const FIRST_LEAF: u32 = 0x4000_0100;
/// Distance of the blocks.
pub const LEAF_STEP: u32 = 0x100;
/// First leaf behind the last block.
pub const LAST_LEAF: u32 = 0x4001_0000;

/// What EBX, ECX and EDX of the block's first leaf spell.
pub const VENDOR: [u8; 12] = *b"apple-pv-xnu";
/// EAX of the block's second leaf: version 1 of the interface.
pub const SIGNATURE: u32 = u32::from_le_bytes(*b"AH#1");

/// In ECX of leaf 1: the CPU is a hypervisor's.
const HYPERVISOR: u32 = 1 << 31;
/// The interface's own leaf, in the block.
const INTERFACE: u32 = 1;
/// The leaf with the features, in the block.
const FEATURES: u32 = 2;

/// Which calls there are, as feature bits: EDX of the features' leaf, then
/// ECX. Bits without a name are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(pub u64);

impl Features {
    /// Call 1, trigger dump.
    pub const COREDUMP: Self = Self(1);
    /// Call 2, set coredump data.
    pub const XNU_DEBUG: Self = Self(1 << 1);
    /// Call 3, get the offset of the absolute time.
    pub const MABS_OFFSET: Self = Self(1 << 2);
    /// Call 4, get the UUID of the boot session.
    pub const BOOT_SESSION_UUID: Self = Self(1 << 3);

    /// Whether all of `other` are there.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["coredump", "XNU debug", "MABS offset", "boot session UUID"];
        let mut between = "";
        for (bit, name) in names.into_iter().enumerate() {
            if self.0 >> bit & 1 != 0 {
                write!(f, "{between}{name}")?;
                between = ", ";
            }
        }
        let unknown = self.0 >> names.len();
        if unknown != 0 {
            write!(f, "{between}unknown {:#x}", unknown << names.len())?;
        } else if between.is_empty() {
            f.write_str("no calls")?;
        }
        Ok(())
    }
}

/// The interface that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// First leaf of its block.
    pub base: u32,
    /// Which calls there are.
    pub features: Features,
}

/// Why no interface was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Not looked for: it is switched off.
    SwitchedOff,
    /// The CPU is nobody's guest, or does not say so.
    NoHypervisor,
    /// The hypervisor does not offer this interface.
    NotPresent,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SwitchedOff => "switched off",
            Self::NoHypervisor => "no hypervisor",
            Self::NotPresent => "not present",
        })
    }
}

/// Whether to look at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Use what is there.
    On,
    /// Find nothing.
    Off,
}

impl Switch {
    /// As a boot command line says: the word `hcalls=0` switches off, the last
    /// word `hcalls=` counts.
    #[must_use]
    pub fn from_command_line(line: &str) -> Self {
        let last =
            line.split_ascii_whitespace().rev().find_map(|word| word.strip_prefix("hcalls="));
        if last == Some("0") { Self::Off } else { Self::On }
    }
}

/// Looks for the interface with what `cpuid` reads. Blocks that are not it, or
/// are broken, are passed over; the first good one counts.
///
/// # Errors
/// Why there is none.
pub fn interface(switch: Switch, mut cpuid: impl FnMut(u32) -> Leaf) -> Result<Interface, Absent> {
    if switch == Switch::Off {
        return Err(Absent::SwitchedOff);
    }
    if cpuid(1).ecx & HYPERVISOR == 0 {
        return Err(Absent::NoHypervisor);
    }
    let mut blocks = (FIRST_LEAF..LAST_LEAF).step_by(LEAF_STEP as usize);
    blocks.find_map(|base| features(base, &mut cpuid)).ok_or(Absent::NotPresent)
}

/// The interface in one block.
fn features(base: u32, cpuid: &mut impl FnMut(u32) -> Leaf) -> Option<Interface> {
    let first = cpuid(base);
    let [a, b, c] = [first.ebx, first.ecx, first.edx].map(u32::to_le_bytes);
    let vendor = [a, b, c];
    // The last leaf of the block: it must have all that is read here, and not
    // reach into the next block.
    let last = first.eax.wrapping_sub(base);
    if *vendor.as_flattened() != VENDOR || !(FEATURES..LEAF_STEP).contains(&last) {
        return None;
    }
    if cpuid(base + INTERFACE).eax != SIGNATURE {
        return None;
    }
    let leaf = cpuid(base + FEATURES);
    Some(Interface { base, features: Features(u64::from(leaf.ecx) << 32 | u64::from(leaf.edx)) })
}
