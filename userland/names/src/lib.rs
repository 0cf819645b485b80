//! The name server's directory, apart from its program, so that the tests in
//! QEMU can serve it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod directory;

pub use directory::Directory;

use postern_runtime::protocol::names::NamesServer;
use postern_runtime::server::{Reply, Request, Server};
use postern_runtime::syscall::Timeout;

/// The name server: a directory, and the patience of those who wait for a name.
pub struct NameServer(pub Directory);

impl Server for NameServer {
    fn call(&mut self, request: Request<'_>) -> Reply {
        NamesServer::dispatch(&mut self.0, request)
    }

    fn patience(&self) -> Timeout {
        let left = self.0.patience();
        let nanoseconds = left.map(|left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        nanoseconds.map_or(Timeout::NEVER, Timeout::from_ns)
    }

    fn timed_out(&mut self) {
        self.0.expire();
    }

    fn windows(&self) -> usize {
        NamesServer::<Directory>::WINDOWS
    }
}
