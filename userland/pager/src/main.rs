//! Shows a pager at work: a thread reads and writes memory that is not there,
//! and the pager puts it there, page by page. Capabilities: `console`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_pager::{Pager, Repair};
use postern_runtime::memory::Mapping;
use postern_runtime::syscall::abi::PAGE;
use postern_runtime::syscall::abi::tag::protocol;
use postern_runtime::syscall::{Rights, Tag, Timeout, ipc};
use postern_runtime::{Env, Error, Explain, own, println, server, thread};

postern_runtime::main!(main);

/// Pages of the region.
const PAGES: u64 = 8;
/// The label of the gate that faults, and in the end the exit, come through.
const LABEL: u64 = 0x10;

fn main(_env: Env) -> Result<(), Error> {
    let task = own::task()?;
    // The template: each page says which one it is.
    let mut template = Mapping::create(PAGES * PAGE)?;
    for page in 0..PAGES {
        template.write(page * PAGE, &[page as u8; 16]);
    }
    // The client's view of it: address space is taken by mapping it, and left
    // empty by unmapping it again.
    let view = Mapping::new(template.memory(), PAGES * PAGE, Rights::R)?;
    task.unmap(view.address(), view.bytes()).explain("emptying the region", "task")?;
    let mut pager = Pager::new(task, view.address(), template.memory())?;

    let gate = server::gate(LABEL)?;
    let client = thread::spawn(move || -> Result<u64, Error> {
        // From here on its faults are calls to the pager.
        let own = own::thread()?;
        own.set_fault_gate(Some(gate)).explain("naming the pager", "thread")?;
        own.set_exit_gate(Some(gate)).explain("naming the exit gate", "thread")?;
        Ok(use_memory(view))
    })?;

    let mut wait = ipc::receive(Timeout::NEVER).explain("waiting for a fault", "gate")?;
    while wait.tag.protocol() == protocol::FAULT {
        let [_, address, instruction, _] = wait.words;
        let repair = pager.handle(wait.words)?;
        match repair {
            Repair::Mapped(page) => println!("pager: {address:#x} read, page {page} mapped"),
            Repair::Copied(page) => println!("pager: {address:#x} written, page {page} copied"),
            Repair::Refused => println!("pager: {address:#x} at {instruction:#x} is not mine"),
        }
        let answer = [repair.answer(), 0, 0, 0];
        wait = ipc::reply_receive(0, Tag::new(0, 1), answer, Timeout::NEVER)
            .explain("waiting for a fault", "gate")?;
    }
    let sum = match client.join() {
        Ok(sum) => sum?,
        Err(thread::Lost) => {
            println!("pager: the client crashed");
            return Ok(());
        }
    };
    let mut first = [0];
    template.read(PAGE, &mut first);
    println!("pager: the client read {sum}, has {} pages of its own", pager.private_pages());
    println!("pager: page 1 of the template still says {}", first[0]);
    Ok(())
}

/// What the client does: reads all pages, writes to two, one of them untouched
/// before, and sums up what it finds.
fn use_memory(mut view: Mapping) -> u64 {
    view.write((PAGES - 1) * PAGE, &[100]);
    let mut byte = [0];
    let mut sum = 0;
    for page in 0..PAGES {
        view.read(page * PAGE, &mut byte);
        sum += u64::from(byte[0]);
    }
    view.write(PAGE, &[200]);
    view.read(PAGE, &mut byte);
    sum + u64::from(byte[0])
}
