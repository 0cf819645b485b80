//! Writes what the rest of the crate reads.

use alloc::vec::Vec;

use crate::capability::{Capability, Object};
use crate::program::Start;
use crate::{MAGIC, MAX_NAME};

/// A program before it is compiled; the fields are those of
/// [`crate::Program`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is described in `Program`")]
pub struct Draft<'a> {
    pub name: &'a str,
    pub start: Start,
    pub priority: u8,
    pub quota: u64,
    pub heap: u64,
    pub stack: u64,
    pub slots: u32,
    pub restarts: u32,
    pub delay: u64,
    pub contexts: u32,
    pub arguments: Vec<&'a str>,
    pub services: Vec<&'a str>,
    pub capabilities: Vec<Capability<'a>>,
}

/// The compiled manifest with these programs, in this order. `None` if a name
/// is longer than [`MAX_NAME`], or a text or list longer than the format can
/// say.
#[must_use]
pub fn write(programs: &[Draft<'_>]) -> Option<Vec<u8>> {
    let mut bytes = Vec::from(MAGIC);
    bytes.extend(u32::try_from(programs.len()).ok()?.to_le_bytes());
    for program in programs {
        part(&mut bytes, |bytes| one(bytes, program))?;
    }
    Some(bytes)
}

fn one(bytes: &mut Vec<u8>, program: &Draft<'_>) -> Option<()> {
    name(bytes, program.name)?;
    bytes.push(match program.start {
        Start::Boot => 0,
        Start::Demand => 1,
    });
    bytes.push(program.priority);
    for number in [program.quota, program.heap, program.stack] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(program.slots.to_le_bytes());
    bytes.extend(program.restarts.to_le_bytes());
    bytes.extend(program.delay.to_le_bytes());
    bytes.extend(program.contexts.to_le_bytes());
    list(bytes, &program.arguments, |bytes, argument| text(bytes, argument))?;
    list(bytes, &program.services, |bytes, service| name(bytes, service))?;
    list(bytes, &program.capabilities, capability)
}

fn capability(bytes: &mut Vec<u8>, capability: &Capability<'_>) -> Option<()> {
    name(bytes, capability.name)?;
    bytes.push(capability.object.number());
    match capability.object {
        Object::Log | Object::Clock | Object::Archive | Object::Trace => {}
        Object::Scheduler { maximum } => bytes.push(maximum),
        Object::Ports { first, count } => {
            bytes.extend(first.to_le_bytes());
            bytes.extend(count.to_le_bytes());
        }
        Object::Irq { line } => bytes.extend(line.to_le_bytes()),
        Object::Factory { quota } => bytes.extend(quota.to_le_bytes()),
        Object::Gate(gate) => {
            name(bytes, gate.server)?;
            bytes.push(gate.rights.bits());
            bytes.extend(gate.label.unwrap_or(0).to_le_bytes());
        }
    }
    Some(())
}

fn name(bytes: &mut Vec<u8>, name: &str) -> Option<()> {
    if name.is_empty() || name.len() > MAX_NAME {
        return None;
    }
    text(bytes, name)
}

fn text(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    bytes.extend(u16::try_from(text.len()).ok()?.to_le_bytes());
    bytes.extend(text.as_bytes());
    Some(())
}

fn list<T>(
    bytes: &mut Vec<u8>,
    elements: &[T],
    mut each: impl FnMut(&mut Vec<u8>, &T) -> Option<()>,
) -> Option<()> {
    bytes.extend(u16::try_from(elements.len()).ok()?.to_le_bytes());
    part(bytes, |bytes| elements.iter().try_for_each(|element| each(bytes, element)))
}

/// Appends what `fill` appends, with its length before it.
fn part(bytes: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let at = bytes.len();
    bytes.extend([0; 4]);
    fill(bytes)?;
    let length = u32::try_from(bytes.len() - at - 4).ok()?;
    bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    Some(())
}
