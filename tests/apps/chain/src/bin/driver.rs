//! `driver CHAIN KILLS`: three threads send requests through a chain, while
//! this one kills the middle link. Counts what became of each request.
#![no_std]
#![no_main]
use chain::{LinkClient, LinkError};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use postern_runtime::prelude::*;
use postern_runtime::protocol::supervisor::SupervisorClient;
use postern_runtime::thread;

postern_runtime::main!(main);

static STOP: AtomicBool = AtomicBool::new(false);
static SENT: AtomicU64 = AtomicU64::new(0);
static ANSWERED: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);

/// Sends until it is to stop.
fn client(front: LinkClient, mut number: u64) {
    while !STOP.load(Relaxed) {
        SENT.fetch_add(1, Relaxed);
        let cell = match front.pass(number) {
            Ok(answer) if answer == number + 3 => &ANSWERED,
            Err(CallError::Server(LinkError::Lost)) => &LOST,
            other => {
                log!("{number}: {other:?}");
                &WRONG
            }
        };
        cell.fetch_add(1, Relaxed);
        number += 1;
    }
}

/// Kills the program called `name`, whose number is at least `from`; its number.
fn kill(supervisor: SupervisorClient, name: &str, mut from: u64) -> Result<u64, String> {
    loop {
        let info = supervisor.next(from).map_err(|error| error.to_string())?;
        if &*info.name == name && info.state.is_alive() {
            supervisor.kill(info.id).map_err(|error| error.to_string())?;
            return Ok(info.id);
        }
        from = info.id + 1;
    }
}

fn main(env: Env) -> Result<(), String> {
    let words: Vec<_> = env.arguments().skip(1).collect();
    let [chain, kills] = words[..] else { return Err("which chain, and how often?".into()) };
    let kills: u64 = kills.parse().map_err(|_| "no number")?;
    let (name, middle) = match chain {
        "threads" => ("threads", "thread-b"),
        _ => ("entries", "entry-b"),
    };
    let front: LinkClient = env.capability(name).map_err(|error| error.to_string())?;
    let supervisor: SupervisorClient =
        env.capability("supervisor").map_err(|error| error.to_string())?;
    let spawn = |number| {
        let body = move || client(front, number << 32);
        thread::Builder::new().stack(16384).priority(80).spawn(body)
    };
    let threads: Vec<_> = (0..3_u64).map(spawn).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let (mut from, mut random) = (0, 12345_u64);
    for _ in 0..kills {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        time::sleep(Duration::from_nanos((random >> 33) % 400_000));
        from = kill(supervisor, middle, from)? + 1;
    }
    STOP.store(true, Relaxed);
    for thread in threads {
        thread.join().map_err(|_| "a thread died")?;
    }
    let [sent, answered, lost, wrong] =
        [&SENT, &ANSWERED, &LOST, &WRONG].map(|cell| cell.load(Relaxed));
    println!("{kills} kills: {sent} sent, {answered} answered, {lost} lost, {wrong} wrong");
    Ok(())
}
