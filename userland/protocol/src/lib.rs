//! The interfaces of Postern's own servers, one a module: a trait with
//! `#[interface]`, its error, its structures, and what makes its client nice to
//! use.
//!
//! Must never hold policy: who may do what is decided by who has which gate.
#![no_std]
#![forbid(unsafe_code)]

pub mod console;
pub mod names;
pub mod session;
pub mod supervisor;

pub use postern_interface::CallError;

/// The name of a program or server: as long as the kernel's crash reports have
/// room for.
pub type Name = postern_interface::Text<32>;

/// All protocol numbers, so that no two interfaces have the same.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_interfaces_have_the_same_number() {
        let numbers = [
            console::ConsoleClient::PROTOCOL,
            supervisor::SupervisorClient::PROTOCOL,
            session::SessionClient::PROTOCOL,
            names::NamesClient::PROTOCOL,
        ];
        for (index, number) in numbers.iter().enumerate() {
            assert!(!numbers[..index].contains(number), "{number:#x}");
        }
    }
}
