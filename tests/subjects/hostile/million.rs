//! A million random messages between several tasks: calls, answers, receives
//! from everywhere and from one, capabilities to and fro, while gates are
//! rebound, relabelled, made and destroyed and waits are cancelled. In the end
//! every byte is back, and, which the runner looks at, every page frame.

use postern_tests::random::Random;
use postern_tests::runtime::log;
use postern_tests::runtime::time::sleep;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::abi::op::{gate, task, thread};
use postern_tests::syscall::abi::rights::Kind;
use postern_tests::syscall::abi::tag::protocol::KOBJECT;
use postern_tests::syscall::abi::utcb::{ITEM_MOVE, ITEMS, RECEIVE_SOURCE, REPLY_HANDLE, WINDOWS};
use postern_tests::syscall::{
    Capability, Code, Factory, Gate, Item, Notification, Rights, Slot, Tag, Timeout, control, raw,
    utcb,
};
use postern_tests::{Ctx, Failure, Partner, Verdict, board, check, check_eq, tests};

tests! {
    hostile_million_messages = 240,
}

const SEED: u64 = 0x0dd_f00d;
/// Tasks at it.
const TASKS: u64 = 4;
/// Messages, receives and answers of each.
const MESSAGES: u64 = 250_000;
/// Bytes that each may use for gates.
const QUOTA: u64 = 8 << 10;

/// Words of the board: what each has done, and what of it succeeded.
const DONE: usize = 8;
const SUCCESS: usize = 16;

/// What is in a peer's table: gates and threads of all, notifications of all.
mod place {
    use postern_tests::peer::GIVEN;

    pub const GATES: u64 = GIVEN as u64;
    pub const THREADS: u64 = GATES + super::TASKS;
    pub const SIGNALS: u64 = THREADS + super::TASKS;
    pub const FACTORY: u64 = SIGNALS + super::TASKS;
    /// From here on it is empty.
    pub const FREE: u64 = 80;
    pub const END: u64 = postern_tests::peer::COUNT;
}

/// A short wait: none, or some microseconds.
fn wait(random: &mut Random) -> u64 {
    let choices = [Timeout::ZERO.bits(), 20, 60, 200];
    u64::from(choices[random.below(4) as usize])
}

/// A slot that may hold something made or received.
fn any(random: &mut Random) -> u64 {
    place::FREE + random.below(place::END - place::FREE)
}

/// An operation on the objects around the messages: handle, words, item.
fn operation(random: &mut Random, own: u64) -> (u64, [u64; 4], u64) {
    let of = |first: u64, random: &mut Random| first + random.below(TASKS);
    let (slot, label) = (any(random), random.below(64) << 2);
    match random.below(12) {
        0 => (of(place::GATES, random), [gate::BIND, label, 0, 0], of(place::THREADS, random)),
        1 => (slot, [gate::BIND, label, 0, 0], place::THREADS + own),
        2 => (of(place::GATES, random), [gate::UNBIND, 0, 0, 0], 0),
        // So that every gate finds its way home again.
        3 | 4 => (place::GATES + own, [gate::BIND, label, 0, 0], place::THREADS + own),
        5 => (of(place::THREADS, random), [thread::CANCEL, 0, 0, 0], 0),
        6 => (of(place::THREADS, random), [thread::MODIFY_SENDERS, 4, 4, 12], 0),
        7 => {
            let item = random.one_of(&[0, place::SIGNALS + own]);
            (place::THREADS + own, [thread::NOTIFY_DELETION, 1, 0, 0], item)
        }
        8 => (place::FACTORY, [0x101, Kind::Gate as u64, slot, label], place::THREADS + own),
        9 => (1, [task::DELETE, slot, random.below(2), 0], 0),
        10 => (1, [task::DERIVE, slot, any(random), random.number() & 0xff], 0),
        _ => (of(place::SIGNALS, random), [0x601, 1 + random.below(8), 0, 0], 0),
    }
}

/// Items, windows and sources for the next messages.
fn shuffle(random: &mut Random, own: u64) {
    for index in 0..8 {
        let (made, other) = (any(random), random.number() & 0xff);
        let slot = random.one_of(&[made, made, place::GATES + own, 0]);
        // What was given stays.
        let moves = slot >= place::FREE && random.below(3) == 0;
        let mask = 0xff | if moves { ITEM_MOVE } else { 0 };
        utcb::write(ITEMS + 2 * index, slot);
        utcb::write(ITEMS + 2 * index + 1, random.one_of(&[mask, mask, other]));
        utcb::write(WINDOWS + index, any(random));
    }
    utcb::write(REPLY_HANDLE, any(random));
    utcb::write(RECEIVE_SOURCE, place::GATES + random.below(3 * TASKS));
}

