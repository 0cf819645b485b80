//! Death of anybody in a chain, at any moment.

use alloc::vec::Vec;

use postern_tests::random::Random;
use postern_tests::runtime::slots;
use postern_tests::runtime::time::time_stamp;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{Capability, ErrorNumber, Gate, Item, Slot, control};
use postern_tests::{Ctx, Failure, Partner, Verdict, board, check, check_eq, received, tests};

use crate::obey::{REACHED, ask, asks, asks_for_answer, command, obey, order};
use crate::server::Server;

tests! {
    x20_the_callee_is_killed,
    x20_the_middle_of_a_chain_is_killed,
    x20_the_caller_is_killed_while_it_is_abroad,
    x20_the_entry_or_the_gate_goes,
    x20_a_handler_that_faults_or_ends,
    x20_killed_at_random_in_chains_of_four = 120,
    x21_a_kill_costs_the_same_however_many_threads_there_are = 60,
}

/// Long enough for anything to happen meanwhile, in nanoseconds.
const LONG: u64 = 15_000_000;

/// A chain of servers, each behind a gate that outlives it.
struct Chain {
    servers: Vec<Server>,
    gates: Vec<Gate>,
    grace: u64,
}

impl Chain {
    fn new(ctx: &Ctx, length: usize) -> Result<Self, Failure> {
        Self::with_grace(ctx, length, 5_000_000)
    }

    fn with_grace(ctx: &Ctx, length: usize, grace: u64) -> Result<Self, Failure> {
        let mut chain = Self { servers: Vec::new(), gates: Vec::new(), grace };
        for _ in 0..length {
            chain.gates.push(ctx.unbound()?);
        }
        for index in 0..length {
            let server = chain.server(ctx, index)?;
            chain.servers.push(server);
        }
        Ok(chain)
    }

    /// A new server number `index`, behind its gate.
    fn server(&self, ctx: &Ctx, index: usize) -> Result<Server, Failure> {
        let mut server = Server::with_grace(ctx, 2, obey, self.grace)?;
        if let Some(next) = self.gates.get(index + 1) {
            server.give(*next)?;
        }
        self.gates[index].bind_entry(server.entry, 0x40 * index as u64, 0)?;
        Ok(server)
    }

    /// A partner that goes through all of it and sleeps at the end.
    fn walker(&self, ctx: &Ctx) -> Result<Partner, Failure> {
        let reached = board::get(REACHED);
        let argument = self.gates[0].slot().word() | (self.servers.len() as u64 - 1) << 40;
        let partner = ctx.spawn(walk, argument)?;
        check!(ctx.wait_until(|| board::get(REACHED) > reached), "it is at the end");
        Ok(partner)
    }

    /// Gives everything back.
    fn end(self) {
        for gate in &self.gates {
            // What fails here shows in what stays charged.
            let _ = slots::destroy(gate.slot());
        }
    }

    fn states(&self, index: usize) -> Result<[u64; 4], Failure> {
        let info = self.servers[index].entry.info()?;
        Ok([info.free, info.active, info.orphaned, info.quarantined])
    }
}

/// A partner's body: a chain whose end sleeps. The number of links that came
/// back, or the error << 32.
fn walk(argument: u64) -> u64 {
    let answer =
        ask(Gate::new(Slot::new(argument as u32)), [command::CHAIN, argument >> 40, LONG, 0]);
    answer.unwrap_or_else(|error| error.encode() << 32)
}

/// `Aborted`, as [`walk`] tells it.
fn aborted() -> u64 {
    received(ErrorNumber::Aborted).encode() << 32
}

fn x20_the_callee_is_killed(ctx: &Ctx) -> Verdict {
    let chain = Chain::new(ctx, 3)?;
    let walker = chain.walker(ctx)?;
    ctx.task.destroy(chain.servers[2].task.slot())?;
    // The middle got the error and went on, and so did the first.
    check_eq!(walker.join()?, aborted() + 1);
    check_eq!((chain.states(0)?, chain.states(1)?), ([2, 0, 0, 0], [2, 0, 0, 0]));
    Ok(())
}

fn x20_the_middle_of_a_chain_is_killed(ctx: &Ctx) -> Verdict {
    let chain = Chain::new(ctx, 3)?;
    let walker = chain.walker(ctx)?;
    ctx.task.destroy(chain.servers[1].task.slot())?;
    check_eq!(walker.join()?, aborted(), "the first server was told at once");
    check_eq!(chain.states(0)?, [2, 0, 0, 0]);
    // Who was in the last one is an orphan: its sleep is longer than its grace.
    check_eq!(chain.states(2)?, [1, 0, 1, 0]);
    check!(ctx.wait_until(|| chain.states(2).is_ok_and(|states| states == [1, 0, 0, 1])));
    Ok(())
}

fn x20_the_caller_is_killed_while_it_is_abroad(ctx: &Ctx) -> Verdict {
    let chain = Chain::new(ctx, 3)?;
    let walker = chain.walker(ctx)?;
    walker.await_state(ctx, ThreadState::Abroad)?;
    ctx.task.destroy(walker.thread().slot())?;
    check_eq!(chain.states(0)?, [1, 0, 1, 0]);
    check_eq!((chain.states(1)?, chain.states(2)?), ([1, 1, 0, 0], [1, 1, 0, 0]));
    // The first runs out of grace, then the second, then the third.
    check!(ctx.wait_until(|| chain.states(2).is_ok_and(|states| states[1] + states[2] == 0)));
    check_eq!((chain.states(0)?[3], chain.states(1)?[3]), (1, 1));
    Ok(())
}

