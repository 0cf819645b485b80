//! Resources used up, and tasks killed at any moment.

use postern_tests::random::Random;
use postern_tests::runtime::slots;
use postern_tests::syscall::{
    Capability, ErrorNumber, Item, Slot, Tag, Timeout, Timeouts, control, ipc, utcb,
};
use postern_tests::{Crowd, Ctx, Verdict, board, check, check_eq, op, peer, tests};

tests! {
    hostile_factory_used_up = 40,
    hostile_killed_in_the_middle_of_ipc = 50,
    hostile_thousand_senders_on_one_gate = 40,
}

/// Uses up a factory with small objects, kept in its own table, until nothing
/// fits; how many there were.
fn use_up(_: u64) -> u64 {
    let Ok(factory) = postern_tests::runtime::own::factory() else { return 0 };
    let mut made = 0;
    for slot in 8..peer::COUNT as u32 {
        let slot = Slot::new(slot);
        let result = match slot.number() % 3 {
            0 => factory.create_gate(slot).map(drop),
            1 => factory.create_notification(slot).map(drop),
            _ => factory.create_memory(slot, 4096).map(drop),
        };
        match result {
            Ok(()) => made += 1,
            Err(error) if error == op(ErrorNumber::NoMem, 0) => {}
            Err(error) if error == op(ErrorNumber::Exists, 2) => {}
            Err(error) => return error.encode() << 32,
        }
    }
    made
}

fn hostile_factory_used_up(ctx: &Ctx) -> Verdict {
    const QUOTA: u64 = 64 * 1024;
    let factory = ctx.sub_factory(QUOTA)?;
    for round in 0..3 {
        let mut peer = ctx.peer()?;
        let before = ctx.charged()?;
        let task = peer.task().ok_or(postern_tests::Failure::new(format_args!("no task")))?;
        task.delegate(
            Item::all(factory.slot()),
            Slot::new(postern_tests::protocol::slot::FACTORY),
        )?;
        peer.start(use_up, 0)?;
        let made = peer.join()?;
        check!(made > 10 && made < 100, "{made:#x} objects in round {round}");
        check!(factory.info()?.charged > QUOTA - 8192);
        // Others do not feel it: the test's own factory makes what it likes.
        let gate = ctx.unbound()?;
        slots::destroy(gate.slot())?;
        check_eq!(ctx.charged()?, before);
        drop(peer);
        let came_back = ctx.wait_until(|| factory.info().is_ok_and(|info| info.charged == 0));
        check!(came_back, "{} bytes stay charged in round {round}", factory.info()?.charged);
    }
    Ok(())
}

/// Calls, sends, sleeps and answers at random, for ever.
fn chatter(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    utcb::set_windows(&[peer::free(0), peer::free(1)]);
    loop {
        let gate = peer::given(random.below(4) as u32);
        let tag = Tag::new(7, random.below(10) as usize);
        let wait = Timeout::from_ns(1_000 * random.below(300));
        let timeouts = Timeouts { send: wait, receive: wait };
        match random.below(6) {
            0 => drop(ipc::call(gate, tag, [1; 4], timeouts)),
            1 => drop(ipc::send(gate, tag, [2; 4], wait)),
            2 => drop(control::save_reply(peer::free(random.below(8) as u32))),
            3 => drop(ipc::reply_saved(peer::free(random.below(8) as u32), 0, tag, [3; 4])),
            4 => drop(ipc::reply(0, tag, [4; 4])),
            _ => drop(ipc::receive(wait)),
        }
        board::add(8, 1);
    }
}

fn hostile_killed_in_the_middle_of_ipc(ctx: &Ctx) -> Verdict {
    const ROUNDS: u64 = 60;
    let mut random = Random::new(0x5eed_4b11);
    // Four places; in each a peer that is killed and replaced.
    let gates = [ctx.unbound()?, ctx.unbound()?, ctx.unbound()?, ctx.unbound()?];
    let mut before = None;
    let mut peers = [const { None }; 4];
    for round in 0..ROUNDS {
        let place = if round < 4 { round } else { random.below(4) } as usize;
        peers[place] = None;
        let mut partner = ctx.peer()?;
        ctx.scheduler.set_priority(partner.thread(), 50 + random.below(3) as u8)?;
        for gate in gates {
            partner.give(Item::all(gate.slot()))?;
        }
        gates[place].bind(partner.thread(), 0x40 * place as u64)?;
        partner.start(chatter, 1 + round)?;
        peers[place] = Some(partner);
        if round == 3 {
            before = Some(ctx.charged()?);
        }
        control::sleep_until(control::clock() + 20_000 + random.below(1_000_000))?;
    }
    check!(board::get(8) > ROUNDS, "only {} steps were made", board::get(8));
    // Exactly as much is charged as with the first four.
    let same = ctx.wait_until(|| ctx.charged().ok() == before);
    check!(same, "{:?} bytes charged at the end, {before:?} with the first four", ctx.charged());
    Ok(())
}

/// Sends its number; words 0 and 1 of the board count who began and who came
/// through.
fn send_number(argument: u64) -> u64 {
    board::add(0, 1);
    let slot = Slot::new(argument as u32);
    let sent = ipc::send(slot, Tag::new(7, 1), [argument >> 32, 0, 0, 0], Timeout::NEVER);
    board::add(1, u64::from(sent.is_ok()));
    0
}

fn hostile_thousand_senders_on_one_gate(ctx: &Ctx) -> Verdict {
    const SENDERS: u64 = 1000;
    let priority = |number: u64| 30 + (number * 7 % 50) as u8;
    let gate = ctx.unbound()?;
    let argument = |number| gate.slot().word() | number << 32;
    let crowd = Crowd::start(ctx, SENDERS, priority, send_number, argument)?;
    check!(ctx.wait_until(|| board::get(0) == SENDERS), "only {} began", board::get(0));
    control::sleep_until(control::clock() + 2_000_000)?;
    check_eq!(board::get(1), 0, "messages through an unbound gate");
    gate.bind(ctx.thread, 0x40)?;
    let mut last = (u8::MAX, 0);
    for _ in 0..SENDERS {
        let number = ipc::receive(postern_tests::patience())?.words[0];
        let this = (priority(number), number);
        let is_next = this.0 < last.0 || this.0 == last.0 && this.1 > last.1;
        check!(is_next, "number {} of priority {} after {last:?}", this.1, this.0);
        last = this;
    }
    check!(ctx.wait_until(|| board::get(1) == SENDERS), "only {} came through", board::get(1));
    crowd.end(ctx)
}
