//! Random system calls, made so that many of them almost succeed.

use postern_tests::bare::call::Registers;
use postern_tests::random::Random;
use postern_tests::runtime::log;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::abi::tag::protocol::KOBJECT;
use postern_tests::syscall::abi::utcb::{ITEMS, RECEIVE_SOURCE, REPLY_HANDLE, WINDOWS};
use postern_tests::syscall::{
    Capability, Code, Factory, Item, Rights, Slot, Tag, Timeout, ipc, utcb,
};
use postern_tests::{Ctx, Failure, Partner, Verdict, board, check, check_eq, peer, tests};

tests! {
    hostile_registers_of_every_kind = 50,
    hostile_operations_on_everything = 50,
    hostile_messages_between_tasks = 50,
}

/// The seed of all storms; a failure is repeated by running the test again.
const SEED: u64 = 0x5eed_2024;
/// Calls of each peer.
const CALLS: u64 = 60_000;
/// Words of the board: a peer's calls so far, from here on.
const PROGRESS: usize = 8;
/// Word of the board: how many calls succeeded.
const SUCCESS: usize = 7;
/// Bytes that each peer may use.
const QUOTA: u64 = 512 * 1024;

/// What a word of a message may be.
fn word(random: &mut Random) -> u64 {
    match random.below(12) {
        0 => random.number(),
        1 => random.one_of(&[0, 1, 3, u64::MAX, 1 << 31, 1 << 32, 1 << 63, 0x7fff_ffff_f000]),
        2 => 4096 * random.below(40),
        3 => 0x10_0000_0000 + 4096 * random.below(64),
        4 => 4096,
        5 => 4,
        _ => random.below(peer::COUNT + 4),
    }
}

/// What a peer has from the start: slot, and the kind of object there.
const TABLE: [(u64, u64); 8] = [
    (1, Kind::Task as u64),
    (2, Kind::Thread as u64),
    (64, Kind::Gate as u64),
    (65, Kind::Gate as u64),
    (66, Kind::Gate as u64),
    (67, Kind::Factory as u64),
    (68, Kind::Task as u64),
    (69, Kind::Thread as u64),
];

/// A handle and an operation: most often such that they fit each other.
fn target(random: &mut Random) -> (u64, u64) {
    let (slot, kind) = TABLE[random.below(8) as usize];
    let operation = |kind: u64, random: &mut Random| kind << 8 | (1 + random.below(12));
    match random.below(16) {
        0 => (random.number(), random.number()),
        1 => (slot, operation(1 + random.below(10), random)),
        // What it made itself, of whatever kind.
        2..8 => (70 + random.below(30), operation(1 + random.below(10), random)),
        // Much is made.
        8..10 => (67, 0x101),
        _ => (slot, operation(kind, random)),
    }
}

/// A code with flags and timeouts: never one that waits for ever, that ends
/// the thread, or that moves the UTCB from under it.
fn code(random: &mut Random, may_be_unknown: bool) -> u64 {
    let codes = [
        Code::Null,
        Code::Call,
        Code::Call,
        Code::Call,
        Code::Send,
        Code::Receive,
        Code::Reply,
        Code::ReplyReceive,
        Code::Yield,
        Code::Clock,
        Code::SaveReply,
    ];
    let code = codes[random.below(codes.len() as u64) as usize];
    let waits = [Timeout::ZERO.bits(), 1, 20, 0x3ff];
    let mut wait = || u64::from(waits[random.below(4) as usize]);
    let timeouts = wait() << 32 | wait() << 48;
    let flags = code.permitted_flags().bits() as u64 & random.number();
    let mut rax = code.plain() | timeouts | flags;
    if may_be_unknown && random.below(10) == 0 {
        rax = random.number() & !(0xff << 24 | 0xff) | 0x40;
    }
    rax
}

