//! What a script says.

use std::path::PathBuf;

use crate::qemu::{CPU, Outcome};

/// A story about the running system.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What it runs on.
    pub boot: Boot,
    /// What is typed and seen; the first step is the start, where nobody types.
    pub steps: Vec<Step>,
}

/// What a script runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The crate that is added to the system.
    pub app: Option<Crate>,
    /// The system manifest, from the top folder.
    pub manifest: Option<String>,
    /// Whether `init` gets only the first half of the compiled manifest.
    pub is_cut: bool,
    /// Whether images of guests are packed.
    pub guests: bool,
    /// Memory of the machine, as QEMU writes it.
    pub memory: String,
    /// Its CPU, as QEMU writes it.
    pub cpu: String,
    /// Whether it boots with UEFI in any case.
    pub uefi: bool,
    /// How it must end.
    pub end: End,
}

/// A crate whose programs are added to the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crate {
    /// The one under `tests/apps` with this name.
    Ours(String),
    /// The one in this folder, of which the script is a test.
    Theirs(PathBuf),
}

impl Default for Boot {
    fn default() -> Self {
        let memory = "256M".into();
        Self {
            app: None,
            manifest: None,
            is_cut: false,
            guests: false,
            memory,
            cpu: CPU.into(),
            uefi: false,
            end: End::Running,
        }
    }
}

/// How a script must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The system still runs, and is switched off.
    Running,
    /// The system ends like this.
    Exit(Outcome),
    /// It does not start: xtask refuses to build it, and its words are what the
    /// script looks at.
    Refused,
}

/// Something typed, and what must be seen then.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Its line in the script.
    pub line: usize,
    /// What the script says is typed, for reports; empty at the start.
    pub text: String,
    /// The bytes that are typed.
    pub keys: Vec<u8>,
    /// What must be seen, in this order.
    pub checks: Vec<Check>,
}

/// One thing that must be seen, or must not.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Its line in the script.
    pub line: usize,
    /// As it is written there.
    pub text: String,
    /// What it asks.
    pub wanted: Wanted,
}

/// What a check asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A line like this comes, somewhere behind the one before.
    Line(Pattern),
    /// The very next line is like this.
    Next(Pattern),
    /// No line is like this.
    Never(Pattern),
    /// No line comes any more.
    End,
    /// Two values that patterns named are in this relation.
    Relation(String, Relation, String),
}

/// A relation between two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Less,
    /// `=`
    Equal,
}

/// What a line must be like.
#[derive(Debug)]
pub enum Pattern {
    /// It contains this.
    Text(String),
    /// This regular expression finds something in it.
    Regex(regex_lite::Regex),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl Eq for Pattern {}
