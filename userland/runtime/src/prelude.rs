//! What nearly every program needs: `use postern_runtime::prelude::*;`.

pub use alloc::boxed::Box;
pub use alloc::format;
pub use alloc::string::{String, ToString};
pub use alloc::vec::Vec;

pub use crate::interface::{
    Answer, CallError, Caller, Kept, Lent, Owned, ServerError, Text, USE, Wire, interface,
};
pub use crate::{Env, Timers, log, names, print, println, relay, server, time};
