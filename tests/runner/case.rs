//! One run of a subject: build its task, wait for what it says, take everything
//! apart, count the bytes that are charged and the frames of the machine.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use postern_runtime::memory::{ENV_ADDRESS, HEAP_ADDRESS, IMAGE_ADDRESS, Mapping, STACK_TOP};
use postern_runtime::syscall::abi::env::{self, Writer, name};
use postern_runtime::syscall::abi::rights::Kind;
use postern_runtime::syscall::abi::stretch::Cause;
use postern_runtime::syscall::abi::{PAGE, tag};
use postern_runtime::syscall::{
    Capability, Delivery, ErrorNumber, Factory, Gate, IoPort, ListedCapability, Memory, Message,
    Rights, Slot, Task, Thread, Timeout, control, ipc, utcb,
};
use postern_runtime::{Boot, Error, Explain, log, slots, time};
use postern_tests::protocol::{FAIL, LIST, PRIORITY, SKIP, slot};

use crate::outcome::Outcome;
use crate::subject::{Contents, Subject, segment_name};
use crate::{Listed, gate};

/// Bytes that a test may use in all.
const QUOTA: u64 = 12 << 20;
/// The same for relay segments, which may be as large as free memory allows.
const RELAY_QUOTA: u64 = 160 << 20;

fn quota(subject: &Subject<'_>) -> u64 {
    if subject.name() == "relay" { RELAY_QUOTA } else { QUOTA }
}

/// Bytes of a test's stack.
const STACK: u64 = 64 * 1024;
/// Bytes of a test's heap.
const HEAP: u64 = 128 * 1024;
/// Seconds that a subject may take to list its tests.
const LIST_SECONDS: u64 = 20;
/// How long the kernel may take to give back what a test used.
const CLEANING: Duration = Duration::from_secs(5);
/// Devices that tests may play with: the name of their ports, the first one and
/// how many; the name of their interrupt, and its line.
const DEVICES: [(&str, u64, u64, &str, u32); 3] = [
    // The real-time clock, by edges.
    ("ports", 0x70, 2, "irq", 8),
    // The second serial port, as a test likes.
    ("uart", 0x2f8, 8, "uart-irq", 3),
    // Power management of the ICH9, where QEMU's firmware puts it, by level.
    ("power", 0x600, 16, "power-irq", 9),
];
/// Read, write and special: what a test may do with its own task.
const OWN: Rights = Rights::R.union(Rights::W).union(Rights::S);
/// How data is mapped.
const DATA: Rights = Rights::R.union(Rights::W);

/// Runs subjects.
pub struct Runner<'a> {
    boot: &'a Boot,
    /// What the subject says.
    report: Gate,
    /// How its first thread ended.
    exit: Gate,
    ports: Vec<IoPort>,
}

/// A subject in a task.
struct Case {
    factory: Factory,
    task: Task,
    thread: Thread,
    memories: Vec<Memory>,
    start: [u64; 4],
}

impl<'a> Runner<'a> {
    /// Makes the runner's gates, and puts its thread above all tests.
    pub fn new(boot: &'a Boot) -> Result<Self, Error> {
        boot.scheduler
            .set_priority(boot.thread, crate::PRIORITY)
            .explain("setting the priority", "scheduler")?;
        let mut ports = Vec::new();
        for (_, first, count, ..) in DEVICES {
            ports.push(slots::fill("creating ports", "factory", |slot| {
                let item = [boot.io_ports.item(Rights::all())];
                boot.factory.create(Kind::IoPort as u64, slot, &[first, count], &item)?;
                Ok(IoPort::new(slot))
            })?);
        }
        Ok(Self { boot, report: gate(boot)?, exit: gate(boot)?, ports })
    }

    /// The tests of a subject.
    pub fn list(&self, subject: &Subject<'_>) -> Result<Vec<Listed>, Outcome> {
        let mut listed = Vec::new();
        let (outcome, _grown) = self.run_with(subject, &["list"], LIST_SECONDS, |message| {
            let mut reader = message.reader();
            if let (LIST, Ok(seconds)) = (message.protocol(), reader.word())
                && let Some(name) = text(&mut reader)
            {
                listed.push(Listed { name, seconds });
            }
            None
        });
        match outcome {
            Outcome::Passed => Ok(listed),
            _ => Err(outcome),
        }
    }

