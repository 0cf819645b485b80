//! Registers survive whatever lets others run.

use core::time::Duration;

use postern_tests::bare::float::{Float, SAME, compare, mark, marked, spin};
use postern_tests::runtime::time;
use postern_tests::syscall::{
    Capability, DeliveryKind, Gate, Slot, Tag, Timeout, Timeouts, control, ipc,
};
use postern_tests::{Crowd, Ctx, Failure, Partner, Verdict, board, check, check_eq, tests};

tests! {
    fpu_x24_preemption_among_users_and_others,
    fpu_x24_every_call_leaves_them_alone,
    fpu_x24_rendezvous_of_two_users,
    fpu_x24_more_urgent_user_in_between,
    fpu_x24_stopped_and_resumed,
    fpu_x24_hundred_users,
}

/// Turns of [`spin`] that are longer than a time slice.
const LONG: u64 = 12_000_000;

/// Keeps a pattern through long stretches of user code; where it went wrong.
fn hold(argument: u64) -> u64 {
    let pattern = Float::patterned(argument);
    pattern.load();
    for _ in 0..3 {
        spin(LONG);
        let found = compare(&pattern);
        if found != SAME {
            return found;
        }
    }
    SAME
}

/// Does the same without the registers.
fn idle_about(_: u64) -> u64 {
    for _ in 0..3 {
        spin(LONG);
    }
    SAME
}

fn fpu_x24_preemption_among_users_and_others(ctx: &Ctx) -> Verdict {
    let before = ctx.scheduler.info()?.switches;
    let mut peers = [ctx.peer()?, ctx.peer()?, ctx.peer()?];
    for (peer, (body, argument)) in
        peers.iter_mut().zip([(hold as fn(u64) -> u64, 1), (idle_about, 0), (hold, 2)])
    {
        peer.start(body, argument)?;
    }
    let helper = ctx.spawn(hold, 3)?;
    check_eq!(hold(4), SAME);
    check_eq!(helper.join()?, SAME);
    for peer in peers {
        check_eq!(peer.join()?, SAME);
    }
    check!(ctx.scheduler.info()?.switches >= before + 10, "nobody was preempted");
    Ok(())
}

/// Answers calls with registers of its own, until one has no words.
fn serve(argument: u64) -> u64 {
    let pattern = Float::patterned(argument);
    let Ok(mut delivery) = ipc::receive(Timeout::NEVER) else { return 1 };
    // From the first message on, so that it has waited as a non-user, too.
    pattern.load();
    loop {
        let found = compare(&pattern);
        if delivery.tag.words() == 0 || found != SAME {
            let _ = ipc::reply(0, Tag::new(7, 1), [found, 0, 0, 0]);
            return found;
        }
        let [word, ..] = delivery.words;
        match ipc::reply_receive(0, Tag::new(7, 1), [word + 1, 0, 0, 0], Timeout::NEVER) {
            Ok(next) => delivery = next,
            Err(_) => return 2,
        }
    }
}

fn server(ctx: &Ctx, body: fn(u64) -> u64) -> Result<(Partner, Gate), Failure> {
    let mut partner = ctx.peer()?;
    let gate = ctx.gate_to(partner.thread(), 0x40)?;
    partner.start(body, 77)?;
    Ok((partner, gate))
}

fn finish(partner: &Partner, gate: Gate) -> Verdict {
    ipc::call(gate.slot(), Tag::new(7, 0), [0; 4], Timeouts::NEVER)?;
    check_eq!(partner.join()?, SAME);
    Ok(())
}

/// Whatever a call says: the registers are what counts.
fn ignore<T>(_: T) {}

