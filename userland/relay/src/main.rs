//! Passes a buffer through chains of servers: copied piece by piece, and as a
//! relay segment; to servers that wait for messages, and into servers that are
//! crossed into. Prints what each took, by the time stamp counter: instructions,
//! when QEMU counts them.
//!
//! Arguments: bytes (also as `64K`, `4M`), servers (1 to 4). Capabilities:
//! `console`, `threads` and `entries` (the first links of two chains).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt;

use postern_relay::{PIECE, StageClient, StageError};
use postern_runtime::prelude::*;
use postern_runtime::relay::{self, RelayBuf};

postern_runtime::main!(main);

/// Bytes if nothing else is said.
const BYTES: usize = 64 << 10;
/// Links of each chain.
const LINKS: u32 = 4;
/// Fewest and most bytes: a link looks at two, and the quota is 32 MiB.
const RANGE: core::ops::RangeInclusive<usize> = 2..=16 << 20;
/// Each transfer is repeated, and the least count shown: it has no interrupt in
/// between.
const ROUNDS: usize = 5;

/// Why there is no table.
enum Failure {
    Argument(&'static str),
    Runtime(postern_runtime::Error),
    Call(CallError<StageError>),
    WrongSum,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(what) => f.write_str(what),
            Self::Runtime(error) => error.fmt(f),
            Self::Call(error) => error.fmt(f),
            Self::WrongSum => f.write_str("the servers saw something else"),
        }
    }
}

fn main(env: Env) -> i32 {
    match table(&env) {
        Ok(()) => 0,
        Err(error) => {
            println!("relay: {error}");
            1
        }
    }
}

/// `4096`, `64K`, `4M`.
fn bytes(text: &str) -> Option<usize> {
    let (digits, shift) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 0), |digits| (digits, 20)),
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift).filter(|bytes| RANGE.contains(bytes))
}

fn table(env: &Env) -> Result<(), Failure> {
    let mut arguments = env.arguments().skip(1);
    let bytes = arguments.next().map_or(Some(BYTES), bytes);
    let bytes = bytes.ok_or(Failure::Argument("BYTES has to be 2 to 16M"))?;
    let servers = arguments.next().map_or(Ok(LINKS), str::parse).ok();
    let servers = servers.filter(|servers| (1..=LINKS).contains(servers));
    let servers = servers.ok_or(Failure::Argument("SERVERS has to be 1 to 4"))?;
    let chains = ["threads", "entries"].map(|name| (name, env.capability::<StageClient>(name)));

    let mut buffer = relay::buffer(bytes).map_err(Failure::Runtime)?;
    // What the links see.
    let last = buffer.len() - 1;
    (buffer[0], buffer[last]) = (3, 4);
    println!("{bytes} bytes, in ticks of the time stamp counter");
    println!("{:>7} {:<8} {:>12} {:>12}", "SERVERS", "GATES TO", "COPIED", "BY RELAY");
    for servers in 1..=servers {
        for (name, chain) in chains {
            let chain = chain.map_err(Failure::Runtime)?;
            chain.ready().map_err(|error| Failure::Call(error.map(|never| match never {})))?;
            let copied = least(|| copy(&chain, &buffer[..bytes], servers))?;
            let mut kept = Some(buffer);
            let relayed = least(|| lend(&chain, &mut kept, servers))?;
            buffer = kept.ok_or(Failure::WrongSum)?;
            println!("{servers:>7} {name:<8} {copied:>12} {relayed:>12}");
        }
    }
    Ok(())
}

/// The least that `transfer` takes.
fn least(mut transfer: impl FnMut() -> Result<(), Failure>) -> Result<u64, Failure> {
    transfer()?;
    let mut least = u64::MAX;
    for _ in 0..ROUNDS {
        let start = time::time_stamp();
        transfer()?;
        least = least.min(time::time_stamp() - start);
    }
    Ok(least)
}

/// The first `bytes` of it, as many at a time as fit into a message.
fn copy(chain: &StageClient, bytes: &[u8], servers: u32) -> Result<(), Failure> {
    let mut left = bytes;
    while !left.is_empty() {
        // A link looks at two bytes: the last piece has two at least.
        let length = if left.len() == PIECE + 1 { PIECE - 1 } else { left.len().min(PIECE) };
        let (piece, rest) = left.split_at(length);
        let sum = chain.copy(servers - 1, piece).map_err(Failure::Call)?;
        let seen = u64::from(piece[0]) + u64::from(piece[length - 1]);
        if sum != seen * u64::from(servers) {
            return Err(Failure::WrongSum);
        }
        left = rest;
    }
    Ok(())
}

/// The buffer itself.
fn lend(chain: &StageClient, buffer: &mut Option<RelayBuf>, servers: u32) -> Result<(), Failure> {
    let lent = buffer.take().ok_or(Failure::WrongSum)?;
    let (sum, back) = chain.relay(lent, servers - 1).map_err(|(error, _)| Failure::Call(error))?;
    *buffer = Some(back);
    if sum == 7 * u64::from(servers) { Ok(()) } else { Err(Failure::WrongSum) }
}