    /// From now on the longest stretch without interrupts is looked for.
    pub fn begin_stretch(&self) {
        let _ = self.boot.scheduler.info_anew();
    }

    /// The longest since [`Runner::begin_stretch`], and its cause.
    pub fn end_stretch(&self) -> (u64, Cause) {
        let info = self.boot.scheduler.info();
        let found = info.map_or((0, Cause::default()), |it| (it.longest_stretch, it.longest_cause));
        let (length, cause) = found;
        log!("longest stretch {length} instructions in {cause}");
        found
    }

    /// Runs one test. The first that makes more objects of a kind than there
    /// ever were leaves the kernel with more tables about its own memory; these
    /// stay, so then it runs a second time, and must leave exactly what it found.
    pub fn run(&self, subject: &Subject<'_>, test: &Listed) -> Outcome {
        let (outcome, missing) = self.run_once(subject, test);
        if missing == 0 {
            return outcome;
        }
        log!("the machine has {missing} bytes less; once more");
        match (outcome, self.run_once(subject, test)) {
            (Outcome::Passed, (outcome, 0)) => outcome,
            (Outcome::Passed, (outcome, missing)) => {
                outcome.and(format_args!("the machine has {missing} bytes less, each time"))
            }
            (outcome, _) => outcome,
        }
    }

    fn run_once(&self, subject: &Subject<'_>, test: &Listed) -> (Outcome, i64) {
        self.run_with(subject, &["run", &test.name], test.seconds, |message| {
            let reason = text(&mut message.reader())?;
            match message.protocol() {
                FAIL => Some(Outcome::Failed(reason)),
                SKIP => Some(Outcome::Skipped(reason)),
                _ => None,
            }
        })
    }

    /// Starts the subject, hands its messages to `said`, waits for its end,
    /// and cleans up. Also says how many bytes the machine has less then,
    /// without being charged to anybody.
    fn run_with(
        &self,
        subject: &Subject<'_>,
        arguments: &[&str],
        seconds: u64,
        said: impl FnMut(&Message) -> Option<Outcome>,
    ) -> (Outcome, i64) {
        // Charged, and taken from the machine: the second is more than the first
        // by what the kernel needs for itself, and must come back all the same.
        let used = || {
            let info = self.boot.factory.info();
            info.map_or((u64::MAX, 0), |info| (info.charged, info.machine_free))
        };
        let before = used();
        let mut outcome = match self.build(subject, arguments) {
            Ok(case) => {
                let outcome = self.watch(&case, subject, seconds, said);
                match self.clean(&case) {
                    0 => outcome,
                    bytes => {
                        outcome.and(format_args!("{bytes} bytes of its quota never came back"))
                    }
                }
            }
            Err(error) => Outcome::failed(format_args!("not started: {error}")),
        };
        if !wait_until(|| used().0 == before.0) {
            let bytes = used().0.wrapping_sub(before.0) as i64;
            outcome = outcome.and(format_args!("the machine has {bytes} bytes more charged"));
        }
        (outcome, before.1.wrapping_sub(used().1) as i64)
    }

    /// Puts a subject into a task of its own.
    fn build(&self, subject: &Subject<'_>, arguments: &[&str]) -> Result<Case, Error> {
        let factory = slots::fill("creating its factory", "factory", |slot| {
            self.boot.factory.create_factory(slot, quota(subject))
        })?;
        let task = slots::fill("creating its task", "factory", |slot| {
            factory.create_task(slot, slot::COUNT.into())
        })?;
        let thread = slots::fill("creating its thread", "factory", |slot| {
            factory.create_thread(slot, PRIORITY)
        })?;
        let start = [subject.entry(), STACK_TOP, ENV_ADDRESS, 0];
        let mut case = Case { factory, task, thread, memories: Vec::new(), start };
        self.fill(&mut case, subject, arguments).inspect_err(|_| {
            self.clean(&case);
        })?;
        Ok(case)
    }

