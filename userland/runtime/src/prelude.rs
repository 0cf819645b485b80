//! What nearly every program needs: `use postern_runtime::prelude::*;`.

pub use alloc::boxed::Box;
pub use alloc::format;
pub use alloc::string::{String, ToString};
pub use alloc::vec::Vec;

pub use crate::interface::{
    Answer, CallError, Caller, Kept, Lent, Owned, ServerError, Text, Wire, interface,
};
pub use crate::{Env, log, names, print, println, server, time};