/// A hostile program; its argument says which.
fn hostile(own: u64) -> u64 {
    let mut random = Random::new(SEED + own);
    for count in 0..MESSAGES {
        if count.is_multiple_of(3) {
            shuffle(&mut random, own);
        }
        if random.below(3) == 0 {
            let (handle, words, item) = operation(&mut random, own);
            let [slot, rights] = Item::all(Slot::new(item as u32)).encode();
            utcb::write(ITEMS, slot);
            utcb::write(ITEMS + 1, rights);
            // The last word of a rule.
            utcb::write(4, 8);
            let tag = Tag::new(KOBJECT, 5).with_items(usize::from(item != 0));
            // What has become a gate without SERVER must not wait for ever.
            let zero = u64::from(Timeout::ZERO.bits());
            let _ = raw::invoke(
                Code::Call.plain() | zero << 32 | zero << 48,
                handle,
                tag.bits(),
                words,
            );
        }
        let codes = [
            Code::Call,
            Code::Call,
            Code::Send,
            Code::Receive,
            Code::Receive,
            Code::Reply,
            Code::ReplyReceive,
            Code::ReplyReceive,
        ];
        let code = codes[random.below(8) as usize];
        let flags = u64::from(code.permitted_flags().bits())
            & random.number()
            & random.number()
            & random.number();
        let rax = code.plain() | flags | wait(&mut random) << 32 | wait(&mut random) << 48;
        let words = [0, 1, 4, 7, 63][random.below(5) as usize];
        let items = random.one_of(&[0, 0, 0, 0, 0, 1, 3]) as usize;
        let (shared, made) = (place::GATES + random.below(TASKS), any(&mut random));
        let handle = random.one_of(&[shared, shared, shared, shared, made]);
        let tag = Tag::new(1, words).with_items(items);
        let out = raw::invoke(rax, handle, tag.bits(), [count, 2, 3, 4]);
        if random.below(4) == 0 {
            let _ = control::save_reply(Slot::new(any(&mut random) as u32));
        }
        board::add(DONE + own as usize, 1);
        board::add(SUCCESS + own as usize, u64::from(!out.failed));
    }
    0
}

/// All programs, each with its own factory, and what they share.
struct Storm {
    peers: alloc::vec::Vec<(Partner, Factory)>,
    gates: alloc::vec::Vec<Gate>,
    signals: alloc::vec::Vec<Notification>,
}

impl Storm {
    fn start(ctx: &Ctx) -> Result<Self, Failure> {
        let mut storm = Self { peers: alloc::vec![], gates: alloc::vec![], signals: alloc::vec![] };
        for _ in 0..TASKS {
            let partner = ctx.peer()?;
            storm.gates.push(ctx.gate_to(partner.thread(), 0x40)?);
            let signals = ctx.notification()?;
            signals.bind(partner.thread())?;
            storm.signals.push(signals);
            storm.peers.push((partner, ctx.sub_factory(QUOTA)?));
        }
        let but_d = Rights::all() - Rights::D;
        let threads: alloc::vec::Vec<Slot> =
            storm.peers.iter().map(|(partner, _)| partner.thread().slot()).collect();
        for (partner, quota) in &mut storm.peers {
            for gate in &storm.gates {
                partner.give(gate.item(but_d))?;
            }
            for thread in &threads {
                partner.give(Item::with(*thread, but_d))?;
            }
            for signals in &storm.signals {
                partner.give(signals.item(but_d))?;
            }
            partner.give(quota.item(but_d))?;
        }
        for ((partner, _), own) in storm.peers.iter_mut().zip(0..) {
            ctx.scheduler.set_priority(partner.thread(), 50 + own as u8 % 3)?;
            partner.start(hostile, own)?;
        }
        Ok(storm)
    }

    /// Waits for the ends of all, and takes everything apart.
    fn finish(self, ctx: &Ctx) -> Verdict {
        for (partner, _) in &self.peers {
            // Longer than patience for one thing.
            while partner.info()?.state != Some(ThreadState::Exited) {
                sleep(core::time::Duration::from_millis(5));
            }
            check_eq!(partner.join()?, 0);
        }
        for (partner, quota) in self.peers {
            drop(partner);
            quota.empty()?;
            check_eq!(quota.info()?.charged, 0);
            ctx.task.destroy(quota.slot())?;
        }
        for gate in self.gates {
            ctx.task.destroy(gate.slot())?;
        }
        for signals in self.signals {
            ctx.task.destroy(signals.slot())?;
        }
        Ok(())
    }
}

fn hostile_million_messages(ctx: &Ctx) -> Verdict {
    drop(ctx.peer()?);
    let before = ctx.charged()?;
    Storm::start(ctx)?.finish(ctx)?;
    let same = ctx.wait_until(|| ctx.charged().is_ok_and(|now| now == before));
    check!(same, "{before} bytes became {}", ctx.charged()?);
    let sum =
        |first: usize| (0..TASKS as usize).map(|number| board::get(first + number)).sum::<u64>();
    let (done, success) = (sum(DONE), sum(SUCCESS));
    log!("seed {SEED:#x}: {done} messages, receives and answers, {success} of them succeeded");
    check_eq!(done, TASKS * MESSAGES);
    check!(success > done / 10, "only {success} succeeded");
    Ok(())
}