    fn fill(
        &self,
        case: &mut Case,
        subject: &Subject<'_>,
        arguments: &[&str],
    ) -> Result<(), Error> {
        let (task, thread) = (case.task, case.thread);
        task.set_name(subject.name(), subject.build(), IMAGE_ADDRESS)
            .explain("naming its task", "task")?;
        case.map_new(STACK_TOP - STACK, STACK, DATA, &[])?;
        case.map_new(HEAP_ADDRESS, HEAP, DATA, &[])?;
        thread.bind(task).explain("binding its thread", "thread")?;
        thread.set_exit_gate(Some(self.exit)).explain("setting its exit gate", "thread")?;

        let boot = self.boot;
        let all = Rights::all();
        let mut records = Vec::new();
        let mut given = vec![
            (String::from(name::LOG), boot.log.item(all), Kind::Log),
            (String::from("scheduler"), boot.scheduler.item(all), Kind::Scheduler),
            (String::from("report"), self.report.item(Rights::W | Rights::GRANT), Kind::Gate),
        ];
        for ((ports_name, _, _, irq_name, line), ports) in DEVICES.iter().zip(&self.ports) {
            given.push((String::from(*ports_name), ports.item(all), Kind::IoPort));
            if let Some(irq) = boot.irq(*line) {
                given.push((String::from(*irq_name), irq.item(all), Kind::Irq));
            }
        }
        for (index, part) in subject.parts().iter().enumerate() {
            let memory = match &part.contents {
                Contents::Shared(memory) => {
                    task.map(*memory, part.address, 0, part.bytes, part.rights)
                        .explain("mapping its image", "task")?;
                    *memory
                }
                Contents::Copied(bytes) => {
                    case.map_new(part.address, part.bytes, part.rights, bytes)?
                }
            };
            let second = part.bytes | u64::from(part.rights.bits()) << 56;
            records.push((env::SEGMENT, part.address, second, segment_name(index)));
            given.push((segment_name(index), memory.item(part.rights), Kind::Memory));
        }
        let own = [
            (name::TASK, slot::TASK, task.item(OWN), Kind::Task),
            (name::THREAD, slot::THREAD, thread.item(OWN), Kind::Thread),
            (name::FACTORY, slot::FACTORY, case.factory.item(OWN), Kind::Factory),
        ];
        let named = own.map(|(name, slot, item, kind)| (String::from(name), slot, item, kind));
        let given = given.into_iter().zip(slot::GIVEN..);
        let given = given.map(|((name, item, kind), slot)| (name, slot, item, kind));
        for (name, slot, item, kind) in named.into_iter().chain(given) {
            task.delegate(item, Slot::new(slot)).explain("giving it a capability", "task")?;
            records.push((env::CAPABILITY, slot.into(), kind as u64, name));
        }
        records.push((env::ARGUMENT, 0, 0, String::from(subject.name())));
        for (position, text) in arguments.iter().enumerate() {
            records.push((env::ARGUMENT, position as u64 + 1, 0, String::from(*text)));
        }
        records.push((env::REGION, STACK_TOP - STACK, STACK, String::from("stack")));
        records.push((env::REGION, HEAP_ADDRESS, HEAP, String::from("heap")));
        records.push((env::FREE_SLOTS, slot::FREE.into(), slot::COUNT.into(), String::new()));
        let block = block(&records).ok_or(Error::NoAddressSpace)?;
        case.map_new(ENV_ADDRESS, PAGE, Rights::R, &block)?;
        case.start[3] = block.len() as u64;
        Ok(())
    }

