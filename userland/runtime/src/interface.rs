//! `#[interface]`: [`postern_interface`], for programs that depend on the
//! runtime only.

// The macros below take the place of those here; the traits of the same names stay.
pub use postern_interface::*;
pub use postern_interface_macros::{
    RuntimeServerError as ServerError, RuntimeWire as Wire, runtime_interface as interface,
};