fn fpu_x24_every_call_leaves_them_alone(ctx: &Ctx) -> Verdict {
    let pattern = Float::patterned(0x1234);
    let (partner, gate) = server(ctx, serve)?;
    let notification = ctx.notification()?;
    let nobody = ctx.unbound()?;
    pattern.load();
    let calls: [(&str, &dyn Fn()); 9] = [
        ("null", &|| ignore(control::null())),
        ("yield", &control::yield_now),
        ("sleep", &|| time::sleep(Duration::from_micros(30))),
        ("clock", &|| ignore(control::clock())),
        ("call", &|| ignore(ipc::call(gate.slot(), Tag::new(7, 1), [5; 4], Timeouts::NEVER))),
        ("refused call", &|| {
            ignore(ipc::call(Slot::new(0), Tag::new(7, 1), [5; 4], Timeouts::NEVER))
        }),
        ("operation", &|| ignore(notification.signal(1))),
        ("timeout", &|| {
            ignore(ipc::call(nobody.slot(), Tag::new(7, 1), [5; 4], Timeouts::ZERO));
            ignore(ipc::receive(Timeout::from_ns(20_000)));
        }),
        ("map", &|| {
            let memory = ctx.memory(8);
            ignore(memory.map(|it| ctx.task.destroy(it.slot())));
        }),
    ];
    for (name, call) in calls {
        call();
        check_eq!(compare(&pattern), SAME, "after {name}");
    }
    finish(&partner, gate)
}

fn fpu_x24_rendezvous_of_two_users(ctx: &Ctx) -> Verdict {
    let (partner, gate) = server(ctx, serve)?;
    // The first calls by a non-user, for whom the fast paths are.
    for turn in 0..200 {
        if turn == 20 {
            mark(991);
        }
        let answer = ipc::call(gate.slot(), Tag::new(7, 1), [turn, 0, 0, 0], Timeouts::NEVER)?;
        check_eq!((answer.kind, answer.words[0]), (DeliveryKind::Reply, turn + 1));
        check!(turn < 20 || marked() == 991, "turn {turn}");
    }
    finish(&partner, gate)
}

fn fpu_x24_more_urgent_user_in_between(ctx: &Ctx) -> Verdict {
    // It wakes by its timer while this thread computes.
    let body = |argument| {
        mark(argument);
        for turn in 0..50 {
            time::sleep(Duration::from_micros(100));
            if marked() != argument + turn {
                return turn;
            }
            mark(argument + turn + 1);
        }
        board::set(0, 1);
        SAME
    };
    let urgent = ctx.spawn_at(150, body, 1000)?;
    mark(5);
    while board::get(0) == 0 {
        spin(1000);
        check_eq!(marked(), 5);
    }
    check_eq!(urgent.join()?, SAME);
    Ok(())
}

fn fpu_x24_stopped_and_resumed(ctx: &Ctx) -> Verdict {
    let partner = ctx.spawn(
        |argument| {
            mark(argument);
            board::set(0, 1);
            while board::get(1) == 0 {
                spin(1000);
            }
            marked()
        },
        0x77,
    )?;
    check!(ctx.wait_until(|| board::get(0) == 1));
    for turn in 0..5 {
        partner.thread().stop()?;
        mark(turn);
        // The other registers can be set all the same.
        let registers = partner.thread().registers()?;
        partner.thread().set_registers(&registers)?;
        partner.thread().resume()?;
        control::yield_now();
        check_eq!(marked(), turn);
    }
    board::set(1, 1);
    check_eq!(partner.join()?, 0x77);
    Ok(())
}

fn fpu_x24_hundred_users(ctx: &Ctx) -> Verdict {
    const COUNT: u64 = 100;
    let body = |number: u64| {
        mark(number);
        for _ in 0..10 {
            control::yield_now();
            spin(number * 10);
            if marked() != number {
                board::add(1, 1);
            }
        }
        board::add(0, 1);
        number
    };
    let crowd = Crowd::start(ctx, COUNT, |_| postern_tests::protocol::PRIORITY, body, |n| n * 3)?;
    check!(ctx.wait_until(|| board::get(0) == COUNT), "{} are done", board::get(0));
    check_eq!(board::get(1), 0, "who lost its registers");
    crowd.end(ctx)?;
    Ok(())
}