    /// Starts the test and waits for its end.
    fn watch(
        &self,
        case: &Case,
        subject: &Subject<'_>,
        seconds: u64,
        mut said: impl FnMut(&Message) -> Option<Outcome>,
    ) -> Outcome {
        /// Labels of the two gates.
        const REPORT: u64 = 4;
        const EXIT: u64 = 8;
        let mut word = None;
        let [instruction, stack, first, second] = case.start;
        let started = self
            .report
            .bind(self.boot.thread, REPORT)
            .and_then(|()| self.exit.bind(self.boot.thread, EXIT))
            .and_then(|()| case.thread.start(instruction, stack, first, second));
        if let Err(error) = started {
            return Outcome::failed(format_args!("not started: {error}"));
        }
        let deadline = control::clock().saturating_add(seconds * 1_000_000_000);
        loop {
            utcb::set_deadlines(0, deadline);
            match ipc::receive(Timeout::ABSOLUTE) {
                Ok(Delivery { label, tag, words, .. })
                    if label & !3 == EXIT && tag.protocol() == tag::protocol::EXIT =>
                {
                    return Outcome::of_end(words, word, subject.name());
                }
                Ok(delivery) if delivery.label & !3 == REPORT => {
                    word = said(&Message::from_delivery(&delivery)).or(word);
                }
                // Capability items, for which there is no window.
                Ok(_) => {}
                Err(error) if error.number == ErrorNumber::MsgCut => {}
                Err(error) if error.number == ErrorNumber::Timeout => {
                    return Outcome::failed(format_args!("timed out after {seconds} s"));
                }
                Err(error) => return Outcome::failed(format_args!("the runner's wait: {error}")),
            }
        }
    }

    /// Ends what is left of a test; how many bytes stay charged.
    fn clean(&self, case: &Case) -> u64 {
        // Whatever fails here shows in the count.
        let _ = case.thread.stop();
        end_tasks(case.task);
        let _ = slots::destroy(case.thread.slot());
        let _ = slots::destroy(case.task.slot());
        for memory in &case.memories {
            let _ = slots::destroy(memory.slot());
        }
        let charged = || case.factory.info().map_or(u64::MAX, |info| info.charged);
        wait_until(|| charged() == 0);
        let left = charged();
        let _ = slots::destroy(case.factory.slot());
        left
    }
}

impl Case {
    /// Maps new memory with these contents.
    fn map_new(
        &mut self,
        address: u64,
        bytes: u64,
        rights: Rights,
        contents: &[u8],
    ) -> Result<Memory, Error> {
        let memory = slots::fill("creating its memory", "factory", |slot| {
            self.factory.create_memory(slot, bytes)
        })?;
        self.memories.push(memory);
        if !contents.is_empty() {
            Mapping::new(memory, bytes, Rights::W)?.write(0, contents);
        }
        self.task.map(memory, address, 0, bytes, rights).explain("mapping its memory", "task")?;
        Ok(memory)
    }
}

/// Destroys the tasks that a test made, which may hold capabilities to
/// themselves.
fn end_tasks(task: Task) {
    let empty = ListedCapability {
        slot: Slot::NULL,
        kind: None,
        rights: Rights::empty(),
        object: 0,
        details: [0; 2],
    };
    let mut list = [empty; Task::LIST_MAX];
    let mut from = Slot::new(slot::FREE);
    while let Ok(count @ 1..) = task.list(from, &mut list) {
        for entry in &list[..count] {
            if entry.kind == Some(Kind::Task) {
                // Without D it is not the test's to end.
                let _ = task.destroy(entry.slot);
            }
        }
        from = Slot::new(list[count - 1].slot.number() + 1);
    }
}

/// Sleeps, so that the kernel can clean up, until `is_done` says so.
fn wait_until(mut is_done: impl FnMut() -> bool) -> bool {
    let end = time::now() + CLEANING;
    while !is_done() {
        if time::now() > end {
            return false;
        }
        time::sleep(Duration::from_millis(1));
    }
    true
}

/// The next text of a message.
fn text(reader: &mut postern_runtime::syscall::Reader<'_>) -> Option<String> {
    String::from_utf8(reader.packed().ok()?.iter().collect()).ok()
}

/// The environment block with these records.
fn block(records: &[(u32, u64, u64, String)]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; PAGE as usize];
    let mut writer = Writer::new(&mut bytes)?;
    for (kind, first, second, name) in records {
        writer.push(*kind, *first, *second, name)?;
    }
    let used = writer.len();
    bytes.truncate(used);
    Some(bytes)
}
