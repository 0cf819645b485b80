//! Physical memory: who owns which frames, and what is mapped where.

mod frames;

pub use frames::{FrameAllocator, FrameInfo, Frames};
