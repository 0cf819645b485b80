//! The trace ring: what the kernel records, for whom, and for how long.

use alloc::vec::Vec;

use postern_tests::runtime::memory::Mapping;
use postern_tests::runtime::slots;
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::trace::{Event, HEADER, MAGIC, RECORD, Record, flag};
use postern_tests::syscall::{
    Capability, ErrorNumber, Memory, Rights, Slot, Tag, Timeout, Timeouts, ipc,
};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, op, tests};

tests! {
    trace_needs_the_rights,
    trace_records_calls_and_switches,
    trace_overwrites_the_oldest_and_counts,
    trace_ends_with_its_memory,
    trace_costs_nothing_when_it_is_off,
}

/// The protocol of these calls.
const PROTOCOL: i64 = 0x77;

/// A body: so many calls through a gate.
fn call_often(argument: u64) -> u64 {
    let gate = Slot::new(argument as u32);
    for number in 0..argument >> 32 {
        let words = [number, 0, 0, 0];
        if ipc::call(gate, Tag::new(PROTOCOL, 1), words, Timeouts::NEVER).is_err() {
            return 1;
        }
    }
    0
}

/// Has another thread call this one.
fn be_called(ctx: &Ctx, times: u64) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let caller = ctx.spawn(call_often, u64::from(gate.slot().number()) | times << 32)?;
    for _ in 0..times {
        ipc::receive(Timeout::NEVER)?;
        ipc::reply(0, Tag::new(PROTOCOL, 0), [0; 4])?;
    }
    check_eq!(caller.join()?, 0);
    Ok(())
}

/// The words of the header, and the records in the order of their places.
fn read(memory: Memory, bytes: u64) -> Result<([u64; 4], Vec<Record>), Failure> {
    let mapping = Mapping::new(memory, bytes, Rights::R)?;
    let mut header = [0; 4];
    for (index, word) in header.iter_mut().enumerate() {
        let mut bytes = [0; 8];
        mapping.read(index as u64 * 8, &mut bytes);
        *word = u64::from_le_bytes(bytes);
    }
    let room = (bytes - HEADER) / RECORD;
    let record = |index| {
        let mut bytes = [0; RECORD as usize];
        mapping.read(HEADER + index * RECORD, &mut bytes);
        Record::decode(&bytes)
    };
    Ok((header, (0..room).filter_map(record).collect()))
}

fn trace_needs_the_rights(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    let weak = ctx.derive(ctx.scheduler, Rights::all() - Rights::D)?;
    check_eq!(weak.trace(memory), Err(op(ErrorNumber::Perm, 0)));
    check_eq!(weak.untrace(), Err(op(ErrorNumber::Perm, 0)));
    let fixed = ctx.derive(memory, Rights::R)?;
    check_eq!(ctx.scheduler.trace(fixed), Err(op(ErrorNumber::Perm, 64)));
    let other = Memory::from_slot(ctx.thread.slot());
    check_eq!(ctx.scheduler.trace(other), Err(op(ErrorNumber::Inval, 64)));
    ctx.scheduler.trace(memory)?;
    check_eq!(ctx.scheduler.trace(memory), Err(op(ErrorNumber::Busy, 0)));
    check!(ctx.scheduler.untrace()? < 64);
    check_eq!(ctx.scheduler.untrace(), Ok(0), "it is off already");
    Ok(())
}

fn trace_records_calls_and_switches(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(4)?;
    ctx.scheduler.trace(memory)?;
    be_called(ctx, 3)?;
    let written = ctx.scheduler.untrace()?;
    let (header, records) = read(memory, 4 * PAGE)?;
    check_eq!(header, [MAGIC, written, (4 * PAGE - HEADER) / RECORD, RECORD]);
    check_eq!(records.len() as u64, written);
    check!(records.windows(2).all(|pair| pair[0].time <= pair[1].time), "in their order");
    let own = ctx.thread.info()?.id as u32;
    let count = |event| records.iter().filter(|record| record.event == event).count();
    let calls: Vec<_> = records
        .iter()
        .filter(|record| record.event == Event::Call && record.values[0] & flag::MESSAGE == 0)
        .map(|record| (record.values[0] as u32, record.values[1]))
        .collect();
    let expected: Vec<_> = (0..3).map(|number| (own, (PROTOCOL as u64) << 16 | number)).collect();
    check_eq!(calls, expected);
    check_eq!(count(Event::Reply), 3);
    check!(count(Event::Switch) >= 6, "{} switches", count(Event::Switch));
    check!(records.iter().all(|record| record.name() == records[0].name()), "one program");
    Ok(())
}

fn trace_overwrites_the_oldest_and_counts(ctx: &Ctx) -> Verdict {
    let memory = ctx.memory(1)?;
    ctx.scheduler.trace(memory)?;
    be_called(ctx, 100)?;
    let written = ctx.scheduler.untrace()?;
    let (header, records) = read(memory, PAGE)?;
    let room = header[2];
    check_eq!((room, header[1]), (63, written));
    check!(written > 300, "{written} records");
    check_eq!(records.len() as u64, room);
    // The newest lies before the oldest.
    let newest = ((written - 1) % room) as usize;
    let breaks = records.windows(2).filter(|pair| pair[0].time > pair[1].time).count();
    check!(breaks <= 1, "{breaks} breaks in the order");
    check!(records.iter().all(|record| record.time <= records[newest].time));
    Ok(())
}

fn trace_ends_with_its_memory(ctx: &Ctx) -> Verdict {
    let (memory, other) = (ctx.memory(1)?, ctx.memory(1)?);
    ctx.scheduler.trace(memory)?;
    slots::destroy(memory.slot())?;
    be_called(ctx, 2)?;
    // It is off, so that somebody else can turn it on.
    ctx.scheduler.trace(other)?;
    be_called(ctx, 2)?;
    check!(ctx.scheduler.untrace()? >= 4);
    let spare = ctx.slot()?;
    let long = ctx.memory(2)?;
    ctx.scheduler.trace(long)?;
    long.split(PAGE, spare)?;
    be_called(ctx, 100)?;
    check_eq!(ctx.scheduler.untrace(), Ok(0), "it has become too short");
    Ok(())
}

fn trace_costs_nothing_when_it_is_off(ctx: &Ctx) -> Verdict {
    let count = |ctx: &Ctx| -> Result<u64, Failure> {
        be_called(ctx, 50)?;
        let start = postern_tests::syscall::raw::time_stamp();
        be_called(ctx, 50)?;
        Ok(postern_tests::syscall::raw::time_stamp() - start)
    };
    let before = count(ctx)?;
    let memory = ctx.memory(16)?;
    ctx.scheduler.trace(memory)?;
    let during = count(ctx)?;
    ctx.scheduler.untrace()?;
    let after = count(ctx)?;
    check!(during > before, "{during} with it, {before} without");
    check!(after < before + before / 20, "{after} after it, {before} before");
    Ok(())
}
