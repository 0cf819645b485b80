//! Physical memory: who owns which frames, and what is mapped where.

mod frames;
mod mappings;
pub mod parts;
pub mod tree;

#[cfg(any(test, feature = "sim"))]
pub(crate) use mappings::MAPPING_COST;

pub use frames::{FrameAllocator, FrameInfo, Frames};
