//! The other side of the measured calls: a server that sends every message
//! back as it came, in the fewest instructions that a server can have.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use postern_runtime::Env;
use postern_runtime::syscall::raw;

postern_runtime::main!(main);

fn main(_: Env) {
    raw::echo_forever()
}