fn x20_the_entry_or_the_gate_goes(ctx: &Ctx) -> Verdict {
    let chain = Chain::new(ctx, 2)?;
    let told = ctx.notification()?;
    chain.servers[1].entry.bind_notification(told, 1)?;
    // The gate: who is inside does not notice.
    let walker = chain.walker(ctx)?;
    let gate = chain.gates[1];
    ctx.task.destroy(gate.slot())?;
    check_eq!(walker.join()?, 1);
    // The entry: who is inside is thrown out, and the owner is told.
    let gate = chain.servers[1].gate(ctx, 0)?;
    let partner = ctx.spawn(asks, order(gate, command::SLEEP, LONG))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    ctx.task.destroy(chain.servers[1].entry.slot())?;
    check_eq!(partner.join()?, received(ErrorNumber::Aborted).encode());
    check_eq!(told.poll()?, 1);
    Ok(())
}

fn x20_a_handler_that_faults_or_ends(ctx: &Ctx) -> Verdict {
    let server = Server::new(ctx, 3, obey)?;
    let gate = server.gate(ctx, 0)?;
    let gone = Err(received(ErrorNumber::Aborted));
    check_eq!(ask(gate, [command::READ, 16, 0, 0]), gone);
    check_eq!(ask(gate, [command::EXIT, 0, 0, 0]), gone);
    check_eq!(server.entry.info()?.quarantined, 2);
    check_eq!(ask(gate, [command::ECHO, 4, 0, 0])?, 4);
    Ok(())
}

fn x20_killed_at_random_in_chains_of_four(ctx: &Ctx) -> Verdict {
    const ROUNDS: usize = 1000;
    let mut random = Random::new(20);
    // Page tables of this task stay: those for the stacks are made once.
    Chain::new(ctx, 4)?.end();
    let before = ctx.charged()?;
    {
        let mut chain = Chain::with_grace(ctx, 4, 50_000)?;
        let mut resets = 0;
        let fixed = ctx.charged()?;
        for round in 0..ROUNDS {
            let argument = chain.gates[0].slot().word() | 3 << 40;
            let walker = ctx.spawn(walk, argument)?;
            // Anywhere on the way in, or asleep at the end.
            control::sleep_until(control::clock() + random.below(40_000))?;
            let victim = random.below(4) as usize;
            match random.below(8) {
                0..3 => {
                    drop(chain.servers.remove(victim));
                    let fresh = chain.server(ctx, victim)?;
                    chain.servers.insert(victim, fresh);
                }
                3 => {
                    ctx.task.destroy(chain.servers[victim].entry.slot())?;
                    let fresh = chain.server(ctx, victim)?;
                    drop(core::mem::replace(&mut chain.servers[victim], fresh));
                }
                4 => walker.thread().cancel()?,
                5 => walker.thread().stop()?,
                // The walker itself, below.
                _ => {}
            }
            drop(walker);
            // Contexts that did not finish are made usable again.
            for server in &chain.servers {
                for number in &server.contexts {
                    // Busy if it is not quarantined, which is as well.
                    resets += u64::from(server.entry.reset_context(*number, None).is_ok());
                }
            }
            check_eq!(ctx.charged()?, fixed, "charged in round {round}");
        }
        let idle = ctx.wait_until(|| {
            (0..4).all(|it| {
                chain.states(it).is_ok_and(|[_, active, orphans, _]| active + orphans == 0)
            })
        });
        check!(idle, "a context is lost");
        check!(resets > 100, "only {resets} contexts did not finish: the kills came too late");
        for (index, server) in chain.servers.iter().enumerate() {
            for number in &server.contexts {
                let _ = server.entry.reset_context(*number, None);
            }
            check_eq!(chain.states(index)?, [2, 0, 0, 0]);
        }
        check_eq!(
            chain.gates.iter().map(|it| it.info().map_or(9, |info| info.in_use)).sum::<u64>(),
            0
        );
        check_eq!(ask(chain.gates[0], [command::CHAIN, 3, 0, 0])?, 3, "and all of it works");
        chain.end();
    }
    let all_back = ctx.wait_until(|| ctx.charged().is_ok_and(|now| now == before));
    check!(all_back, "{} bytes charged, {before} before", ctx.charged()?);
    Ok(())
}

/// Counted instructions of killing a task that one thread is in, with `others`
/// threads elsewhere.
fn cost_of_a_kill(ctx: &Ctx, others: u64) -> Result<u64, Failure> {
    let elsewhere = ctx.factory.create_task(ctx.slot()?, 1024)?;
    for number in 0..others {
        let thread = ctx.new_thread()?;
        thread.bind(elsewhere)?;
        elsewhere.delegate(Item::all(thread.slot()), Slot::new(1 + number as u32))?;
        slots::delete(thread.slot())?;
    }
    let server = Server::new(ctx, 1, obey)?;
    let gate = server.gate(ctx, 0)?;
    let partner = ctx.spawn_at(50, asks_for_answer, order(gate, command::SLEEP, LONG))?;
    partner.await_state(ctx, ThreadState::Abroad)?;
    let start = time_stamp();
    ctx.task.destroy(server.task.slot())?;
    let cost = time_stamp() - start;
    check_eq!(partner.join()?, u64::MAX);
    slots::destroy(elsewhere.slot())?;
    Ok(cost)
}

fn x21_a_kill_costs_the_same_however_many_threads_there_are(ctx: &Ctx) -> Verdict {
    // The first one grows tables.
    cost_of_a_kill(ctx, 1000)?;
    let few = cost_of_a_kill(ctx, 10)?;
    let many = cost_of_a_kill(ctx, 1000)?;
    check!(few.abs_diff(many) < few / 20, "{few} instructions with 10, {many} with 1000");
    Ok(())
}