/// Fills the part of the UTCB that the kernel reads.
fn shuffle_utcb(random: &mut Random) {
    for index in
        (ITEMS..ITEMS + 16).chain(WINDOWS..WINDOWS + 8).chain([REPLY_HANDLE, RECEIVE_SOURCE])
    {
        let value = random.below(peer::COUNT) | (random.number() & 0x1ff) << 8;
        let value = if index < WINDOWS && index % 2 == 1 { value >> 8 } else { value & 0xff };
        utcb::write(index, value);
    }
}

/// Counts a call of peer `number`, and whether it succeeded.
fn count(number: u64, after: Registers) {
    board::add(PROGRESS + number as usize, 1);
    board::add(SUCCESS, !after.flags & 1);
}

/// Registers of any value at all: the codes are mostly unknown, the handles and
/// tags mostly invalid.
fn any_registers(argument: u64) -> u64 {
    let mut random = Random::new(SEED + argument);
    for _ in 0..CALLS {
        let mut registers = Registers::patterned(code(&mut random, true));
        registers.rdi = if random.below(2) == 0 { word(&mut random) } else { random.number() };
        registers.rsi = random.number();
        registers.rdx = random.number();
        registers.r10 = random.number();
        registers.r8 = word(&mut random);
        registers.r9 = word(&mut random);
        registers.flags = 0x202 | random.number() & 0x0004_0cd5;
        let after = registers.call();
        if after.flags & !1 != 0x202 || after.rbx != 0 || after.r15 != 0 {
            return 1;
        }
        count(argument, after);
    }
    0
}

/// Operations on whatever is in the table.
fn operations(argument: u64) -> u64 {
    let mut random = Random::new(SEED + 100 + argument);
    for round in 0..CALLS {
        if round % 8 == 0 {
            shuffle_utcb(&mut random);
        }
        for index in 4..8 {
            utcb::write(index, word(&mut random));
        }
        let (handle, operation) = target(&mut random);
        let words = 1 + random.below(8);
        let items = random.below(3);
        let mut registers = Registers::patterned(Code::Call.plain());
        registers.rdi = handle;
        registers.rsi = Tag::new(KOBJECT, words as usize).with_items(items as usize).bits();
        registers.rdx = operation;
        registers.r10 = if random.below(2) == 0 { random.below(13) } else { word(&mut random) };
        registers.r8 = if random.below(2) == 0 { 70 + random.below(30) } else { word(&mut random) };
        registers.r9 = word(&mut random);
        // A gate without SERVER takes even these as messages.
        registers.rax |= u64::from(Timeout::ZERO.bits()) << 32 | 20 << 48;
        count(argument, registers.call());
    }
    0
}

/// Messages with items through gates that all have, answered or not.
fn messages(argument: u64) -> u64 {
    let mut random = Random::new(SEED + 200 + argument);
    for round in 0..CALLS / 2 {
        if round % 4 == 0 {
            shuffle_utcb(&mut random);
        }
        let mut registers = Registers::patterned(code(&mut random, false));
        registers.rdi = u64::from(peer::GIVEN) + random.below(6);
        let words = random.below(64) as usize;
        let items = if random.below(4) == 0 { random.below(9) as usize } else { 0 };
        registers.rsi = Tag::new(1 + argument as i64, words).with_items(items).bits();
        if registers.rax & 0xff == Code::SaveReply as u64 {
            registers.rdi = random.below(peer::COUNT);
        }
        count(argument, registers.call());
    }
    0
}

/// A peer with its own factory, task, thread and some gates to all peers.
fn villain(ctx: &Ctx, factory: Factory, gates: &[Slot]) -> Result<Partner, Failure> {
    let mut peer = ctx.peer()?;
    for gate in gates {
        peer.give(Item::all(*gate))?;
    }
    peer.give(Item::all(factory.slot()))?;
    ctx.scheduler.set_priority(peer.thread(), 50)?;
    if let Some(task) = peer.task() {
        let own = Rights::R | Rights::W | Rights::S | Rights::GRANT | Rights::D;
        peer.give(task.item(own))?;
        peer.give(peer.thread().item(own))?;
        // Nobody reads what it would write there.
        task.delete(ctx.log.slot())?;
    }
    Ok(peer)
}

