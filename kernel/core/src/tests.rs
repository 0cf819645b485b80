//! Property tests of the whole kernel on a simulated machine: random
//! operations of several tasks, with every invariant checked after each.

mod crossing;
mod guest;
mod lending;
mod lines;
mod memory;
mod messages;
mod model;
mod random;
mod scripted;
mod search;
mod shadow;
mod signals;
mod twins;
mod world;
