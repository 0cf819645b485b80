//! What a fresh machine lacks: Rust's bare-metal target and components, QEMU,
//! and firmware for UEFI. Installs it when that works without asking anybody.
//!
//! Must never wait for a password and never change a machine that has what is
//! needed; when it cannot help, it says what to type.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Result, bail};

use crate::step;
use crate::workspace::{self, BARE_METAL};

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";

/// Converts disk images.
pub const QEMU_IMG: &str = "qemu-img";

/// Code and variables of the UEFI firmware, where distributions put them.
const FIRMWARE: [(&str, &str); 5] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/opt/homebrew/share/qemu/edk2-x86_64-code.fd", "/opt/homebrew/share/qemu/edk2-i386-vars.fd"),
];

/// Which things a command needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Only to build disk images.
    Build,
    /// To run them on BIOS, too.
    Bios,
    /// To run them on UEFI, too.
    Uefi,
}

/// Makes sure that everything for `need` is there.
pub fn ensure(need: Need) -> Result<()> {
    let sysroot = sysroot()?;
    let rustlib = sysroot.join("lib/rustlib");
    if !rustlib.join(BARE_METAL).is_dir() {
        rustup("Rust for the bare machine", &["target", "add", BARE_METAL])?;
    }
    let mut missing = Vec::new();
    if !rustlib.join("src/rust/library/core").is_dir() {
        missing.push("rust-src");
    }
    if llvm_tool(sysroot, "llvm-strip").is_none() {
        missing.push("llvm-tools");
    }
    components(&missing)?;
    if need != Need::Build && !workspace::is_installed(QEMU) {
        install("QEMU", &Package::QEMU)?;
    }
    if need == Need::Uefi && firmware().is_none() {
        install("the UEFI firmware", &Package::FIRMWARE)?;
    }
    Ok(())
}

/// Makes sure that the formatter and clippy are there.
pub fn ensure_linters() -> Result<()> {
    let bin = sysroot()?.join("bin");
    let wanted = [("rustfmt", "rustfmt"), ("clippy-driver", "clippy")];
    let missing: Vec<_> = wanted.iter().filter(|tool| !bin.join(tool.0).is_file()).collect();
    components(&missing.iter().map(|tool| tool.1).collect::<Vec<_>>())
}

/// Makes sure that the tool for QEMU's own image format is there.
pub fn ensure_converter() -> Result<()> {
    if workspace::is_installed(QEMU_IMG) { Ok(()) } else { install(QEMU_IMG, &Package::CONVERTER) }
}

/// The folder of the compiler in use.
pub fn sysroot() -> Result<&'static Path> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(sysroot) = FOUND.get() {
        return Ok(sysroot);
    }
    let mut rustc = Command::new("rustc");
    rustc.current_dir(workspace::root()).args(["--print", "sysroot"]);
    let sysroot = PathBuf::from(workspace::output_of(&mut rustc)?);
    Ok(FOUND.get_or_init(|| sysroot))
}

/// A program of the component llvm-tools.
pub fn llvm_tool(sysroot: &Path, name: &str) -> Option<PathBuf> {
    // The folder is named after the host, of which there is one.
    std::fs::read_dir(sysroot.join("lib/rustlib"))
        .ok()?
        .filter_map(Result::ok)
        .map(|host| host.path().join("bin").join(name))
        .find(|tool| tool.is_file())
}

/// Code and variables of the UEFI firmware on this machine.
pub fn firmware() -> Option<(&'static Path, &'static Path)> {
    FIRMWARE
        .iter()
        .map(|(code, variables)| (Path::new(code), Path::new(variables)))
        .find(|(code, variables)| code.is_file() && variables.is_file())
}

fn components(names: &[&str]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let arguments: Vec<_> = ["component", "add"].iter().chain(names).copied().collect();
    rustup(&format!("parts of Rust: {}", names.join(", ")), &arguments)
}

/// Calls rustup for the toolchain of `rust-toolchain.toml`.
fn rustup(what: &str, arguments: &[&str]) -> Result<()> {
    if !workspace::is_installed("rustup") {
        bail!(
            "{what} is missing and there is no rustup here to add it.\n  \
             Install rustup (https://rustup.rs), then type: rustup {}",
            arguments.join(" ")
        );
    }
    let mut command = Command::new("rustup");
    command.current_dir(workspace::root()).args(arguments);
    step::quiet(&format!("installing {what} (rustup)"), &mut command)
}

/// What one thing is called by the package managers.
struct Package {
    apt: &'static str,
    dnf: &'static str,
    pacman: &'static str,
    zypper: &'static str,
    brew: &'static str,
}

impl Package {
    const QEMU: Self = Self {
        apt: "qemu-system-x86",
        dnf: "qemu-system-x86-core",
        pacman: "qemu-system-x86",
        zypper: "qemu-x86",
        brew: "qemu",
    };
    const CONVERTER: Self = Self {
        apt: "qemu-utils",
        dnf: "qemu-img",
        pacman: "qemu-img",
        zypper: "qemu-img",
        brew: "qemu",
    };
    const FIRMWARE: Self = Self {
        apt: "ovmf",
        dnf: "edk2-ovmf",
        pacman: "edk2-ovmf",
        zypper: "qemu-ovmf-x86_64",
        brew: "qemu",
    };

    /// The commands that install it here, in order.
    fn commands(&self) -> Option<Vec<String>> {
        let first = |program: &str| workspace::is_installed(program);
        Some(if first("apt-get") {
            let install = "env DEBIAN_FRONTEND=noninteractive apt-get install -y";
            let name = self.apt;
            vec!["apt-get update".into(), format!("{install} --no-install-recommends {name}")]
        } else if first("dnf") {
            vec![format!("dnf install -y {}", self.dnf)]
        } else if first("pacman") {
            vec![format!("pacman -S --noconfirm {}", self.pacman)]
        } else if first("zypper") {
            vec![format!("zypper --non-interactive install {}", self.zypper)]
        } else if first("brew") {
            vec![format!("brew install {}", self.brew)]
        } else {
            return None;
        })
    }
}

/// Installs a package, or says how a person can.
fn install(what: &str, package: &Package) -> Result<()> {
    let Some(commands) = package.commands() else {
        bail!("{what} is missing and no package manager I know is here: please install it");
    };
    // Homebrew refuses to run as root; all others want to.
    let is_homebrew = commands[0].starts_with("brew");
    let Some(prefix) = (if is_homebrew { Some("") } else { as_root() }) else {
        let typed: Vec<_> = commands.iter().map(|line| format!("sudo {line}")).collect();
        bail!("{what} is missing. To install it, type:\n  {}", typed.join(" && "));
    };
    let last = commands.len() - 1;
    for (index, line) in commands.iter().enumerate() {
        let line = format!("{prefix}{line}");
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        let done = step::quiet(&format!("installing {what}: {line}"), &mut command);
        // A stale list of packages is often good enough, so only the last counts.
        match done {
            Err(error) if index == last => return Err(error),
            Err(error) => eprintln!("warning: {error:#}"),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// What to put before a command so that it runs as root, if that needs no
/// password.
fn as_root() -> Option<&'static str> {
    if rustix::process::geteuid().is_root() {
        return Some("");
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success()).then_some("sudo -n ")
}
