//! Names and sessions: the name server's directory, served by a thread of the
//! test, and servers that offer themselves there.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod registry;
mod sessions;

use postern_names::Directory;
use postern_tests::runtime::interface::{Caller, interface};
use postern_tests::runtime::names;
use postern_tests::runtime::protocol::names::{NamesClient, NamesServer};
use postern_tests::runtime::{server, thread, thread::JoinHandle};
use postern_tests::syscall::{Capability, Rights};
use postern_tests::{Ctx, Failure, check};

postern_tests::subject!(registry, sessions);

/// Says who calls.
#[interface(protocol = 0x7003)]
trait Who {
    /// The number that the server has.
    fn number(&mut self) -> u64;
    /// The label that it sees, and whether it may write.
    fn label(&mut self, caller: &Caller) -> (u64, bool);
}

struct Someone(u64);

impl Who for Someone {
    fn number(&mut self) -> u64 {
        self.0
    }

    fn label(&mut self, caller: &Caller) -> (u64, bool) {
        (caller.label(), caller.can_write())
    }
}

/// A name server.
struct Town<'a> {
    ctx: &'a Ctx,
    server: JoinHandle<()>,
}

impl<'a> Town<'a> {
    fn new(ctx: &'a Ctx) -> Result<Self, Failure> {
        let server = thread::spawn(|| {
            server::serve(&mut NamesServer(Directory::default()));
        })?;
        Ok(Self { ctx, server })
    }

    /// A gate to it; with W one may register.
    fn gate(&self, label: u64, rights: Rights) -> Result<NamesClient, Failure> {
        let gate = self.ctx.gate_to(self.server.thread(), label)?;
        Ok(NamesClient::new(self.ctx.derive(gate, rights)?))
    }

    /// A gate with which one may look up only.
    fn visitor(&self) -> Result<NamesClient, Failure> {
        self.gate(0x400, Rights::R)
    }

    /// A server called `name` with a number; returns when it is registered.
    fn offer(
        &self,
        label: u64,
        name: &'static str,
        number: u64,
    ) -> Result<JoinHandle<Result<(), names::Error>>, Failure> {
        let names = self.gate(label, Rights::R | Rights::W)?;
        let visitor = self.visitor()?;
        let server =
            thread::spawn(move || names::serve_through(names, name, WhoServer(Someone(number))))?;
        let there = self.ctx.wait_until(|| {
            server.is_finished()
                || names::connect_through::<WhoClient>(visitor, name).is_ok_and(|session| {
                    let is_it = session.number() == Ok(number);
                    postern_tests::runtime::slots::delete(session.gate().slot()).is_ok() && is_it
                })
        });
        check!(there, "`{name}` was never registered");
        Ok(server)
    }

    /// Ends a server.
    fn end<T>(&self, server: &JoinHandle<T>) -> Result<(), Failure> {
        Ok(self.ctx.task.destroy(server.thread().slot())?)
    }
}
