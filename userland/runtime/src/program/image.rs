//! Maps a program's segments: contents copied, relocations applied, rights W^X.
//!
//! Each segment is memory of its own. It is mapped writable in the *starter*
//! while it is filled and never writable and executable anywhere.

use postern_loader::Program as Elf;
use postern_syscall::{Memory, Rights, Task};

use super::build::Objects;
use crate::error::{Explain, Result};
use crate::memory::{IMAGE_ADDRESS, Mapping};

/// A segment as it was mapped.
#[derive(Debug, Clone, Copy)]
pub struct Mapped {
    /// The starter's capability to its memory.
    pub memory: Memory,
    /// Where it lies in the new task.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
    /// How it is mapped.
    pub rights: Rights,
}

/// Maps all segments of `elf` at [`IMAGE_ADDRESS`] in `task`, and tells `each`
/// about them.
pub fn map(
    objects: &mut Objects,
    task: Task,
    elf: &Elf<'_>,
    mut each: impl FnMut(Mapped),
) -> Result<()> {
    for segment in elf.segments() {
        let memory = objects.memory("creating memory for the image", segment.memory)?;
        let mut window = Mapping::new(memory, segment.memory, Rights::W)?;
        window.write(segment.offset, segment.contents);
        let range = segment.address..segment.end();
        for relocation in elf.relocations().filter(|entry| range.contains(&entry.address)) {
            let value = IMAGE_ADDRESS.wrapping_add(relocation.addend);
            window.write(relocation.address - segment.address, &value.to_le_bytes());
        }
        drop(window);
        let address = IMAGE_ADDRESS + segment.address;
        task.map(memory, address, 0, segment.memory, segment.rights)
            .explain("mapping the image", "task")?;
        each(Mapped { memory, address, bytes: segment.memory, rights: segment.rights });
    }
    Ok(())
}
