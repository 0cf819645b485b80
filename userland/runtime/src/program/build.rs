//! Puts a program together, one object after the other; takes all of them
//! apart again if one fails.

use alloc::vec::Vec;

use postern_loader::Program as Elf;
use postern_syscall::abi::{PAGE, env};
use postern_syscall::{Capability, Factory, Memory, Rights, Slot};

use super::child::{Child, destroy_all};
use super::environment::Environment;
use super::error::Cause;
use super::image;
use super::{GRACE, Program};
use crate::error::{Explain, Result};
use crate::memory::{ENV_ADDRESS, HEAP_ADDRESS, IMAGE_ADDRESS, Mapping, STACK_TOP};
use crate::{own, slots};

/// The objects of a program under construction; destroyed when dropped.
pub struct Objects {
    factory: Factory,
    list: Vec<Slot>,
}

impl Objects {
    /// Makes an object out of the program's factory.
    fn create<C: Capability>(
        &mut self,
        doing: &'static str,
        create: impl FnOnce(Factory, Slot) -> postern_syscall::Result<C>,
    ) -> Result<C> {
        let object = slots::fill(doing, "factory", |slot| create(self.factory, slot))?;
        self.list.push(object.slot());
        Ok(object)
    }

    /// Makes memory of `bytes`, a multiple of the page size.
    pub fn memory(&mut self, doing: &'static str, bytes: u64) -> Result<Memory> {
        self.create(doing, |factory, slot| factory.create_memory(slot, bytes))
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        destroy_all(&mut self.list);
    }
}

/// Makes task, memory and thread, all but the start.
pub fn build(program: &Program<'_>) -> core::result::Result<Child, Cause> {
    let elf = Elf::parse(program.file)?;
    let parent = match program.factory {
        Some(factory) => factory,
        None => own::factory()?,
    };
    let factory = slots::fill("creating its factory", "factory", |slot| {
        parent.create_factory(slot, program.quota)
    })?;
    let mut objects = Objects { factory, list: Vec::from([factory.slot()]) };
    let slots = program.slots.next_multiple_of(128);
    let task = objects
        .create("creating its task", |factory, slot| factory.create_task(slot, slots.into()))?;
    task.set_name(program.name.as_str(), elf.build_id(), IMAGE_ADDRESS)
        .explain("naming its task", "task")?;

    let mut segments = Vec::new();
    image::map(&mut objects, task, &elf, |segment| segments.push(segment))?;
    let stack = program.stack.max(PAGE).next_multiple_of(PAGE);
    let heap = program.heap.next_multiple_of(PAGE);
    map_data(&mut objects, task, "creating its stack", STACK_TOP - stack, stack)?;
    if heap != 0 {
        map_data(&mut objects, task, "creating its heap", HEAP_ADDRESS, heap)?;
    }

    let thread = objects.create("creating its thread", |factory, slot| {
        factory.create_thread(slot, program.priority)
    })?;
    thread.bind(task).explain("binding its thread", "thread")?;
    thread.set_exit_gate(program.exit_gate).explain("setting its exit gate", "thread")?;

    // Its handler is the program's to set: before it adds contexts nobody gets in.
    let crossed = match program.contexts {
        0 => None,
        _ => Some(objects.create("creating its entry", |factory, slot| {
            factory.create_entry(slot, task, 0, program.priority, GRACE)
        })?),
    };

    let entry = IMAGE_ADDRESS + elf.entry();
    let mut child = Child {
        name: program.name,
        factory,
        task,
        thread,
        entry: crossed,
        objects: Vec::new(),
        start: [entry, STACK_TOP, ENV_ADDRESS, 0],
    };
    let mut environment = Environment::new(&child)?;
    for given in &program.given {
        environment.give(given.name, given.item, given.kind)?;
    }
    if let Some(entry) = crossed {
        environment.entry(entry, program.contexts)?;
    }
    for (index, segment) in segments.into_iter().enumerate() {
        environment.segment(index, segment)?;
    }
    environment.record(env::ARGUMENT, 0, 0, program.name.as_str());
    for (position, text) in program.arguments.iter().enumerate() {
        environment.record(env::ARGUMENT, position as u64 + 1, 0, text);
    }
    environment.record(env::GENERATION, program.generation, 0, "");
    environment.record(env::REGION, STACK_TOP - stack, stack, "stack");
    environment.record(env::REGION, IMAGE_ADDRESS, elf.span(), "image");
    if heap != 0 {
        environment.record(env::REGION, HEAP_ADDRESS, heap, "heap");
    }
    let block = environment.finish(slots)?;

    let bytes = (block.len() as u64).next_multiple_of(PAGE);
    let memory = objects.memory("creating its environment", bytes)?;
    Mapping::new(memory, bytes, Rights::W)?.write(0, &block);
    task.map(memory, ENV_ADDRESS, 0, bytes, Rights::R)
        .explain("mapping its environment", "task")?;
    child.start[3] = block.len() as u64;
    child.objects = core::mem::take(&mut objects.list);
    Ok(child)
}

/// Maps zeroed, writable memory of `bytes` at `address`.
fn map_data(
    objects: &mut Objects,
    task: postern_syscall::Task,
    doing: &'static str,
    address: u64,
    bytes: u64,
) -> Result<()> {
    let memory = objects.memory(doing, bytes)?;
    task.map(memory, address, 0, bytes, Rights::R | Rights::W)
        .explain("mapping stack and heap", "task")
}