/// Lets peers run `body` until all have ended; helps those that stopped
/// themselves. A peer that has destroyed or crashed itself counts as ended.
fn storm(ctx: &Ctx, body: postern_tests::Body) -> Verdict {
    const PEERS: usize = 3;
    log!("seed {SEED:#x}, {PEERS} peers, {CALLS} calls each");
    let before = ctx.charged()?;
    let mut factories = alloc::vec::Vec::new();
    let mut peers = alloc::vec::Vec::new();
    let gates = [ctx.unbound()?, ctx.unbound()?, ctx.unbound()?];
    for _ in 0..PEERS {
        let factory = ctx.sub_factory(QUOTA)?;
        peers.push(villain(ctx, factory, &gates.map(Capability::slot))?);
        factories.push(factory);
    }
    for (gate, peer) in gates.iter().zip(&peers) {
        gate.bind(peer.thread(), 0x40)?;
    }
    for (peer, number) in peers.iter_mut().zip(0..) {
        peer.start(body, number)?;
    }
    let progress = || (0..PEERS).map(|peer| board::get(PROGRESS + peer)).sum::<u64>();
    let mut last = 0;
    loop {
        postern_tests::syscall::control::sleep_until(
            postern_tests::syscall::control::clock() + 5_000_000,
        )?;
        let mut running = 0;
        for peer in &peers {
            use ThreadState::{Exited, Faulted, New, Stopped};
            match peer.info().map(|info| info.state) {
                Ok(Some(Exited | Faulted | New)) | Err(_) => {}
                Ok(Some(Stopped)) => {
                    running += 1;
                    peer.thread().resume()?;
                }
                Ok(_) => {
                    running += 1;
                    if progress() == last {
                        // It waits for another that is gone.
                        peer.thread().cancel()?;
                    }
                }
            }
        }
        last = progress();
        if running == 0 {
            break;
        }
    }
    for peer in &peers {
        if peer.info().is_ok_and(|info| info.state == Some(ThreadState::Exited)) {
            check_eq!(peer.info()?.detail, 0, "a register was not as it must be");
        }
    }
    let succeeded = board::get(SUCCESS);
    log!("{last} calls were made, {succeeded} succeeded");
    // A storm in which nothing works tests nothing.
    check!(succeeded > last / 50, "only {succeeded} of {last} calls succeeded");
    check!(last > CALLS / 2, "only {last} calls were made");
    still_sane(ctx)?;
    drop(peers);
    for factory in factories {
        ctx.task.delete(factory.slot())?;
    }
    for gate in gates {
        let _ = ctx.task.destroy(gate.slot());
        let _ = ctx.task.delete(gate.slot());
    }
    let came_back = ctx.wait_until(|| ctx.charged().is_ok_and(|charged| charged <= before));
    check!(came_back, "{} bytes stay charged", ctx.charged()? - before);
    still_sane(ctx)
}

/// The kernel still does for this task what it should.
fn still_sane(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x80)?;
    let body: postern_tests::Body = |slot| {
        let slot = Slot::new(slot as u32);
        let timeouts = postern_tests::syscall::Timeouts::NEVER;
        ipc::call(slot, Tag::new(7, 1), [5, 0, 0, 0], timeouts).map_or(0, |answer| answer.words[0])
    };
    let partner = ctx.spawn(body, gate.slot().word())?;
    let delivery = ipc::receive(postern_tests::patience())?;
    check_eq!((delivery.label & !3, delivery.words[0]), (0x80, 5));
    ipc::reply(0, Tag::new(7, 1), [6, 0, 0, 0])?;
    check_eq!(partner.join()?, 6);
    ctx.task.destroy(gate.slot())?;
    Ok(())
}

fn hostile_registers_of_every_kind(ctx: &Ctx) -> Verdict {
    storm(ctx, any_registers)
}

fn hostile_operations_on_everything(ctx: &Ctx) -> Verdict {
    storm(ctx, operations)
}

fn hostile_messages_between_tasks(ctx: &Ctx) -> Verdict {
    storm(ctx, messages)
}
